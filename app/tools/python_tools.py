"""Finding the function behind ``handler: module:function`` of an agent document.

The module lies in the document's own folder, beside the document or in a package there, or
is an installed one. The one rule: whatever is wrong with it is a ToolFault with a sentence
for its author, before the port opens. The folder is on Python's path only while the module
is imported, behind everything else, so that a ``random.py`` there cannot break this program;
a function that imports a neighbour only when it runs must do so at the top instead.
"""

import difflib
import importlib
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import cast

from app.errors import ToolFault
from app.tools.foreign import Attempt, place_of
from app.tools.registry import Tool, tool

_MOST_CHARS = 300
_HANDLER = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")


def load_handler(handler: str, folder: Path) -> Tool:
    """The tool that ``module:function`` names; a plain function is made one.

    Imports the module, which runs its code. Raises ToolFault with a sentence that names the
    handler and the fix.
    """
    parts = _HANDLER.fullmatch(handler)
    if parts is None:
        raise ToolFault("handler_malformed", f'"{handler}" must read module:function')
    module = _imported(parts["module"], folder.resolve())
    found = getattr(module, parts["function"], None)
    if found is None:
        raise _no_function(module, parts["function"])
    if isinstance(found, Tool):
        return found
    if not callable(found):
        raise ToolFault("handler_no_function", f'"{handler}" is not a function')
    return tool(found)


def _imported(name: str, folder: Path) -> ModuleType:
    with _on_path(folder), Attempt(KeyboardInterrupt) as attempt:
        attempt.value = importlib.import_module(name)
    if attempt.fault is not None:
        raise _import_fault(name, folder, attempt.fault) from attempt.fault
    module = cast("ModuleType", attempt.value)
    if _lies_in(name, folder) and not _comes_from(module, folder):
        raise _hidden(name, folder)
    return module


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    path = str(folder)
    ours = path not in sys.path
    if ours:
        sys.path.append(path)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if ours and path in sys.path:
            sys.path.remove(path)


def _lies_in(name: str, folder: Path) -> bool:
    path = folder.joinpath(*name.split("."))
    return path.with_name(path.name + ".py").exists() or (path / "__init__.py").exists()


def _comes_from(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder)


def _import_fault(name: str, folder: Path, fault: BaseException) -> ToolFault:
    missing = fault.name if isinstance(fault, ModuleNotFoundError) else None
    if missing is not None and f"{name}.".startswith(f"{missing}."):
        if _lies_in(name, folder):
            return _hidden(name, folder)
        return ToolFault("handler_not_found", f'there is no module "{name}" in {folder}')
    place = f" at {place}" if (place := _place_in(folder, fault)) else ""
    detail = f": {text}" if (text := _one_line(fault)) else ""
    sentence = f'importing "{name}" failed with {type(fault).__name__}{place}{detail}'
    return ToolFault("handler_import_failed", sentence)


def _place_in(folder: Path, fault: BaseException) -> str:
    """The line its author can mend: the last one in ``folder``, or where it was raised."""
    if isinstance(fault, SyntaxError) and fault.filename:
        return f"{Path(fault.filename).name}:{fault.lineno}"
    frames = traceback.extract_tb(fault.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else place_of(fault)


def _one_line(fault: BaseException) -> str:
    """What the error says. Its text is the tool's and may be anything, or fail itself."""
    with Attempt() as attempt:
        attempt.value = fault.msg if isinstance(fault, SyntaxError) else str(fault)
    words = " ".join(str(attempt.value or "").split())
    text = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in words)
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}…"


def _hidden(name: str, folder: Path) -> ToolFault:
    sentence = f'the module "{name}" in {folder} hides behind another of that name: rename it'
    return ToolFault("handler_name_taken", sentence)


def _no_function(module: ModuleType, function: str) -> ToolFault:
    callables = [name for name, value in vars(module).items() if callable(value)]
    near = difflib.get_close_matches(function, callables, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    sentence = f'the module "{module.__name__}" has no function "{function}"{hint}'
    return ToolFault("handler_no_function", sentence)
