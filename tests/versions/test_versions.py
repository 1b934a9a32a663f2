"""A score that changes raises a version, and a version that is raised changes a score."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from tiny.aigveval import tiny_aigveval
from tiny.dover import tiny_dover
from tiny.embedding import tiny_clip
from tiny.qwen2_audio import tiny_qwen2_audio
from tiny.qwen_omni import tiny_qwen2_5_omni

import avreward
from avreward.raters.avbench.rater import LOOK, AvBenchRater
from avreward.raters.base import Rater
from avreward.raters.signals.rater import SignalsRater
from avreward.raters.zero_shot.rater import PublicRater
from versions import record
from versions.comparison import differences, load, problem, recorded
from versions.subjects import SUBJECTS, versions_of

PACKAGE = Path(avreward.__file__).parent


@pytest.mark.parametrize("name", SUBJECTS)
def test_scores_are_those_of_the_version(name: str) -> None:
    subject = SUBJECTS[name]
    assert problem(name, versions_of(subject), subject.cases(), load(name)) is None


def test_every_subpackage_with_scores_has_a_version() -> None:
    with_cards = {path.parent.name for path in (PACKAGE / "raters").glob("*/_card.py")} - {"remote"}  # others' scores
    assert with_cards | {"media", "encoders", "lmm"} == SUBJECTS.keys()
    assert {path.parent.name for path in PACKAGE.rglob("_version.py")} == SUBJECTS.keys()


RATERS: dict[str, Callable[[], Rater]] = {
    "signals": SignalsRater,
    "zero_shot": lambda: PublicRater("tiny", tiny_qwen2_5_omni()),
    "avbench": lambda: AvBenchRater(video_text=tiny_qwen2_5_omni("none", **LOOK["video_text"])),
    "aigveval": tiny_aigveval,
    "dover": tiny_dover,
    "embedding": lambda: tiny_clip(rounding="none", score="cosine"),
}


@pytest.mark.parametrize("name", RATERS)
def test_raters_name_all_versions_that_they_depend_on(name: str) -> None:
    assert RATERS[name]().versions == versions_of(SUBJECTS[name])


def test_versions_of_encoders_count_where_encoders_are_used() -> None:
    assert PublicRater("tiny", tiny_qwen2_audio()).versions.keys() == {"media", "lmm", "zero_shot"}


VERSIONS = {"toy": 1, "media": 4}
FOUND = {"a": [{"score": 50.0, "absent": None}], "b": [[2, 3], 0.25, "text"]}


def of(found: dict[str, Any] = FOUND, stored: Any = None, **versions: int) -> str | None:
    return problem("toy", VERSIONS | versions, found, stored or {"versions": VERSIONS, "cases": FOUND})


def changed(value: float) -> dict[str, Any]:
    found = deepcopy(FOUND)
    found["a"][0]["score"] = value
    return found


def test_a_change_needs_another_version() -> None:
    assert of() is None
    assert of(changed(50.0 * (1 + 1e-7))) is None
    assert "a[0].score: 50.0 became 50.0001" in str(of(changed(50.0001)))
    assert "raise VERSION of toy or media" in str(of(changed(50.0001)))
    assert "no version was raised" in str(of({**FOUND, "a": [{"score": None, "absent": None}]}))
    assert "cases that are new or gone: b" in str(of({"a": FOUND["a"]}))
    assert "cases that are new or gone: c" in str(of({**FOUND, "c": 1.0}))
    assert "no golden scores" in str(problem("toy", VERSIONS, FOUND, None))
    with pytest.raises(ValueError, match="a changed"):
        recorded("toy", VERSIONS, changed(51.0), recorded("toy", VERSIONS, FOUND, None))


@pytest.mark.parametrize("raised", ["toy", "media"])
def test_a_raised_version_is_recorded(raised: str) -> None:
    versions = {**VERSIONS, raised: VERSIONS[raised] + 1}
    assert "the versions are" in str(of(changed(51.0), **versions))
    new = recorded("toy", versions, changed(51.0), recorded("toy", VERSIONS, FOUND, None))
    assert new == {
        "versions": versions,
        "cases": changed(51.0),
        "previous": {"versions": VERSIONS, "cases": FOUND},
    }
    assert problem("toy", versions, changed(51.0), new) is None


def test_a_version_raised_for_nothing() -> None:
    before = recorded("toy", VERSIONS, FOUND, None)
    with pytest.raises(ValueError, match="version 2 gives the scores of 1; take it back"):
        recorded("toy", {**VERSIONS, "toy": 2}, {**FOUND, "new": 1.0}, before)
    by_hand = {"versions": {**VERSIONS, "toy": 2}, "cases": FOUND, "previous": before}
    assert "take it back" in str(of(stored=by_hand, toy=2))
    # what it depends on may change in a way that its cases don't show
    assert recorded("toy", {**VERSIONS, "media": 5}, FOUND, before)["cases"] == FOUND


def test_new_cases_join_those_of_the_same_version() -> None:
    before = recorded("toy", VERSIONS, FOUND, None)
    new = recorded("toy", VERSIONS, {**changed(50.0 * (1 + 1e-8)), "c": 1.0}, before)
    assert new == {"versions": VERSIONS, "cases": {**FOUND, "c": 1.0}}  # the others as they were, to the last digit


def test_differences_in_shape() -> None:
    assert differences([1.0, 2.0], [1.0])
    assert differences({"a": 1.0}, {"b": 1.0})
    assert differences(1.0, "1.0")
    assert differences(None, 0.0)
    assert not differences({"a": [1, None]}, {"a": [1, None]})


def test_libraries_are_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "equivalent.json"
    table.write_text('{"av": {"media 1": ["1.0"]}}')
    monkeypatch.setattr(record, "TABLE", table)
    installed = iter(["2.0", "2.0", "5.0"])
    monkeypatch.setattr(record, "environment", lambda names: {names[0]: next(installed)})
    for name, version in (("media", 1), ("media", 1), ("lmm", 3)):
        record.add_environment(name, version)
    assert record.json.loads(table.read_text()) == {
        "av": {"media 1": ["1.0", "2.0"]},
        "transformers": {"lmm 3": ["5.0"]},
    }
