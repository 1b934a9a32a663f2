"""Networks of `transformers`, loaded with every difference between the file and the model said aloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from avreward.errors import AvrewardError
from avreward.raters.lmm.loading import Loading
from avreward.raters.lmm.weights import read_weights, weight_files

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_network(name: str, folder: Path, config: Mapping[str, Any], loading: Loading) -> nn.Module:
    """The network of class `name` in `transformers`, from its own layout or from ours, with an adapter merged in.

    No remote code runs. Raises `AvrewardError` that lists missing and unexpected weights, unless `loading.allow` names
    them; and for a folder that `transformers` can't read.
    """
    import transformers

    network_class = getattr(transformers, name)
    arguments: dict[str, Any] = {"dtype": loading.torch_dtype, "attn_implementation": loading.attention}
    if config.get("format") == "avreward":
        sizes = network_class.config_class.from_dict(dict(config["network"]))
        arguments |= {"config": sizes, "state_dict": read_weights(weight_files(folder))}
    where = loading.device_map if loading.device_map is not None else {"": str(loading.torch_device)}
    source = None if "state_dict" in arguments else folder
    try:
        module, info = network_class.from_pretrained(
            source, device_map=where, output_loading_info=True, trust_remote_code=False, **arguments
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(f"{folder}: transformers can't load {name} from it ({reason})") from error
    _check(folder, info, loading.allow)
    return module if loading.adapter is None else with_adapter(module, loading.adapter)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`; raises `AvrewardError` if there is none."""
    from transformers import AutoTokenizer

    try:
        with _quiet():  # it looks at config.json, too, and complains about a model type of which it knows nothing
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise AvrewardError(
            f"{folder}: no tokenizer that can be read ({reason}); expected is tokenizer.json"
        ) from error


def with_adapter(module: nn.Module, path: str) -> nn.Module:
    """`module` with a LoRA adapter (`peft`'s folder or hub name) merged into its weights."""
    from peft import PeftModel

    try:
        wrapped = PeftModel.from_pretrained(module, path)
        return wrapped.merge_and_unload(safe_merge=True)  # type: ignore[operator,no-any-return]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise AvrewardError(f"adapter {path}: can't be merged into this model ({reason})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _check(folder: Path, info: Mapping[str, Any], allow: Sequence[str]) -> None:
    problems = []
    for label in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in info.get(label, ()))
        names = [name for name in names if not any(fnmatchcase(name, pattern) for pattern in allow)]
        if names:
            rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
            problems.append(f"{len(names)} {label.replace('_', ' ')}: {', '.join(names[:8])}{rest}")
    if problems:
        raise AvrewardError(f"{folder}: {'; '.join(problems)}; is it another model? allow=['NAME'] lets a name pass")
