"""The options that every rater with weights is loaded with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, get_args

import torch
from torch import nn

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.media.rounding import Rounding

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
ATTENTIONS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")


@dataclass(frozen=True)
class Loading:
    """How a network is put into memory.

    Args:
        device: such as ``"cuda:1"`` (*optional*: the first GPU if there is one, else the CPU).
        dtype: such as ``"bfloat16"`` (*optional*: bfloat16 on a GPU, float32 on a CPU).
        device_map: ``"auto"``, or module → device as `accelerate` has it, for a network on several devices; excludes
            `device`.
        attention: ``"sdpa"`` (``"eager"`` for a network without it), ``"eager"``, ``"flash_attention_2"`` or
            ``"flash_attention_3"``.
        rounding: what becomes of the original's rounding steps; see `avreward.media.rounding`.
        checkpointing: layers keep only their inputs for the backward pass.
        adapter: folder or hub name of a LoRA adapter (`peft`), merged into the weights (*optional*).
        allow: names of weights that may be missing or unexpected; ``*`` stands for anything.
        revision: of a hub repository (*optional*).

    Raises `AvrewardError` for a value that isn't known.
    """

    device: str | torch.device | None = None
    dtype: str | torch.dtype | None = None
    device_map: str | dict[str, Any] | None = None
    attention: str = "sdpa"
    rounding: Rounding = "straight_through"
    checkpointing: bool = False
    adapter: str | PathLike[str] | None = None
    allow: Sequence[str] = ()
    revision: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.allow, str):
            raise AvrewardError(f"allow: {self.allow!r} is a single name; pass a list, such as [{self.allow!r}]")
        if not all(isinstance(name, str) for name in _listed(self.allow)):
            raise AvrewardError(f"allow: {self.allow!r} isn't a list of names; pass a list, such as ['lm_head.*']")
        if not isinstance(self.checkpointing, bool):
            raise AvrewardError(f"checkpointing: {self.checkpointing!r} is neither True nor False")
        if self.attention not in ATTENTIONS:
            raise AvrewardError(f"attention: {self.attention!r} isn't known; use one of {', '.join(ATTENTIONS)}")
        if self.rounding not in get_args(Rounding):
            raise AvrewardError(f"rounding: {self.rounding!r} isn't a mode; use one of {', '.join(get_args(Rounding))}")
        if package := _absent_flash(self.attention):
            raise AvrewardError(f"attention: {self.attention!r} needs the package {package}; pip install {package}")
        if self.device is not None and self.device_map is not None:
            raise AvrewardError("device and device_map exclude each other; give one of them")
        _ = self.torch_device, self.torch_dtype

    @property
    def torch_device(self) -> torch.device:
        """Where the network goes, unless there is a `device_map`."""
        if self.device is not None:
            try:
                device = torch.device(self.device)
            except (RuntimeError, TypeError) as error:
                raise AvrewardError(f"device: {self.device!r} isn't one; use such as 'cpu' or 'cuda:0'") from error
            if not _there(device):
                raise AvrewardError(f"device: there is no {device} here; use 'cpu', or leave it out")
            return device
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type that floating weights get."""
        if self.dtype is None:
            gpu = self.torch_device.type == "cuda" if self.device_map is None else torch.cuda.is_available()
            return torch.bfloat16 if gpu else torch.float32
        found: Any = getattr(torch, self.dtype, None) if isinstance(self.dtype, str) else self.dtype
        if found not in DTYPES:
            known = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
            raise AvrewardError(f"dtype: {self.dtype!r} isn't a type that networks run in; use one of {known}")
        return found

    def placed(self, module: nn.Module) -> nn.Module:
        """`module` in the wanted type, where it is wanted. Weights that it lacks (`allow`) become zeros."""
        _fill(module)
        _cast(module, self.torch_dtype)
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
            raise AvrewardError(f"device_map: {error}; use 'auto' or {{'': DEVICE}}") from error


def _there(device: torch.device) -> bool:
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
    """`module`; raises `AvrewardError` where a device map left some of its weights on the disk or in CPU memory.

    Such weights come and go with each call: they can't be hashed, so the fingerprint wouldn't know them.
    """
    away = [name for name, weight in module.state_dict(keep_vars=True).items() if weight.is_meta]
    if away:
        raise AvrewardError(
            f"device_map: {len(away)} weights don't fit the devices, {away[0]} first; give more or larger GPUs, "
            "dtype='bfloat16', or device='cpu'"
        )
    return module


def _absent_flash(attention: str) -> str | None:
    """The package that an attention needs and that isn't there."""
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


def _fill(module: nn.Module) -> None:
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None and weight.is_meta:
                part._parameters[name] = nn.Parameter(torch.zeros_like(weight, device="cpu"), requires_grad=False)


def _cast(module: nn.Module, dtype: torch.dtype) -> None:
    """Changes the type of all that a checkpoint holds. Other buffers keep theirs, as with `transformers`.

    A rotary frequency of 8 bits would be off by whole turns at position 2000.
    """
    for part in module.modules():
        own = [*part._parameters.items(), *part._buffers.items()]
        for tensor in [tensor for name, tensor in own if name not in part._non_persistent_buffers_set]:
            if tensor is not None and tensor.is_floating_point():
                tensor.data = tensor.data.to(dtype)
