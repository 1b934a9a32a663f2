"""Best of N: order, ties, missing candidates, mixed bases."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.group import Group
from avreward.rewards.base import MissingScore, Rewards
from avreward.rewards.expression import ExpressionError
from avreward.scoring import read_table
from avreward.selection import best_of_n, candidates_of
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
    assert [str(c.file) for c in picked.ranked] == [paths[i] for i in picked.order]


def test_another_basis_is_not_ranked_unless_asked() -> None:
    clips = [both(0.5, 0.25), sound(0.9), both(0.25, 0.25), picture(0.75)]
    reward = Toy()["overall"]
    picked = best_of_n(clips, reward)
    assert picked.order == (0, 2)
    assert set(picked.missing) == {1, 3}
    assert "its reward combines power, the ranked ones brightness and power; pass mixed=True" in picked.missing[1]
    assert "combines brightness" in picked.missing[3]
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
    picked = select([Clip(prompt=str(i)) for i in range(len(basis))], known([1.0] * len(basis), basis))
    assert set(picked.order) == ranked
    assert set(picked.missing) == set(range(len(basis))) - ranked


def test_missing_candidates_have_no_say_in_the_basis() -> None:
    clips = [Clip(prompt=name) for name in "abc"]
    picked = select(clips, known([None, None, 1.0], [("a",), ("a",), ("b",)]))
    assert picked.order == (2,)
    assert picked.best is clips[2]


def test_what_cannot_be_ranked() -> None:
    reward = Toy()["power"]
    with pytest.raises(ArgumentError, match="candidates: expected at least one, got none"):
        best_of_n([], reward)
    with pytest.raises(ArgumentError, match="got a single Clip"):
        best_of_n(sound(0.5), reward)  # type: ignore[arg-type]
    with pytest.raises(MissingScore, match=r"2 of 2 .*toy\.power"):
        best_of_n([picture(0.5), picture(0.25)], reward)
    with pytest.raises(ValueError, match="rewards: expected one for each of 2 candidates, got 1"):
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
    with pytest.raises(ArgumentError, match=r"got a Toy; choose a dimension, such as rater\['overall'\]"):
        best_of_n(clips, Toy())  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"open files with Clip\.open"):
        Toy()(["a.mp4"])  # type: ignore[list-item]


def test_the_cause_of_another_basis_stands_first() -> None:
    loud = torch.full((1, 100), 0.5)
    clips = [Clip(video=torch.rand(2, 3, 4, 4), fps=2, audio=loud, sample_rate=100) for _ in range(2)]
    clips.append(Clip(video=torch.rand(2, 3, 4, 4), fps=2))
    missing = best_of_n(clips, Toy()["overall"]).missing
    assert missing[2].startswith("no audio was given: its reward combines brightness")


def test_paths_and_an_expression(tmp_path) -> None:
    for name, level in (("quiet", 0.1), ("loud", 0.9)):
        noise = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
        Clip(audio=level * 0.3 * noise, sample_rate=16000).save(tmp_path / f"{name}.wav")
    paths = [tmp_path / "quiet.wav", tmp_path / "lost.wav", str(tmp_path / "loud.wav")]
    picked = best_of_n(paths, "loudness")
    assert picked.order == (2, 0)
    assert picked.best.path == tmp_path / "loud.wav"
    assert "there is no such file" in picked.missing[1]
    assert picked.rewards.present.tolist() == [True, False, True]
    assert picked.rewards.scores["signals"].reasons[1]["loudness"] == picked.missing[1]
    assert [c.reward is None for c in picked.candidates] == [False, True, False]
    opened = best_of_n([Clip.open(paths[0]), Clip.open(paths[2])], "loudness")
    assert opened.rewards.values.tolist() == picked.rewards.values[[0, 2]].tolist()
    with pytest.raises(MissingScore, match=r"the reward is missing: .*there is no such file"):
        best_of_n([tmp_path / "lost.wav"], "loudness")
    with pytest.raises(ArgumentError, match="got a single str"):
        best_of_n(paths[2], "loudness")
    with pytest.raises(ArgumentError, match="expected clips or paths, got a int"):
        best_of_n([3], "loudness")  # type: ignore[list-item]
    with pytest.raises(ExpressionError, match=r"did you mean signals\.loudness"):
        best_of_n(paths, "loudnes")


def test_known_rewards_of_paths_open_only_what_is_asked_for(tmp_path) -> None:
    sound(0.5).save(tmp_path / "b.wav")
    picked = select([tmp_path / "gone.wav", tmp_path / "b.wav"], known([1.0, 2.0]))
    assert picked.best.has_audio
    with pytest.raises(MediaError, match="no such file"):
        picked.clip(0)


def test_a_dub_is_not_called_by_the_file_of_its_video(tmp_path) -> None:
    picture(0.5).save(tmp_path / "silent.mkv")
    film = Clip.open(tmp_path / "silent.mkv")
    picked = best_of_n([film.with_audio(sound(0.5)), film.with_audio(sound(0.75))], Toy()["power"])
    assert [c.name for c in picked.ranked] == ["candidate 1", "candidate 0"]
    assert [c.file for c in best_of_n([film], Toy()["brightness"]).candidates] == [tmp_path / "silent.mkv"]


def test_the_table_of_clips(tmp_path) -> None:
    clips = [both(0.5, 0.25), sound(0.9), both(0.25, 0.5)]
    table = read_table(best_of_n(clips, Toy()["overall"]).table(tmp_path / "t.parquet"))
    assert table.numbers("toy.power").tolist() == pytest.approx([0.5, 0.9, 0.25])
    assert table.numbers("reward").tolist() == pytest.approx([0.375, 0.9, 0.375])
    assert table.column("clip").to_pylist() == ["candidate 0", "candidate 1", "candidate 2"]
    assert candidates_of(table).kept.tolist() == [0, 2]  # as here, another basis is not comparable


def test_it_is_shown_as_a_table_and_html_is_escaped(tmp_path) -> None:
    paths = ["<b>.wav", *(f"{i}.wav" for i in range(12))]
    picked = select(paths, known([None, *(float(i) for i in range(12))]))
    lines = repr(picked).splitlines()
    assert lines[0] == "Selection: 12 of 13 candidates ranked"
    assert lines[1].split() == ["rank", "candidate", "reward", "reason"]
    assert lines[2].split() == ["1", "11.wav", "11"]
    assert lines[-1].strip() == "… and 3 more"
    html = select(paths[:2], known([None, 1.0]))._repr_html_()
    assert "&lt;b&gt;.wav" in html
    assert "<b>" not in html
    assert "not there" in html


@pytest.mark.parametrize("wrong", [None, 3, (clip for clip in ())])
def test_what_is_no_list_of_candidates(wrong):
    with pytest.raises(ArgumentError, match="candidates: expected a list of clips or paths, or a Group, got"):
        best_of_n(wrong, Toy()["power"])
