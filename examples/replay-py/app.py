import asyncio
import datetime
import logging
import os
import random
import secrets
import sys
import time
import uuid
from urllib.parse import parse_qs

from nexus_sdk import Request, Response, fetch, http


async def random_numbers(_request: Request):
    return {
        "random": [random.random(), random.randint(0, 1000)],
        "urandom": os.urandom(8).hex(),
        "uuid": str(uuid.uuid4()),
        "token": secrets.token_hex(8),
    }


async def clock(_request: Request):
    before = time.monotonic()
    await asyncio.sleep(0.005)
    return {
        "time": time.time(),
        "now": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "slept": time.monotonic() - before,
    }


async def order(_request: Request):
    keys = [secrets.token_hex(4) for _ in range(20)]
    return {"dict": {key: random.random() for key in keys}, "set": list(set(keys)), "hash": hash("text")}


async def fetch_all(request: Request):
    arrived = []

    async def one(url):
        answer = await fetch(url)
        text = await answer.text()
        arrived.append(url)
        return {"target": url, "status": answer.status, "text": text}

    urls = parse_qs(request.query_string).get("url", [])
    return {"answers": list(await asyncio.gather(*(one(url) for url in urls))), "order": arrived}


async def stream(request: Request):
    return Response(piece.upper() for piece in request.stream())


async def log(_request: Request):
    print("to standard output")
    print("to standard error", file=sys.stderr)
    logging.warning("a warning", extra={"answer": 42})
    return "logged"


async def throw(_request: Request):
    raise TypeError("thrown on purpose")


async def late(_request: Request):
    def pieces():
        yield "the beginning\n"
        raise TypeError("thrown after the head")

    return Response(pieces())


async def loop(_request: Request):
    while True:
        pass


async def oom(_request: Request):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))


PATHS = {
    "/random": random_numbers,
    "/clock": clock,
    "/order": order,
    "/fetch": fetch_all,
    "/stream": stream,
    "/log": log,
    "/throw": throw,
    "/late": late,
    "/loop": loop,
    "/oom": oom,
}


@http
async def handle(request: Request):
    for path, handler in PATHS.items():
        if request.path.endswith(path):
            return await handler(request)
    return Response(f"no such path: {request.path}\n", status=404)
