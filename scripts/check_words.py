"""Find phrases that the documentation style avoids, in prose, docstrings, comments and messages.

    python scripts/check_words.py            # README, docs, src, recipes, benchmarks
    python scripts/check_words.py docs src   # some of them

Print a line a finding and exit with 1 where there is one. Markdown is read whole but for its code; of Python files the
strings and comments are read; of templates everything.
"""

from __future__ import annotations

import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs", "src", "recipes", "benchmarks")
NOT_READ = ("docs/decisions.md",)  # notes for developers

BANNED = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"(?<!there )(?<!there\n)\bis no (?!longer\b|more\b|way\b|reason\b|need\b|effect\b)\w+": "is not a …",
    r"\bisn't one\b": "is not a …",
    r"\bturn(s|ed)? \w+( \w+)? round\b": "reverses",
    r"\bfront door\b": "public API",
    r"\b(the|a|this|that|own) (room|house)s?\b": "subpackage, package",
    r"\bweighs? in\b": "use it anywhere …",
    r"\b(begin|begun|began|made|weighed|done|save it|measured) anew\b": "again",
    r"\bcan't be had\b": "could not be …",
    r"\bfilms?\b(?! grain| sequences)": "video",
    r"\bquiet machine\b|\bwas lent\b|\bat hand for this version\b": "measured on 2 CPU cores",
    r"\b(seeds|numbers|constants) stands? in\b": "are set in",
    r"\bin vain\b": "useless",
    r"\bspoil(t|s|ed)?\b": "degrade",
    r"\bpart(s|ed)? (bad|the levels)\b": "separate",
    r"\b(dear|dearer|dearest)\b": "expensive",
    r"\bno whole number\b": "expected an integer",
    r"\b(nobody|whoever) (asks|asked|wants|wanted)\b": "unused; users who …",
    r"\bWhat (came|comes|became|becomes) (out )?of\b": "Return …, the result of",
    r"\bthis (session|workplace|issue)\b": "(leave out)",
}
RULES = [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in BANNED.items()]
CODE = re.compile(r"```.*?```|`[^`\n]*`|\{[^{}\n]*\}", re.DOTALL)  # the braces are of f-strings
TEXT = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}


def pieces(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line of its beginning, text) of what a person reads in a file; code in it is blanked."""
    if path.suffix == ".py":
        with tokenize.open(path) as file:
            yield from ((token.start[0], blank(token.string)) for token in tokenize.generate_tokens(file.readline)
                        if token.type in TEXT)  # fmt: skip
    else:
        yield 1, blank(path.read_text(encoding="utf-8"))


def blank(text: str) -> str:
    """Replace code in back quotes by spaces, so that lines keep their numbers."""
    return CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def findings(path: Path) -> Iterator[str]:
    """Yield a line for each banned phrase in a file."""
    for start, text in pieces(path):
        for rule, instead in RULES:
            for match in rule.finditer(text):
                line = start + text.count("\n", 0, match.start())
                yield f"{path}:{line}: {' '.join(match[0].split())!r}: write {instead!r}"


def files(roots: list[str]) -> Iterator[Path]:
    """Yield the files that are read, in a stable order."""
    for root in map(Path, roots):
        found = [root] if root.is_file() else sorted(root.rglob("*")) if root.is_dir() else []
        yield from (p for p in found if p.suffix in (".py", ".md", ".j2") and str(p) not in NOT_READ)


def main() -> int:
    """Print all findings; return the exit code."""
    found = [line for path in files(sys.argv[1:] or list(ROOTS)) for line in findings(path)]
    print("\n".join(found) or "no banned phrase")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
