"""A griffe extension for the API reference: lazy exports, and examples in docstrings as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"(?:^[ ]*>>>.*\n?)(?:^[ ]*\S.*\n?)*", re.MULTILINE)  # from a prompt to the next empty line


class LazyExports(griffe.Extension):
    """Take the names imported by a package's ``__init__`` under ``TYPE_CHECKING`` as its exports."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Set the exports of `pkg` and of the packages below it, and fence the examples of their docstrings."""
        visit(pkg)


def visit(found: griffe.Object) -> None:
    """Prepare one object and what it holds."""
    if found.is_module and "lazy_exports" in found.imports:
        names = [name for name, path in found.imports.items() if path.rsplit(".", 1)[-1] == name]
        found.exports = sorted(set(names) - {"TYPE_CHECKING", "Any", "lazy_exports"})
    if found.docstring and "Examples:" not in found.docstring.value:
        found.docstring.value = fenced(found.docstring.value)
    for member in found.members.values():
        if not member.is_alias:
            visit(member)


def fenced(text: str) -> str:
    r"""Return a docstring whose doctest examples are fenced code blocks.

    >>> print(fenced("Add.\n\n>>> 1 + 1\n2"))
    Add.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    """

    def fence(match: re.Match[str]) -> str:
        indent = re.match(" *", match[0])[0]
        return f"{indent}```pycon\n{match[0].rstrip()}\n{indent}```\n"

    return EXAMPLE.sub(fence, text).rstrip()
