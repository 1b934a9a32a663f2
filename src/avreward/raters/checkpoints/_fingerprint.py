"""Fingerprints: short names for everything that a score depends on."""

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
    """Return 32 hex digits for the names, types, shapes and values of a module's parameters and buffers.

    A tensor without values (on the meta device) counts by its shape alone. The device makes no difference.

    >>> weights_hash(nn.Identity()) == weights_hash(nn.Linear(1, 1))
    False
    """
    return tensors_hash(module.state_dict())


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return 32 hex digits for named tensors; see `weights_hash`."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.device.type != "meta" and tensor.numel():
            digest.update(memoryview(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()


class Fingerprint:
    """A rater's fingerprint, computed again only when a weight or a setting has changed.

    All values of the weights are hashed: seconds for 7 billion. A weight counts as changed when its address or torch's
    version counter differs; the counter misses only changes made in place through ``weight.data``. Thread-safe.
    """

    def __init__(self, name: str, module: nn.Module, versions: Mapping[str, int]) -> None:
        self._name, self._module, self._versions = name, module, versions
        self._known: tuple[object, str] | None = None
        self._lock = threading.Lock()

    def of(self, settings: Mapping[str, str]) -> str:
        """Return ``name:`` and 16 hex digits."""
        versions = tuple(map(_version, self._module.state_dict(keep_vars=True).values()))
        state = versions, tuple(sorted(settings.items()))
        with self._lock:
            if self._known is None or self._known[0] != state:
                self._known = state, fingerprint(self._name, self._module, settings, self._versions)
            return self._known[1]


def fingerprint(name: str, module: nn.Module, settings: Mapping[str, str], versions: Mapping[str, int]) -> str:
    """Return ``name:`` and 16 hex digits for the weights, versions, network configuration and settings."""
    texts = (f"{key}={value!r}" for key, value in sorted(settings.items()))
    return f"{name}:{digest(versions, weights_hash(module), configuration(module), *texts)}"


def digest(versions: Mapping[str, int], *texts: str) -> str:
    """Return 16 hex digits for the versions of subpackages and for `texts`.

    >>> digest({"media": 1}, "a") == digest({"media": 2}, "a")
    False
    """
    text = "\n".join([*(f"{name} {version}" for name, version in sorted(versions.items())), *texts])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def configuration(module: nn.Module) -> str:
    """Return the parts of a network's configuration that no weight shows (rotary base, activations, heads …), as JSON.

    Paths, versions and entries that `settings` already contain are left out. Empty for a network without a
    configuration.
    """
    config: Any = getattr(module, "config", None)
    return json.dumps(_lean(config.to_dict()), sort_keys=True, default=str) if hasattr(config, "to_dict") else ""


def _lean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _lean(inner) for key, inner in value.items() if key not in _NOT_THE_NETWORK}
    return [_lean(inner) for inner in value] if isinstance(value, list | tuple) else value


def _version(tensor: Tensor) -> tuple[object, ...]:
    counter = None if tensor.is_inference() else tensor._version  # tensors made in inference mode have none
    address = None if tensor.is_meta else tensor.data_ptr()
    return id(tensor), counter, address, tensor.dtype
