"""Between the SDK's types and those of ``wasi:http``. Imported inside components only."""

import asyncio
from typing import Any, Optional
from urllib.parse import urlsplit

from componentize_py_types import Err, Ok
from wit_world.imports import outgoing_handler, streams
from wit_world.imports import wasi_http_types as wasi

from ._http import Answer, Headers, HttpError, Request, Response
from ._runtime import Loop

READ_BYTES = 64 * 1024
# One blocking write takes no more.
WRITE_BYTES = 4096

_METHODS = {
    "GET": wasi.Method_Get,
    "HEAD": wasi.Method_Head,
    "POST": wasi.Method_Post,
    "PUT": wasi.Method_Put,
    "DELETE": wasi.Method_Delete,
    "CONNECT": wasi.Method_Connect,
    "OPTIONS": wasi.Method_Options,
    "TRACE": wasi.Method_Trace,
    "PATCH": wasi.Method_Patch,
}


def _drop(resource: Any) -> None:
    if resource is not None:
        resource.__exit__(None, None, None)


def to_headers(fields: Any) -> Headers:
    return Headers((name, bytes(value).decode("utf-8", "replace")) for name, value in fields.entries())


def to_fields(headers: Headers) -> Any:
    return wasi.Fields.from_list([(name, value.encode()) for name, value in headers.items()])


class Pieces:
    """A body that comes in. Streams are dropped before what they came from."""

    def __init__(self, message: Any) -> None:
        self._message = message
        self._body = message.consume()
        self._stream: Optional[Any] = self._body.stream()

    def _end(self) -> None:
        for name in ("_stream", "_body", "_message"):
            resource = getattr(self, name, None)
            setattr(self, name, None)
            _drop(resource)

    def __del__(self) -> None:
        # A body that nobody read to its end: its attributes would go in the order of their making.
        self._end()

    def _read(self, blocking: bool) -> Optional[bytes]:
        if self._stream is None:
            return None
        try:
            read = self._stream.blocking_read if blocking else self._stream.read
            return bytes(read(READ_BYTES))
        except Err as error:
            self._end()
            if isinstance(error.value, streams.StreamError_Closed):
                return None
            raise HttpError("failed to read a body") from error

    def __iter__(self):
        while (piece := self._read(True)) is not None:
            if piece:
                yield piece

    async def next(self) -> Optional[bytes]:
        while True:
            piece = self._read(False)
            if piece is None or piece:
                return piece
            await _ready(self._stream.subscribe())


async def _ready(pollable: Any) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    await loop.ready(pollable)


def to_request(incoming: Any) -> Request:
    method = incoming.method()
    known = next((name for name, kind in _METHODS.items() if isinstance(method, kind)), None)
    scheme = "https" if isinstance(incoming.scheme(), wasi.Scheme_Https) else "http"
    headers = to_headers(incoming.headers())
    authority = incoming.authority() or headers.get("host") or "localhost"
    url = f"{scheme}://{authority}{incoming.path_with_query() or '/'}"
    return Request(known or method.value, url, headers, Pieces(incoming))


def send_response(response: Response, out: Any) -> Any:
    """Sends the head; gives what is needed to send the body."""
    if isinstance(response.body, (bytes, bytearray)) and "content-length" not in response.headers:
        response.headers.add("content-length", str(len(response.body)))
    outgoing = wasi.OutgoingResponse(to_fields(response.headers))
    outgoing.set_status_code(response.status)
    body = outgoing.body()
    wasi.ResponseOutparam.set(out, Ok(outgoing))
    return body


async def send_body(outgoing_body: Any, content: Any) -> None:
    stream = outgoing_body.write()
    try:
        if isinstance(content, (bytes, bytearray)):
            await _write(stream, bytes(content))
        elif hasattr(content, "__aiter__"):
            async for piece in content:
                await _write(stream, piece.encode() if isinstance(piece, str) else piece)
        elif content is not None:
            for piece in content:
                await _write(stream, piece.encode() if isinstance(piece, str) else piece)
    finally:
        _drop(stream)
    wasi.OutgoingBody.finish(outgoing_body, None)


async def _write(stream: Any, data: bytes) -> None:
    at = 0
    try:
        while at < len(data):
            room = stream.check_write()
            if room == 0:
                await _ready(stream.subscribe())
                continue
            stream.write(data[at : at + room])
            at += room
        stream.flush()
    except Err as error:
        raise HttpError("failed to write a body: the other side went away") from error


def _what(code: Any) -> str:
    name = type(code).__name__.removeprefix("ErrorCode_")
    detail = getattr(code, "value", None)
    return name if detail is None else f"{name}: {detail}"


async def exchange(url: str, method: str, headers: Headers, body: Any) -> Answer:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise HttpError(f"{method} {url}: the scheme must be http or https")
    if isinstance(body, (bytes, bytearray)) and body and "content-length" not in headers:
        headers.add("content-length", str(len(body)))
    request = wasi.OutgoingRequest(to_fields(headers))
    kind = _METHODS.get(method.upper())
    request.set_method(kind() if kind else wasi.Method_Other(method))
    request.set_scheme(wasi.Scheme_Https() if parts.scheme == "https" else wasi.Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    outgoing_body = request.body()
    try:
        future = outgoing_handler.handle(request, None)
    except Err as error:
        raise HttpError(f"{method} {url}: {_what(error.value)}") from None
    try:
        await send_body(outgoing_body, body)
    except HttpError:
        pass  # The answer, or its absence, tells what went wrong.
    await _ready(future.subscribe())
    result = future.get()
    _drop(future)
    if isinstance(result, Ok) and isinstance(result.value, Ok):
        response = result.value.value
        return Answer(response.status(), to_headers(response.headers()), Pieces(response))
    code = result.value.value if isinstance(result, Ok) else result
    raise HttpError(f"{method} {url}: {_what(code)}")
