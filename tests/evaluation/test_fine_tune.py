"""The verdict on a fine-tune: each outcome, and what is refused."""

import numpy as np
import pytest
from scored_tables import write

from avreward.errors import ArgumentError
from avreward.evaluation import compare_systems, judge_fine_tune

NAMES = ("toy.trained", "toy.held", "toy.other")


@pytest.fixture
def compared(tmp_path):
    """A comparison of base and tuned; each score of tuned moves by so much."""

    def made(trained=0.0, held=0.0, other=0.0, groups=12, systems=("base", "tuned")):
        rng = np.random.default_rng(0)
        rows = []
        for group in range(groups):
            for place, system in enumerate(systems):
                moved = dict(zip(NAMES, np.array([trained, held, other]) * place + rng.normal(size=3), strict=True))
                rows.append({"clip": f"{system}/{group}.mp4", "group": system, **moved})
        return compare_systems(write(tmp_path / "t.parquet", rows, NAMES, "parent"), "parent")

    return made


@pytest.mark.parametrize(
    ("moved", "outcome", "text"),
    [
        ((6, 6, 0), "helps", "helps: held-out toy.held rose, and the trained toy.trained too"),
        ((0, 6, 0), "helps", "helps: held-out toy.held rose"),
        ((-6, 6, 0), "helps", "but the trained toy.trained fell"),
        ((6, -6, 0), "overfitted", "overfitted: the trained toy.trained rose, held-out toy.held fell"),
        ((6, -6, 6), "overfitted", "held-out toy.held fell"),
        ((0, -6, 0), "hurts", "hurts: held-out toy.held fell"),
        ((0, -6, 6), "mixed", "mixed: held-out toy.other rose, toy.held fell"),
        ((-6, 0, 0), "hurts", "hurts: the trained toy.trained fell, and no held-out score is shown to change"),
        (
            (6, 0, 0),
            "no evidence",
            "no evidence that it helps beyond what it was trained on: toy.trained rose, no held-out",
        ),
        (
            (0, 0, 0),
            "no evidence",
            "no evidence that it helps or hurts: no held-out score is shown to change (12 shared",
        ),
    ],
)
def test_outcomes(compared, moved, outcome, text):
    found = judge_fine_tune(compared(*moved), "base", ["toy.trained"])
    assert (found.before, found.after, found.held_out) == ("base", "tuned", ("toy.held", "toy.other"))
    assert found.outcome == outcome
    assert text in found.text
    assert found.text in repr(found)


def test_without_a_trained_score_all_count_alike(compared):
    found = judge_fine_tune(compared(6, -6, 0), "base")
    assert (found.outcome, found.trained) == ("mixed", ())
    assert found.changes == {"toy.trained": "rose", "toy.held": "fell", "toy.other": "unchanged"}
    assert judge_fine_tune(compared(6, -6, 0), "tuned").changes["toy.trained"] == "fell"


def test_few_groups_are_said(compared):
    text = judge_fine_tune(compared(6, 6, 6, groups=5), "base").text
    assert text.endswith("(5 shared groups cannot show any; at least 7 are needed)")


def test_bad_arguments(compared):
    two, three = compared(), compared(systems=("base", "step1", "step2"))
    assert judge_fine_tune(three, "base", after="step1").after == "step1"
    for call, problem in (
        (lambda: judge_fine_tune(two, "bse"), "did you mean 'base'"),
        (lambda: judge_fine_tune(three, "base"), "after: expected one of"),
        (lambda: judge_fine_tune(two, "base", after="base"), "after: expected one of tuned"),
        (lambda: judge_fine_tune(two, "base", ["toy.x"]), "trained: expected one of"),
        (lambda: judge_fine_tune(two, "base", NAMES), "not all of the compared columns"),
    ):
        with pytest.raises(ArgumentError, match=problem):
            call()
