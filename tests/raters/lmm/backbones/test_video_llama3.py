"""VideoLLaMA 3 against transformers' own image processor, placeholders and model.

The library's video processor needs torchvision; its steps are written out here instead.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tiny.checks import check_gradient, ids_of, parts_of, read
from tiny.video_llama3 import tiny_video_llama3
from torch import Tensor

from avreward import Clip
from avreward.errors import ArgumentError, MediaError
from avreward.media.sampling import AllFrames
from avreward.raters.lmm.backbones.video_llama3 import VideoLlama3Frames
from avreward.raters.lmm.prompt import Slot, Tokens

QUESTION = "Is it good?"


def pictures(count: int, height: int, width: int, levels: bool = True) -> Tensor:
    """Frames in steps of 1/255, smooth with some noise."""
    generator = torch.Generator().manual_seed(count * height + width)
    small = torch.rand(count, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    frames = (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
    return (frames * 255).round() / 255 if levels else frames


def half_still(count: int) -> Tensor:
    """Frames of 16 × 24 pixels whose left half never moves; frame 2 is frame 1 again."""
    frames = pictures(count, 16, 24)
    frames[:, :, :, :12] = frames[0, :, :, :12]
    frames[2] = frames[1]
    return frames


def seen(frames: Tensor, fps: float = 8) -> Clip:
    return Clip(video=frames, fps=fps)


def told_by_the_library(kept: Tensor, chosen: list[int], fps: float) -> str:
    """The chat as `replace_video_token` fills it in; `kept` is bool (frames, tokens of a frame)."""
    from transformers import VideoLlama3Processor
    from transformers.video_utils import VideoMetadata

    metadata = VideoMetadata(total_num_frames=100, fps=fps, frames_indices=chosen)
    video = {
        "video_grid_thw": torch.tensor([[len(kept), 2, 2 * kept.shape[1]]]),
        "video_merge_sizes": torch.tensor([2]),
        "video_compression_mask": kept.flatten(),
        "video_metadata": [metadata],
    }
    shown = VideoLlama3Processor.replace_video_token(SimpleNamespace(video_token="<|video_pad|>"), video, 0)
    return f"<|im_start|>user\n{shown}\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(("count", "fps"), [(1, 8), (3, 8), (9, 3.0), (20, 2.5)])
@pytest.mark.parametrize("compress", [True, False])
def test_a_chat_is_read_as_by_the_library(count: int, fps: float, compress: bool) -> None:
    backbone = tiny_video_llama3(compress=compress)
    clip = seen(half_still(count) if count > 3 else pictures(count, 16, 24), fps)
    film = backbone.load(clip, "video")
    assert bool(film.kept.all()) == (count <= 3 or not compress)
    chosen = backbone.frames(clip.times).tolist()
    ids = backbone.tokenizer(told_by_the_library(film.kept, chosen, fps), return_tensors="pt")["input_ids"]

    parts = parts_of(backbone, backbone.chat([Slot("video"), QUESTION]), clip)
    assert torch.equal(ids_of(parts, backbone.module.config.video_token_id), ids)
    expected = backbone.module(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values_videos=film.patches,
        video_grid_thw=torch.tensor([film.grid]),
        video_merge_sizes=torch.tensor([2]),
        video_compression_mask=film.kept.flatten(),
    ).logits[0]
    torch.testing.assert_close(backbone.head(read(backbone, parts)), expected, rtol=0, atol=1e-5)


def test_the_chat_has_no_system_turn() -> None:
    # as in the expected ids of transformers' VideoLlama3IntegrationTest
    backbone = tiny_video_llama3()
    told = backbone.chat([Slot("video"), QUESTION], ["Yes"], closed=True)
    text = "".join("<v>" if isinstance(piece, Slot) else piece for piece in told)
    assert text == f"<|im_start|>user\n<v>\n{QUESTION}<|im_end|>\n<|im_start|>assistant\nYes<|im_end|>\n"


@pytest.mark.parametrize(("height", "width"), [(16, 24), (45, 31), (97, 171), (20, 5), (7, 90)])
def test_frames_are_those_of_the_image_processor(height: int, width: int) -> None:
    from transformers import VideoLlama3ImageProcessorPil

    frames = pictures(3, height, width)
    processor = VideoLlama3ImageProcessorPil(
        patch_size=4, merge_size=2, size={"shortest_edge": 512, "longest_edge": 4096}
    )
    images = [(frame * 255).round().byte().permute(1, 2, 0).numpy() for frame in frames]
    theirs = processor(images, return_tensors="pt")
    # one clip of three frames has three times the pixels
    backbone = tiny_video_llama3("exact", frames=AllFrames(), min_pixels=512, max_pixels=3 * 4096)
    ours = backbone.load(seen(frames), "video")
    assert (1, *ours.grid[1:]) == tuple(theirs["image_grid_thw"][0].tolist())
    off = (ours.patches - theirs["pixel_values"]).abs() * 0.5 * 255
    assert float(off.max()) < 1.2
    assert float((off > 0.5).float().mean()) <= 1e-3


def test_frames_share_the_pixels_of_a_film() -> None:
    backbone = tiny_video_llama3(min_pixels=64, max_pixels=2048)
    assert backbone.size(32, 64, frames=1) == (32, 64)
    assert backbone.size(32, 64, frames=8) == (8, 16)
    assert backbone.size(5, 5, frames=8) == (8, 8)
    published = tiny_video_llama3(min_pixels=None)
    assert (published.min_pixels, published.max_pixels) == (16 * 64, 16384 * 64)


def test_still_tokens_are_left_out_but_never_a_whole_frame() -> None:
    backbone = tiny_video_llama3(frames=AllFrames())
    kept = backbone.load(seen(half_still(4)), "video").kept.reshape(4, 2, 3)
    assert kept[0].all()
    assert kept[1].tolist() == [[False, True, True]] * 2
    assert kept[2].tolist() == [[True, False, False], [False, False, False]]
    assert kept[3].tolist() == [[False, True, True]] * 2


@pytest.mark.parametrize(("change", "there"), [(0.15 / 255, True), (0.05 / 255, False)])
def test_the_threshold_is_on_the_mean_difference_of_normalised_pixels(change: float, there: bool) -> None:
    frames = torch.full((2, 3, 8, 8), 0.5)
    frames[1] += change / 2  # halved by the normalization's 0.5
    assert bool(tiny_video_llama3("none", frames=AllFrames()).load(seen(frames), "video").kept[1, 0])
    two = torch.cat([frames, frames], dim=3)
    assert bool(tiny_video_llama3("none", frames=AllFrames()).load(seen(two), "video").kept[1, 1]) == there


@pytest.mark.parametrize(
    ("count", "fps", "expected"),
    [
        (1, 24, [0]),
        (3, 24, [0, 1, 2]),
        (84, 24, [0, 21, 42, 63]),  # three and a half seconds: four frames at least
        (144, 24, [0, 24, 48, 72, 96, 120]),
        (185, 1, list(torch.arange(0, 185, 185 / 180).int()[:180])),  # the original reads beyond the end here
    ],
)
def test_which_frames(count: int, fps: float, expected: list[int]) -> None:
    times = torch.arange(count, dtype=torch.float64) / fps
    assert VideoLlama3Frames()(times).tolist() == [int(number) for number in expected]


def test_times_are_counted_from_the_first_frame_and_true_for_a_variable_rate() -> None:
    clip = Clip(video=pictures(4, 16, 24), times=torch.tensor([1.0, 1.26, 3.0, 4.04]))
    backbone = tiny_video_llama3()
    encoded = backbone.encode("video", backbone.load(clip, "video"))
    assert [part for part in encoded if isinstance(part, str)] == [
        "Time 0.0s:",
        ",Time 0.3s:",
        ",Time 2.0s:",
        ",Time 3.0s:",
    ]


@pytest.mark.parametrize("compress", [True, False])
def test_gradients_agree_with_finite_differences(compress: bool) -> None:
    backbone = tiny_video_llama3("none", frames=AllFrames(), compress=compress)
    backbone.module.double()

    def tokens(frames: Tensor) -> Tensor:
        encoded = backbone.encode("video", backbone.load(seen(frames), "video"))
        return torch.cat([part.values for part in encoded if isinstance(part, Tokens)])

    # the encoder turns its queries and keys in float32 whatever its type, which limits the agreement
    check_gradient(tokens, pictures(3, 21, 13, levels=False), step=1e-3, rtol=2e-3)


def test_a_frame_out_of_proportion_is_an_error() -> None:
    with pytest.raises(MediaError, match="aspect ratio of 200 at most, got 801 × 4 pixels; crop it"):
        tiny_video_llama3().load(seen(torch.rand(1, 3, 4, 801)), "video")


def test_limits_that_exclude_each_other_are_an_error() -> None:
    with pytest.raises(ArgumentError, match="0 < min_pixels ≤ max_pixels, got min_pixels=100 and max_pixels=50"):
        tiny_video_llama3(min_pixels=100, max_pixels=50)


def test_a_clip_of_half_precision_keeps_its_levels() -> None:
    frames = pictures(3, 28, 28).bfloat16()
    backbone = tiny_video_llama3()
    films = [backbone.load(seen(each), "video") for each in (frames, frames.float())]
    assert torch.equal(films[0].patches, films[1].patches)


def test_settings_name_what_the_scores_depend_on() -> None:
    settings = tiny_video_llama3().settings
    assert settings["frames"] == "VideoLlama3Frames(rate=1.0, least=4, most=180), fast conversion"
    assert settings != tiny_video_llama3(compress=False).settings
    assert settings != tiny_video_llama3(max_pixels=999).settings
