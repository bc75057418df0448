"""The event loop over ``wasi:io/poll``, logging, and the context of a call."""

import asyncio
import contextlib
import heapq
import importlib
import inspect
import json
import logging
import random
import traceback
from typing import Any, Callable, Optional


# The host's interfaces that this package uses. They are imported while the component is built: a
# running one has no files to import from.
HOST_MODULES = (
    "calls",
    "context",
    "durable",
    "events",
    "log",
    "monotonic_clock",
    "nexus_function_types",
    "poll",
    "random",
    "state",
)


def host(name: str) -> Any:
    """A module of the host's interfaces; only a component has them."""
    try:
        return importlib.import_module(f"wit_world.imports.{name}")
    except ImportError as error:
        raise RuntimeError(f"{name} is only there inside a component") from error


class Context:
    """What the host knows about the running invocation."""

    @property
    def invocation_id(self) -> str:
        return host("context").invocation_id()

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return host("context").attempt()

    @property
    def function(self) -> str:
        return host("context").function()

    @property
    def project(self) -> str:
        return host("context").project()

    @property
    def traceparent(self) -> str:
        return host("context").traceparent()

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt to handle the same event with this function."""
        return host("context").idempotency_key()

    def progress(self, percent: Optional[int] = None, message: str = "") -> None:
        """Tells those who watch how far the function is."""
        host("context").progress(None if percent is None else min(100, max(0, percent)), message)

    @property
    def deadline(self) -> float:
        """Seconds since the epoch at which the invocation is stopped."""
        return host("context").deadline_ms() / 1000


context = Context()

# Filled while the entry module loads: the kind of handler and the handler.
registered: dict[str, Callable[..., Any]] = {}


def register(kind: str, handler: Callable[..., Any]) -> None:
    if registered:
        raise TypeError("a component has one handler: either @http or @event, once")
    registered[kind] = handler


def require(kind: str) -> Callable[..., Any]:
    """The handler of a kind, or an error that tells the builder what to do."""
    if kind in registered:
        return registered[kind]
    if registered:
        raise RuntimeError("NEXUS_OTHER_ENTRY")
    raise RuntimeError("the module has no handler: put @http or @event of nexus_sdk above a function")


class _LogHandler(logging.Handler):
    """Sends log records to the host, with what was given as ``extra`` as fields."""

    _KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def emit(self, record: logging.LogRecord) -> None:
        log = host("log")
        fields = [(name, _as_json(value)) for name, value in vars(record).items() if name not in self._KNOWN]
        if record.name != "root":
            fields.append(("logger", json.dumps(record.name)))
        message = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            message += "\n" + "".join(traceback.format_exception(*record.exc_info))
        log.write(_level(log, record.levelno), message, fields)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        return json.dumps(repr(value))


def _level(log: Any, number: int) -> Any:
    if number >= logging.ERROR:
        return log.Level.ERROR
    if number >= logging.WARNING:
        return log.Level.WARN
    if number >= logging.INFO:
        return log.Level.INFO
    return log.Level.DEBUG


def install() -> None:
    """Once, while the component is built."""
    for name in HOST_MODULES:
        with contextlib.suppress(RuntimeError):
            host(name)
    root = logging.getLogger()
    root.handlers[:] = [_LogHandler()]
    if root.level == logging.WARNING:
        root.setLevel(logging.INFO)


_started = False


def start() -> None:
    """At the beginning of each call. The generator's state comes from the snapshot: seed it anew."""
    global _started
    if not _started:
        _started = True
        random.seed(bytes(host("random").get_random_bytes(32)))


def run(handler: Callable[..., Any], *args: Any) -> Any:
    """Calls a handler, and its coroutine to the end if it is one."""
    value = handler(*args)
    if inspect.isawaitable(value):
        return Loop().run_until_complete(value)
    return value


def log_exception(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    log = host("log")
    log.write(log.Level.ERROR, text, [])
    return text


class Loop(asyncio.AbstractEventLoop):
    """Tasks first; when none can go on, the earliest pollable or timer."""

    def __init__(self) -> None:
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = 0
        self._waiting: list[tuple[Any, asyncio.Future]] = []
        self._clock = host("monotonic_clock")
        self._poll = host("poll")
        self._failure: Optional[BaseException] = None

    def time(self) -> float:
        return self._clock.now() / 1e9

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback, *args, context=None):
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self.time() + max(0.0, delay), callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, handle))
        return handle

    def _timer_handle_cancelled(self, handle) -> None:
        pass

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coroutine, *, name=None, context=None):
        return asyncio.Task(coroutine, loop=self, name=name, context=context)

    def call_exception_handler(self, context) -> None:
        logging.getLogger("asyncio").error(context.get("message"), exc_info=context.get("exception"))

    def default_exception_handler(self, context) -> None:
        self.call_exception_handler(context)

    async def shutdown_asyncgens(self) -> None:
        pass

    async def shutdown_default_executor(self, timeout=None) -> None:
        pass

    async def ready(self, pollable: Any) -> None:
        """Returns when the pollable is ready, and drops it."""
        if not pollable.ready():
            future = self.create_future()
            self._waiting.append((pollable, future))
            await future
        pollable.__exit__(None, None, None)

    def run_until_complete(self, awaitable):
        asyncio.events._set_running_loop(self)
        try:
            future = asyncio.ensure_future(awaitable, loop=self)
            while not future.done():
                self._turn()
            return future.result()
        finally:
            asyncio.events._set_running_loop(None)

    def _turn(self) -> None:
        ready, self._ready = self._ready, []
        for handle in ready:
            if not handle.cancelled():
                handle._run()
        if self._ready:
            return
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if ready and not (self._waiting or self._timers):
            return
        if not (self._waiting or self._timers):
            raise RuntimeError("the handler waits for something that nothing can settle any more")
        self._block()

    def _block(self) -> None:
        pollables = [pollable for pollable, _ in self._waiting]
        alarm = None
        if self._timers:
            left = max(0.0, self._timers[0][0] - self.time())
            alarm = self._clock.subscribe_duration(int(left * 1e9))
            pollables.append(alarm)
        indexes = set(self._poll.poll(pollables))
        woken = [entry for index, entry in enumerate(self._waiting) if index in indexes]
        self._waiting = [entry for index, entry in enumerate(self._waiting) if index not in indexes]
        if alarm is not None:
            alarm.__exit__(None, None, None)
        for _, future in woken:
            if not future.done():
                future.set_result(None)
        now = self.time() if self._timers else 0.0
        while self._timers and self._timers[0][0] <= now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)
