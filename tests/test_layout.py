"""The layout of the package: what is public, what is private, and where a name may stand."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import avreward

SRC = Path(avreward.__file__).parent
ROOT = Path(__file__).parents[1]
FILES = sorted(path for path in SRC.rglob("*.py"))
PACKAGES = sorted(path.parent for path in SRC.rglob("__init__.py"))
LONGEST = 300
LONG = {
    "clip.py": "one class, of which half is documentation",
}
MOST = 25  # modules in a folder
DEEP = re.compile(r"^[ >.]*(?:from\s+avreward(?:\.\w+){2,}\s+import|import\s+avreward(?:\.\w+){2,})", re.MULTILINE)


def module_of(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lazy_table(package: Path) -> dict[str, list[str]]:
    """Module, relative to the package → the names that its `__init__` exports lazily."""
    for node in ast.walk(parsed(package / "__init__.py")):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy_exports":
            return ast.literal_eval(node.args[1])
    return {}


def checked_names(package: Path) -> dict[str, str]:
    """Name → module, of the imports under `TYPE_CHECKING`, which type checkers and the reference read."""
    found = {}
    for node in parsed(package / "__init__.py").body:
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            for statement in node.body:
                if isinstance(statement, ast.ImportFrom):
                    found |= {alias.asname or alias.name: str(statement.module) for alias in statement.names}
    return found


def exported(package: Path) -> dict[str, str]:
    """Name → module that defines it."""
    name = module_of(package / "__init__.py")
    found = {one: f"{name}.{module}" for module, names in lazy_table(package).items() for one in names}
    for node in parsed(package / "__init__.py").body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{name}."):
            found |= {alias.name: str(node.module) for alias in node.names}
    return found


EXPORTED = {package: exported(package) for package in PACKAGES}
PUBLIC = sorted({(module_of(package / "__init__.py"), name) for package, names in EXPORTED.items() for name in names})


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: module_of(package / "__init__.py"))
def test_no_exported_name_is_also_a_submodule(package: Path) -> None:
    submodules = {path.stem for path in package.glob("*.py")} | {
        path.name for path in package.iterdir() if path.is_dir()
    }
    assert not set(EXPORTED[package]) & submodules


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: module_of(package / "__init__.py"))
def test_type_checkers_see_what_is_exported_lazily(package: Path) -> None:
    lazy = {one: where for module, names in lazy_table(package).items() for one in names
            for where in [f"{module_of(package / '__init__.py')}.{module}"]}  # fmt: skip
    assert lazy == checked_names(package)


def test_a_module_without_a_public_name_is_marked_by_an_underscore() -> None:
    homes = {module for names in EXPORTED.values() for module in names.values()}
    odd = [
        module
        for path in FILES
        if path.name not in ("__init__.py", "__main__.py")
        and not any(part.startswith("_") for part in path.relative_to(SRC).with_suffix("").parts)
        and path.relative_to(SRC).parts[0] != "cli"
        and (module := module_of(path)) not in homes
    ]
    assert not odd, f"export a name of each, or begin its file's name with an underscore: {odd}"


@pytest.mark.parametrize(("package", "name"), PUBLIC)
def test_every_public_object_can_be_imported_and_is_documented(package: str, name: str) -> None:
    value = getattr(import_module(package), name)
    if hasattr(value, "__module__") and value.__module__.startswith("avreward"):  # not a type alias or a table
        assert value.__doc__


def test_a_class_name_stands_for_one_thing() -> None:
    found = defaultdict(list)
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(module_of(path))
    assert not {name: where for name, where in found.items() if len(where) > 1}


def test_folders_and_files_are_small() -> None:
    counts = {str(package.relative_to(SRC)): len(list(package.glob("*.py"))) for package in PACKAGES}
    assert not {name: count for name, count in counts.items() if count > MOST}
    lines = {str(path.relative_to(SRC)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name for name, count in lines.items() if count > LONGEST} == set(LONG)


def test_every_command_is_a_file_of_its_own() -> None:
    from avreward.cli.main import app

    commands = {command.callback.__module__ for command in app.registered_commands}
    files = {module_of(path) for path in (SRC / "cli").rglob("*.py") if not path.name.startswith("_")}
    assert files - commands == {"avreward.cli.main"}
    assert commands <= files
    assert len(commands) == len(app.registered_commands)


def documented() -> Iterator[tuple[str, str]]:
    """Where → text that users read and copy from: pages, docstrings."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        if path.name != "decisions.md":  # notes for developers
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield f"{module_of(path)}:{getattr(node, 'name', '')}", text


def test_documented_imports_are_two_levels_deep_at_most() -> None:
    deep = [f"{where}: {found.strip()}" for where, text in documented() for found in DEEP.findall(text)]
    assert not deep


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.py")), ids=lambda path: path.name)
def test_recipes_use_the_public_api(path: Path) -> None:
    """Those that a user copies; tiny builds and fits of this package's own parts may look inside."""
    inside = {
        "fit_signals.py": "avreward.",
        "tiny_agav_rater.py": "avreward.raters.",
        "elevenlabs_experiment.py": "avreward.cli.",
    }  # a command of its own: options and progress as in the others
    deep = [
        found
        for found in DEEP.findall(path.read_text(encoding="utf-8"))
        if f"from {inside.get(path.name, 'nothing')}" not in found
    ]
    assert not deep
