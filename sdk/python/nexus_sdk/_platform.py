"""Waiting, calling other functions, and state."""

import json
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Optional

from . import _runtime
from ._events import PermanentError, TransientError, _encode, _is_json


class ConflictError(TransientError):
    """Somebody else changed the state: ``version`` is what it has now. A retry reads again."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the state has changed meanwhile: its version is {version}")
        self.version = version


class CallError(TransientError):
    """A called function gave no result; a retry may help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PermanentCallError(PermanentError):
    """A called function gave no result; a retry does not help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _payload(data: Any) -> Any:
    encoded, media_type = _encode(data, None)
    if encoded is None:
        encoded, media_type = b"null", "application/json"
    return _runtime.host("nexus_function_types").Payload(content_type=media_type, data=encoded)


def _value(payload: Any) -> Any:
    data, media_type = bytes(payload.data), payload.content_type
    if not media_type or _is_json(media_type):
        return json.loads(data) if data else None
    return data.decode("utf-8", "replace") if media_type.startswith("text/") else data


def _ask(body: Callable[[], Any], failed: Callable[[Any], Exception]) -> Any:
    from componentize_py_types import Err

    try:
        return body()
    except Err as error:
        raise failed(error.value) from None


def _durable_error(error: Any) -> Exception:
    durable = _runtime.host("durable")
    if isinstance(error, durable.DurableError_NotDurable):
        return PermanentError("the function is not durable: set durable = true")
    kind = PermanentError if isinstance(error, durable.DurableError_Invalid) else TransientError
    return kind(error.value)


def _call_failed(failure: Any) -> Exception:
    kind = CallError if failure.retryable else PermanentCallError
    return kind(failure.code, f"{failure.code} {failure.message}")


def _call_error(error: Any) -> Exception:
    calls = _runtime.host("calls")
    if isinstance(error, calls.CallError_Failed):
        return _call_failed(error.value)
    if isinstance(error, calls.CallError_Unavailable):
        return CallError("unavailable", error.value)
    names = {calls.CallError_NotFound: "not-found", calls.CallError_TooDeep: "too-deep"}
    return PermanentCallError(names.get(type(error), "invalid"), error.value)


def _state_error(error: Any) -> Exception:
    state = _runtime.host("state")
    if isinstance(error, state.StateError_Conflict):
        return ConflictError(error.value)
    kind = PermanentError if isinstance(error, state.StateError_Invalid) else TransientError
    return kind(error.value)


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def sleep(seconds: float) -> None:
    """Sleeps, in a durable function: it costs nothing meanwhile, and is not counted against the
    timeout."""
    _ask(lambda: _runtime.host("durable").sleep(_milliseconds(seconds)), _durable_error)


def signal(name: str, timeout: Optional[float] = None, default: Any = None) -> Any:
    """Waits for a signal, in a durable function, or takes one that came before. Gives ``default``
    when ``timeout`` (seconds) has passed."""
    limit = None if timeout is None else _milliseconds(timeout)
    payload = _ask(lambda: _runtime.host("durable").wait_signal(name, limit), _durable_error)
    return default if payload is None else _value(payload)


def call(function: str, data: Any = None) -> Any:
    """Calls another function of the project and waits for its result. In a durable function it runs
    once, whatever happens to the caller."""
    return _value(_ask(lambda: _runtime.host("calls").invoke(function, _payload(data)), _call_error))


def call_all(calls: "Iterable[tuple[str, Any]]") -> list[Any]:
    """Calls several functions, some at the same time. Gives their results in order; where a call
    failed, its exception."""
    from componentize_py_types import Ok

    host = _runtime.host("calls")
    made = [host.Call(function=name, payload=_payload(data)) for name, data in calls]
    results = host.invoke_all(made)
    return [_value(it.value) if isinstance(it, Ok) else _call_error(it.value) for it in results]


def start(function: str, data: Any = None, *, delay: float = 0, ordering_key: Optional[str] = None) -> str:
    """Starts an invocation that nobody waits for; it is durable when this returns. Gives its id."""
    host = _runtime.host("calls")
    options = host.StartOptions(delay_ms=_milliseconds(delay), ordering_key=ordering_key)
    return _ask(lambda: host.start(function, _payload(data), options), _call_error)


@dataclass
class Outcome:
    """What became of an invocation: ``running``, ``succeeded`` with a value, or ``failed``."""

    state: str
    value: Any = None
    error: Optional[Exception] = None


def outcome(invocation: str) -> Outcome:
    """What became of an invocation that was started."""
    host = _runtime.host("calls")
    found = _ask(lambda: host.outcome(invocation), _call_error)
    if isinstance(found, host.InvocationState_Succeeded):
        return Outcome("succeeded", value=_value(found.value))
    if isinstance(found, host.InvocationState_Failed):
        return Outcome("failed", error=_call_failed(found.value))
    return Outcome("running")


@dataclass
class Entry:
    """A value with its version: a number that no earlier value of the key had, and higher."""

    value: Any
    version: int
    key: str = ""


def _stored(data: Any) -> bytes:
    encoded, _ = _encode(data, None)
    return b"null" if encoded is None else encoded


def _loaded(data: Any) -> Any:
    data = bytes(data)
    return json.loads(data) if data else None


class State:
    """State that outlives an invocation: values by key, and streams of events. It is the function's
    own, or shared under a name. Writes are durable when they return; those with a ``version`` happen
    only if the state has it (0: only if nothing is there), else :class:`ConflictError`."""

    def __init__(self, namespace: Optional[str] = None) -> None:
        self._namespace = namespace

    def shared(self, name: str) -> "State":
        """State that the functions of the project share."""
        return State(name)

    def entry(self, key: str) -> Optional[Entry]:
        found = _ask(lambda: _runtime.host("state").get(self._namespace, key), _state_error)
        return None if found is None else Entry(_loaded(found.value), found.version, key)

    def get(self, key: str, default: Any = None) -> Any:
        found = self.entry(key)
        return default if found is None else found.value

    def get_bytes(self, key: str) -> Optional[bytes]:
        found = _ask(lambda: _runtime.host("state").get(self._namespace, key), _state_error)
        return None if found is None else bytes(found.value)

    def put(self, key: str, value: Any, *, version: Optional[int] = None) -> int:
        """Gives the new version."""
        data = _stored(value)
        return _ask(lambda: _runtime.host("state").put(self._namespace, key, data, version), _state_error)

    def delete(self, key: str, *, version: Optional[int] = None) -> None:
        _ask(lambda: _runtime.host("state").delete(self._namespace, key, version), _state_error)

    def list(self, prefix: str = "", *, after: Optional[str] = None, max: int = 100) -> "list[Entry]":
        found = _ask(lambda: _runtime.host("state").scan(self._namespace, prefix, after, max), _state_error)
        return [Entry(_loaded(it.value), it.version, it.key) for it in found]

    def append(self, stream: str, events: Iterable[Any], *, version: Optional[int] = None) -> int:
        """Appends events to a stream, all or none. Gives the version of the last one."""
        data = [_stored(it) for it in events]
        return _ask(lambda: _runtime.host("state").append(self._namespace, stream, data, version), _state_error)

    def read(self, stream: str, *, after: int = 0, max: int = 100) -> "list[Entry]":
        """Events of a stream after a version, oldest first."""
        found = _ask(lambda: _runtime.host("state").read(self._namespace, stream, after, max), _state_error)
        return [Entry(_loaded(it.data), it.version) for it in found]


state = State()
