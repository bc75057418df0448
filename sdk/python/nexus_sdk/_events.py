"""Events in and out."""

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Optional

from . import _runtime


class PermanentError(Exception):
    """A retry does not help: the input is wrong."""


class TransientError(Exception):
    """A retry may help. Any other exception counts as this one too."""


@dataclass
class Event:
    """A CloudEvent 1.0. JSON data is parsed, text is ``str``, anything else ``bytes``."""

    type: str
    data: Any = None
    id: str = ""
    source: str = ""
    subject: Optional[str] = None
    time: Optional[str] = None
    datacontenttype: Optional[str] = None
    dataschema: Optional[str] = None
    extensions: dict[str, str] = field(default_factory=dict)


@dataclass
class Output:
    """A result for whoever waits, and events for everybody else."""

    result: Any = None
    events: list[Event] = field(default_factory=list)


def event(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function the component's event handler. It takes an :class:`Event` and gives back
    nothing, a result (JSON or bytes), events, or an :class:`Output`."""
    _runtime.register("event", handler)
    return handler


def _is_json(media_type: str) -> bool:
    essence = media_type.split(";")[0].strip().lower()
    return essence.endswith("/json") or essence.endswith("+json")


def _encode(data: Any, media_type: Optional[str]) -> tuple[Optional[bytes], Optional[str]]:
    if data is None:
        return None, media_type
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), media_type or "application/octet-stream"
    if isinstance(data, str) and media_type and not _is_json(media_type):
        return data.encode(), media_type
    return json.dumps(data).encode(), media_type or "application/json"


def to_record(value: Event) -> Any:
    if not isinstance(value, Event) or not value.type:
        raise TypeError("an event needs a type")
    data, media_type = _encode(value.data, value.datacontenttype)
    return _runtime.host("nexus_function_types").Event(
        id=value.id,
        source=value.source,
        ty=value.type,
        subject=value.subject,
        time=value.time,
        datacontenttype=media_type,
        dataschema=value.dataschema,
        extensions=[(name, str(text)) for name, text in value.extensions.items()],
        data=data,
    )


def from_record(record: Any) -> Event:
    data: Any = None
    if record.data is not None:
        data = bytes(record.data)
        media_type = record.datacontenttype or "application/json"
        if _is_json(media_type):
            try:
                data = json.loads(data)
            except ValueError as error:
                raise PermanentError(f"the event's data is not JSON: {error}") from error
        elif media_type.startswith("text/"):
            data = data.decode("utf-8", "replace")
    return Event(
        type=record.ty,
        data=data,
        id=record.id,
        source=record.source,
        subject=record.subject,
        time=record.time,
        datacontenttype=record.datacontenttype,
        dataschema=record.dataschema,
        extensions=dict(record.extensions),
    )


def to_output(value: Any) -> Any:
    types = _runtime.host("nexus_function_types")
    if isinstance(value, Event):
        value = Output(events=[value])
    elif isinstance(value, (list, tuple)) and value and all(isinstance(it, Event) for it in value):
        value = Output(events=list(value))
    elif not isinstance(value, Output):
        value = Output(result=value)
    data, media_type = _encode(value.result, None)
    payload = None if data is None else types.Payload(content_type=media_type, data=data)
    return types.Output(payload=payload, events=[to_record(it) for it in value.events])


def emit(*given: "Event | Iterable[Event]") -> list[str]:
    """Appends events to the project's log, all or none; they are durable when this returns. Gives
    their ids in the log."""
    flat: list[Event] = []
    for item in given:
        if isinstance(item, Event):
            flat.append(item)
        else:
            flat.extend(item)
    events = _runtime.host("events")
    from componentize_py_types import Err

    try:
        return events.emit([to_record(it) for it in flat])
    except Err as error:
        if isinstance(error.value, events.EmitError_Invalid):
            raise PermanentError(f"emit refused: {error.value.value}") from None
        raise TransientError(f"emit failed: {error.value.value}") from None
