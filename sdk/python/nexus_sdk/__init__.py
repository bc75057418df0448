"""Functions for Nexus in Python.

An HTTP function::

    from nexus_sdk import Request, Response, http

    @http
    def handle(request: Request) -> Response:
        return Response(f"Hello, {request.query.get('name', 'you')}!\\n")

An event function::

    from nexus_sdk import Event, PermanentError, event

    @event
    def handle(order: Event):
        if not order.data["items"]:
            raise PermanentError("an order needs items")
        return {"items": len(order.data["items"])}

Handlers may be coroutines. Outside of a component (in tests) everything works that asks nothing of
the host; what would ask it raises ``RuntimeError``.
"""

from ._events import Event, Output, PermanentError, TransientError, emit, event
from ._http import Headers, HttpError, Request, Response, fetch, http, send
from ._platform import (
    CallError,
    ConflictError,
    Entry,
    Outcome,
    PermanentCallError,
    State,
    call,
    call_all,
    outcome,
    signal,
    sleep,
    start,
    state,
)
from ._runtime import context

__version__ = "0.1.0"

__all__ = [
    "CallError",
    "ConflictError",
    "Entry",
    "Event",
    "Headers",
    "HttpError",
    "Outcome",
    "Output",
    "PermanentCallError",
    "PermanentError",
    "Request",
    "Response",
    "State",
    "TransientError",
    "call",
    "call_all",
    "context",
    "emit",
    "event",
    "fetch",
    "http",
    "outcome",
    "send",
    "signal",
    "sleep",
    "start",
    "state",
]
