"""Load an AIGV-Assessor: a folder in the original's layout, or what `save_pretrained` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.aigv_assessor import _keys
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.aigv_assessor._card import Range
from avreward.raters.aigv_assessor._network import AssessorConfig, AssessorNetwork, Part
from avreward.raters.aigv_assessor.rater import AigvAssessorRater
from avreward.raters.checkpoints._weights import load_matching, not_allowed, read_weights, shapes, weight_files
from avreward.raters.checkpoints.loading import is_number

if TYPE_CHECKING:
    from avreward.raters.checkpoints.loading import Loading

TOKENIZER_REMEDY = "name another tokenizer's folder by tokenizer=, such as that of OpenGVLab/InternVL2_5-8B-MPO-hf"


def load(
    folder: Path,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    mos_range: Range | None = None,
    lora_scale: float | None = None,
    slowfast: str | PathLike[str] | None = None,
    tokenizer: str | PathLike[str] | None = None,
    encoders: Sequence[Part] | None = None,
) -> AigvAssessorRater:
    """Load the rater in `folder`, which is laid out as the original's training code or `save_pretrained` writes it.

    Args:
        folder: the folder.
        config: its ``config.json``.
        loading: how the network is put into memory.
        mos_range: see `AigvAssessorRater` (*optional*, as saved).
        lora_scale: α/rank of adapters in the original's layout, which are merged (*optional*, 2).
        slowfast: file with the weights of the public ``slowfast_r50``, for a checkpoint without them, or instead
            of its own (*optional*).
        tokenizer: folder or hub name of a tokenizer (*optional*, the checkpoint's own). InternVL2-8B's own needs remote
            code; that of OpenGVLab/InternVL2_5-8B-MPO-hf has the same vocabulary and needs none.
        encoders: see `AssessorConfig` (*optional*, as saved).

    Raises:
        AvrewardError: that says which system the folder looks like, or lists missing and unexpected weights.
    """
    with extra("lmm"):
        from accelerate import init_empty_weights

    from avreward.raters.checkpoints._folder import refuse_for_saved
    from avreward.raters.checkpoints._networks import load_tokenizer

    if loading.adapter is not None:
        raise ArgumentError("adapter", "nothing", loading.adapter, "AIGV-Assessor's own are merged as it is loaded")
    if lora_scale is not None and not is_number(lora_scale):
        raise ArgumentError("lora_scale", "a finite number", lora_scale)
    if config.get("format") == "avreward":
        refuse_for_saved(folder, lora_scale=lora_scale, slowfast=slowfast)
        sizes, state = AssessorConfig.from_dict(config["network"]), read_weights(weight_files(folder))
        allow = tuple(loading.allow)
        mos_range = mos_range or config.get("options", {}).get("mos_range")
    else:
        sizes, state = _original(folder, config, loading.allow, 2.0 if lora_scale is None else lora_scale, slowfast)
        allow = (*loading.allow, *_keys.allowed_by_our_names(loading.allow))
    if encoders is not None:
        sizes = replace(sizes, encoders=tuple(encoders))
    with init_empty_weights(include_buffers=False):
        network = AssessorNetwork(sizes, loading.attention)
    load_state(network, state, allow, folder)
    loading.placed(network)
    backbone = AssessorBackbone(network, load_tokenizer(tokenizer or folder, TOKENIZER_REMEDY), loading.rounding)
    return AigvAssessorRater(backbone, mos_range=mos_range, checkpointing=loading.checkpointing)


def slowfast_file(name: str | PathLike[str]) -> Path:
    """Return the path of a file with SlowFast's weights, with ``~`` expanded.

    Raises:
        ArgumentError: if there is no such file.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        raise ArgumentError("slowfast", "a file with the weights of slowfast_r50", str(path), "check the path")
    return path


def load_state(network: AssessorNetwork, state: Mapping[str, Tensor], allow: Sequence[str], source: object) -> None:
    """Put `state`, which has our names, into `network`; a language model may share its embeddings with its head."""
    words, head = "base.model.language_model.embed_tokens.weight", "base.lm_head.weight"
    state = dict(state)
    tied = bool(network.base.config.tie_word_embeddings)
    if tied:
        found = [state.pop(name) for name in (head, words) if name in state]
        state |= {words: found[-1]} if found else {}
    load_matching(network, state, (*allow, *([head] if tied else [])), source=source)
    if tied:
        network.base.tie_weights()


def _original(
    folder: Path,
    config: Mapping[str, Any],
    allow: Sequence[str],
    lora_scale: float,
    slowfast: str | PathLike[str] | None,
) -> tuple[AssessorConfig, dict[str, Tensor]]:
    """Return sizes and weights, by our names, of a folder in the original's layout."""
    files = weight_files(folder)
    known = shapes(files)
    remedy = "pass a folder of AIGV-Assessor, or start from this one with avreward.raters.aigv_assessor.new_assessor"
    _keys.check_system(known, _keys.ASSESSOR, folder, remedy)
    state = read_weights(files)
    foreign = [name for name in state if not _keys.known(name)]
    state = {name: state[name] for name in state.keys() - (set(foreign) - set(not_allowed(foreign, allow)))}
    scales = dict.fromkeys(("vision_model", "language_model"), lora_scale)
    if slowfast is None:
        if not any(name.startswith(_keys.SLOWFAST) for name in known):
            raise AvrewardError(
                f"{folder}: expected weights of SlowFast, got none; pass slowfast='FILE' (slowfast_r50)"
            )
        sizes = _keys.config_from_original(config, known, _keys.slowfast_sizes(known, _keys.SLOWFAST, folder))
        return sizes, _keys.to_ours(state, sizes, scales, folder)
    motion = read_weights([slowfast_file(slowfast)])
    about = _keys.slowfast_sizes({name: tuple(t.shape) for name, t in motion.items()}, "blocks.", slowfast)
    sizes = _keys.config_from_original(config, known, about)
    return sizes, {**_keys.to_ours(state, sizes, scales, folder), **_keys.slowfast_to_ours(motion)}
