"""Read the blocks of a Markdown page and run them: Python in one namespace, shell lines through the command line.

A block is not run if a comment right before it says why: ``<!-- not run: needs published weights -->``.
"""

from __future__ import annotations

import glob
import importlib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = ("bash", "sh", "console", "shell")
SHOWN = ("yaml", "json", "toml", "text", "csv")  # what a page shows and nobody runs
FENCE = re.compile(r"(?:<!-- not run: *(.*?) *-->\n\s*)?^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    skipped: str | None
    """Why it is not run."""

    @property
    def name(self) -> str:
        """The page and the line, as in a traceback."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[list[str]]:
        """The words of each shell command; comments, prompts and line continuations are taken out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(re.sub(r"^\$ ", "", line.strip()), comments=True) for line in lines]
        return [found for found in words if found]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        reason, indent, language, body = match.groups()
        code = "\n".join(line.removeprefix(indent) for line in body.splitlines())
        found.append(Block(page, text.count("\n", 0, match.start(4)) + 1, language, code, reason))
    return found


def run(page: Path, names: dict[str, Any], run_command: Callable[[list[str]], str]) -> str:
    """Run the blocks of a page in the working directory; return what its commands print.

    Args:
        page: the page.
        names: the namespace of its Python blocks, with what the page takes as given.
        run_command: gets the words of a shell command, returns its output.
    """
    printed = []
    for block in blocks(page):
        if block.skipped is None and block.language == "python":
            source = "\n" * (block.line - 1) + block.text  # so that tracebacks name the page's lines
            exec(compile(source, str(page), "exec"), names)
        elif block.skipped is None and block.language in SHELL:
            printed += [run_command(words) for words in block.commands()]
    return "\n".join(printed)


def run_command(words: list[str]) -> str:
    """Run ``avreward …`` or ``python recipes/….py …`` in this process; globs are expanded as a shell does."""
    expanded = [path for word in words for path in sorted(glob.glob(word)) or [word]]
    if words[0] == "avreward":
        from avreward.cli.main import app

        result = CliRunner().invoke(app, expanded[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{shlex.join(words)}: {result.stderr or result.stdout}"
        return result.stdout
    assert words[0] == "python", f"{shlex.join(words)}: mark the block as not run, and say why"
    assert words[1].startswith("recipes/"), f"{shlex.join(words)}: mark the block as not run, and say why"
    code = importlib.import_module(Path(words[1]).stem).main(expanded[2:])
    assert not code, f"{shlex.join(words)}: exit code {code}"
    return ""
