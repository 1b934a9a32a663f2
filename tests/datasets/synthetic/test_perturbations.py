from pathlib import Path

import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._perturbations import PERTURBATIONS, changed
from avreward.datasets.synthetic.scenes import Scene, scene
from avreward.errors import ArgumentError


@pytest.fixture(scope="module")
def clip() -> Clip:
    return scene(11, "strike", seconds=2.0).clip


@pytest.fixture(scope="module")
def other() -> Clip:
    return scene(12, "pouring", seconds=1.0).clip


def test_table() -> None:
    assert {one.dimension for one in PERTURBATIONS.values()} == {
        "audio_quality",
        "av_consistency",
        "static_quality",
        "temporal_smoothness",
    }
    for name, one in PERTURBATIONS.items():
        assert one.name == name
        assert len(one.severities) in (0, 3)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_only_its_own_track_changes_and_the_seed_decides(clip: Clip, other: Clip, name: str) -> None:
    one = PERTURBATIONS[name]
    first = one.apply(clip, seed=3, other=other)
    second = one.apply(clip, seed=3, other=other)
    assert torch.equal(first.video, second.video)
    assert torch.equal(first.audio, second.audio)
    assert torch.equal(first.video, clip.video) == (one.track == "audio")
    assert torch.equal(first.audio, clip.audio) == (one.track == "video")
    assert first.video.shape == clip.video.shape
    assert first.audio.shape == clip.audio.shape
    assert first.prompt == clip.prompt
    assert first.times.tolist() == clip.times.tolist()
    assert changed(clip, first)


def test_stronger_is_further_away(clip: Clip) -> None:
    for name in ("noise", "clipping", "lowpass", "dropouts", "blur", "picture_noise", "blockiness", "flicker"):
        one = PERTURBATIONS[name]
        distances = []
        for severity in one.severities:
            result = one.apply(clip, severity, seed=1)
            before, after = (clip.audio, result.audio) if one.track == "audio" else (clip.video, result.video)
            scale = (after * before).sum() / after.square().sum()  # a change of level alone is no distance
            distances.append(float((scale * after - before).square().mean()))
        assert distances == sorted(distances), name
        assert distances[-1] > 1.5 * distances[0], name


def still(noise: float) -> Clip:
    generator = torch.Generator().manual_seed(0)
    frame = torch.rand(3, 60, 80, generator=generator).mul(0.5).add(0.2)
    video = frame + noise * torch.randn(24, 3, 60, 80, generator=generator)
    return Clip(video=video, fps=12.0, audio=torch.sin(torch.arange(16000) * 0.2)[None] * 0.3, sample_rate=8000)


def test_what_does_nothing_is_told() -> None:
    clip = still(1.5 / 255)
    for name in ("frozen", "shuffled", "lowpass"):  # frames at rest; all energy below the cut-off
        assert not changed(clip, PERTURBATIONS[name].apply(clip, seed=1)), name
    for name in ("noise", "dropouts", "blur", "picture_noise", "blockiness", "flicker"):
        assert changed(clip, PERTURBATIONS[name].apply(clip, seed=1)), name


def test_most_defects_do_something_to_scenes(few_scenes: list[Scene], other: Clip) -> None:
    for one in PERTURBATIONS.values():
        chosen = few_scenes
        did = [changed(each.clip, one.apply(each.clip, seed=2, other=other)) for each in chosen]
        assert sum(did) >= len(did) - 1, one.name


def test_files_are_taken_like_tensors(clip: Clip, tmp_path: Path) -> None:
    clip.save(tmp_path / "clip.mkv")
    file = Clip.open(tmp_path / "clip.mkv")
    for name in ("lowpass", "frozen", "blockiness"):
        from_file, from_tensors = (PERTURBATIONS[name].apply(each, seed=4) for each in (file, clip))
        torch.testing.assert_close(from_file.video, from_tensors.video, atol=1.1 / 255, rtol=0)
        torch.testing.assert_close(from_file.sound(), from_tensors.sound(), atol=2e-4, rtol=0)
    noisy = PERTURBATIONS["picture_noise"].apply(file, seed=4)
    assert noisy.keys["audio"] == file.keys["audio"]  # the untouched track is still known as the same


def test_bad_arguments_are_named(clip: Clip) -> None:
    silent = Clip(video=clip.video, fps=clip.fps)
    with pytest.raises(ArgumentError, match=r"^clip: expected a clip with audio for noise, got .* without"):
        PERTURBATIONS["noise"].apply(silent)
    with pytest.raises(ArgumentError, match=r"^other: expected a clip with audio for swapped, got None"):
        PERTURBATIONS["swapped"].apply(clip)
    with pytest.raises(ArgumentError, match=r"^severity: expected None, since reversed has no severity, got 1\.0"):
        PERTURBATIONS["reversed"].apply(clip, severity=1.0)
