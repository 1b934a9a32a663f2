"""The name of everything that a score depends on."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any

import torch
import xxhash
from torch import Tensor, nn

_NOT_THE_NETWORK = frozenset(
    {
        "_name_or_path",
        "auto_map",
        "transformers_version",
        "architectures",
        "dtype",
        "torch_dtype",
        "use_cache",
        "gradient_ratio",
    }
    | {"_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "_attn_implementation_internal"}
)


def weights_hash(module: nn.Module) -> str:
    """32 hex digits of a module's parameters and buffers: names, types, shapes and values.

    A tensor without values (on the meta device) counts by its shape alone. The device makes no difference.

    >>> weights_hash(nn.Identity()) == weights_hash(nn.Linear(1, 1))
    False
    """
    return tensors_hash(module.state_dict())


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """32 hex digits of named tensors; see `weights_hash`."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.device.type != "meta" and tensor.numel():
            digest.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()


class Fingerprint:
    """A rater's fingerprint, computed again only when a weight or a setting has changed.

    The weights are hashed whole: seconds for 7 billion. Whether one has changed is told by where it lies and by torch's
    version counters, which see every change in place but those of ``weight.data``. Several threads may ask.
    """

    def __init__(self, name: str, module: nn.Module, versions: Mapping[str, int]) -> None:
        self._name, self._module, self._versions = name, module, versions
        self._known: tuple[object, str] | None = None
        self._lock = threading.Lock()

    def of(self, settings: Mapping[str, str]) -> str:
        """``name:`` and 16 hex digits."""
        versions = tuple(map(_version, self._module.state_dict(keep_vars=True).values()))
        state = versions, tuple(sorted(settings.items()))
        with self._lock:
            if self._known is None or self._known[0] != state:
                self._known = state, fingerprint(self._name, self._module, settings, self._versions)
            return self._known[1]


def fingerprint(name: str, module: nn.Module, settings: Mapping[str, str], versions: Mapping[str, int]) -> str:
    """``name:`` and 16 hex digits of weights, versions, what the network's configuration adds, and every setting."""
    told = (f"{key}={value!r}" for key, value in sorted(settings.items()))
    return f"{name}:{digest(versions, weights_hash(module), configuration(module), *told)}"


def digest(versions: Mapping[str, int], *texts: str) -> str:
    """16 hex digits of the versions of subpackages and of `texts`.

    >>> digest({"media": 1}, "a") == digest({"media": 2}, "a")
    False
    """
    text = "\n".join([*(f"{name} {version}" for name, version in sorted(versions.items())), *texts])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def configuration(module: nn.Module) -> str:
    """What a network's configuration says that no weight shows (rotary base, activations, heads …), as JSON.

    Paths, versions and what `settings` name already are left out. Empty for a network without a configuration.
    """
    config: Any = getattr(module, "config", None)
    return json.dumps(_lean(config.to_dict()), sort_keys=True, default=str) if hasattr(config, "to_dict") else ""


def _lean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _lean(inner) for key, inner in value.items() if key not in _NOT_THE_NETWORK}
    return [_lean(inner) for inner in value] if isinstance(value, list | tuple) else value


def _version(tensor: Tensor) -> tuple[object, ...]:
    counter = None if tensor.is_inference() else tensor._version  # made in inference mode, it has none
    where = None if tensor.is_meta else tensor.data_ptr()
    return id(tensor), counter, where, tensor.dtype
