"""Best of N: order, ties, missing candidates, mixed bases."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Toy, both, picture, sound

from avreward.clip import Clip
from avreward.group import Group
from avreward.rewards.base import MissingScore, Rewards
from avreward.selection import best_of_n
from avreward.selection._best_of_n import select


def known(values: list[float | None], basis: list[tuple[str, ...]] | None = None) -> Rewards:
    tensor = torch.tensor([float("nan") if v is None else v for v in values])
    reasons = ["not there" if v is None else None for v in values]
    return Rewards(tensor, ~tensor.isnan(), reasons, {}, basis or [()] * len(values), {})


def test_the_best_comes_first() -> None:
    clips = [sound(0.25), sound(0.5), sound(0.125)]
    picked = best_of_n(clips, Toy()["power"])
    assert picked.order == (1, 0, 2)
    assert picked.best is clips[1]
    assert picked.best_index == 1
    assert picked.missing == {}
    assert picked.rewards.values.tolist() == pytest.approx([0.25, 0.5, 0.125])


def test_a_group_is_ranked() -> None:
    film = picture(0.5)
    dubs = [film.with_audio(sound(level).sound(), sample_rate=16000) for level in (0.5, 0.75)]
    toy = Toy()
    assert best_of_n(Group(film, dubs), toy["overall"]).best is dubs[1]
    assert [track for track, _ in toy.loads].count("video") == 1


@given(st.lists(st.none() | st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=9))
def test_order_against_its_definition(values: list[float | None]) -> None:
    paths = [f"{i}.mp4" for i in range(len(values))]
    if all(value is None for value in values):
        with pytest.raises(MissingScore, match=r"0\.mp4 \(clip 0\): not there"):
            select(paths, known(values))
        return
    picked = select(paths, known(values))
    for place, index in enumerate(picked.order):
        for later in picked.order[place + 1 :]:
            here, there = values[index], values[later]
            assert here is not None
            assert there is not None
            assert here > there or (here == there and index < later)
    assert set(picked.missing) == {i for i, value in enumerate(values) if value is None}
    assert set(picked.order) | set(picked.missing) == set(range(len(values)))
    assert picked.best == paths[picked.order[0]]


def test_another_basis_is_not_ranked_unless_asked() -> None:
    clips = [both(0.5, 0.25), sound(0.9), both(0.25, 0.25), picture(0.75)]
    reward = Toy()["overall"]
    picked = best_of_n(clips, reward)
    assert picked.order == (0, 2)
    assert set(picked.missing) == {1, 3}
    assert "made of power, the ranked ones of brightness and power; pass mixed=True" in picked.missing[1]
    assert "made of brightness" in picked.missing[3]
    assert picked.rewards.present.all()  # they have rewards, only no place in this order
    mixed = best_of_n(clips, reward, mixed=True)
    assert mixed.order == (1, 3, 0, 2)
    assert mixed.missing == {}


@pytest.mark.parametrize(
    ("basis", "ranked"),
    [
        ([("a",), ("a",), ("a", "b")], {0, 1}),  # the most common
        ([("a",), ("a", "b")], {1}),  # of two equally common ones, the larger
        ([("b",), ("a",)], {0}),  # then the earlier
        ([("a", "b"), ("b", "a"), ("a",)], {0, 1}),  # the order of names says nothing
    ],
)
def test_which_basis_is_ranked(basis: list[tuple[str, ...]], ranked: set[int]) -> None:
    picked = select(range(len(basis)), known([1.0] * len(basis), basis))
    assert set(picked.order) == ranked
    assert set(picked.missing) == set(range(len(basis))) - ranked


def test_missing_candidates_have_no_say_in_the_basis() -> None:
    picked = select("abc", known([None, None, 1.0], [("a",), ("a",), ("b",)]))
    assert picked.order == (2,)
    assert picked.best == "c"


def test_what_cannot_be_ranked() -> None:
    reward = Toy()["power"]
    with pytest.raises(ValueError, match="candidates: none"):
        best_of_n([], reward)
    with pytest.raises(TypeError, match="a single Clip"):
        best_of_n(sound(0.5), reward)  # type: ignore[arg-type]
    with pytest.raises(MissingScore, match=r"2 of 2 .*toy\.power"):
        best_of_n([picture(0.5), picture(0.25)], reward)
    with pytest.raises(ValueError, match="1 for 2 candidates"):
        select(["a", "b"], known([1.0]))


def test_gradients_reach_the_best() -> None:
    audio = torch.full((1, 8), 0.5, requires_grad=True)
    clip = type(sound(0.5))(audio=audio, sample_rate=16000)
    picked = best_of_n([sound(0.01), clip], Toy()["power"])
    picked.rewards.values[picked.best_index].backward()
    assert audio.grad is not None
    assert audio.grad.abs().sum() > 0


def test_a_rater_is_no_reward() -> None:
    clips = [Clip(audio=torch.zeros(1, 100), sample_rate=100)]
    with pytest.raises(TypeError, match=r"pass a reward, such as rater\['overall'\]"):
        best_of_n(clips, Toy())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"open files with Clip\.open"):
        Toy()(["a.mp4"])  # type: ignore[list-item]


def test_the_cause_of_another_basis_stands_first() -> None:
    loud = torch.full((1, 100), 0.5)
    clips = [Clip(video=torch.rand(2, 3, 4, 4), fps=2, audio=loud, sample_rate=100) for _ in range(2)]
    clips.append(Clip(video=torch.rand(2, 3, 4, 4), fps=2))
    missing = best_of_n(clips, Toy()["overall"]).missing
    assert missing[2].startswith("no audio was given: its reward is made of brightness")
