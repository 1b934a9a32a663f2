"""Map video of high dynamic range to the standard one, as players do on an ordinary display, differentiably."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from avreward.errors import ArgumentError
from avreward.media._precision import full_precision, product, widened

Transfer = Literal["pq", "hlg"]
Primaries = Literal["bt2020", "p3", "bt709"]

_WHITE = 203.0  # cd/m² of diffuse white in HDR video (ITU-R BT.2408), and of the display's white here
_SCALE = 10_000.0  # cd/m² at the top of PQ's scale
# SMPTE ST 2084, and ITU-R BT.2100 table 5
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.55991073
_NOMINAL, _SYSTEM_GAMMA = 1000.0, 1.2  # cd/m² of HLG's nominal display, and the exponent that belongs to it
_LUMA = (0.2627, 0.6780, 0.0593)
_GAMMA = 2.4  # of an SDR display (ITU-R BT.1886)
_DARK = 1e-6  # slopes of powers are bounded below this, so that black has a gradient
_TO_BT709 = {
    "bt2020": ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    "p3": ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979)),
}


@full_precision
def tone_map(frames: Tensor, transfer: Transfer, peak: float = 1000.0, primaries: Primaries = "bt2020") -> Tensor:
    """Map HDR frames to the SDR frames that a player shows: BT.709 primaries, white at 203 cd/m².

    The signal becomes light (PQ: SMPTE ST 2084; HLG: ITU-R BT.2100 with its display of 1000 cd/m²); the largest of red,
    green and blue is rolled off by the curve of ITU-R BT.2390 (section 5.4.1, in PQ's scale, black at 0) from `peak` to
    203 cd/m², and the other two are scaled with it, so that hues stay; then primaries are converted (ITU-R BT.2087),
    colours outside BT.709 are clipped, and light is encoded for a display of gamma 2.4 (ITU-R BT.1886).

    Video files that are tagged as PQ or HLG are read so, with the default `peak`: metadata about the brightest pixel
    differs between containers, and a score should not.

    Args:
        frames (`Tensor`): float (…, 3, height, width), the signal of R, G and B in [0, 1].
        transfer (`str`): `"pq"` or `"hlg"`.
        peak (`float`): the brightest light that is kept apart from white, in cd/m².
        primaries (`str`): of the frames: `"bt2020"`, `"p3"` or `"bt709"`.

    Returns:
        `Tensor`: float (…, 3, height, width) in [0, 1], of the dtype of `frames`.

    Raises:
        ArgumentError: if an argument is out of range.

    Example:
        >>> grey = torch.full((1, 3, 1, 1), 0.58)  # 203 cd/m² in PQ
        >>> tone_map(grey, "pq").flatten()
        tensor([0.9022, 0.9022, 0.9022])
    """
    if transfer not in ("pq", "hlg"):
        raise ArgumentError("transfer", "'pq' or 'hlg'", transfer)
    if primaries not in (*_TO_BT709, "bt709"):
        raise ArgumentError("primaries", "'bt2020', 'p3' or 'bt709'", primaries)
    if not 0 < peak <= _SCALE:
        raise ArgumentError("peak", f"cd/m² up to {_SCALE:g}", peak)
    signal = widened(frames).clamp(0, 1)
    light = _rolled_off(_pq_light(signal) if transfer == "pq" else _hlg_light(signal), peak) / _WHITE
    if primaries in _TO_BT709:
        light = _combined(_TO_BT709[primaries], light)
    return _power(light.clamp(0, 1), 1 / _GAMMA).to(frames.dtype)


def _combined(weights: Sequence[Sequence[float]], colours: Tensor) -> Tensor:
    """Return weighted sums of the colours, (…, 3, h, w) → (…, sums, h, w)."""
    return product(colours.new_tensor(weights), colours.flatten(-2)).unflatten(-1, colours.shape[-2:])


def _pq_light(signal: Tensor) -> Tensor:
    """Return cd/m² of a PQ signal in [0, 1]."""
    root = signal.clamp(min=_DARK) ** (1 / _M2)
    return _SCALE * ((root - _C1).clamp(min=0) / (_C2 - _C3 * root)) ** (1 / _M1)


def _pq_signal(light: Tensor) -> Tensor:
    """Return the PQ signal of cd/m²."""
    power = (light / _SCALE).clamp(min=_DARK**2) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _hlg_light(signal: Tensor) -> Tensor:
    """Return cd/m² of an HLG signal (…, 3, h, w) in [0, 1] on the nominal display."""
    scene = torch.where(signal <= 0.5, signal.square() / 3, (torch.exp((signal - _C) / _A) + _B) / 12)
    luma = _combined([_LUMA], scene)
    return _NOMINAL * scene * luma.clamp(min=_DARK) ** (_SYSTEM_GAMMA - 1)


def _rolled_off(light: Tensor, peak: float) -> Tensor:
    """Scale (…, 3, h, w) in cd/m² so that the largest component follows the curve of BT.2390 from `peak` to white."""
    if peak <= _WHITE:
        return light
    brightest = light.amax(-3, keepdim=True).clamp(max=peak)
    top, white = (float(_pq_signal(torch.tensor(level, dtype=torch.float64))) for level in (peak, _WHITE))
    highest = white / top
    knee = 1.5 * highest - 0.5
    x = _pq_signal(brightest) / top
    t = ((x - knee) / (1 - knee)).clamp(0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * highest
    above = x > knee
    shown = _pq_light(torch.where(above, curve, 0.5) * top)
    return light.clamp(max=peak) * torch.where(above, shown / torch.where(above, brightest, 1.0), 1.0)


def _power(x: Tensor, exponent: float) -> Tensor:
    """Return ``x ** exponent``, linear close to 0 where its slope would be infinite."""
    dark = x < _DARK
    return torch.where(dark, x * _DARK ** (exponent - 1), torch.where(dark, 1.0, x) ** exponent)
