"""Tracks share work where their content is equal, and none is hashed as a whole unless another looks alike."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import frames, tones, write

from avreward import Clip, load_rater
from avreward.media._index import MediaIndex
from avreward.media._keys import files, tensors
from avreward.media._keys import late as late_keys
from avreward.media._keys.late import LateKey

WAVE = torch.from_numpy(tones(1.0, 16000, 1))


def clip_of(video: torch.Tensor, fps: float = 10, wave: torch.Tensor = WAVE) -> Clip:
    return Clip(video=video, fps=fps, audio=wave, sample_rate=16000)


def late(clip: Clip, track: str = "video") -> LateKey:
    key = clip.work_key(track)
    assert isinstance(key, LateKey)
    return key


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was hashed as a whole: files, and tensors of more than the values that are looked at."""
    found: list[object] = []
    file, tensor = files.hash_packets, tensors.tensor_key

    def hash_packets(index: object) -> dict[str, str]:
        found.append(index)
        return file(index)  # type: ignore[arg-type]

    def tensor_key(*parts: object) -> str:
        found.extend(part for part in parts if isinstance(part, torch.Tensor) and part.numel() > 1000)
        return tensor(*parts)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "hash_packets", hash_packets)
    monkeypatch.setattr(tensors, "tensor_key", tensor_key)
    return found


def test_clips_that_differ_are_rated_without_hashing_them(tmp_path: Path, hashed: list[object]) -> None:
    paths = [write(tmp_path / f"{n}.mp4", 12 + n, sound="aac", seconds=1.0 + n / 2) for n in range(2)]
    tensors = [clip_of(frames(12) * (n + 1) / 3, wave=WAVE * (n + 1) / 3) for n in range(2)]
    scores = load_rater("signals")([*map(Clip.open, paths), *tensors])
    assert bool(scores.present[:, 0].all())
    assert not hashed
    Clip.open(paths[0]).keys["video"]
    tensors[0].keys["video"]
    assert len(hashed) == 2  # the counters count


def test_equal_content_is_measured_once(tmp_path: Path, hashed: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    from avreward.raters.signals import rater as module

    calls: list[object] = []
    measured = module._measured
    monkeypatch.setattr(module, "_measured", lambda views: calls.append(views) or measured(views))
    path = write(tmp_path / "a.mp4", 12, sound="aac")
    copies = [Clip.open(path), Clip.open(shutil.copy(path, tmp_path / "b.mp4"))]
    video = frames(12)
    load_rater("signals")([*copies, clip_of(video), clip_of(video.clone()), clip_of(video)])
    assert len(calls) == 2 * 3  # picture, sound, both


def test_one_value_that_is_not_looked_at_makes_another_key() -> None:
    video = torch.rand(12, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    key = late(clip_of(video))
    unequal = []
    for place in range(0, video.numel(), 997):
        other = video.clone()
        other.view(-1)[place] += 1e-3
        unequal.append(late(clip_of(other)))
    assert sum(hash(other) == hash(key) for other in unequal) > 50  # most look alike
    assert all(other != key for other in unequal)
    assert late(clip_of(video.clone())) == key
    assert late(clip_of(video, fps=11)) != key


@pytest.mark.parametrize("change", ["values", "layout", "kind"])
def test_the_same_values_are_looked_at_wherever_they_lie(change: str) -> None:
    video = torch.rand(5, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    other = {
        "values": video.clone(),
        "layout": video.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        "kind": video.double(),
    }[change]
    assert (late(clip_of(other)) == late(clip_of(video))) == (change != "kind")


def test_a_tensor_that_is_gone_or_changed_equals_what_it_was_compared_with_alone() -> None:
    video = frames(6).clone()
    known, unknown = late(clip_of(video)), late(clip_of(video))
    assert known == late(clip_of(video.clone()))  # it was hashed by this
    video[0, 0, 0, 1] += 0.25
    now = late(clip_of(video))
    assert now not in (known, unknown)
    before = frames(6).clone()
    assert known == late(clip_of(before))
    assert unknown != late(clip_of(before))
    passing = late(clip_of(before.clone()))
    assert passing != late(clip_of(before))  # its tensor is gone


def test_a_damaged_look_alike_has_its_own_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 12, sound="aac")
    good, gone = Clip.open(path), Clip.open(shutil.copy(path, tmp_path / "b.mp4"))
    gone.path.unlink()  # type: ignore[union-attr]
    scores = load_rater("signals")([good, gone])
    assert scores.present[:, 0].tolist() == [True, False]
    assert "no such file" in scores.reasons[1]["audio_quality"]


def test_memory_that_numpy_shares_is_hashed_at_once() -> None:
    """Torch does not count the changes that NumPy makes: what a key stands for must not follow them."""
    buffer = np.zeros((1, 16_000), np.float32)
    before = Clip(audio=torch.from_numpy(buffer), sample_rate=16000)
    key = late(before, "audio")
    buffer[0, 1] = 0.5
    after = Clip(audio=torch.from_numpy(buffer), sample_rate=16000)
    assert hash(late(after, "audio")) == hash(key)  # looks alike
    assert late(after, "audio") != key
    assert key == late(Clip(audio=torch.zeros(1, 16_000), sample_rate=16000), "audio")


def test_the_key_of_a_file_outlives_its_track(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 12, sound="aac")
    copy = shutil.copy(path, tmp_path / "b.mp4")
    keys = [late(Clip.open(path), track) for track in ("video", "audio")]
    assert not any(isinstance(held, MediaIndex) for held in gc.get_referents(*(key._key for key in keys)))
    assert keys == [late(Clip.open(copy), track) for track in ("video", "audio")]  # read again
    unknown = late(Clip.open(path))
    path.unlink()
    assert unknown != late(Clip.open(copy))  # it can't be known any more
    assert keys[0] == late(Clip.open(copy))  # it was


def test_the_values_that_are_looked_at_lie_all_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in ((1, 2**20), (2, 6007 * 50), (24, 3, 48, 64), (1, 1, 1, 1)):
        seen: list[torch.Tensor] = []
        monkeypatch.setattr(late_keys, "tensor_key", lambda part, *_, seen=seen: seen.append(part) or "")
        tensor = torch.arange(float(np.prod(shape)), dtype=torch.float64).reshape(shape)
        late_keys._glance(tensor)
        counts = torch.histc(seen[0], 16, 0, tensor.numel())
        assert tensor.numel() == 1 or float(counts.min()) > 10
