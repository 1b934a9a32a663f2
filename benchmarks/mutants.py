"""Break single lines of the package, one at a time, and list the breaks that no test notices.

    python benchmarks/mutants.py --count 100 --seed 0

A mutant is one line of `src` with one change: a comparison flipped, + for -, * for /, `and` for `or`, a number one
larger, `return None`, a guard or a `continue` dropped. Each is written into a copy of `src`, and only the tests that
can notice run: those that mirror the module and those that import it. Results are kept in ``--out``, so that a run that
was stopped goes on where it was. Some survivors are equal in effect to the original: they are for a person to judge.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
SWAPS = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"), ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.And: ("and", "or"), ast.Or: ("or", "and"),
}  # fmt: skip
LEAVES = (ast.Raise, ast.Return, ast.Continue, ast.Break)  # what a guard consists of


@dataclass(frozen=True)
class Mutant:
    """One changed line; `line` counts from 0, `path` is relative to the repository."""

    path: str
    line: int
    kind: str
    old: str
    new: str

    @property
    def key(self) -> str:
        """The same for the same change of the same line."""
        text = "\n".join((self.path, str(self.line), self.old, self.new))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def lines(self) -> list[str]:
        """Return the lines of the file with the change."""
        before = (ROOT / self.path).read_text().splitlines(keepends=True)
        return [*before[: self.line], self.new, *before[self.line + 1 :]]

    def diff(self) -> str:
        """Return the change, as a unified diff shows it."""
        return f"--- {self.path}\n+++ {self.path}\n@@ -{self.line + 1} +{self.line + 1} @@\n-{self.old}+{self.new}"


def mutants_of(text: str, path: str) -> list[Mutant]:
    """Every mutant of a file that holds `text`, in the order of lines; some may not compile."""
    lines = text.splitlines(keepends=True)
    found = {}
    for node in _live(ast.parse(text)):
        for kind, line, start, stop, new in _changes(node, lines):
            raw = lines[line].encode()
            changed = (raw[:start] + new.encode() + raw[stop:]).decode()
            mutant = Mutant(path, line, kind, lines[line], changed)
            if changed != lines[line]:
                found[mutant.key] = mutant
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.new))


def draw(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """`count` of them, those that compile."""
    found: list[Mutant] = []
    for mutant in random.Random(seed).sample(mutants, len(mutants)):
        with suppress(SyntaxError):
            compile("".join(mutant.lines()), mutant.path, "exec")
            found.append(mutant)
        if len(found) == count:
            break
    return found


def _live(node: ast.AST) -> Iterator[ast.AST]:
    """Return the nodes that do something: no docstrings, annotations, messages, nor what only type checkers read."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Raise | ast.Assert | ast.JoinedStr):
                yield from _live(child)


def _changes(node: ast.AST, lines: Sequence[str]) -> Iterator[tuple[str, int, int, int, str]]:
    """Return what may be changed at `node`: (kind, line, first byte, last byte, new text)."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for first, op, second in zip([left, *comparators], ops, comparators, strict=False):
                yield from _operator("comparison", op, first, second, lines)
        case ast.BinOp(left=left, op=op, right=right):
            yield from _operator("arithmetic", op, left, right, lines)
        case ast.BoolOp(op=op, values=values):
            yield from _operator("logic", op, values[0], values[1], lines)
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            yield "number", node.lineno - 1, node.col_offset, node.end_col_offset, repr(value + 1)
        case ast.Return(value=ast.expr() as value) if value.end_lineno == node.lineno:
            yield "return", node.lineno - 1, value.col_offset, value.end_col_offset, "None"
        case ast.Continue():
            yield "statement", node.lineno - 1, node.col_offset, node.end_col_offset, "pass"
        case ast.If(test=test, body=[only], orelse=[]) if isinstance(only, LEAVES) and test.end_lineno == test.lineno:
            yield "guard", test.lineno - 1, test.col_offset, test.end_col_offset, "False"


def _operator(
    kind: str, operator: ast.AST, first: ast.expr, second: ast.expr, lines: Sequence[str]
) -> Iterator[tuple[str, int, int, int, str]]:
    if type(operator) in SWAPS and first.end_lineno == second.lineno:
        old, new = SWAPS[type(operator)]
        between = lines[second.lineno - 1].encode()[first.end_col_offset : second.col_offset]
        start = first.end_col_offset + between.index(old.encode())
        yield kind, second.lineno - 1, start, start + len(old), new


def watchers(module: Path, root: Path) -> list[Path]:
    """Return the test files that can notice a change of `module`: its mirror first, then those that import it.

    Where there are none, all of the mirrored folder. `root` holds `src` and `tests`.
    """
    parts = module.relative_to(root / "src").with_suffix("").parts
    folder = root.joinpath("tests", *parts[1:-1])
    mirror = folder / f"test_{parts[-1].lstrip('_')}.py"
    body = ast.parse(module.read_text()).body
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    importing = [
        path
        for path in sorted((root / "tests").rglob("test_*.py"))
        if any(_is_import_of(".".join(parts), defined, *found) for found in _imports(path))
    ]
    found = list(dict.fromkeys([*([mirror] if mirror.exists() else []), *importing]))
    return found or sorted(folder.glob("test_*.py"))


@cache
def _imports(test: Path) -> list[tuple[str, frozenset[str]]]:
    """Return (module, names taken from it) for each import of the package."""
    found: list[tuple[str, frozenset[str]]] = []
    for node in ast.walk(ast.parse(test.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, frozenset()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, frozenset(alias.name for alias in node.names)))
    return [(module, names) for module, names in found if module.partition(".")[0] == "avreward"]


def _is_import_of(module: str, defined: set[str], imported: str, names: frozenset[str]) -> bool:
    if imported == module:
        return True
    if not module.startswith(f"{imported}."):
        return False
    return bool(names & defined) or module.removeprefix(f"{imported}.") in names  # exported, or the module itself


def run_tests(tests: Sequence[Path], source: Path, timeout: float) -> str:
    """``survived``, ``killed``, or ``killed by time``, as the tests say of the package in `source`."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-m", "not slow", *map(str, tests)]
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **quiet) as process:
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "killed by time"
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return "survived" if code in (0, 5) else "killed"  # 5: no test was run


def judge(mutants: Sequence[Mutant], workers: int, timeout: float) -> Iterator[tuple[Mutant, str, float]]:
    """Each mutant, its outcome, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for worker in range(workers):
            copies.put(shutil.copytree(ROOT / "src", Path(folder) / str(worker) / "src"))

        def one(mutant: Mutant) -> tuple[Mutant, str, float]:
            copy, start = copies.get(), time.monotonic()
            target = copy.parent / mutant.path
            try:
                target.write_text("".join(mutant.lines()))
                verdict = run_tests(watchers(ROOT / mutant.path, ROOT), copy, timeout)
            finally:
                shutil.copyfile(ROOT / mutant.path, target)
                copies.put(copy)
            return mutant, verdict, time.monotonic() - start

        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(one, mutants)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws, runs, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="how many mutants are drawn")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--packages", nargs="+", default=["raters", "rewards", "selection"], help="below src/avreward")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for the tests of one mutant")
    parser.add_argument("--out", type=Path, default=ROOT / "mutants.jsonl", help="results, kept from run to run")
    options = parser.parse_args(arguments)
    files = [path for name in options.packages for path in sorted((ROOT / "src/avreward" / name).rglob("*.py"))]
    files = [path for path in files if path.name != "__init__.py"]
    everything = [m for path in files for m in mutants_of(path.read_text(), path.relative_to(ROOT).as_posix())]
    drawn = draw(everything, options.count, options.seed)
    known = {}
    if options.out.exists():
        known = {row["key"]: row["verdict"] for row in map(json.loads, options.out.read_text().splitlines())}
    todo = [mutant for mutant in drawn if mutant.key not in known]
    print(f"{len(drawn)} of {len(everything)} mutants, {len(drawn) - len(todo)} known from {options.out}", flush=True)
    tests = sorted({test for mutant in todo for test in watchers(ROOT / mutant.path, ROOT)})
    if todo and run_tests(tests, ROOT / "src", options.timeout * len(todo)) != "survived":
        print("the tests fail without any mutant: fix them first", file=sys.stderr)
        return 1
    for mutant, verdict, seconds in judge(todo, options.workers, options.timeout):
        known[mutant.key] = verdict
        with options.out.open("a") as file:
            file.write(json.dumps({"key": mutant.key, "verdict": verdict, **asdict(mutant)}) + "\n")
        print(f"{verdict:14} {seconds:5.0f} s  {mutant.path}:{mutant.line + 1} {mutant.kind}", flush=True)
    survivors = [mutant for mutant in drawn if known[mutant.key] == "survived"]
    for mutant in survivors:
        print(f"\n{mutant.diff()}", end="")
    print(f"\n{len(survivors)} of {len(drawn)} mutants survived ({len(survivors) / max(1, len(drawn)):.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
