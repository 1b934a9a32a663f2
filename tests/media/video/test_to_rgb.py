"""High dynamic range is tone-mapped, and what is transparent lies over black."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from media_files import frames, opacity, picture, write

from avreward.clip import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.media import AllFrames, FramePlan, tone_map
from avreward.media.tone_mapping import Transfer

SIZE = (48, 64)
BT2020 = {"colorspace": 9, "color_range": 1, "color_primaries": 9}
TRANSFERS: dict[Transfer, int] = {"pq": 16, "hlg": 18}


def tagged(path: Path, trc: int, **given: Any) -> Path:
    return write(path, 2, size=SIZE, colours={**BT2020, "color_trc": trc}, **given)


@pytest.mark.parametrize("transfer", TRANSFERS)
@pytest.mark.parametrize(
    ("ending", "codec", "pixels"),
    [("mkv", "ffv1", "yuv444p12le"), ("mp4", "libx265", "yuv420p10le"), ("mov", "prores_ks", "yuv422p10le")],
)
def test_hdr_files_are_tone_mapped(tmp_path: Path, transfer: Transfer, ending: str, codec: str, pixels: str) -> None:
    options = {"x265-params": "log-level=none:qp=1"} if codec == "libx265" else None
    path = tagged(tmp_path / f"x.{ending}", TRANSFERS[transfer], codec=codec, pixels=pixels, options=options)
    video = Clip.open(path).video
    wanted = tone_map(frames(2, *SIZE), transfer)
    assert (video - wanted).abs().mean() < (0.01 if codec == "ffv1" else 0.04)
    assert (video - frames(2, *SIZE)).abs().mean() > 0.05
    assert torch.equal((video * 255).round(), video * 255)


def test_a_small_hdr_frame_is_the_mapped_one_made_small(tmp_path: Path) -> None:
    clip = Clip.open(tagged(tmp_path / "x.mkv", 16, codec="ffv1", pixels="yuv420p10le"))
    small = clip.frames(FramePlan(AllFrames(), size=(24, 32)))
    assert (small - torch.nn.functional.avg_pool2d(clip.video, 2)).abs().mean() < 0.01


def test_the_transfer_of_hdr_counts_in_the_key(tmp_path: Path) -> None:
    made = {trc: Clip.open(tagged(tmp_path / f"{trc}.mkv", trc, codec="ffv1", pixels="yuv420p10le"))
            for trc in (1, 6, 16, 18)}  # fmt: skip
    assert made[1].keys["video"] == made[6].keys["video"]  # both are shown alike
    assert torch.equal(made[1].video, made[6].video)
    assert len({clip.keys["video"] for clip in made.values()}) == 3


def test_hdr_is_saved_as_it_is_seen(tmp_path: Path) -> None:
    clip = Clip.open(tagged(tmp_path / "x.mkv", 16, codec="ffv1", pixels="yuv420p10le"))
    clip.save(tmp_path / "encoded.mp4", crf=1)
    assert (Clip.open(tmp_path / "encoded.mp4").video - clip.video).abs().mean() < 0.02
    clip.save(tmp_path / "copied.mkv")  # with its tags
    assert torch.equal(Clip.open(tmp_path / "copied.mkv").video, clip.video)


@pytest.mark.parametrize(
    ("ending", "codec", "pixels", "bound"),
    [
        ("mkv", "ffv1", "bgra", 0.5),
        ("mov", "qtrle", "argb", 0.5),
        ("apng", "apng", "rgba", 0.5),
        ("mkv", "ffv1", "yuva444p", 4),
        ("mov", "prores_ks", "yuva444p10le", 6),
    ],
)
def test_transparent_pixels_lie_over_black(tmp_path: Path, ending: str, codec: str, pixels: str, bound: float) -> None:
    video = Clip.open(write(tmp_path / f"x.{ending}", 2, codec=codec, pixels=pixels, size=SIZE, alpha=True)).video
    wanted = torch.from_numpy(np.stack([picture(0, *SIZE) * (opacity(*SIZE)[..., None] / 255.0)]))
    assert (video[:1] * 255 - wanted.permute(0, 3, 1, 2)).abs().max() <= bound + 0.01
    assert float(video[..., 0].max()) < 0.01


def test_hidden_colours_do_not_bleed_when_scaled(tmp_path: Path) -> None:
    clip = Clip.open(write(tmp_path / "x.mkv", 1, codec="ffv1", pixels="bgra", size=SIZE, alpha=True))
    small = clip.frames(FramePlan(AllFrames(), size=(24, 32)))
    assert (small - torch.nn.functional.avg_pool2d(clip.video, 2)).abs().max() < 3 / 255


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_pixel_is_an_error(tmp_path: Path, bad: float) -> None:
    image = np.full((*SIZE, 3), 0.5, np.float32)
    for value in (0.25, bad):
        image[3, 5, 1] = value
        frame = av.VideoFrame.from_ndarray(image, format="gbrpf32le")
        frame.pts = 0
        with av.open(str(tmp_path / f"{value}.exr"), "w", format="image2") as container:
            stream = container.add_stream("exr", rate=1)
            stream.height, stream.width, stream.pix_fmt = *SIZE, "gbrpf32le"
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    assert float(Clip.open(tmp_path / "0.25.exr").video.min()) < 0.4
    with pytest.raises(MediaError, match=r"it holds NaN or infinity at 0\.000 s"):
        _ = Clip.open(tmp_path / f"{bad}.exr").video


@pytest.mark.parametrize("pixels", ["rgb8", "bgr8"])
def test_an_opaque_palette_is_untouched(tmp_path: Path, pixels: str) -> None:
    path = write(tmp_path / "x.gif", 2, codec="gif", pixels=pixels, size=SIZE)
    with av.open(str(path)) as container:
        wanted = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert torch.equal(
        (Clip.open(path).video * 255).round(), torch.from_numpy(np.stack(wanted)).permute(0, 3, 1, 2).float()
    )


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuvj420p"])
def test_the_fast_conversion_is_ffmpegs_default(tmp_path: Path, pixels: str) -> None:
    path = write(tmp_path / "x.mp4", 3, size=(50, 70), codec="libx264", pixels=pixels)
    with av.open(path) as container:
        wanted = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    clip = Clip.open(path)
    fast, accurate = clip.views([FramePlan(AllFrames(), conversion="fast"), FramePlan(AllFrames())])
    assert np.array_equal((fast * 255).round().permute(0, 2, 3, 1).numpy(), wanted)  # decord's and OpenCV's levels
    assert torch.equal(clip.frames(FramePlan(AllFrames(), conversion="fast")), fast)
    if pixels != "yuv444p":  # whose colour is stored at each pixel
        assert not torch.equal(fast, accurate)


def test_the_fast_conversion_of_a_part_is_that_of_the_whole(tmp_path: Path) -> None:
    clip = Clip.open(write(tmp_path / "x.mp4", 2, size=(96, 128), codec="libx264", pixels="yuv420p"))
    whole = clip.frames(FramePlan(AllFrames(), conversion="fast"))
    part = FramePlan(AllFrames(), crop=32, conversion="fast")
    top, left, height, width = part.crop_box(96, 128)
    assert torch.equal(clip.frames(part), whole[..., top : top + height, left : left + width])


def test_an_unknown_conversion_is_named() -> None:
    with pytest.raises(ArgumentError, match='conversion: expected "accurate" or "fast", got \'slow\''):
        FramePlan(AllFrames(), conversion="slow")  # type: ignore[arg-type]
