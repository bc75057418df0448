"""Requests in, responses out, and requests to elsewhere."""

import json
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Union
from urllib.parse import parse_qsl, urlsplit

from . import _runtime

HeaderPairs = Union[Mapping[str, str], Iterable[tuple[str, str]], None]


class HttpError(Exception):
    """A request to elsewhere had no answer."""


class Headers:
    """Header names are compared without regard to case; order and duplicates are kept."""

    def __init__(self, pairs: HeaderPairs = None) -> None:
        items = pairs.items() if isinstance(pairs, (Mapping, Headers)) else pairs or ()
        self._pairs: list[tuple[str, str]] = [(name, str(value)) for name, value in items]

    def get(self, name: str, default: Optional[str] = None) -> Optional[str]:
        return next((value for value in self.get_all(name)), default)

    def get_all(self, name: str) -> list[str]:
        return [value for known, value in self._pairs if known.lower() == name.lower()]

    def add(self, name: str, value: str) -> None:
        self._pairs.append((name, str(value)))

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self._pairs = [pair for pair in self._pairs if pair[0].lower() != name.lower()]
        self.add(name, value)

    def __contains__(self, name: str) -> bool:
        return bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> list[tuple[str, str]]:
        return list(self._pairs)

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"


class Request:
    """A request that came in. Its body is read when it is asked for."""

    def __init__(
        self,
        method: str = "GET",
        url: str = "http://localhost/",
        headers: HeaderPairs = None,
        body: Union[bytes, str, Iterable[bytes]] = b"",
    ) -> None:
        parts = urlsplit(url)
        self.method = method.upper()
        self.url = url
        self.path = parts.path or "/"
        self.query_string = parts.query
        self.headers = Headers(headers)
        self._pieces: Iterator[bytes] = iter([body.encode() if isinstance(body, str) else body]) if isinstance(
            body, (bytes, str)
        ) else iter(body)
        self._body: Optional[bytes] = None

    @property
    def query(self) -> dict[str, str]:
        """The first value of each name in the query."""
        pairs = parse_qsl(self.query_string, keep_blank_values=True)
        return dict(reversed(pairs))

    def stream(self) -> Iterator[bytes]:
        """The body's pieces as they arrive, once."""
        return self._pieces

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = b"".join(self._pieces)
        return self._body

    def text(self) -> str:
        return self.body.decode("utf-8")

    def json(self) -> Any:
        return json.loads(self.body)


class Response:
    """What to answer. A body may be text, bytes, or an iterable (also an asynchronous one) of both,
    which is sent piece by piece."""

    def __init__(self, body: Any = b"", status: int = 200, headers: HeaderPairs = None) -> None:
        self.status = status
        self.headers = Headers(headers)
        if isinstance(body, str):
            self.body: Any = body.encode()
            if "content-type" not in self.headers:
                self.headers.add("content-type", "text/plain; charset=utf-8")
        else:
            self.body = body

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: HeaderPairs = None) -> "Response":
        response = cls(json.dumps(value).encode(), status, headers)
        if "content-type" not in response.headers:
            response.headers.add("content-type", "application/json")
        return response

    @property
    def text(self) -> str:
        return bytes(self.body).decode("utf-8")


def http(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a function the component's HTTP handler: it takes a :class:`Request` and gives back a
    :class:`Response`, a text, bytes, or anything that JSON can say."""
    _runtime.register("http", handler)
    return handler


def to_response(value: Any) -> Response:
    if isinstance(value, Response):
        return value
    if isinstance(value, (str, bytes, bytearray)):
        return Response(value)
    if value is None:
        return Response(status=204)
    return Response.json(value)


class Answer:
    """An answer of another server. Its body is read when it is asked for."""

    def __init__(self, status: int, headers: Headers, pieces: Any) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces

    async def stream(self):
        """The body's pieces as they arrive, once."""
        while (piece := await self._pieces.next()) is not None:
            yield piece

    async def bytes(self) -> bytes:
        return b"".join([piece async for piece in self.stream()])

    async def text(self) -> str:
        return (await self.bytes()).decode("utf-8")

    async def json(self) -> Any:
        return json.loads(await self.bytes())


async def fetch(url: str, method: str = "GET", headers: HeaderPairs = None, body: Any = b"") -> Answer:
    """Sends a request; returns when the head of the answer is there. Several can be under way at
    once: ``await asyncio.gather(fetch(a), fetch(b))``."""
    from ._wasi_http import exchange

    return await exchange(url, method, Headers(headers), body.encode() if isinstance(body, str) else body)


def send(url: str, method: str = "GET", headers: HeaderPairs = None, body: Any = b"") -> "SyncAnswer":
    """The same for handlers that are no coroutines: waits for the whole answer."""

    async def whole() -> SyncAnswer:
        answer = await fetch(url, method, headers, body)
        return SyncAnswer(answer.status, answer.headers, await answer.bytes())

    return _runtime.Loop().run_until_complete(whole())


class SyncAnswer:
    """A whole answer."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def text(self) -> str:
        return self.body.decode("utf-8")

    def json(self) -> Any:
        return json.loads(self.body)
