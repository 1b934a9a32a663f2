"""Interlaced frames are deinterlaced, the same in every plan."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.filter import Graph
from media_files import write
from numpy.typing import NDArray

from avreward.clip import Clip
from avreward.media.sampling import AllFrames, FramePlan, FrameRule, Spread, Windows

COUNT, FPS = 60, 25


def moment(time: float) -> NDArray[np.uint8]:
    """A bright ball that moves fast, at `time` in frames, (64, 96, 3)."""
    y, x = np.mgrid[0:64, 0:96]
    ball = np.exp(-((x - (10 + 3.5 * time) % 96) ** 2 + (y - 32) ** 2) / 150)
    return np.repeat((40 + 180 * ball).astype(np.uint8)[..., None], 3, axis=-1)


def ordered(frame: av.VideoFrame, order: str) -> av.VideoFrame:
    """The frame, marked with the order of its fields."""
    graph = Graph()
    source = graph.add_buffer(width=96, height=64, format="yuv420p", time_base=Fraction(1, FPS))
    mark, sink = graph.add("setfield", order), graph.add("buffersink")
    source.link_to(mark)
    mark.link_to(sink)
    graph.configure()
    graph.push(frame.reformat(format="yuv420p"))
    return graph.pull()


def woven(path: Path, top_first: bool = True, marked: bool = True, count: int = COUNT) -> Path:
    """Each frame holds two fields, half a frame apart."""
    order = f"interlaced=1:{'tff' if top_first else 'bff'}=1" if marked else "interlaced=0"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.options = {"x264-params": f"{order}:keyint=10:qp=4", "preset": "ultrafast"}
        for number in range(count):
            image = moment(number)
            image[int(top_first) :: 2] = moment(number + 0.5)[int(top_first) :: 2]
            frame = ordered(av.VideoFrame.from_ndarray(image, format="rgb24"), "tff" if top_first else "bff")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return Clip.open(woven(tmp_path_factory.mktemp("fields") / "x.mp4"))


def combing(video: torch.Tensor) -> float:
    """How much neighbouring lines differ where those two apart do not."""
    rows = video.mean(1)
    return float((rows[:, 1:-1] - (rows[:, :-2] + rows[:, 2:]) / 2).abs().mean())


@pytest.mark.parametrize("top_first", [True, False])
def test_fields_of_two_moments_do_not_comb(tmp_path: Path, top_first: bool) -> None:
    path = woven(tmp_path / "x.mp4", top_first, count=12)
    bare = Clip.open(woven(tmp_path / "bare.mp4", top_first, marked=False, count=12)).video
    shown = Clip.open(path).video
    true = torch.from_numpy(np.stack([moment(number) for number in range(12)])).permute(0, 3, 1, 2) / 255
    assert combing(shown) < 0.2 * combing(bare)
    inner = slice(1, -1)  # at the ends there is no frame before or after
    assert (shown - true)[inner].abs().mean() < 0.5 * (bare - true)[inner].abs().mean()


@pytest.mark.parametrize(
    "rule", [AllFrames(), Spread(1), Spread(2), Spread(3), Spread(7), Spread(40), Windows(0.3, 2)], ids=repr
)
def test_a_frame_is_the_same_in_every_plan(clip: Clip, rule: FrameRule) -> None:
    plan = FramePlan(rule)
    numbers = rule(clip.times)
    assert torch.equal(clip.frames(plan), clip.video[numbers])


def test_a_frame_alone(tmp_path: Path) -> None:
    video = Clip.open(woven(tmp_path / "x.mp4", count=1)).video
    assert video.shape == (1, 3, 64, 96)


def test_progressive_frames_are_not_filtered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avreward.media._video.fields._woven", None)
    assert Clip.open(write(tmp_path / "x.mp4", 4)).video.shape[0] == 4
