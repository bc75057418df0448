"""The interpreter with the SDK, before a user's module is in it.

Runs once inside ``componentize-py``, which keeps the memory that results. ``Loading`` is called
later, in a copy of that memory, for each function that is built.
"""

import importlib
import os
import sys
import traceback
from importlib.machinery import FileFinder, SourceFileLoader, SourcelessFileLoader

from componentize_py_types import Err
from nexus_sdk import _entry_NEXUS_ENTRY as _entry
from nexus_sdk._entry_NEXUS_ENTRY import *  # noqa: F403, the handler's class is looked up here
from wit_world import exports

# Where the files are kept that modules import later, and where the user's will be; see ``base.rs``
# and ``load.rs``.
KEPT = "/1"
EDITED = ("/1", "/2")


def _keep(source: str, target: str) -> None:
    os.mkdir(target)
    for entry in os.scandir(source):
        if not entry.is_dir():
            with open(entry.path, "rb") as old, open(f"{target}/{entry.name}", "wb") as new:
                new.write(old.read())
        elif entry.name != "__pycache__":
            _keep(entry.path, f"{target}/{entry.name}")


for _name in ("python", "world", "bundled"):
    _keep(f"/{_name}", f"{KEPT}/{_name}")


class _Uncached(SourceFileLoader):
    """A file that is being worked on may change twice within a second at the same length, which
    stored byte code does not notice."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _in_words(error: BaseException) -> str:
    """The traceback without the lines of imports and of this file."""
    whole = part = traceback.TracebackException.from_exception(error)
    while part is not None:
        shown = [it for it in part.stack if not it.filename.startswith(("/0/", "<frozen importlib"))]
        part.stack = traceback.StackSummary.from_list(shown)
        part = part.__cause__ or part.__context__
    return "".join(whole.format())


class Loading(exports.Loading):
    def load(self, module: str, folders: list[str]) -> None:
        finder = FileFinder.path_hook((_Uncached, [".py"]), (SourcelessFileLoader, [".pyc"]))

        def users(path: str):
            if path.startswith(EDITED):
                return finder(path)
            raise ImportError

        sys.path[:] = ["/python", "/world", *folders, "/bundled"]
        sys.path_hooks.insert(0, users)
        sys.pycache_prefix = "/pycache"
        importlib.invalidate_caches()
        sys.path_importer_cache.clear()
        try:
            _entry.register(__import__(module))
        except BaseException as error:
            raise Err(_in_words(error)) from None
        sys.path_hooks.remove(users)
        sys.pycache_prefix = None
        sys.path_importer_cache.clear()
