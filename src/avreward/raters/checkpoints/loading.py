"""Options for loading any rater with weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Real
from os import PathLike
from typing import Any, get_args

import torch
from torch import nn

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name
from avreward.media.rounding import Rounding
from avreward.raters.checkpoints._activation_checkpointing import Checkpointing, checked

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")


@dataclass(frozen=True)
class Loading:
    """How to load a network: device, precision, attention, adapter.

    Args:
        device: such as ``"cuda:1"`` (*optional*: the first GPU if there is one, else the CPU).
        dtype: such as ``"bfloat16"`` (*optional*: bfloat16 on a GPU, float32 on a CPU).
        device_map: ``"auto"``, or module → device as in `accelerate`, for a network on several devices; excludes
            `device`.
        attention: ``"sdpa"`` (``"eager"`` for a network without it), ``"eager"``, ``"flash_attention_2"`` or
            ``"flash_attention_3"``.
        rounding: how to apply the original's rounding steps: ``"straight_through"`` (the same numbers, gradient of the
            identity), ``"exact"`` or ``"none"``; see `avreward.media.rounding`.
        checkpointing: what is kept for the backward pass. False: everything; True: the layers' inputs, less memory and
            more time; ``"selective"``: also what PyTorch's attention (``"sdpa"``) and linear layers with fewer outputs
            than inputs return, so that it is not computed again; ``"offload"``: everything, in CPU memory, for
            networks on GPUs.
        adapter: folder or hub name of a LoRA adapter (`peft`), merged into the weights (*optional*).
        allow: names of weights that may be missing or unexpected; ``*`` matches anything.
        revision: of a hub repository (*optional*).

    Raises:
        ArgumentError: if a value is unknown, or if this machine lacks the device or the attention's package.
    """

    device: str | torch.device | None = None
    dtype: str | torch.dtype | None = None
    device_map: str | dict[str, Any] | None = None
    attention: str = "sdpa"
    rounding: Rounding = "straight_through"
    checkpointing: Checkpointing = False
    adapter: str | PathLike[str] | None = None
    allow: Sequence[str] = ()
    revision: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.allow, str):
            raise ArgumentError("allow", "a list of names", self.allow, f"pass [{self.allow!r}]")
        if not all(isinstance(name, str) for name in _listed(self.allow)):
            raise ArgumentError("allow", "a list of names", self.allow, "pass a list such as ['lm_head.*']")
        checked(self.checkpointing)
        if self.attention not in ATTENTIONS:
            raise unknown_name("attention", self.attention, ATTENTIONS)
        if self.rounding not in get_args(Rounding):
            raise unknown_name("rounding", self.rounding, get_args(Rounding))
        if package := _absent_flash(self.attention):
            expected = f"an attention whose package is installed ({package})"
            raise ArgumentError("attention", expected, self.attention, f"pip install {package}")
        if self.device is not None and self.device_map is not None:
            raise ArgumentError("device_map", "either device or device_map", Described("both"), "leave one of them out")
        _ = self.torch_device, self.torch_dtype

    @property
    def torch_device(self) -> torch.device:
        """The network's device, unless there is a `device_map`."""
        if self.device is not None:
            try:
                device = torch.device(self.device)
            except (RuntimeError, TypeError) as error:
                raise ArgumentError("device", "a device such as 'cpu' or 'cuda:0'", self.device) from error
            if not _available(device):
                raise ArgumentError("device", "a device of this machine", str(device), "use 'cpu', or leave it out")
            return device
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def torch_dtype(self) -> torch.dtype:
        """The floating type of the weights."""
        if self.dtype is None:
            gpu = self.torch_device.type == "cuda" if self.device_map is None else torch.cuda.is_available()
            return torch.bfloat16 if gpu else torch.float32
        found: Any = getattr(torch, self.dtype, None) if isinstance(self.dtype, str) else self.dtype
        if found not in DTYPES:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
            raise ArgumentError("dtype", f"one of {known}", self.dtype)
        return found

    def placed(self, module: nn.Module, dtype: torch.dtype | None = None) -> nn.Module:
        """Cast `module`, move it to its devices and return it. Missing weights (see `allow`) become zeros.

        Args:
            module: the network.
            dtype: that of a network whose precision is not chosen by the device, where this names none (*optional*).
        """
        _zero_missing(module)
        _cast(module, dtype if self.dtype is None and dtype is not None else self.torch_dtype)
        if self.device_map is None:
            return module.to(self.torch_device)
        with extra("lmm"):
            from accelerate import dispatch_model, infer_auto_device_map

        blocks = sorted({type(m).__name__ for m in module.modules() if type(m).__name__.endswith(("Layer", "Block"))})
        infer = self.device_map == "auto"
        where = infer_auto_device_map(module, no_split_module_classes=blocks) if infer else self.device_map
        try:
            return in_memory(dispatch_model(module, device_map=where))
        except ValueError as error:
            raise ArgumentError(
                "device_map", "'auto' or module → device", self.device_map, f"use {{'': DEVICE}} ({error})"
            ) from error


def refuse_options(loading: Loading, system: str) -> None:
    """Raise `ArgumentError` for options that a network without a language model does not have."""
    for field in fields(loading):
        if field.name in ("attention", "adapter") and getattr(loading, field.name) != field.default:
            raise ArgumentError(
                field.name, f"no such option for {system}", getattr(loading, field.name), "leave it out"
            )


def is_number(value: object) -> bool:
    """Return whether `value` is a finite real number and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _available(device: torch.device) -> bool:
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, NotImplementedError, AssertionError):
        return False
    return True


def _listed(names: Any) -> Any:
    return names if isinstance(names, list | tuple) else [names]


def in_memory(module: nn.Module) -> nn.Module:
    """Return `module`, if a device map left none of its weights on the disk or in CPU memory.

    Such weights are loaded for each call only: they can't be hashed, so the fingerprint could not include them.

    Raises:
        AvrewardError: if the devices are too small.
    """
    offloaded = [name for name, weight in module.state_dict(keep_vars=True).items() if weight.is_meta]
    if offloaded:
        raise AvrewardError(
            f"device_map: {len(offloaded)} weights don't fit the devices, {offloaded[0]} first; give more or larger "
            "GPUs, dtype='bfloat16', or device='cpu'"
        )
    return module


def _absent_flash(attention: str) -> str | None:
    """Return the package that an attention needs, if it isn't installed."""
    if not attention.startswith("flash"):
        return None
    with extra("lmm"):
        from transformers.utils import import_utils as utils

    found = {
        "flash_attention_2": ("flash-attn", utils.is_flash_attn_2_available),
        "flash_attention_3": ("flash-attn-3", utils.is_flash_attn_3_available),
    }
    package, available = found[attention]
    return None if available() else package


def _zero_missing(module: nn.Module) -> None:
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None and weight.is_meta:
                part._parameters[name] = nn.Parameter(torch.zeros_like(weight, device="cpu"), requires_grad=False)


def _cast(module: nn.Module, dtype: torch.dtype) -> None:
    """Cast everything that a checkpoint holds. Other buffers keep their type, as in `transformers`.

    A rotary frequency with a mantissa of 8 bits would be off by several turns at position 2000.
    """
    for part in module.modules():
        own = [*part._parameters.items(), *part._buffers.items()]
        for tensor in [tensor for name, tensor in own if name not in part._non_persistent_buffers_set]:
            if tensor is not None and tensor.is_floating_point():
                tensor.data = tensor.data.to(dtype)
