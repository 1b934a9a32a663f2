"""Teach: a simulated person whose taste is known, one without taste, and one who only knows a system."""

import math

import numpy as np
import pytest
import torch

from avreward import Clip, load_rater
from avreward.datasets import scene
from avreward.errors import ArgumentError
from avreward.raters.listener import ImageFeatures, ImageNetwork, SoundEffectsNetwork, SoundEffectsRater
from avreward.training import Judgment, judgments_of_ratings, own_sounds, teach
from avreward.training.rater._conditional_logit import ChoiceSets
from avreward.training.rater._teach_checks import held_out
from avreward.training.rater._teach_features import table_of
from avreward.training.rater._teach_parts import Form, fit_head

RATE = 16000


def sound(generator):
    """A tone in noise at a level, and what a person may hear in it: the noise and the level, in dB."""
    number = iter(torch.rand(4, generator=generator).tolist())
    ratio, level, pitch = 5 + 35 * next(number), -35 + 25 * next(number), 200 + 600 * next(number)
    t = torch.arange(RATE // 2) / RATE
    tone = torch.sin(2 * math.pi * pitch * t) * math.sqrt(2)
    wave = tone + 10 ** (-ratio / 20) * torch.randn(len(t), generator=generator)
    wave = wave / wave.square().mean().sqrt() * 10 ** (level / 20)
    return Clip(audio=wave.clamp(-1, 1)[None], sample_rate=RATE), ratio, level


def drawn(groups, seed, candidates=4):
    generator = torch.Generator().manual_seed(seed)
    return [sound(generator) for _ in range(groups * candidates)]


def asked(groups, taste, seed, candidates=4):
    """Choices of a person with this taste, and how often they fall on what the taste says of two."""
    generator = torch.Generator().manual_seed(seed + 1000)
    everything = drawn(groups, seed, candidates)
    found, agree = [], []
    for group in range(groups):
        sounds = everything[group * candidates : (group + 1) * candidates]
        utility = torch.tensor([taste(ratio, level) for _, ratio, level in sounds])
        chosen = int(torch.multinomial(utility.softmax(0), 1, generator=generator))
        found.append(Judgment(tuple(clip for clip, *_ in sounds), chosen, f"group {group}"))
        agree += [float(utility[chosen] > other) for other in utility[torch.arange(candidates) != chosen]]
    return found, float(np.mean(agree))


def likes(ratio, level):
    """Little noise, and a level of about −23 dB, neither louder nor softer."""
    return 0.3 * ratio - 0.03 * (level + 23) ** 2


def agreement(rater, judgments):
    scores = rater([clip for one in judgments for clip in one.clips])["preference"].reshape(len(judgments), -1)
    share = [
        float(own[one.chosen] > own[k])
        for own, one in zip(scores, judgments, strict=True)
        for k in range(len(one.clips))
        if k != one.chosen
    ]
    return float(np.mean(share))


@pytest.fixture(scope="module")
def taught():
    return teach(asked(50, likes, seed=0)[0], degrade=False)


def test_a_taste_is_learned_and_the_check_says_how_well(taught):
    fresh, ceiling = asked(60, likes, seed=2)
    assert taught.learned
    assert not taught.warnings
    found = agreement(taught.rater, fresh)
    assert found > ceiling - 0.1
    own = taught.checks[0]
    assert (own.by, own.groups) == ("new groups", 50)
    assert own.low < own.pairs < own.high
    assert own.low - 0.05 < found < own.high + 0.05  # what it says of itself holds
    assert own.chance == pytest.approx(0.25)
    assert next(row for row in taught.checks if row.by == "signals.overall").pairs < own.pairs


@pytest.mark.slow
def test_fifty_choices_come_within_five_points_of_the_ceiling():
    """On average over six people of one taste, each with fifty choices among six sounds."""
    judgments, _ = asked(360, likes, seed=11, candidates=6)
    table = table_of(judgments, {"signals": load_rater("signals")}, False, 0, lambda name: None)
    forms = [Form(("signals",), False), Form(("signals",), True)]
    gaps = []
    for first in range(0, 300, 50):
        own = (table.sets.group >= first) & (table.sets.group < first + 50)
        head = fit_head(table.features, table.columns, table.sets.only(own), forms)
        found = held_out("new", head.utility(table.features), table.sets.only(~own)).pairs
        truth = np.array([likes(ratio, level) for _, ratio, level in drawn(360, seed=11, candidates=6)])
        gaps.append(held_out("truth", truth, table.sets.only(~own)).pairs - found)
    assert np.mean(gaps) < 0.05


def test_it_is_a_rater_like_any_other(taught, tmp_path):
    rater = load_rater(taught.save(tmp_path / "mine"))
    assert rater.fingerprint == taught.rater.fingerprint
    with pytest.raises(ArgumentError, match=r"dtype: expected no such option \(a head on features"):
        load_rater(tmp_path / "mine", dtype="float64")
    generator = torch.Generator().manual_seed(5)
    clips = [sound(generator)[0] for _ in range(3)]
    assert torch.equal(rater(clips)["preference"], taught.rater(clips)["preference"])
    assert torch.allclose(rater(clips[:1])["preference"], rater(clips)["preference"][:1])
    assert rater.dimension("preference").needs == {"audio"}
    assert rater([Clip(video=torch.rand(8, 3, 32, 32), fps=8)]).reasons[0]["preference"] == "no audio was given"
    wave = clips[0].sound().double().requires_grad_()
    rater["preference"]([Clip(audio=wave, sample_rate=RATE)]).sum().backward()
    direction = torch.randn(wave.shape, generator=generator, dtype=torch.float64)
    step = 1e-8  # the flat top of a tone bends the score within 1e-6
    with torch.no_grad():
        steps = [rater["preference"]([Clip(audio=wave + e * direction, sample_rate=RATE)]) for e in (step, -step)]
    assert float((wave.grad * direction).sum()) == pytest.approx(float(steps[0] - steps[1]) / (2 * step), rel=0.02)
    card = (tmp_path / "mine" / "README.md").read_text()
    assert f"| new groups | {taught.checks[0].pairs:.2f} |" in card
    taught.save(tmp_path / "mine")  # replaced
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(ArgumentError, match="a rater that was taught"):
        taught.save(tmp_path / "mine")


def test_a_person_without_taste_is_told_so():
    found = teach(asked(30, lambda ratio, level: 0.0, seed=2)[0], degrade=False)
    assert not found.learned
    assert "not learned: " in found.warnings[0]
    assert "a coin agrees with 50%" in found.warnings[0]
    assert found.warnings[0] in found.rater.about["warnings"]


def test_a_system_that_wins_everything_is_named():
    found, _ = asked(20, likes, seed=3, candidates=3)
    systems = [tuple("ours" if i == one.chosen else f"other{i}" for i in range(3)) for one in found]
    told = teach(
        [Judgment(one.clips, one.chosen, one.group, own) for one, own in zip(found, systems, strict=True)],
        degrade=False,
    )
    assert any("every choice fell on ours" in warning for warning in told.warnings)
    assert next(row for row in told.checks if row.by == "names of systems").pairs > 0.9


def test_bad_input():
    found, _ = asked(9, likes, seed=4, candidates=2)
    with pytest.raises(ArgumentError, match="choices in at least 10 groups, got 9"):
        teach(found)
    clip = found[0].clips[0]
    with pytest.raises(ArgumentError, match="at least two clips to choose from, got 1 in the group a"):
        Judgment((clip,), 0, "a")
    with pytest.raises(ArgumentError, match="a position from 0 to 1, got 2"):
        Judgment((clip, clip), 2, "a")
    with pytest.raises(ArgumentError, match="at least two different ratings"):
        judgments_of_ratings([clip, clip], [3.0, 3.0], ["a", "a"])
    with pytest.raises(ArgumentError, match="finite numbers, got nan"):
        judgments_of_ratings([clip, clip], [3.0, float("nan")], ["a", "a"])


def test_own_sounds_need_no_person():
    clips = [scene(seed, seconds=1.0).clip for seed in range(3)]
    found = own_sounds(clips, others=1)
    assert [(len(one.clips), one.chosen) for one in found] == [(3, 0)] * 3
    own, other, shifted = found[0].clips
    assert torch.equal(own.sound(), clips[0].sound())
    assert other.sound().shape == own.sound().shape
    assert torch.allclose(shifted.sound().sort().values, own.sound().sort().values)
    assert not torch.equal(shifted.sound(), own.sound())
    assert own.keys["video"] == shifted.keys["video"]


def coloured(generator):
    """A picture whose colour tells the pitch of its sound, both with some noise."""
    place = float(torch.rand((), generator=generator))
    colour = torch.tensor([place, 0.5, 1 - place])[:, None, None].expand(3, 32, 32)
    video = (colour + 0.05 * torch.randn(4, 3, 32, 32, generator=generator)).clamp(0, 1)
    tone = torch.sin(2 * math.pi * 200 * 2 ** (4 * place) * torch.arange(RATE // 2) / RATE)
    wave = 0.3 * tone + 0.01 * torch.randn(RATE // 2, generator=generator)
    return Clip(video=video, fps=8, audio=wave[None], sample_rate=RATE)


def test_own_sounds_teach_which_sound_belongs_to_a_picture(tmp_path, monkeypatch):
    torch.manual_seed(0)
    encoders = [
        SoundEffectsRater(SoundEffectsNetwork(32)),
        ImageFeatures(ImageNetwork(16, [(3, 2, 1, 8, 1)])),
    ]
    generator = torch.Generator().manual_seed(1)
    clips = [coloured(generator) for _ in range(48)]
    others = [Judgment(one.clips[:2], 0, one.group) for one in own_sounds(clips, others=1)]
    assert not teach(others, encoders[:1], degrade=False).learned
    taught = teach(others, encoders, degrade=False)
    assert taught.learned, taught.checks
    assert taught.checks[0].pairs > 0.75
    assert "of products of sound and picture" in taught.rater.about["form"]
    monkeypatch.setattr(
        "avreward.raters.listener._encoders.INSTALLED", {one.name: lambda one=one: one for one in encoders}
    )
    again = load_rater(taught.save(tmp_path / "own"))
    pair = list(others[0].clips)
    assert torch.equal(again(pair)["preference"], taught.rater(pair)["preference"])
    assert again.dimension("preference").needs == {"audio", "video"}
    video, wave = clips[0].video.clone().requires_grad_(), clips[0].sound().requires_grad_()
    again["preference"]([Clip(video=video, fps=8, audio=wave, sample_rate=RATE)]).sum().backward()
    assert video.grad.abs().sum() > 0
    assert wave.grad.abs().sum() > 0


def test_the_head_in_torch_is_that_of_the_fit():
    draws = np.random.default_rng(2)
    features = draws.normal(size=(120, 10))
    groups = np.repeat(np.arange(30), 1)
    sets = ChoiceSets(np.arange(120).reshape(30, 4), draws.integers(4, size=30), np.ones(30), groups)
    columns = [("a", f"feature_{i}") for i in range(5)] + [("b", f"feature_{i}") for i in range(5)]
    match = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))
    fitted = fit_head(features, columns, sets, [Form(("a", "b"), True, match)])
    assert any("×" in name for name in fitted.parts.names)
    x = torch.from_numpy(features).requires_grad_()
    head = fitted.head().double()
    np.testing.assert_allclose(head(x).detach().numpy(), fitted.utility(features), rtol=1e-4, atol=1e-4)
    assert torch.autograd.gradcheck(head, (x[:3].detach().requires_grad_(),))


def test_clips_of_one_name_that_can_not_be_used_are_all_reported():
    judgments, _ = asked(12, likes, seed=3)
    short = [Clip(audio=torch.zeros(1, count), sample_rate=RATE) for count in (2, 3)]
    lost = [Judgment((clip, one.clips[0]), 0, one.group) for clip, one in zip(short, judgments, strict=False)]
    table = table_of([*lost, *judgments], {"signals": load_rater("signals")}, True, 0, lambda name: None)
    assert [name for name, _ in table.left_out] == [clip.name for clip in short]
    assert all(why for _, why in table.left_out)
    assert len(table.sets.rows) == len(judgments)
