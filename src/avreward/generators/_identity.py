"""Names of runs: equal arguments give equal names, whatever objects hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from avreward.clip import Clip


def identity(value: Any) -> str:
    """Return a text that is equal for equal arguments; tensors, arrays, images and clips are compared by content.

    Any other object is represented by its type and its `repr`, or by its type alone if the `repr` contains a memory
    address.
    """
    match value:
        case None | bool() | int() | float() | str():
            return repr(value)
        case Clip():
            texts = [("prompt", value.prompt), *sorted(value.texts.items())]
            tracks = [(track, value.keys[track]) for track in ("video", "audio") if track in value.keys]
            return f"Clip({tracks}, {texts})"
        case Tensor():
            # As bytes, since NumPy has no bfloat16.
            raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            return f"Tensor({tuple(value.shape)}, {value.dtype}, {_hash(raw)})"
        case Mapping():
            return "{" + ", ".join(f"{key}: {identity(value[key])}" for key in sorted(value, key=str)) + "}"
        case list() | tuple():
            return "[" + ", ".join(identity(item) for item in value) + "]"
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "tobytes"):  # NumPy, PIL
        return f"{kind}({getattr(value, 'shape', getattr(value, 'size', ''))}, {_hash(value.tobytes())})"
    shown = getattr(value, "__qualname__", repr(value))
    return kind if " at 0x" in shown else f"{kind}({shown})"


def run_key(*parts: Any) -> str:
    """Return 32 hex digits that identify a run, from its generator, condition and reward."""
    return _hash(identity(list(parts)).encode())


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
