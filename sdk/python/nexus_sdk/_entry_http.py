"""The component's entry for HTTP functions."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import wasi_http_types as wasi

from . import _runtime
from ._http import to_response
from ._wasi_http import send_body, send_response, to_request

__all__ = ["IncomingHandler", "register"]


def register(_user) -> None:
    _runtime.require("http")
    _runtime.install()


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out) -> None:
        _runtime.start()
        answered = False

        async def answer() -> None:
            nonlocal answered
            value = _runtime.require("http")(to_request(request))
            if hasattr(value, "__await__"):
                value = await value
            response = to_response(value)
            body = send_response(response, response_out)
            answered = True
            await send_body(body, response.body)

        try:
            _runtime.Loop().run_until_complete(answer())
        except Exception as error:
            text = _runtime.log_exception(error)
            # After the head is gone the host breaks off a body that was not finished.
            if answered:
                return
            wasi.ResponseOutparam.set(response_out, Err(wasi.ErrorCode_InternalError(text)))
