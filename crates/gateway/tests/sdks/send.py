"""Sends events with the official CloudEvents SDK in each mode: URL and token are the arguments."""

import sys
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

url, token = sys.argv[1:3]
json_format = JSONFormat()


def event(number):
    attributes = {
        "id": f"python-{number}",
        "source": "/sdk/python",
        "type": "com.example.sdk",
        "specversion": "1.0",
        "subject": "Größe € 😀",
        "time": datetime(2026, 11, 20, 19, 0, tzinfo=timezone.utc),
        "datacontenttype": "application/json",
        "ext": "value",
    }
    return CloudEvent(attributes=attributes, data={"number": number})


def send(headers, body):
    headers = {**headers, "authorization": f"Bearer {token}"}
    body = body if isinstance(body, bytes) else body.encode()
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        print(answer.status)


for message in (to_binary(event(1), json_format), to_structured(event(2), json_format)):
    send(message.headers, message.body)
batch = [json_format.write(event(number)) for number in (3, 4)]
send({"content-type": "application/cloudevents-batch+json"}, b"[" + b",".join(batch) + b"]")
