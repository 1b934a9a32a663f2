"""Rounding steps: exact values whatever the gradient."""

from __future__ import annotations

import pytest
import torch

from avreward.errors import ArgumentError
from avreward.media.rounding import rounded, to_bfloat16, to_int16, to_uint8_levels

STEPS = [to_uint8_levels, to_int16, to_bfloat16]
VALUES = torch.linspace(-1.2, 1.2, 40_001)


@pytest.mark.parametrize("mode", ["exact", "straight_through"])
def test_values_are_those_of_the_integer_types(mode) -> None:
    levels = to_uint8_levels(VALUES, mode)
    assert torch.equal(levels, (VALUES * 255).round().clamp(0, 255).to(torch.uint8).float() / 255)
    samples = to_int16(VALUES, mode)
    assert torch.equal(samples, (VALUES * 32768).round().clamp(-32768, 32767).to(torch.int16).float() / 32768)
    assert torch.equal(to_bfloat16(VALUES, mode), VALUES.bfloat16().float())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_straight_through_has_the_exact_value_and_the_gradient_of_the_identity(step, dtype) -> None:
    values = VALUES.to(dtype).requires_grad_()
    out = step(values)
    assert out.dtype == dtype
    assert torch.equal(out, step(values, "exact"))
    assert torch.equal(torch.autograd.grad(out.sum(), values)[0], torch.ones_like(values))


@pytest.mark.parametrize(("step", "slope"), [(to_uint8_levels, 0.0), (to_int16, 0.0), (to_bfloat16, 1.0)])
def test_exact_has_the_gradient_that_torch_gives_it(step, slope) -> None:
    values = VALUES.clone().requires_grad_()
    assert torch.equal(torch.autograd.grad(step(values, "exact").sum(), values)[0], torch.full_like(values, slope))


@pytest.mark.parametrize("step", STEPS)
def test_none_changes_nothing(step) -> None:
    assert step(VALUES, "none") is VALUES


@pytest.mark.parametrize("step", STEPS)
def test_rounding_twice_is_rounding_once(step) -> None:
    assert torch.equal(step(step(VALUES)), step(VALUES))


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ArgumentError, match="rounding: expected one of exact, straight_through, none, got 'nearest'"):
        rounded(VALUES, torch.round, "nearest")
