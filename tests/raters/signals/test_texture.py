"""The texture of a frame is the same whole, in strips, in 8 bits and with a gradient; each part has its formula."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, conv2d

from avreward.raters.signals import _texture as texture
from avreward.raters.signals._video import to_luma

SIDES = st.integers(1, 90)
PARTS = ("edges", "noise", "down", "across")


def picture(height, width, seed=0):
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def same(found, expected, tolerance):
    for part in PARTS:
        torch.testing.assert_close(getattr(found, part).double(), getattr(expected, part).double(), **tolerance)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.sampled_from([1, 700, 2000]))
def test_strips_make_up_the_frame(height, width, cells):
    frame = to_luma(picture(height, width).double() / 255)
    whole = texture._texture(frame.clone().requires_grad_())  # in one strip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texture, "IN_CACHE", cells)
        if height > 32 and cells == 1:
            assert len(list(texture._strips(frame))) == height // 16
        same(texture._texture(frame), whole, {"rtol": 1e-10, "atol": 1e-13})


def test_levels_have_the_texture_of_floats():
    frame = picture(100, 1000)
    same(
        texture._texture(frame.unbind()), texture._texture(to_luma(frame.double() / 255)), {"rtol": 2e-5, "atol": 1e-7}
    )


def test_each_part_is_what_it_says():
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    luma = (weights[:, None, None] * picture(53, 47, seed=1).double() / 255).sum(0)
    found = texture._texture(luma)

    mask = torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=torch.float64)  # Immerkær's, with either sign
    left = (conv2d(luma[None, None], mask[None, None]).square() + (0.25 / 255) ** 2).sqrt() - 0.25 / 255
    blocks = avg_pool2d(left, 16, ceil_mode=True, count_include_pad=False).flatten()
    torch.testing.assert_close(found.noise.sort().values, ((torch.pi / 2) ** 0.5 / 6 * blocks).sort().values)

    for axis, profile in enumerate((found.down, found.across)):
        size = (luma.diff(dim=axis).square() + (0.5 / 255) ** 2).sqrt() - 0.5 / 255
        torch.testing.assert_close(profile, (size / (1 + size * 255 / 20)).mean(1 - axis))

    blur = torch.tensor([1.0, 2, 1], dtype=torch.float64) / 4
    smooth = conv2d(luma[None, None], torch.outer(blur, blur)[None, None])[0, 0]
    fine = _gradient(smooth, 1, 0.5)
    fine = avg_pool2d(fine[None], 4, 2)[0][2:, 2:]
    coarse = _gradient(avg_pool2d(luma[None], 4, 2)[0], 2, 0.5 / 4)
    fine, coarse = fine[: len(coarse), : coarse.shape[1]], coarse[: len(fine), : fine.shape[1]]
    # both gradients are a pixel: the fine one is taken over 2, the coarse one over 8
    ratio = found.edges[0] / found.edges[1]
    torch.testing.assert_close(ratio, (coarse * fine).mean() / coarse.square().mean(), rtol=1e-9, atol=0)


def _gradient(x, step, scale):
    inner = slice(step, -step)
    across = (x[inner, 2 * step :] - x[inner, : -2 * step]) * scale
    down = (x[2 * step :, inner] - x[: -2 * step, inner]) * scale
    return across.square() + down.square()
