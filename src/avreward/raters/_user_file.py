"""A rater in a Python file that the user names: ``path/to/file.py:Name``."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from hashlib import blake2b
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from avreward.errors import ArgumentError, AvrewardError

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_CODE = re.compile(r"(?P<file>.+\.py):(?P<name>[^\W\d]\w*)", re.DOTALL)


def names_code(text: str) -> bool:
    """Return whether `text` names something in a Python file, and no folder."""
    return _CODE.fullmatch(text) is not None and not Path(text).expanduser().is_dir()


def rater_in_file(text: str) -> Rater:
    """Import the Python file that ``FILE.py:NAME`` names, and return the rater that NAME is or makes.

    The file's code runs: call this only with text that the user typed, never with text from a file.

    Raises:
        ArgumentError: for a text of another form, a missing file or name, or an object that does not make a rater.
        AvrewardError: for a file that cannot be imported.
    """
    from avreward.raters.registry import make_rater, maker_of

    found = object_in_file(text, "a Rater class, a term, or a function that makes a rater")
    rater = make_rater(text, maker_of(text, found), {})
    file, name = _parts(text)
    rater.source = {"rater": f"{file}:{name}"}
    return rater


def object_in_file(text: str, wanted: str = "a function") -> Any:
    """Import the Python file that ``FILE.py:NAME`` names, and return what NAME is; the file's code runs.

    Args:
        text: typed by the user, never taken from a file.
        wanted: what NAME should be, for the error.

    Raises:
        ArgumentError: for a text of another form.
        AvrewardError: if there is no such file or name, or the file cannot be imported.
    """
    file, name = _parts(text)
    module = _imported(file)
    if not hasattr(module, name):
        near = get_close_matches(name, [key for key in vars(module) if not key.startswith("_")], 1)
        hint = f"did you mean {near[0]}?" if near else f"name {wanted}"
        raise AvrewardError(f"{file}: has no {name}; {hint}")
    return getattr(module, name)


def _parts(text: str) -> tuple[Path, str]:
    match = _CODE.fullmatch(text)
    if match is None:
        raise ArgumentError("rater", "FILE.py:NAME", text)
    return Path(match["file"]).expanduser().resolve(), match["name"]


def _imported(file: Path) -> ModuleType:
    """Import a file once in a process, under a name that no package has."""
    called = f"avreward_user_{file.stem}_{blake2b(str(file).encode(), digest_size=4).hexdigest()}"
    if called in sys.modules:
        return sys.modules[called]
    if not file.is_file():
        raise AvrewardError(f"{file}: no such file; name a Python file")
    spec = spec_from_file_location(called, file)
    assert spec is not None  # for a name that ends in .py there is a loader
    assert spec.loader is not None
    module = sys.modules[called] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code
        del sys.modules[called]
        raise AvrewardError(f"{file}: it cannot be imported ({type(error).__name__}: {error}); correct it") from error
    return module
