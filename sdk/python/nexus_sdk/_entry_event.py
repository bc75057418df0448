"""The component's entry for event functions."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import nexus_function_types as types

from . import _runtime
from ._events import PermanentError, from_record, to_output

__all__ = ["Handler", "register"]


def register(_user) -> None:
    _runtime.require("event")
    _runtime.install()


class Handler(exports.Handler):
    def handle(self, event):
        _runtime.start()
        try:
            return to_output(_runtime.run(_runtime.require("event"), from_record(event)))
        except Exception as error:
            text = _runtime.log_exception(error)
            kind = types.Error_Permanent if isinstance(error, PermanentError) else types.Error_Transient
            raise Err(kind(text)) from None
