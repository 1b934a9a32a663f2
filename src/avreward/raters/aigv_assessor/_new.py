"""A new AIGV-Assessor from a base model: what training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.aigv_assessor import _keys
from avreward.raters.aigv_assessor._backbone import AssessorBackbone
from avreward.raters.aigv_assessor._card import Range
from avreward.raters.aigv_assessor._load import TOKENIZER_REMEDY, load_state, slowfast_file
from avreward.raters.aigv_assessor._network import AssessorConfig, AssessorNetwork, ScoreHead, motion_projector
from avreward.raters.aigv_assessor.rater import AigvAssessorRater
from avreward.raters.checkpoints._looks import looks_like
from avreward.raters.checkpoints._weights import read_weights, shapes, weight_files
from avreward.raters.encoders.slowfast import SlowFast, SlowFastConfig

if TYPE_CHECKING:
    from avreward.raters.checkpoints.loading import Loading


def new_assessor(
    base: str | PathLike[str],
    slowfast: str | PathLike[str],
    *,
    mos_range: Range | None = None,
    tokenizer: str | PathLike[str] | None = None,
    seed: int = 0,
    **options: Any,
) -> AigvAssessorRater:
    """Return an AIGV-Assessor to be trained: a public InternVL, a public SlowFast, a new projector and score head.

    The score head has no ReLU after its last layer, which in the original can end all learning. All weights are frozen
    and the network is in evaluation mode, as in any loaded rater; set ``requires_grad_`` on what is to be trained.

    Args:
        base: folder or hub name of InternVL2, 2.5 or 3, in the form of `transformers` (``…-hf``) or in OpenGVLab's own
            layout with InternLM2, Llama or Qwen2.
        slowfast: file with the weights of ``slowfast_r50``.
        mos_range: lowest and highest mean opinion score of the training data (*optional*).
        tokenizer: folder or hub name of the tokenizer (*optional*, that of `base`).
        seed: of the new weights.
        **options: how the network is put into memory, see `avreward.raters.Loading`.

    Raises:
        AvrewardError: if a folder or file is of another system, or weights are missing.

    Example:
        >>> rater = new_assessor("OpenGVLab/InternVL3-8B-hf", "SLOWFAST_8x8_R50.pyth")  # doctest: +SKIP
        >>> rater.module.motion_mlp.requires_grad_()  # doctest: +SKIP
    """
    with extra("lmm"):
        from accelerate import init_empty_weights

    from avreward.raters.checkpoints._networks import load_tokenizer
    from avreward.raters.checkpoints.loading import Loading
    from avreward.raters.hub import folder_of, read_config

    loading = Loading(**options)
    folder = folder_of(base, loading.revision)
    weights = read_weights([slowfast_file(slowfast)])
    motion = _keys.slowfast_sizes({name: tuple(t.shape) for name, t in weights.items()}, "blocks.", slowfast)
    sizes, state = _base(folder, read_config(folder), motion, loading)
    with init_empty_weights(include_buffers=False):
        network = AssessorNetwork(sizes, loading.attention)
    state |= _keys.slowfast_to_ours(weights) | _new_parts(sizes, seed)
    load_state(network, state, loading.allow, folder)
    loading.placed(network)
    backbone = AssessorBackbone(network, load_tokenizer(tokenizer or folder, TOKENIZER_REMEDY), loading.rounding)
    return AigvAssessorRater(backbone, mos_range=mos_range, checkpointing=loading.checkpointing)


def _base(
    folder: Path, config: Mapping[str, Any], motion: SlowFastConfig, loading: Loading
) -> tuple[AssessorConfig, dict[str, Tensor]]:
    """Return the sizes, and the weights of InternVL by our names."""
    from avreward.raters.checkpoints._networks import load_network

    if config.get("model_type") == "internvl":
        module = load_network("InternVLForConditionalGeneration", folder, config, loading)
        sizes = AssessorConfig(module.config.to_dict(), motion, template="chatml")  # type: ignore[union-attr,operator]
        return sizes, {f"base.{name}": tensor for name, tensor in module.state_dict().items()}
    files = weight_files(folder)
    known = shapes(files)
    if config.get("model_type") != "internvl_chat":
        raise AvrewardError(f"{folder}: expected InternVL, got {looks_like(known)}; name InternVL2, 2.5 or 3")
    _keys.check_system(known, _keys.INTERNVL, folder, "name InternVL2, 2.5 or 3")
    sizes = _keys.config_from_original(config, known, motion, last_relu=False)
    used = {name: t for name, t in read_weights(files).items() if name.startswith(_keys.INTERNVL)}
    return sizes, _keys.to_ours(used, sizes, {"vision_model": 2.0, "language_model": 2.0})


def _new_parts(sizes: AssessorConfig, seed: int) -> dict[str, Tensor]:
    """Return the weights of a new projector and score head, as torch starts such layers."""
    width = sizes.base["text_config"]["hidden_size"]
    with torch.device("meta"):
        features = sum(SlowFast(sizes.motion).widths)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = {"motion_mlp": motion_projector(features, width), "score": ScoreHead(width, sizes.last_relu)}
    return {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}
