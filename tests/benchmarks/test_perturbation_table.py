"""The table of controlled defects can fail: it counts what it is given."""

import perturbations
import pytest
from perturbations import Trial, summarize

from avreward.datasets.synthetic._perturbations import PERTURBATIONS
from avreward.raters.hub import load_rater


def trials(falls):
    """Blur of two clips with the given falls of the score at the three severities."""
    levels = perturbations.SEVERITIES["blur"]
    return [
        Trial("blur", level, clip, fall, -1.0)
        for clip, row in zip("ab", falls, strict=True)
        for level, fall in zip(levels, row, strict=True)
    ]


def rows(found):
    return {row["defect"]: row for row in summarize(found)}


def test_wins_losses_and_ties_are_counted_with_their_interval():
    table = rows([*trials([(1, 2, 3), (-1, 0, 5)]), "blur 1.2", "lowpass 8000.0"])
    assert table["blur 1.2"]["dimension"] == 0.5
    assert table["blur 2.4"]["dimension"] == 0.5  # an equal score is no win
    assert table["blur 4.8"]["dimension"] == 1.0
    assert table["blur 4.8"]["overall"] == 0.0
    assert table["blur 1.2"]["no effect"] == 1
    assert table["lowpass 8000.0"]["n"] == 0
    assert table["all: video quality"]["dimension"] == pytest.approx(4 / 6)
    low, high = table["all: video quality"]["dimension interval"]
    assert low < 4 / 6 < high


@pytest.mark.parametrize(
    ("falls", "expected"), [([(1, 2, 3)] * 2, 1.0), ([(3, 2, 1)] * 2, 0.2), ([(-1, -2, -3)] * 2, -1)]
)
def test_the_severity_correlation_is_over_the_original_too(falls, expected):
    assert rows(trials(falls))["blur 4.8"]["srcc"] == pytest.approx(expected)


def test_every_defect_of_the_package_is_in_the_table():
    assert set(perturbations.SEVERITIES) == set(PERTURBATIONS)


@pytest.mark.slow
def test_a_scene_gives_a_trial_or_a_word_for_every_defect():
    found = perturbations.scene_trials(perturbations.HELD_OUT - 1, load_rater().name)
    named = [f if isinstance(f, str) else f.row for f in found]
    named = [name for name in named if name != perturbations.NO_ATTACKS]
    expected = [d if not s else f"{d} {float(x)}" for d, s in perturbations.SEVERITIES.items() for x in (s or [0])]
    assert named == expected
