"""Read the checkpoint of an embedding model: network, tokenizer, and preprocessor files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward._extras import extra
from avreward._parsing import parsed_json
from avreward.errors import AvrewardError
from avreward.raters.checkpoints._networks import load_network, load_tokenizer
from avreward.raters.checkpoints.loading import Loading

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Later files, and their parts, override earlier ones.
_FILES = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
DERIVED = ("*position_ids", "*relative_position_index", "*num_batches_tracked")
"""Tensors that older releases of `transformers` saved with the weights, though the sizes determine them."""
_PARTS = ("image_processor", "video_processor", "feature_extractor")


def read_network(
    folder: str | PathLike[str], model_types: Sequence[str], loading: Loading
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Return the network and the tokenizer of a checkpoint in a folder or on the hub. No remote code runs.

    Raises:
        AvrewardError: if its `model_type` is not one of `model_types`, if weights are missing or unexpected and
            `loading.allow` does not name them, or if `transformers` cannot read it.
    """
    with extra("lmm"):
        from transformers import MODEL_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(f"{folder}: transformers cannot load it ({reason}); check the folder or name") from error
    if config.model_type not in model_types:
        expected = " or ".join(model_types)
        raise AvrewardError(f"{folder}: expected a checkpoint of {expected}, got a model of type {config.model_type!r}")
    network = MODEL_MAPPING[type(config)].__name__  # type: ignore[attr-defined]
    loading = replace(loading, allow=[*loading.allow, *DERIVED])
    return load_network(network, folder, {}, loading), load_tokenizer(folder)  # type: ignore[return-value]


def preprocessing(folder: str | PathLike[str]) -> dict[str, Any]:
    """Return the content of a checkpoint's preprocessor files in one mapping; empty if it has none.

    Raises:
        AvrewardError: for a file that is not JSON.
    """
    with extra("lmm"):
        from transformers.utils.hub import cached_file

    found: dict[str, Any] = {}
    for name in _FILES:
        path = cached_file(fspath(folder), name, _raise_exceptions_for_missing_entries=False)
        if path is None:
            continue
        try:
            content = parsed_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise AvrewardError(f"{path}: expected JSON, got another format ({error}); download it again") from error
        found |= content
        for part in _PARTS:
            found |= content.get(part) or {}
    return found
