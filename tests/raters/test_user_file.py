"""A rater in a Python file that the user names."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_raters import sound

from avreward import AvrewardError, load_rater, load_reward
from avreward.raters._user_file import names_code, rater_in_file
from avreward.raters.hub import UnknownRater

TERMS = """
from dataclasses import dataclass

from avreward import ClipRater, Dimension, term

imported = []
imported.append(1)


@dataclass
class Note:  # which needs its module to be found
    text: str


@term(needs="audio", low=0)
def power(clip):
    return clip.sound().square().mean()


class Peak(ClipRater):
    name, fingerprint = "peak", "peak 1"
    dimensions = (Dimension("peak", 0, 1, frozenset({"audio"})),)

    def rate_clip(self, clip):
        return {"peak": clip.sound().abs().amax()}


def make_peak():
    return Peak()


def broken(scale):
    return Peak()


number = 3
"""


@pytest.fixture
def terms(tmp_path: Path) -> Path:
    path = tmp_path / "terms.py"
    path.write_text(TERMS)
    return path


@pytest.mark.parametrize(("name", "expected"), [("power", 0.25), ("Peak", 0.5), ("make_peak", 0.5)])
def test_terms_classes_and_factories(terms: Path, name: str, expected: float) -> None:
    rater = rater_in_file(f"{terms}:{name}")
    assert rater([sound(0.25)]).values.tolist() == [[expected]]
    assert rater.source == {"rater": f"{terms.resolve()}:{name}"}


def test_a_file_is_run_once(terms: Path) -> None:
    first = rater_in_file(f"{terms}:power")
    second = rater_in_file(f"{terms}:power")
    assert first is not second
    assert first.function is second.function  # type: ignore[attr-defined]


def test_a_relative_path(terms: Path, monkeypatch) -> None:
    monkeypatch.chdir(terms.parent)
    assert rater_in_file("terms.py:Peak").source == {"rater": f"{terms.resolve()}:Peak"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("terms.py:warm", True),
        ("a b/terms.py:Warm", True),
        ("terms.py", False),
        ("terms:warm", False),
        ("owner/repository", False),
        ("terms.py:", False),
        ("terms.py:1st", False),
    ],
)
def test_what_names_code(text: str, code: bool) -> None:
    assert names_code(text) is code


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("powr", "has no powr; did you mean power"),
        ("zzz", "has no zzz; name a Rater class"),
        ("number", "expected a class of Rater, a function that makes a rater, or a rater, got 3"),
        ("Note", "expected a class of Rater, .* or a rater, got the class Note"),
        ("broken", "scale of .*terms.py:broken: expected a value, got none"),
    ],
)
def test_what_is_no_rater(terms: Path, name: str, said: str) -> None:
    with pytest.raises(AvrewardError, match=said):
        rater_in_file(f"{terms}:{name}")


def test_files_that_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(AvrewardError, match=r"absent\.py: no such file; name a Python file"):
        rater_in_file(f"{tmp_path}/absent.py:x")
    (tmp_path / "bad.py").write_text("import no_such_module_at_all")
    with pytest.raises(AvrewardError, match=r"bad\.py: it cannot be imported \(ModuleNotFoundError: .*; correct it"):
        rater_in_file(f"{tmp_path}/bad.py:x")


def test_only_what_the_user_types_is_run(terms: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    terms.write_text(f"open({str(marker)!r}, 'w')\n{TERMS}")
    with pytest.raises(UnknownRater, match="Python code, which only --rater imports"):
        load_rater(f"{terms}:power")
    reward = tmp_path / "reward.yaml"
    for told in (f"{terms}:power", "./terms.py:power", "terms.py:power"):
        reward.write_text(f"reward: power.power\nraters: {{power: '{told}'}}")
        with pytest.raises(AvrewardError, match=r"file never imports; pass it with raters=\{'power': …\}, or on"):
            load_reward(reward)
    assert not marker.exists()


def test_a_saved_reward_says_where_its_rater_was(terms: Path, tmp_path: Path) -> None:
    rater = rater_in_file(f"{terms}:power")
    rater["power"].save(tmp_path / "reward.yaml")
    with pytest.raises(AvrewardError, match=r"terms\.py:power is Python code.* --rater power=FILE\.py:NAME"):
        load_reward(tmp_path / "reward.yaml")
    assert load_reward(tmp_path / "reward.yaml", {"power": rater}) == rater["power"]
