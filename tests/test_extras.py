"""A package that isn't installed costs one line, which says how to install it; the core never misses one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from avreward._extras import extra
from avreward.errors import AvrewardError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "avreward"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
USED_BY_OTHERS = {"trl", "fastapi", "grpcio-reflection"}  # by the user's objects, and by Ray Serve; not by src/
CORE_RATERS = (
    "avreward.raters.base",
    "avreward.raters.hub",
    "avreward.raters.signals",
    "avreward.raters.wrappers.ensemble",
)


def normal(requirement: str) -> str:
    return re.split(r"[\[<>=~!;, ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


CORE = {normal(line) for line in PROJECT["dependencies"]}
EXTRAS = {name: {normal(line) for line in lines} for name, lines in PROJECT["optional-dependencies"].items()}
USER_EXTRAS = {name: found for name, found in EXTRAS.items() if name not in ("all", "dev")}
BLOCKED = sorted({package.replace("-", "_") for found in USER_EXTRAS.values() for package in found})


def _typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(node: ast.AST, inside: str | None = None) -> Iterator[tuple[str, str | None, int]]:
    """Every import at run time: (top-level module, the extra whose block it stands in, line)."""
    for child in ast.iter_child_nodes(node):
        if _typing_only(child):
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield alias.name.partition(".")[0], inside, child.lineno
        elif isinstance(child, ast.ImportFrom) and child.level == 0:
            yield child.module.partition(".")[0], inside, child.lineno
        block = inside
        if isinstance(child, ast.With) and isinstance(call := child.items[0].context_expr, ast.Call):
            block = call.args[0].value if ast.unparse(call.func) == "extra" else inside
        yield from imports(child, block)


@cache
def third_party() -> list[tuple[str, str | None, str]]:
    """Imports of packages that are neither ours nor Python's: (distribution, extra, place)."""
    known = packages_distributions()
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for module, block, line in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if module != "avreward" and module not in sys.stdlib_module_names:
                name = normal(known.get(module, [module])[0])
                found.append((name, block, f"{path.relative_to(ROOT)}:{line}"))
    return found


def test_every_import_is_declared_and_those_of_an_extra_say_so():
    wrong = [
        f"{place}: {name} ({block or 'core'})"
        for name, block, place in third_party()
        if name not in (CORE if block is None else CORE | EXTRAS.get(block, set()))
    ]
    assert not wrong, wrong


def test_every_declared_package_is_used():
    used = {name for name, _, _ in third_party()}
    assert set() == CORE - used
    assert {name for found in USER_EXTRAS.values() for name in found} - used == USED_BY_OTHERS


def test_all_holds_every_extra_and_dev_holds_all():
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert everything == f"avreward[{','.join(sorted(USER_EXTRAS))}]"
    assert "avreward[all]" in PROJECT["optional-dependencies"]["dev"]


def test_a_missing_package_is_one_line_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(AvrewardError) as caught, extra("trl"):
        import trl  # noqa: F401
    assert str(caught.value) == "trl: this package is not installed; run pip install 'avreward[trl]'"


def test_a_missing_module_of_this_package_is_a_bug():
    with pytest.raises(ModuleNotFoundError, match="avreward"), extra("lmm"):
        import avreward.not_there  # noqa: F401


def test_a_package_that_is_broken_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "spoilt_package.py").write_text("raise ImportError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="nms"), extra("lmm"):
        import spoilt_package  # noqa: F401


def without_extras(code: str) -> subprocess.CompletedProcess[str]:
    blocked = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r})); "
    done = subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, timeout=240)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_without_extras_every_module_imports_or_names_its_extra():
    code = """
import importlib, pkgutil, avreward
from avreward.errors import AvrewardError
for found in pkgutil.walk_packages(avreward.__path__, "avreward."):
    if found.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(found.name)
    except AvrewardError as error:
        print(found.name, error)
"""
    refused = dict(line.split(" ", 1) for line in without_extras(code).stdout.splitlines())
    assert "avreward.raters.lmm.rater" in refused
    assert "avreward.integrations.trl.monitor" in refused
    for name, message in refused.items():
        assert re.fullmatch(r"[a-z_]+: this package is not installed; run pip install 'avreward\[[a-z]+\]'", message)
        assert name.split(".")[1] in ("_serving", "raters", "generators", "integrations", "studies", "training"), name
    assert not any(name.startswith(CORE_RATERS) for name in refused)


def test_without_extras_a_rater_with_weights_says_what_to_install(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clap"}')
    code = f"""
from avreward import AvrewardError, load_rater
assert load_rater().name == "signals"
for name in ("signal", {str(tmp_path)!r}):
    try:
        load_rater(name)
    except AvrewardError as error:
        print(error)
"""
    mistyped, checkpoint = without_extras(code).stdout.splitlines()
    assert "did you mean 'signals'?" in mistyped
    assert checkpoint.endswith("run pip install 'avreward[lmm]'")
