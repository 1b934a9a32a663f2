"""docs/licences.md lists every declared dependency, and none of them is under the GPL or AGPL."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROWS = dict(re.findall(r"^\| `([\w-]+)`(.*)\|$", PAGE, re.MULTILINE))
COPYLEFT = re.compile(r"\bA?GPL|\bGNU (Affero )?General Public", re.IGNORECASE)


def declared() -> dict[str, set[str]]:
    """Return the extras of each declared package; of the core, the empty name."""
    project = SETTINGS["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    groups["dev"] = [*groups["dev"], *SETTINGS["build-system"]["requires"]]
    found: dict[str, set[str]] = {}
    for extra, requirements in groups.items():
        for requirement in requirements:
            name = re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-")
            if name != "avreward":
                found.setdefault(name, set()).add(extra)
    return found


def test_every_declared_package_has_a_row_and_no_other():
    assert set(ROWS) == set(declared())


def test_the_extras_of_each_row_are_those_of_the_project():
    table = PAGE.partition("## Extras")[2].partition("## Development")[0]
    told = {
        name: set(re.findall(r"`([\w-]+)`", extras))
        for name, extras in re.findall(r"^\| `([\w-]+)` \| ([^|]+)", table, re.M)
    }
    assert told == {name: extras for name, extras in declared().items() if not extras & {"", "dev"}}


@pytest.mark.parametrize("name", sorted(set(declared()) - {"hatchling"}))  # hatchling builds, and is not installed
def test_its_own_licence_is_no_gpl(name):
    found = metadata(name)
    licence = found.get("License-Expression") or (found.get("License") or "").partition("\n")[0]
    file = distribution(name).read_text("licenses/LICENSE")  # where the metadata name none
    licence = licence or (file or "").strip().partition("\n")[0]
    told = [licence, *(text for text in found.get_all("Classifier") or [] if text.startswith("License"))]
    assert any(told), f"{name} names no licence"
    assert not any(COPYLEFT.search(text) for text in told), told
    assert not any(COPYLEFT.match(cell.strip()) for cell in ROWS[name].split("|"))
    families = {kind for text in told for kind in re.findall("MIT|BSD|Apache|ISC|MPL", text)}
    assert any(kind in ROWS[name] for kind in families), f"the page says {ROWS[name]}, the package {told}"
