"""Load networks of `transformers`; every difference between the file and the model is reported."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.checkpoints._weights import check_complete, listed, not_allowed, read_weights, weight_files
from avreward.raters.checkpoints.loading import Loading, in_memory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_network(name: str, folder: str | PathLike[str], config: Mapping[str, Any], loading: Loading) -> nn.Module:
    """Load the network of class `name` in `transformers`, in its own layout or avreward's, with any adapter merged.

    No remote code runs.

    Args:
        name: such as ``"Qwen2VLForConditionalGeneration"``.
        folder: local folder, or hub name.
        config: its ``config.json``.
        loading: how to load it.

    Raises:
        AvrewardError: if weights are missing or unexpected (unless `loading.allow` names them), or if `transformers`
            can't read the folder.
    """
    with extra("lmm"):
        import transformers

    network_class = getattr(transformers, name)
    arguments: dict[str, Any] = {"dtype": loading.torch_dtype, "attn_implementation": loading.attention}
    if loading.attention == "sdpa":  # the default of transformers, wherever a network supports it
        del arguments["attn_implementation"]
    if config.get("format") == "avreward":
        sizes = network_class.config_class.from_dict(dict(config["network"]))
        arguments |= {"config": sizes, "state_dict": read_weights(weight_files(Path(folder)))}
    if Path(folder).is_dir():
        check_complete(Path(folder))
    where = loading.device_map if loading.device_map is not None else {"": str(loading.torch_device)}
    source = None if "state_dict" in arguments else folder
    try:
        with quiet():  # _check reports the same differences, but shorter
            module, info = network_class.from_pretrained(
                source,
                device_map=where,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # left to _check, too
                trust_remote_code=False,
                **arguments,
            )
    except UnpicklingError as error:
        raise AvrewardError(
            f"{folder}: expected a file of tensors alone, got a pickle with other objects, which isn't safe to read; "
            "convert the weights to safetensors where they were made"
        ) from error
    except torch.OutOfMemoryError:
        raise
    except ImportError as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(
            f"{folder}: the network needs a package that isn't installed ({reason}); install it"
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(f"{folder}: transformers can't load {name} from it ({reason})") from error
    _check(folder, info, loading.allow)
    _zero(in_memory(module), info["missing_keys"])
    return module if loading.adapter is None else with_adapter(module, loading.adapter, loading.allow)


def load_tokenizer(folder: str | PathLike[str], remedy: str = "add its tokenizer.json") -> PreTrainedTokenizerBase:
    """Load the tokenizer in `folder`; `remedy` is what an error says to do.

    Raises:
        AvrewardError: if there is none that can be read.
    """
    with extra("lmm"):
        from transformers import AutoTokenizer

    try:
        with quiet():  # it also reads config.json, and warns about a model type that it doesn't know
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise AvrewardError(
            f"{folder}: expected a tokenizer, got none that can be read ({reason}); {remedy}"
        ) from error


def with_adapter(module: nn.Module, path: str | PathLike[str], allow: Sequence[str] = ()) -> nn.Module:
    """Merge a LoRA adapter into the weights of `module` and return the module.

    Args:
        module: the network.
        path: the folder or hub name of an adapter of `peft`.
        allow: patterns of weights that may be missing or unexpected.

    Raises:
        AvrewardError: if the adapter can't be read, or if its weights don't match its configuration.
    """
    with extra("lmm"):
        from peft import PeftModel

    names = getattr(module, "_checkpoint_conversion_mapping", {})  # adapters made with older releases
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found missing adapter keys")
            wrapped = PeftModel.from_pretrained(module, str(path))
        found = wrapped.load_adapter(str(path), "default", key_mapping=names)  # again: this call reports differences
        problems = listed("missing", not_allowed(found.missing_keys, allow))
        problems += listed("unexpected", not_allowed(found.unexpected_keys, allow))
        if problems:
            raise AvrewardError(f"adapter {path}: {'; '.join(problems)}; was it made for another model?")
        return wrapped.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(f"adapter {path}: can't be merged into this model ({reason})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Let `transformers` log errors only, and show progress on a terminal only."""
    with extra("lmm"):
        from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _zero(module: nn.Module, names: Sequence[str]) -> None:
    """Set the allowed missing weights to zero; otherwise they would be random."""
    weights = module.state_dict(keep_vars=True)
    with torch.no_grad():
        for name in names:
            weights[name].zero_()


def _check(folder: str | PathLike[str], info: Mapping[str, Any], allow: Sequence[str]) -> None:
    """Raise `AvrewardError` for differences that `transformers` found; a different shape can't be allowed."""
    problems = listed("of a different shape", [
        f"{name} {tuple(found)} instead of {tuple(wanted)}" for name, found, wanted in sorted(info["mismatched_keys"])
    ])  # fmt: skip
    problems += listed("missing", not_allowed(info["missing_keys"], allow))
    problems += listed("unexpected", not_allowed(info["unexpected_keys"], allow))
    if problems:
        raise AvrewardError(
            f"{folder}: {'; '.join(problems)}; is it another model? Pass allow=['NAME'] to accept a name"
        )
