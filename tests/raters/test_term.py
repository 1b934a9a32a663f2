"""Functions as raters."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from copy import copy

import pytest
import torch
from toy_raters import picture, sound

from avreward import ArgumentError, Clip, best_of_n, load_rater, score_files, term
from avreward.raters import EnsembleRater
from avreward.scoring import Store


@term(needs="audio", low=0, high=1)
def power(clip: Clip) -> torch.Tensor:
    """Mean square of the sound.

    Louder is better here.
    """
    return clip.sound().square().mean()


def made(body: str, **options):
    """A term whose function is made from text, and so has no source."""
    names: dict = {}
    exec(f"def f(clip):\n    return {body}", names)
    return term(needs="audio", **options)(names["f"])


def test_it_is_a_rater_of_one_dimension() -> None:
    [dimension] = power.dimensions
    assert (power.name, dimension.name, dimension.low, dimension.high) == ("power", "power", 0, 1)
    assert dimension.description == "Mean square of the sound."
    assert dimension.needs == {"audio"}
    assert power.tracks == ("audio",)
    assert power([sound(0.25), sound(0.0625)])["power"].tolist() == [0.25, 0.0625]


def test_a_missing_track_has_a_reason() -> None:
    scores = power([picture(0.5)])
    assert not scores.present.any()
    assert scores.reasons == [{"power": "no audio was given"}]


def test_several_needs() -> None:
    @term(needs=("video", "prompt"))
    def wordy(clip):
        return float(len(clip.prompt))

    assert wordy.prompt_anchored
    assert wordy["wordy"].needs == {"video", "prompt"}
    assert wordy([picture(0.5, prompt="abc")])["wordy"].tolist() == [3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"needs": "sound"}, "needs: expected some of video, audio, prompt, texts.NAME, got 'sound'"),
        ({"needs": []}, r"needs: expected some of .*, got \[\]"),
        ({"needs": "audio", "low": 1, "high": 1}, "low, high: expected a range, got .1, 1.; give the smaller"),
    ],
)
def test_wrong_options(options, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        term(**options)


@pytest.mark.parametrize("function", [lambda clip: 0.0, "power", len])
def test_what_is_no_function(function) -> None:
    with pytest.raises(ArgumentError, match="term: expected a function with a name"):
        term(needs="audio")(function)


def test_the_fingerprint_tells_terms_apart() -> None:
    def closing(scale):
        @term(needs="audio")
        def scaled(clip):
            return scale * clip.sound().mean()

        return scaled

    same = {made("1.0").fingerprint, made("1.0").fingerprint}
    assert len(same) == 1
    others = {
        power.fingerprint,
        *same,
        made("2.0").fingerprint,
        made("1.0", version=2).fingerprint,
        made("1.0", high=5).fingerprint,
        made("[x for x in (1.0, 2.0)][0]").fingerprint,
        made("[x for x in (1.0, 3.0)][0]").fingerprint,
        closing(1.0).fingerprint,
        closing(2.0).fingerprint,
    }
    assert len(others) == 9
    assert closing(1.0).fingerprint == closing(1.0).fingerprint
    assert made("clip.audio.mean()").fingerprint != made("clip.audio.amax()").fingerprint
    assert made("1.0  # a comment").fingerprint == made("1.0").fingerprint


def test_the_fingerprint_is_the_same_in_every_process(tmp_path) -> None:
    code = (
        "from avreward import term\n"
        "@term(needs='prompt')\n"
        "def known(clip):\n"
        "    return float(clip.prompt in {'a', 'b', 'c'})\n"
        "print(known.fingerprint)\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def test_the_fingerprint_stays_when_the_function_has_run_often() -> None:
    counted = made("sum(x for x in range(3)) * 1.0")
    before = counted.fingerprint
    for level in range(100):
        counted([sound(level / 100)])
    options = (counted.dimensions[0], counted.differentiable, 1)
    assert type(counted)(counted.function, *options).fingerprint == before


def test_pickles_and_copies() -> None:
    again = pickle.loads(pickle.dumps(power["power"]))
    assert again([sound(0.25)]).tolist() == [0.25]
    assert again.fingerprint == power["power"].fingerprint
    other = copy(power)
    other.name = "other"
    assert (power.name, pickle.loads(pickle.dumps(other)).name) == ("power", "other")


# ---- wherever a rater is accepted


def test_in_a_ranking_with_another_rater() -> None:
    reward = load_rater("signals")["audio_quality"] + 1e6 * power["power"]
    assert best_of_n([sound(0.25, samples=8000), sound(0.5, samples=8000)], reward).order == (1, 0)


def test_in_an_ensemble() -> None:
    @term(needs="audio")
    def peak(clip):
        return clip.sound().abs().amax()

    other = copy(power)
    other.name = "other"
    other.fingerprint = "other"
    scores = EnsembleRater([power, other])([sound(0.25)])
    assert scores["power"].tolist() == [0.25]
    assert peak([sound(0.25)])["peak"].tolist() == [0.5]


def test_in_files_and_the_store(tmp_path) -> None:
    paths = [tmp_path / f"{i}.wav" for i in range(2)]
    for path, level in zip(paths, (0.01, 0.04), strict=True):
        sound(level, samples=4000).save(path)
    calls = []

    @term(needs="audio")
    def counted(clip):
        calls.append(clip)
        return clip.sound().square().mean()

    for _ in range(2):
        with Store(tmp_path / "store") as store:
            rows = list(score_files(paths, counted["counted"], store=store))
        assert [float(row.rewards.values[0]) for row in rows if row.rewards] == pytest.approx([0.01, 0.04], rel=1e-3)
    assert len(calls) == 2


def test_gradients() -> None:
    wave = torch.linspace(-1, 1, 12, dtype=torch.float64)[None].requires_grad_()
    assert torch.autograd.gradcheck(lambda w: power["power"]([Clip(audio=w, sample_rate=16000)]), (wave,))


# ---- errors of the function


def test_an_error_costs_its_clip_alone() -> None:
    @term(needs="audio")
    def careful(clip):
        if clip.audio.abs().amax() > 0.9:
            raise RuntimeError("too loud")
        return clip.audio.square().mean()

    scores = careful([sound(0.25), sound(1.0), sound(0.0625)])
    assert scores.present[:, 0].tolist() == [True, False, True]
    assert "too loud" in scores.reasons[1]["careful"]


def test_a_broken_function_raises() -> None:
    @term(needs="audio")
    def broken(clip):
        raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        broken([sound(0.25), sound(0.5)])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"needs": None}, "needs: expected some of video, audio, prompt, texts.NAME, got None"),
        ({"needs": 3}, "needs: expected some of video, .*, got 3"),
        ({"needs": [3]}, "needs: expected some of video, .*, got 3"),
        ({}, r"needs: expected some of video, .*, got \(\)"),
        ({"needs": "audio", "low": "a"}, "low: expected a number, got 'a'"),
        ({"needs": "audio", "high": None}, "high: expected a number, got None"),
    ],
)
def test_arguments_of_wrong_types(options, said):
    with pytest.raises(ArgumentError, match=said):
        term(**options)


def test_a_decorator_without_parentheses():
    with pytest.raises(
        ArgumentError, match=r"term: expected named arguments alone, got a function; write @term\(needs="
    ):

        @term
        def loudest(clip):
            return clip.sound().amax()


# ---- what a change of the function changes


SOURCE = """
LIMIT, NAMES, TABLE, SHIFT = 0.5, ["a", {"b": 1}], {"k": (1, 2)}, torch.zeros(2)

@term(needs="audio")
def measured(clip, *, scale=1.0):
    return scale * helper(clip) + (clip.prompt in NAMES) + TABLE["k"][0] + SHIFT.sum()

def helper(clip):
    return inner(clip) * LIMIT

inner = lambda clip: clip.sound().mean() + (0 if clip.prompt else helper(clip))
"""


def measured(source: str = SOURCE) -> str:
    names: dict = {"torch": torch, "term": term, "__name__": "a_module"}
    exec(source, names)
    return names["measured"].fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scale=1.0", "scale=2.0"),
        ("NAMES, TABLE, SHIFT = 0.5", "NAMES, TABLE, SHIFT = 0.25"),
        ('{"b": 1}', '{"b": 2}'),
        ("(1, 2)", "(1, 3)"),
        ("zeros(2)", "ones(2)"),
        ("* LIMIT", "- LIMIT"),
        (".mean()", ".amax()"),
    ],
)
def test_a_changed_value_or_helper_changes_the_fingerprint(old: str, new: str) -> None:
    assert old in SOURCE
    assert measured() == measured()
    assert measured(SOURCE.replace(old, new)) != measured()


def test_closed_over_collections_count_by_content() -> None:
    def closing(values):
        @term(needs="audio")
        def chosen(clip):
            return clip.sound().mean() * values["k"][0]

        return chosen.fingerprint

    assert closing({"k": [1]}) == closing({"k": [1]}) != closing({"k": [2]})
    endless: dict = {"k": [1]}
    endless["k"].append(endless)
    assert closing(endless) == closing(endless)


def test_a_term_of_a_term_follows_its_changes() -> None:
    def outer(body: str) -> str:
        names: dict = {"term": term, "__name__": "a_module"}
        source = f"@term(needs='audio')\ndef one(clip):\n    return {body}\n"
        exec(source + "@term(needs='audio')\ndef two(clip):\n    return one([clip]).values.sum()\n", names)
        return names["two"].fingerprint

    assert outer("1.0") == outer("1.0") != outer("2.0")
