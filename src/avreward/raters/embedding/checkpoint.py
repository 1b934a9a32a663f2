"""Reads the checkpoint of an embedding model: network, tokenizer, and what its preprocessor files say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from avreward.errors import AvrewardError
from avreward.raters.lmm.loading import Loading

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Later ones, and their parts, count before earlier ones.
_FILES = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
_PARTS = ("image_processor", "video_processor", "feature_extractor")


def read_network(
    folder: str | PathLike[str],
    model_types: Sequence[str],
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The network and the tokenizer of a checkpoint in a folder or on the hub. No remote code runs.

    Raises `AvrewardError` if its `model_type` is none of `model_types`, if weights are missing, or if `transformers`
    can't read it.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    loading = Loading(device=device, dtype=dtype)
    try:
        config = AutoConfig.from_pretrained(folder)
        if config.model_type not in model_types:
            expected = " or ".join(model_types)
            raise AvrewardError(f"{folder}: a model of type {config.model_type!r}; give a checkpoint of {expected}")
        module, info = AutoModel.from_pretrained(
            folder, config=config, dtype=loading.torch_dtype, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except ImportError as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(f"{folder}: its network needs a package that isn't there ({reason})") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(f"{folder}: transformers can't load it ({reason}); check the folder or name") from error
    if missing := sorted(info["missing_keys"]):
        names = ", ".join(missing[:8])
        raise AvrewardError(f"{folder}: {len(missing)} weights are missing: {names}; download it again")
    return module.to(loading.torch_device), tokenizer


def preprocessing(folder: str | PathLike[str]) -> dict[str, Any]:
    """What a checkpoint's preprocessor files say, in one mapping; empty if it has none.

    Raises `AvrewardError` for a file that isn't JSON.
    """
    from transformers.utils.hub import cached_file

    found: dict[str, Any] = {}
    for name in _FILES:
        path = cached_file(fspath(folder), name, _raise_exceptions_for_missing_entries=False)
        if path is None:
            continue
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise AvrewardError(f"{path}: isn't JSON ({error}); download it again") from error
        found |= content
        for part in _PARTS:
            found |= content.get(part) or {}
    return found
