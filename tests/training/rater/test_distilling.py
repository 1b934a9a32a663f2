"""Distill: what a student knows of its teacher, how sure it is, how it falls back, and what is refused."""

import json
import math

import numpy as np
import pytest
import torch

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import Dimension, register_rater, registry
from avreward.raters.clip_rater import ClipRater
from avreward.raters.listener._head_files import attribution
from avreward.raters.listener.glance import GlanceFeatures
from avreward.training import distill
from avreward.training.rater._distill_fit import fit_student

RATE = 16000


class Teacher(ClipRater):
    """Likes a level of −20 dB: a curve that no line follows."""

    name, fingerprint = "curved_teacher", "curved 1"
    dimensions = (Dimension("pleasant", 0, 100, frozenset({"audio"})), Dimension("constant", 0, 1, frozenset()))

    def rate_clip(self, clip):
        level = 10 * torch.log10(clip.sound().square().mean() + 1e-9)
        return {"pleasant": 100 * torch.exp(-(((level + 20) / 12) ** 2)), "constant": 0.5}


@pytest.fixture(scope="module", autouse=True)
def registered():
    """A teacher that has a name, for this module alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_registered", dict(registry._registered))
        register_rater("curved_teacher", Teacher)
        yield


def sounds(count, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        level, pitch = (
            torch.tensor([35.0, 600.0]) * torch.rand(2, generator=generator) + torch.tensor([-40.0, 200])
        ).tolist()
        noise = torch.randn(RATE // 8, generator=generator)
        wave = torch.sin(2 * math.pi * pitch * torch.arange(RATE // 8) / RATE) + 0.3 * noise
        yield Clip(audio=(wave / wave.square().mean().sqrt() * 10 ** (level / 20)).clamp(-1, 1)[None], sample_rate=RATE)


@pytest.fixture(scope="module")
def found():
    clips = list(sounds(120, 0))
    return distill(load_rater("curved_teacher"), clips, np.repeat(np.arange(40), 3).tolist(), dimension="pleasant",
                   risk=0.3)  # fmt: skip


def test_a_student_predicts_its_teacher_and_says_how_well(found):
    fresh = list(sounds(80, 1))
    teacher, student = load_rater("curved_teacher")(fresh)["pleasant"], found.student(fresh)
    assert found.srcc[1] <= found.srcc[0] <= found.srcc[2]
    assert found.srcc[0] > 0.9
    error = (student["pleasant"] - teacher).abs()
    assert float(error.square().mean().sqrt()) < 3 * found.error
    assert found.error < found.spread / 2
    assert 0.85 <= found.coverage <= 1.0
    assert float((error <= 1.96 * student.sigma[:, 0]).double().mean()) > 0.7
    assert (found.clips, found.groups, found.held_out) == (120, 40, 16)
    assert found.student.dimensions[0].high == 100


def test_far_from_what_it_has_seen_it_is_unsure(found):
    far = [Clip(audio=wave.sound() * 1e-3, sample_rate=RATE) for wave in sounds(20, 2)]
    sigma = found.student([*sounds(20, 2), *far]).sigma[:, 0]
    assert sigma[20:].mean() > 1.25 * sigma[:20].mean()


def test_it_is_saved_and_falls_back_on_its_teacher(found, tmp_path):
    folder = found.save(tmp_path / "student")
    clips = list(sounds(20, 3))
    student = load_rater(folder)
    assert torch.equal(student(clips)["pleasant"], found.student(clips)["pleasant"])
    assert student.fingerprint == found.student.fingerprint
    assert not found.why_no_rule
    joint = load_rater(folder, fallback=True)
    assert joint.source == {"rater": str(folder), "fallback": True}
    scores, sigma = joint(clips), student(clips).sigma[:, 0]
    asked = sigma >= found.rule.low
    assert scores["asked"].bool().tolist() == asked.tolist()
    assert torch.equal(scores["pleasant"][asked], load_rater("curved_teacher")(clips)["pleasant"][asked])
    assert found.cascade_srcc >= found.srcc[0] - 0.02
    assert "is at most 0.3" in (folder / "README.md").read_text()
    assert load_rater(folder)([Clip(video=torch.rand(4, 3, 16, 16), fps=8)]).reasons[0]["pleasant"]


def test_gradients_reach_the_clip(found):
    wave = next(sounds(1, 4)).sound().double().requires_grad_()
    found.student["pleasant"]([Clip(audio=wave, sample_rate=RATE)]).sum().backward()
    direction = torch.randn(wave.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        ends = [found.student["pleasant"]([Clip(audio=wave + e * direction, sample_rate=RATE)]) for e in (1e-6, -1e-6)]
    assert float((wave.grad * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-3)


def test_a_glance_is_a_function_of_the_clip_with_gradients():
    rater = GlanceFeatures()
    frames = torch.rand(6, 3, 20, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    clip = Clip(video=frames, fps=8)
    scores = rater([clip])
    assert scores.present[0].tolist() == [d.needs == {"video"} for d in rater.dimensions]
    total = scores.values[0][scores.present[0]].sum()
    total.backward()
    direction = torch.randn(frames.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        ends = [rater([Clip(video=(frames + e * direction).clamp(0, 1), fps=8)]) for e in (1e-7, -1e-7)]
    slope = (ends[0].values - ends[1].values)[0][scores.present[0]].sum() / 2e-7
    assert float((frames.grad * direction).sum()) == pytest.approx(float(slope), rel=1e-2)
    short = rater([Clip(audio=torch.zeros(2, 3), sample_rate=RATE), Clip(video=frames[:1].detach(), fps=8)])
    assert short.present[0].sum() + short.present[1].sum() == len(rater.dimensions)


def test_the_network_prefers_the_decay_that_predicts_held_out_groups():
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 20))
    y = x[:, 0] + 0.5 * random.normal(size=120)
    head, unseen = fit_student(x, y, np.arange(120) // 2, [True] * 19 + [False])
    assert np.corrcoef(unseen, y)[0, 1] > 0.7
    assert not head.used[-1]
    z = torch.from_numpy(x)
    moved = z.clone()
    moved[:, -1] += 5
    assert torch.equal(head(z)[0], head(moved)[0])
    assert float(head(z)[1].mean()) == pytest.approx(np.std(unseen - y), rel=0.3)


def test_settings_are_checked_before_anything_is_rated():
    def refuse(name):
        raise AssertionError("it was rated")

    clips = list(sounds(16, 0))
    for wrong in ({"risk": 1.5}, {"risk": "0.1"}, {"decision": "worst"}, {"seed": -1}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))}: expected "):
            distill(load_rater("curved_teacher"), clips, dimension="pleasant", step=refuse, **wrong)


def test_clips_of_one_name_are_all_told():
    clips = [*sounds(20, 0), *(Clip(video=torch.rand(2, 3, 8, 8), fps=4) for _ in range(30))]
    found = distill(load_rater("curved_teacher"), clips, dimension="pleasant")
    assert len(found.left_out) == 30
    assert len({name for name, _ in found.left_out}) == 1
    with pytest.raises(ArgumentError, match=r"got 10 \(30 clips left out: no audio"):
        distill(load_rater("curved_teacher"), clips[10:], dimension="pleasant")


def test_a_student_takes_options_of_its_teacher_alone(found, tmp_path):
    folder = found.save(tmp_path / "student")
    with pytest.raises(ArgumentError, match=r"dtype: expected no such option \(a head on features"):
        load_rater(folder, dtype="float64")
    with pytest.raises(ArgumentError, match=r"device: expected no such option \(a head on features"):
        load_rater(folder, device="cpu")
    config = json.loads((folder / "config.json").read_text())
    members = [config["teacher"], {**config["teacher"], "name": "second"}]
    (folder / "config.json").write_text(json.dumps({**config, "teacher": {"ensemble": members, "value": "mean"}}))
    assert load_rater(folder).name == "student"
    with pytest.raises(AvrewardError, match="expected a teacher that load_rater makes, got one made of others"):
        load_rater(folder, fallback=True)


def test_the_card_names_whose_features_it_reads():
    assert "CC BY 4.0" in " ".join(attribution({"aisfx": GlanceFeatures()}))
    assert attribution({"glance": GlanceFeatures()}) == []


def test_what_is_refused(tmp_path):
    teacher, clips = load_rater("curved_teacher"), list(sounds(16, 0))
    with pytest.raises(ArgumentError, match="clips: expected clips of at least 15 groups, got 4"):
        distill(teacher, clips[:4], dimension="pleasant")
    with pytest.raises(ArgumentError, match=r"groups: expected one a clip \(16\), got 3"):
        distill(teacher, clips, [1, 2, 3], dimension="pleasant")
    with pytest.raises(ArgumentError, match="encoders: expected each encoder once"):
        distill(teacher, clips, dimension="pleasant", encoders=["glance", "glance"])
    with pytest.raises(AvrewardError, match="that differ, got equal ones"):
        distill(teacher, clips, dimension="constant")
    few = distill(teacher, clips, dimension="pleasant", risk=0.1)
    assert "groups: expected at least 44 groups" in few.why_no_rule
    with pytest.raises(AvrewardError, match="fallback: expected a rule"):
        _ = few.cascade
    with pytest.raises(AvrewardError, match="no rule of when to ask it"):
        load_rater(few.save(tmp_path / "few"), fallback=True)
