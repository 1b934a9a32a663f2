"""Equal keys mean equal content: across containers and files, and never when pixels or times differ."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import frames, remux, repacked, tones, write

from avreward.clip import Clip
from avreward.media._keys import files as keys
from avreward.media._keys import tensors
from avreward.media._keys.tensors import SameTensor, tensor_key

WAVE = torch.from_numpy(tones(1.0, 16000, 1))


def test_dubs_of_one_video_share_its_key(tmp_path: Path) -> None:
    silent = Clip.open(write(tmp_path / "silent.mp4", 20, options={"bf": "2"}))
    dubs = []
    for number, (sound, rate) in enumerate([("aac", 44100), ("aac", 48000), ("libmp3lame", 44100)]):
        file = tmp_path / f"{number}.mp4"
        with av.open(str(silent.path)) as picture, av.open(str(file), "w") as container:
            video = container.add_stream_from_template(picture.streams.video[0], opaque=True)
            audio = container.add_stream(sound, rate=rate)
            frame = av.AudioFrame.from_ndarray(tones(2.0, rate, 2), "fltp", "stereo")
            frame.sample_rate, frame.pts = rate, 0
            container.mux([*audio.encode(frame), *audio.encode()])
            for packet in picture.demux(video=0):
                if packet.size:
                    packet.stream = video
                    container.mux(packet)
        dubs.append(Clip.open(file))
    assert len({clip.keys["video"] for clip in (silent, *dubs)}) == 1
    assert len({clip.keys["audio"] for clip in dubs}) == 3
    assert set(silent.keys) == {"video"}
    assert all(torch.equal(clip.video, silent.video) for clip in dubs)


def test_a_key_needs_no_decoding_of_sound_or_more_than_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip.open(write(tmp_path / "x.mp4", sound="aac"))
    assert clip.height  # this takes one frame, for its orientation
    monkeypatch.setattr("avreward.media._video.seek._Walk._decoded", None)
    monkeypatch.setattr("avreward.media._audio.clock._decoded", None)
    assert set(dict(clip.keys)) == {"video", "audio"}


def test_other_content_has_another_key(tmp_path: Path) -> None:
    made = {
        "plain": write(tmp_path / "a.mkv", codec="ffv1", pixels="bgr0", sound="pcm_s16le"),
        "slower": write(tmp_path / "b.mkv", codec="ffv1", pixels="bgr0", sound="pcm_s16le", fps=5, seconds=1.0),
        "longer": write(tmp_path / "c.mkv", 13, codec="ffv1", pixels="bgr0", sound="pcm_s16le", seconds=1.3),
        "larger": write(tmp_path / "d.mkv", codec="ffv1", pixels="bgr0", sound="pcm_s16le", size=(50, 64), rate=44100),
        "turned": write(tmp_path / "e.mkv", codec="ffv1", pixels="bgr0", turned=180, sound="pcm_s16le", channels=1),
        "late": write(tmp_path / "f.mkv", codec="ffv1", pixels="bgr0", sound="pcm_s16le", sound_at=0.1, fps=20),
    }

    def change(number: int, packet: av.Packet) -> av.Packet:
        data = bytearray(packet)
        data[-5] ^= 1
        return repacked(packet, bytes(data)) if number > 3 else packet

    made["a bit"] = remux(made["plain"], tmp_path / "g.mkv", change)
    clips = {name: Clip.open(file) for name, file in made.items()}
    for track in ("video", "audio"):
        found = {name: clip.keys[track] for name, clip in clips.items()}
        assert len(set(found.values())) == len(found), (track, found)


def test_colour_tags_are_part_of_the_key(tmp_path: Path) -> None:
    found = set()
    for number, (matrix, span) in enumerate([(1, 1), (5, 1), (1, 2)]):
        file = tmp_path / f"{number}.mkv"
        with av.open(str(file), "w") as container:  # the same levels, meant differently
            stream = container.add_stream("ffv1", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
            stream.codec_context.colorspace, stream.codec_context.color_range = matrix, span
            frame = av.VideoFrame.from_ndarray(np.full((3, 48, 64), 90, np.uint8), format="yuv444p")
            frame.colorspace, frame.color_range = matrix, span
            container.mux([*stream.encode(frame), *stream.encode()])
        found.add(Clip.open(file).keys["video"])
    assert len(found) == 3


def test_limits_are_part_of_the_key(tmp_path: Path) -> None:
    file = write(tmp_path / "x.mp4", sound="aac")
    same, other = Clip.open(file, max_seconds=7200), Clip.open(file, max_seconds=100)
    assert dict(Clip.open(file).keys) == dict(same.keys)
    assert not set(dict(same.keys).values()) & set(dict(other.keys).values())


def test_the_path_does_not_count_and_a_changed_file_does(tmp_path: Path) -> None:
    file = write(tmp_path / "x.mkv", 4, codec="ffv1", pixels="bgr0")
    first = Clip.open(file).keys["video"]
    (tmp_path / "copy.mkv").write_bytes(file.read_bytes())
    assert Clip.open(tmp_path / "copy.mkv").keys["video"] == first
    data = bytearray(file.read_bytes())
    write(file, 4, codec="ffv1", pixels="bgr0", fps=20)
    os.utime(file, ns=(0, 0))
    assert Clip.open(file).keys["video"] != first
    file.write_bytes(data)
    assert Clip.open(file).keys["video"] == first


def test_files_are_hashed_once_and_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, hashed = write(tmp_path / "x.mp4", sound="aac"), []
    original = keys.hash_packets
    monkeypatch.setattr(keys, "hash_packets", lambda index: hashed.append(1) or original(index))
    monkeypatch.setattr(keys, "_MOST_FILES", 3)
    for _ in range(3):
        dict(Clip.open(file).keys)
    assert len(hashed) == 1
    for number in range(5):
        dict(Clip.open(file, max_seconds=100 + number).keys)
    assert len(keys._known) <= 3


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3), st.sampled_from([torch.float32, torch.float16, torch.double])
)
def test_tensor_keys_cover_values_shape_and_type(shape: list[int], dtype: torch.dtype) -> None:
    tensor = torch.rand(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    key = tensor_key(tensor)
    assert tensor_key(tensor.clone().requires_grad_()) == key
    assert tensor_key(tensor.repeat(2, *[1] * (len(shape) - 1))[: shape[0]]) == key
    changed = tensor.clone()
    changed.view(-1)[-1] += 0.5
    others = [changed, tensor[None], tensor.to(torch.bfloat16), torch.cat([tensor, tensor])]
    assert key not in {tensor_key(other) for other in others}
    assert tensor_key(tensor, 1) != tensor_key(tensor, 2)


def test_a_tensor_in_pieces_has_the_key_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.rand(1000).view(10, 100).T
    key = tensor_key(tensor)
    monkeypatch.setattr(tensors, "_PIECE", 7)
    assert tensor_key(tensor.contiguous()) == key


def test_clips_of_tensors_have_keys_of_content_and_rate() -> None:
    clip = Clip(video=frames(4), fps=10, audio=WAVE, sample_rate=16000, prompt="a dog")
    assert set(clip.keys) == {"video", "audio", "prompt"}
    same = Clip(video=frames(4).clone(), times=torch.arange(4) / 10, audio=WAVE[0], sample_rate=16000, prompt="a dog")
    assert dict(clip.keys)["audio"] == same.keys["audio"]
    assert clip.keys["prompt"] == same.keys["prompt"] != clip.with_prompt("a cat").keys["prompt"]
    assert clip.keys["video"] == Clip(video=frames(4), fps=10).keys["video"]
    assert clip.keys["video"] != Clip(video=frames(4), fps=12).keys["video"]
    assert clip.keys["audio"] != Clip(audio=WAVE, sample_rate=8000).keys["audio"]
    with pytest.raises(KeyError):
        _ = Clip(prompt="a dog").keys["video"]


def test_a_tensor_changed_in_place_has_other_keys() -> None:
    for gradient in (False, True):
        wave, video = WAVE.clone().requires_grad_(gradient), frames(4).clone().requires_grad_(gradient)
        clip = Clip(video=video, fps=10, audio=wave, sample_rate=16000)
        cut = clip.detached()
        before = [(one.keys[track], one.work_key(track)) for one in (clip, cut) for track in ("video", "audio")]
        assert before == [(one.keys[track], one.work_key(track)) for one in (clip, cut) for track in ("video", "audio")]
        with torch.no_grad():
            wave.mul_(0.5)
            video.mul_(0.5)
        after = [(one.keys[track], one.work_key(track)) for one in (clip, cut) for track in ("video", "audio")]
        for (key, work), (new, new_work) in zip(before, after, strict=True):
            assert key != new
            assert work != new_work
        assert clip.keys["audio"] == Clip(audio=wave.clone(), sample_rate=16000).keys["audio"]


def test_an_inference_tensor_changed_in_place_has_other_keys() -> None:
    with torch.inference_mode():
        wave = WAVE.clone()
        clip = Clip(audio=wave, sample_rate=16000)
        key = clip.keys["audio"]
        assert clip.keys["audio"] == key
        assert SameTensor(wave) == SameTensor(wave)
        first = SameTensor(wave)
        wave.mul_(0.5)
        assert clip.keys["audio"] != key
        assert SameTensor(wave) != first


def test_a_key_of_a_tensor_does_not_keep_it_alive() -> None:
    tensor = torch.ones(3, requires_grad=True)
    key, same, other = SameTensor(tensor), SameTensor(tensor), SameTensor(torch.ones(3))
    assert key == same
    assert hash(key) == hash(same)
    assert key != other
    found = {key: 1}
    gone = weakref.ref(tensor)
    del tensor
    gc.collect()
    assert gone() is None
    assert key != same  # nothing may be found under it any more
    assert found.pop(key) == 1
