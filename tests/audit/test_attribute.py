"""Attribution: the right moment and region, in memory that is bounded, without chance."""

import json

import pytest
import torch
from toy_raters import Reading, Toy, both, picture, sound

from avreward import Clip, load_rater
from avreward.audit import Attribution, MomentEffects, RegionEffects, attribute
from avreward.audit import _attribute as module
from avreward.audit._alone import moments_alone
from avreward.audit._attribute import steps_of
from avreward.audit._occlusion import MomentWindows
from avreward.errors import ArgumentError
from avreward.rewards.results import MissingScore

RATE = 1000


def loud_once() -> Clip:
    """Four seconds of quiet sound, loud from 2.0 to 2.5 s."""
    time = torch.arange(4 * RATE, dtype=torch.float64) / RATE
    audio = 0.01 * torch.sin(2 * torch.pi * 100 * time)[None]
    audio[:, 2000:2500] *= 50
    return Clip(audio=audio, sample_rate=RATE)


def bright_once() -> Clip:
    """Four seconds of grey, with a white square at the bottom right from 1.0 to 1.5 s."""
    video = torch.full((32, 3, 24, 32), 0.25, dtype=torch.float64)
    video[8:12, :, 16:, 24:] = 1.0
    return Clip(video=video, fps=8)


@pytest.mark.parametrize("method", ["occlusion", "gradient"])
def test_the_moment_of_audio(method):
    found = attribute(Toy()["power"], loud_once(), method)
    peak = found.moments["audio"].highest
    assert (found.moments["audio"].start[peak.index], found.moments["audio"].stop[peak.index]) == (2.0, 2.5)
    assert peak.effect > 0.01
    assert set(found.moments) == {"audio"}
    assert found.regions is None


@pytest.mark.parametrize("method", ["occlusion", "gradient"])
def test_what_lowers_a_reward(method):
    found = attribute(-1.0 * Toy()["power"], loud_once(), method)
    assert found.moments["audio"].lowest.where == "from 2.00 to 2.50 s"
    assert "lowers the reward most from 2.00 to 2.50 s" in found.summary()[0]


def test_a_moment_and_a_region_alone():
    found = attribute(Toy()["power"], loud_once(), "alone", moment=0.5)
    peak = found.moments["audio"].highest
    assert peak.where == "from 2.00 to 2.50 s"
    assert peak.effect == pytest.approx(0.125 - float(loud_once().audio.square().mean()), rel=0.01)
    video = torch.full((8, 3, 30, 48), 0.25, dtype=torch.float64)
    video[..., 20:, 32:] = 1.0
    found = attribute(Toy()["brightness"], Clip(video=video, fps=8), "alone", grid=(3, 3))
    assert found.regions.flat[8] == pytest.approx(1 - float(video.mean()))
    assert found.regions.flat[0] == pytest.approx(0.25 - float(video.mean()))


def test_moments_alone_are_cut_in_sync():
    video = torch.arange(16, dtype=torch.float64)[:, None, None, None].expand(16, 3, 8, 8) / 16
    audio = torch.arange(2000, dtype=torch.float64)[None] / 2000
    clip = Clip(video=video, fps=8, audio=audio, sample_rate=RATE)
    parts = [make() for _, make in moments_alone(clip, MomentWindows((0.0, 0.5), (0.5, 1.0)))]
    assert [part.ends for part in parts] == [{"video": 0.5, "audio": 0.5}] * 2
    assert float(parts[1].video[0, 0, 0, 0]) == float(parts[1].audio[0, 0]) == 0.25
    found = attribute(Toy()["overall"], clip, "alone", moment=0.5, grid=(1, 1))
    assert list(found.moments) == ["clip"]
    assert found.moments["clip"].effect[-1] > 0 > found.moments["clip"].effect[0]


def test_the_effect_is_the_difference_without_the_moment():
    clip = loud_once()
    found = attribute(Toy()["power"], clip).moments["audio"]
    assert found.effect[found.start.index(2.0)] == pytest.approx(float(clip.audio.square().mean()), rel=0.1)


@pytest.mark.parametrize("method", ["occlusion", "gradient"])
def test_the_moment_of_video(method):
    found = attribute(Toy()["brightness"], bright_once(), method)
    assert found.moments["video"].highest.where == "from 1.00 to 1.50 s"


class Detail(Toy):
    """Mean squared difference of neighbours: what a blur takes away."""

    def row(self, sample):
        return {"brightness": sample.tracks["video"].diff(dim=-1).square().mean()}, {}, {}


@pytest.mark.parametrize("method", ["occlusion", "gradient"])
def test_the_region(method):
    video = torch.full((8, 3, 32, 48), 0.25, dtype=torch.float64)
    video[..., 16:, 36::2] = 1.0
    found = attribute(Detail()["brightness"], Clip(video=video, fps=8), method, grid=(2, 4))
    assert found.regions.grid == (2, 4)
    assert found.regions.highest.where == "at the bottom right"
    assert found.regions.box(found.regions.highest.index) == (0.5, 0.75, 1.0, 1.0)


def test_the_parts_of_a_gradient_add_up():
    rater, clip = Toy(), bright_once()
    found = attribute(rater["brightness"], clip, "gradient", grid=(3, 4))
    from avreward.audit._path_gradient import evened_video

    even = Clip(video=evened_video(clip.video, clip.times, (3, 4)), times=clip.times)
    before, after = rater["brightness"]([even, clip]).tolist()
    assert sum(found.regions.flat) == pytest.approx(after - before)


def test_only_what_the_reward_depends_on_is_looked_at():
    rater = load_rater("signals")
    clip = Clip(video=torch.rand(8, 3, 16, 16), fps=8, audio=torch.rand(1, 8000) - 0.5, sample_rate=8000)
    assert steps_of(rater["audio_quality"], clip, moment=0.25) == 7
    assert steps_of(rater["static_quality"], clip, grid=(1, 2), parts=["frame"]) == 2
    found = attribute(rater["static_quality"], clip, grid=(1, 2), parts=["frame"])
    assert not found.moments
    assert len(found.regions.flat) == 2


def test_a_rater_stands_for_its_overall_score():
    told: list[str] = []
    found = attribute(Toy(), both(0.2, 0.4), grid=(2, 2), moment=0.1, step=told.append)
    assert found.reward == "toy.overall"
    assert found.value == pytest.approx(0.3)
    assert len(told) == steps_of(Toy(), both(0.2, 0.4), grid=(2, 2), moment=0.1)
    assert "around row 1, column 1 alone" in told


def test_where_nothing_stands_out_it_says_so():
    found = attribute(Toy()["power"], sound(0.25, 64000))
    assert found.moments["audio"].lowest is None
    assert "audio: no moment stands out" in found.summary()[0]


def test_too_short_for_moments():
    short = Clip(video=picture(0.5).video[:3], fps=8)
    found = attribute(Toy()["brightness"], short, grid=(2, 2), moment=0.5)
    assert "video: too short to tell moments apart" in found.notes


def test_a_reward_without_gradients():
    with pytest.raises(
        ArgumentError, match=r"method: expected 'mixed', 'occlusion' or 'alone', got 'gradient'; reads\.power"
    ):
        attribute(Reading("reads")["power"], both(0.1, 0.2), "gradient")


def test_a_track_that_no_gradient_reaches():
    class Half(Toy):
        def row(self, sample):
            values, reasons, basis = super().row(sample)
            return {**values, "overall": values["power"] + values["brightness"].detach()}, reasons, basis

    found = attribute(Half()["overall"], both(0.1, 0.2), "gradient")
    assert "video: no gradient of toy.overall reaches it" in found.notes
    assert found.regions is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"method": "occlusoin"}, "did you mean 'occlusion'"),
        ({"moment": 0.0}, "moment: expected a length of at least 0.02 s"),
        ({"grid": (0, 3)}, "grid: expected rows and columns"),
        ({"parts": ["video"]}, "parts: expected one of audio"),
    ],
)
def test_wrong_arguments(arguments, text):
    with pytest.raises(ArgumentError, match=text):
        attribute(Toy()["power"], sound(0.5), **arguments)


def test_a_clip_without_the_reward():
    with pytest.raises(MissingScore, match="no audio was given"):
        attribute(Toy()["power"], picture(0.5))


def test_a_part_without_a_reward_has_no_effect():
    class Fails(Toy):
        def row(self, sample):
            values, reasons, basis = super().row(sample)
            if float(values["power"]) < 0.01:
                return {}, dict.fromkeys(("power", "brightness", "overall", "peak"), "too quiet"), basis
            return values, reasons, basis

    found = attribute(Fails()["power"], loud_once())
    assert None in found.moments["audio"].effect
    assert "without them: toy.power: too quiet" in " ".join(found.notes)


def test_moments_by_occlusion_and_regions_alone():
    toy, clip = Toy(), bright_once()
    mixed, hidden, alone = (attribute(toy["brightness"], clip, way) for way in ("mixed", "occlusion", "alone"))
    assert attribute(toy["brightness"], clip).method == "mixed"
    assert mixed.moments == hidden.moments
    assert mixed.regions == alone.regions != hidden.regions
    assert mixed.by == "occlusion, and regions alone"


def test_large_frames_are_scaled_down(monkeypatch):
    monkeypatch.setattr(module, "OCCLUSION_BYTES", 12 * 4 * 8 * 8)
    found = attribute(Toy()["brightness"], picture(0.5), grid=(2, 2))
    assert found.notes[0].startswith("video: rated at 8 × 8 pixels")


def test_a_clip_with_a_gradient_is_left_alone():
    audio = loud_once().audio.clone().requires_grad_()
    for method in ("occlusion", "gradient"):
        attribute(Toy()["power"], Clip(audio=audio, sample_rate=RATE), method)
    assert audio.grad is None


def test_windows_cover_the_track():
    windows = MomentWindows.over(3.1, 0.5)
    assert windows.start[0] == 0
    assert windows.stop[-1] == pytest.approx(3.1)
    gaps = [b - a for a, b in zip(windows.start, windows.start[1:], strict=False)]
    assert max(gaps) <= 0.25 + 1e-6
    assert MomentWindows.over(0.1, 0.5, shortest=0.2) == MomentWindows((), ())


def made() -> Attribution:
    moments = MomentEffects("audio", (0.0, 0.5, 1.0, 1.5), (1.0, 1.5, 2.0, 2.5), (0.1, -3.0, None, 0.1))
    return Attribution("<a>", "power", 0.5, "occlusion", {"audio": moments}, RegionEffects(((1.0, 2.0), (None, 4.0))))


def test_rows_and_files(tmp_path):
    found = made()
    frame = found.to_frame()
    assert list(frame["kind"]) == ["moment"] * 4 + ["region"] * 4
    assert frame["effect"].isna().sum() == 2
    assert json.loads(found.save(tmp_path / "a.json").read_text())["moments"]["audio"]["effect"][2] is None
    assert found.save(tmp_path / "a.csv").read_text().splitlines()[2] == "moment,audio,0.5,1.5,,,,,-3.0"
    with pytest.raises(ArgumentError, match="a name that ends in"):
        found.save(tmp_path / "a.txt")
    assert "-3" in repr(found).splitlines()[2]
    assert "&lt;a&gt;" in found._repr_html_()


def test_words_of_peaks_follow_the_sign():
    """Where every moment lowers the reward, the one that stands out above lowers it least."""
    moments = MomentEffects("audio", (0.0, 1.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0), (-5.0, -5.1, -4.9, -0.7))
    said = Attribution("clip", "toy.power", 1.0, "occlusion", {"audio": moments}).summary()
    assert said == ["audio: lowers the reward least from 3.00 to 4.00 s (−0.7)"]
    moments = MomentEffects("audio", (0.0, 1.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0), (5.0, 5.1, 4.9, 0.7))
    said = Attribution("clip", "toy.power", 1.0, "occlusion", {"audio": moments}).summary()
    assert said == ["audio: raises the reward least from 3.00 to 4.00 s (+0.7)"]
