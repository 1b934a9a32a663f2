import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import tones, write

from avreward.clip import Clip
from avreward.datasets.synthetic.scenes import scene
from avreward.errors import ArgumentError, MediaError
from avreward.raters.base import Work
from avreward.raters.hub import UnknownRater, load_rater
from avreward.raters.signals import rater as module
from avreward.raters.signals._fusion import Constants, Fusion, shipped
from avreward.raters.signals._windows import spans, views_of
from avreward.raters.signals.rater import SignalsRater

RATER = SignalsRater()
QUALITY = ("audio_quality", "av_consistency", "static_quality", "temporal_smoothness")


@pytest.fixture(scope="module")
def scenes():
    return [scene(seed, seconds=1.5).clip for seed in (400_001, 400_002, 400_003)]


def test_a_scene_has_every_score_in_its_range(scenes):
    scores = RATER(scenes)
    assert bool(scores.present.all())
    for dimension in RATER.dimensions:
        if not dimension.detail:
            assert all(0 < v < 100 for v in scores[dimension.name].tolist())
    assert scores.basis == [{"overall": QUALITY}] * 3
    assert scores.levels("overall")[0] in {"bad", "poor", "fair", "good", "excellent"}


def test_the_batch_and_its_order_do_not_change_a_score(scenes):
    alone = torch.cat([RATER([clip]).values for clip in scenes])
    assert torch.equal(RATER(scenes).values, alone)
    assert torch.equal(RATER(scenes, batch_size=3).values, alone)
    assert torch.equal(RATER(scenes[::-1]).values, alone.flip(0))


def test_missing_tracks_are_missing_with_the_reason_and_overall_says_what_it_is_made_of(scenes):
    clip = scenes[0]
    mute = Clip(video=clip.video, times=clip.times)
    heard = Clip(audio=clip.audio, sample_rate=clip.sample_rate)
    scores = RATER([mute, heard])
    assert math.isnan(scores["audio_quality"][0])
    assert scores.reasons[0]["audio_quality"] == "no audio was given"
    assert scores.reasons[0]["av_consistency"] == "no audio was given"
    assert scores.reasons[1]["frozen"] == "no video was given"
    assert [b["overall"] for b in scores.basis] == [("static_quality", "temporal_smoothness"), ("audio_quality",)]
    assert not set(scores.reasons[1]) & {"audio_quality", "overall", "loudness"}


def test_too_little_to_judge_is_missing_and_says_so():
    video = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    scores = RATER([Clip(video=video, fps=10, audio=torch.zeros(1, 500), sample_rate=8000)])
    assert "fewer than 3 frames" in scores.reasons[0]["temporal_smoothness"]
    assert "less than 0.1 s of sound" in scores.reasons[0]["audio_quality"]
    assert "in common" in scores.reasons[0]["av_consistency"]
    assert bool(scores.present[0, scores.column("static_quality")])


def test_a_picture_that_clips_share_is_decoded_and_measured_once(scenes, monkeypatch):
    loads, measures = [], []
    load, measure = module.load_video, module._measured
    monkeypatch.setattr(module, "load_video", lambda clip: loads.append(clip) or load(clip))
    monkeypatch.setattr(module, "_measured", lambda views: measures.append(tuple(views)) or measure(views))
    dubs = [scenes[0].with_audio(s.audio, s.sample_rate) for s in scenes]
    shared = RATER(dubs)
    assert len(loads) == 1
    assert measures.count(("frames", "motion")) == 1
    assert measures.count(("sound",)) == measures.count(("together",)) == 3
    assert torch.equal(shared.values, torch.cat([RATER([dub]).values for dub in dubs]))


def test_a_damaged_track_makes_the_whole_clip_missing(scenes, monkeypatch):
    """Without its damaged picture a clip would be judged on its sound alone, and might look the better for it."""

    def damaged(clip):
        raise MediaError("a.mp4", "frame 28 doesn't decode", "write it again")

    monkeypatch.setattr(module, "load_video", damaged)
    scores = RATER([scenes[0]])
    assert not bool(scores.present.any())
    assert "frame 28" in scores.reasons[0]["audio_quality"]
    assert "frame 28" in scores.reasons[0]["overall"]


def test_tracks_of_different_precision_and_autocast_do_not_matter(scenes):
    clip = scenes[0]
    expected = RATER([clip]).values
    mixed = Clip(video=clip.video, times=clip.times, audio=clip.audio.double(), sample_rate=clip.sample_rate)
    assert torch.allclose(RATER([mixed, clip]).values.float()[0], expected[0], rtol=1e-3, atol=1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(RATER([clip]).values, expected)


@pytest.mark.parametrize(("seconds", "late"), [(40.0, 0.0), (100.0, 0.0), (20.0, 0.0), (60.0, 10.0)])
def test_windows_of_picture_and_sound_of_different_lengths_meet(seconds, late):
    """Forty seconds of picture against another length of sound: every common window is compared."""
    times = late + torch.arange(200, dtype=torch.float64) / 5
    video = torch.rand(200, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    audio = torch.randn(1, round(seconds * 4000), generator=torch.Generator().manual_seed(1)) * 0.1
    clip = Clip(video=video, times=times, audio=audio, sample_rate=4000)
    both = views_of(RATER.load(clip))[frozenset({"video", "audio"})]["together"].views
    shared = min(seconds, late + 40) - late
    assert len(both) >= (2 if shared > 20 else 1)
    assert all(view.seconds > 0.5 for view in both)
    assert sum(view.seconds for view in both) >= 0.2 * shared


@given(st.floats(0.1, 7200))
def test_spans_are_bounded_nested_and_inside(end):
    parts = spans(end)
    assert len(parts) <= 6
    assert parts[0][0] == 0
    assert all(start < end for start, _ in parts)
    if end > 30:
        assert len(parts) >= 3
        assert {start for start, _ in spans(2 * end)} & {start for start, _ in parts}


def test_equal_values_on_two_graph_nodes_both_get_their_gradient(scenes):
    leaf = scenes[0].video.clone().requires_grad_()
    other = scenes[0].video.clone().requires_grad_()
    clips = [Clip(video=v, times=scenes[0].times) for v in (leaf, other)]
    RATER["static_quality"](clips).sum().backward()
    assert torch.equal(leaf.grad, other.grad)
    assert bool((leaf.grad != 0).any())


def test_a_long_clip_is_watched_in_windows():
    clip = scene(400_010, seconds=4.0).clip
    times = torch.arange(40 * 8, dtype=torch.float64) / 8
    video = clip.video[torch.arange(320) % len(clip.video)][..., ::4, ::4]
    audio = clip.audio.repeat(1, 10)
    long = Clip(video=video, times=times, audio=audio, sample_rate=clip.sample_rate)
    sample = RATER.load(long, Work())
    assert [len(stretch.times) for stretch in sample.tracks["video"].stretches] == [40] * 4
    assert [stretch.seconds for stretch in sample.tracks["audio"]] == pytest.approx([5.0] * 4, abs=0.01)
    assert [stretch.start for stretch in sample.tracks["audio"]] == [0, 10, 20, 30]
    assert bool(RATER([long]).present.all())


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    count=st.integers(1, 9),
    samples=st.integers(1, 6000),
    rate=st.sampled_from([4000, 8000, 11_025, 96_000]),
    channels=st.integers(1, 2),
)
def test_odd_sizes_and_lengths_give_finite_scores_or_reasons(size, count, samples, rate, channels):
    generator = torch.Generator().manual_seed(count)
    clip = Clip(
        video=torch.rand(count, 3, *size, generator=generator), fps=7,
        audio=torch.rand(channels, samples, generator=generator) - 0.5, sample_rate=rate,
    )  # fmt: skip
    scores = RATER([clip])
    assert bool(torch.isfinite(scores.values[scores.present]).all())
    assert {n for n, there in zip(scores.names, scores.present[0].tolist(), strict=True) if not there} == set(
        scores.reasons[0]
    )


def test_a_file_scores_as_its_frames_do(tmp_path):
    """Area scaling by the decoder and by torch differ by rounding only."""
    clip = scene(400_020, seconds=1.0).clip
    clip.save(tmp_path / "a.mkv")
    opened = Clip.open(tmp_path / "a.mkv")
    tensors = Clip(video=opened.video, times=opened.times, audio=opened.audio, sample_rate=opened.sample_rate)
    from_file, from_tensor = RATER([opened]), RATER([tensors])
    for name in (*QUALITY, "dynamic_degree", "overall"):
        assert float(from_file[name]) == pytest.approx(float(from_tensor[name]), abs=0.5), name


def test_half_precision_input_is_judged_in_single():
    clip = scene(400_030, seconds=1.0).clip
    half = Clip(video=clip.video.half(), times=clip.times, audio=clip.audio.half(), sample_rate=clip.sample_rate)
    scores = RATER([half])
    assert scores.values.dtype == torch.float32
    assert float(scores["static_quality"]) == pytest.approx(float(RATER([clip])["static_quality"]), abs=1)


def test_the_fingerprint_names_constants_and_versions(monkeypatch):
    again = SignalsRater(Fusion(dict(shipped().constants), dict(shipped().overall), shipped().made_by))
    assert again.fingerprint == RATER.fingerprint
    changed = dict(shipped().constants) | {"hum": Constants(1.0, 1.0, 1.0)}
    assert SignalsRater(Fusion(changed, shipped().overall)).fingerprint != RATER.fingerprint
    assert RATER.versions.keys() == {"media", "signals"}
    for name in RATER.versions:
        monkeypatch.setattr(SignalsRater, "versions", {**RATER.versions, name: 99})
        assert SignalsRater().fingerprint != RATER.fingerprint
        monkeypatch.undo()


def test_one_clip_instead_of_a_list_and_a_bad_batch_size_are_refused(scenes):
    with pytest.raises(ArgumentError, match=r"clips: expected a list of clips, got a single Clip; pass \[clip\]"):
        RATER(scenes[0])
    with pytest.raises(ValueError, match=r"batch_size: .*got -1"):
        RATER(scenes, batch_size=-1)
    assert RATER([]).values.shape == (0, len(RATER.dimensions))


def test_the_hub_knows_the_default_and_says_what_there_is():
    assert load_rater().name == "signals"
    with pytest.raises(UnknownRater, match="did you mean 'signals'"):
        load_rater("signal")
    with pytest.raises(KeyError, match=r"dimension of signals: expected one of audio_quality.*got 'sharp'"):
        load_rater()["sharp"]


def test_opposite_channels_count_as_their_sound() -> None:
    wave = 0.2 * torch.sin(torch.arange(32000) / 9) * torch.linspace(0, 1, 32000)
    both, opposite = (Clip(audio=torch.stack([wave, sign * wave]), sample_rate=16000) for sign in (1, -1))
    scores = SignalsRater()([both, opposite])["audio_quality"]
    assert torch.isfinite(scores).all()
    assert float(scores[0]) == pytest.approx(float(scores[1]), abs=1e-4)


def test_a_bad_sample_in_a_file_is_a_reason_with_its_moment(tmp_path: Path) -> None:
    wave = tones(1.0, 16000, 2)
    good = write(tmp_path / "good.wav", codec=None, sound="pcm_f32le", rate=16000, samples=wave)
    wave[0, 12000] = float("inf")
    bad = write(tmp_path / "bad.wav", codec=None, sound="pcm_f32le", rate=16000, samples=wave)
    scores = SignalsRater()([Clip.open(good), Clip.open(bad)])
    assert scores.present[:, 0].tolist() == [True, False]
    assert "its audio contains NaN or infinity at 0.750 s" in str(scores.reasons)


def test_frames_of_a_file_and_the_same_in_a_tensor_have_the_same_scores(tmp_path) -> None:
    """A file's frames are measured in the 8 bits that they have, those of a tensor as floats."""
    file = Clip.open(write(tmp_path / "x.mkv", 12, codec="ffv1", pixels="bgr0", sound="pcm_s16le", size=(160, 120)))
    tensors = Clip(video=file.video, times=file.times, audio=file.audio, sample_rate=file.sample_rate)
    of_file, of_tensors = SignalsRater()([file]), SignalsRater()([tensors])
    assert of_file.present.equal(of_tensors.present)
    torch.testing.assert_close(of_file.values, of_tensors.values, rtol=1e-5, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("precision", ["medium", "high"])
def test_scores_do_not_follow_the_precision_of_matrix_products(precision):
    """A trainer sets it for its network: on CPUs "medium" multiplies in bfloat16."""
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(1, 3, 48, 64, generator=generator) * 0.8 + torch.linspace(0, 0.05, 24)[:, None, None, None]
    clip = Clip(video=video, fps=24, audio=torch.rand(2, 32_000, generator=generator) - 0.5, sample_rate=32_000)
    rater, before = SignalsRater(), torch.get_float32_matmul_precision()
    expected = rater([clip]).values
    try:
        torch.set_float32_matmul_precision(precision)
        assert torch.equal(rater([clip]).values.nan_to_num(-1), expected.nan_to_num(-1))
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_sample_rated_without_gradients_has_them_afterwards():
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(8, 3, 48, 64, generator=generator).requires_grad_()
    wave = (torch.rand(1, 16_000, generator=generator) - 0.5).requires_grad_()
    clip, rater = Clip(video=video, fps=8, audio=wave, sample_rate=16_000), SignalsRater()
    fresh = torch.autograd.grad(rater.rate([rater.load(clip)]).values.nan_to_num(0).sum(), (video, wave))
    sample = rater.load(clip)
    with torch.no_grad():
        rater.rate([sample])
    again = torch.autograd.grad(rater.rate([sample]).values.nan_to_num(0).sum(), (video, wave))
    for one, other in zip(fresh, again, strict=True):
        torch.testing.assert_close(one, other)
