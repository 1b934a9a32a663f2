"""Does a rater give the scores that were published?"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from toy_raters import Toy, both, sound

from avreward import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.evaluation.verification import Verification, VerificationRow, verify


class Named(Clip):
    """A clip that came from a file of some name."""

    @property
    def name(self) -> str:
        return self.called


def named(clip: Clip, name: str) -> Clip:
    other = object.__new__(Named)
    other.__dict__.update(clip.__dict__)
    other.called = name
    return other


CLIPS = [named(both(power, 0.5), f"clip_{i}.mp4") for i, power in enumerate((0.2, 0.4, 0.8))]
SCORES = {f"clip_{i}": {"power": power, "brightness": 0.5} for i, power in enumerate((0.2, 0.4, 0.8))}


class Half(Toy):
    """It runs in bfloat16."""

    @property
    def settings(self) -> dict[str, str]:
        return {"dtype": "bfloat16"}


class Percent(Toy):
    """Its scores have another range."""

    dimensions = (replace(Toy.dimensions[0], high=100), *Toy.dimensions[1:])


class Unlimited(Toy):
    """Its scores have no limits."""

    dimensions = (replace(Toy.dimensions[0], low=-math.inf, high=math.inf), *Toy.dimensions[1:])


def test_scores_that_agree() -> None:
    result = verify(Toy(), CLIPS, SCORES)
    assert result.passed
    assert result.verdict == "verified: all 6 scores agree with the published ones"
    assert [(row.clip, row.dimension) for row in result.rows[:2]] == [
        ("clip_0.mp4", "power"),
        ("clip_0.mp4", "brightness"),
    ]
    assert result.order == {"power": pytest.approx(1)}  # a dimension without differences has no order


@pytest.mark.parametrize(
    ("rater", "relative", "absolute"), [(Toy(), 0.01, 0.0025), (Half(), 0.04, 0.01), (Percent(), 0.01, 0.25)]
)
def test_what_half_precision_explains(rater, relative: float, absolute: float) -> None:
    for off, agrees in ((0.99, True), (1.01, False)):
        for sign in (1, -1):
            # ours is 0.2; the published score is off by that share of what is allowed
            edge = 0.2 + sign * off * absolute
            published = edge / (1 - off * relative if sign * edge > 0 else 1 + off * relative)
            result = verify(rater, CLIPS[:1], {"clip_0": {"power": published}})
            assert result.passed == agrees


def test_without_limits_the_largest_published_score_counts() -> None:
    result = verify(Unlimited(), CLIPS, {name: {"power": scores["power"] + 0.003} for name, scores in SCORES.items()})
    assert [row.tolerance for row in result.rows] == pytest.approx([0.01 * p + 0.0025 * 0.803 for p in PUBLISHED])


PUBLISHED = (0.203, 0.403, 0.803)


def test_scores_from_0_to_1_that_are_all_wrong() -> None:
    swapped = {"clip_0": {"power": 0.44}, "clip_1": {"power": 0.42}, "clip_2": {"power": 0.41}}
    clips = [named(both(power, 0.5), f"clip_{i}.mp4") for i, power in enumerate((0.34, 0.43, 0.62))]
    assert not verify(Toy(), clips, swapped).passed


def test_the_reverse_order_is_not_verified() -> None:
    clips = [named(both(0.4 + 0.001 * i, 0.5), f"clip_{i}.mp4") for i in range(3)]
    published = {f"clip_{i}": {"power": 0.402 - 0.001 * i} for i in range(3)}
    result = verify(Toy(), clips, published)
    assert all(row.agrees for row in result.rows)
    assert not result.passed
    assert result.verdict == (
        "not verified: all 3 scores agree, but the order of the clips differs in power (SRCC -1.000); use clips whose "
        "scores are further apart"
    )


def test_the_worst_is_named_and_the_order_told() -> None:
    far = {name: {**scores, "power": scores["power"] + 10} for name, scores in SCORES.items()}
    far["clip_1"]["power"] += 0.1
    result = verify(Toy(), CLIPS, far)
    assert not result.passed
    assert result.verdict == (
        "not verified: 3 of 6 scores differ, most power of clip_1.mp4: 0.4000 instead of 10.5000; the order is right, "
        "so look at precision or preprocessing"
    )
    swapped = far | {"clip_0": far["clip_2"], "clip_2": far["clip_0"]}
    assert "order" not in verify(Toy(), CLIPS, swapped).verdict


def test_a_score_that_is_missing_differs() -> None:
    silent = named(sound(0.2), "clip_0.wav")
    result = verify(Toy(), [silent], {"clip_0": {"power": 0.2, "brightness": 0.5}})
    assert [row.agrees for row in result.rows] == [True, False]
    assert "most brightness of clip_0.wav: nan instead of 0.5000" in result.verdict


def test_names_are_matched_by_their_beginning() -> None:
    published = {"clip_1": {"power": 0.4}, "clip_10": {"power": 0.2}, "clip_1_b": {"power": 0.8}}
    clips = [
        named(both(power, 0.5), name)
        for power, name in ((0.2, "clip_10.mp4"), (0.4, "clip_1 (1).mp4"), (0.8, "clip_1_b.mp4"))
    ]
    result = verify(Toy(), clips, published)
    assert [row.published for row in result.rows] == [0.2, 0.4, 0.8]  # the longest that fits; no digit may follow
    assert result.passed
    with pytest.raises(
        AvrewardError, match=r"^clips: expected files whose names start with clip_1 .*, got clip_12\.mp4"
    ):
        verify(Toy(), [named(both(0.2, 0.5), "clip_12.mp4")], published)


def test_clips_that_are_not_known_are_left_out() -> None:
    result = verify(Toy(), [*CLIPS, named(both(0.2, 0.2), "other.mp4")], SCORES)
    assert len(result.rows) == 6


def test_what_was_not_compared_is_said() -> None:
    stranger = named(both(0.3, 0.5), "holiday.mp4")
    result = verify(Toy(), [*CLIPS[:2], stranger], SCORES)
    assert result.left == ("holiday.mp4",)
    assert result.verdict == (
        "verified: all 4 scores (of 2 of the 3 clips) agree with the published ones; nothing is published for "
        "holiday.mp4"
    )


def test_nothing_compared_is_nothing_verified() -> None:
    with pytest.raises(AvrewardError, match=r"^clips: expected files whose names start with clip_0, got "):
        verify(Toy(), CLIPS, {"clip_0": {}})


def test_a_dimension_that_the_rater_lacks() -> None:
    with pytest.raises(
        ArgumentError, match=r"^dimension of toy: expected one of power, brightness, overall, peak, got 'loudness'"
    ):
        verify(Toy(), CLIPS, {"clip_0": {"loudness": 1.0}})


def test_no_gradients_are_recorded() -> None:
    audio = torch.full((1, 64), 0.5, dtype=torch.float64, requires_grad=True)
    result = verify(Toy(), [named(Clip(audio=audio, sample_rate=16000), "clip_0")], {"clip_0": {"power": 0.25}})
    assert result.passed


def test_rows() -> None:
    assert VerificationRow("c", "d", 10.0, 10.35, 0.35).agrees
    assert not VerificationRow("c", "d", 10.0, float("nan"), 9.0).agrees
    assert not VerificationRow("c", "d", 10.0, float("inf"), float("inf")).agrees
    assert Verification((VerificationRow("c", "d", 1.0, 1.0, 0.1),), {}).passed


# ---- tables
