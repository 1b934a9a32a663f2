"""Samples of any format, planar or packed, become the floats that they stand for, in the channels' order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from av.audio.frame import AudioFrame

from avreward.media._audio.frames import Piece, floats

FORMATS = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
SAMPLES = 37  # less than a row of a plane, which is padded


def values(kind: type[np.generic], channels: int, seed: int) -> np.ndarray:
    """Return (channels, samples) of a format, over all of its range."""
    random = np.random.default_rng(seed)
    if issubclass(kind, np.floating):
        return random.uniform(-1, 1, (channels, SAMPLES)).astype(kind)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    return random.integers(low, high, (channels, SAMPLES), dtype=kind, endpoint=True)


def as_floats(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128
    return samples / (1.0 if samples.dtype.kind == "f" else 2.0 ** (8 * samples.dtype.itemsize - 1))


def frame(samples: np.ndarray, form: str) -> AudioFrame:
    data = samples if form.endswith("p") else samples.T.reshape(1, -1)
    return AudioFrame.from_ndarray(np.ascontiguousarray(data), format=form, layout=LAYOUTS[len(samples)])


@pytest.mark.parametrize("channels", LAYOUTS)
@pytest.mark.parametrize("planar", ["", "p"])
@pytest.mark.parametrize("form", FORMATS)
def test_each_format_gives_its_samples(form: str, planar: str, channels: int) -> None:
    first, second = (values(FORMATS[form], channels, seed) for seed in (0, 1))
    order = list(range(channels))[::-1]
    pieces = [
        Piece(frame(first, form + planar), None, 0, SAMPLES),
        Piece(frame(second, form + planar), order, 5, SAMPLES - 2),
    ]
    found = floats(pieces, channels)
    expected = np.concatenate([as_floats(first), as_floats(second)[order, 5 : SAMPLES - 2]], axis=1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_silence_and_changing_formats_are_joined() -> None:
    integers, reals = values(np.int16, 2, 0), values(np.float32, 2, 1)
    pieces = [
        Piece(None, None, 0, 4),
        Piece(frame(integers, "s16"), None, 0, SAMPLES),
        Piece(frame(reals, "fltp"), None, 1, SAMPLES),
    ]
    expected = np.concatenate([np.zeros((2, 4)), as_floats(integers), reals[:, 1:]], axis=1)
    np.testing.assert_allclose(floats(pieces, 2), expected, rtol=1e-6, atol=1e-9)


def test_the_floats_do_not_depend_on_the_frame() -> None:
    held = frame(values(np.float32, 1, 0), "fltp")
    found = floats([Piece(held, None, 0, SAMPLES)], 1)
    kept = torch.from_numpy(found).clone()
    memoryview(held.planes[0])[:4] = b"\0" * 4
    assert torch.equal(torch.from_numpy(found), kept)
