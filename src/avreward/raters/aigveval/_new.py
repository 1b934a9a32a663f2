"""A new AIGVEval from public parts: what training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.aigveval._backbone import AigvEvalBackbone
from avreward.raters.aigveval._keys import config_from_official, official_to_ours, ours_to_official
from avreward.raters.aigveval._network import AigvEvalNetwork
from avreward.raters.aigveval._views import AigvEvalViews
from avreward.raters.aigveval.rater import OLD_BUFFERS, AigvEvalRater, vicuna_tokenizer
from avreward.raters.checkpoints._looks import looks_like
from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files
from avreward.raters.encoders.slowfast import SlowFast, slowfast_config
from avreward.raters.encoders.swin3d import DERIVED

POSITIONS = 2000  # frames that have a position
# Beginning of names in public files → that in AIGVEval's.
_BLIP = {"visual_encoder.": "blip.", "vision_model.": "vision."}  # Salesforce's own file; that of transformers
_TECHNICAL = {"technical_backbone.": "swin3d.", "backbone.": "swin3d."}  # DOVER's; Video Swin Transformer's
_SLOWFAST = {f"blocks.{i}.": f"slowfast.feature_extraction.{i}." for i in range(5)}  # the last two classify
_LANGUAGE = {"model.": "llm_model.model.", "lm_head.": "llm_model.lm_head."}


def new_aigveval(
    language: str | PathLike[str],
    blip: str | PathLike[str],
    slowfast: str | PathLike[str],
    technical: str | PathLike[str],
    *,
    seed: int = 0,
    **options: Any,
) -> AigvEvalRater:
    """Return an AIGVEval to be trained: public encoders and language model, new projections between them.

    Excellent counts 5, as in the paper's equation 5; the published checkpoint counts it 1.

    Args:
        language: folder or hub name of Vicuna-7B v1.5, or another Llama.
        blip: file or folder with BLIP's image encoder: the one of ``Salesforce/blip-itm-large-coco`` (`transformers`),
            or Salesforce's own file with ``visual_encoder`` in it.
        slowfast: file of the public ``slowfast_r50``.
        technical: file with a Swin3D-T: of Video Swin Transformer (Kinetics-400), or DOVER's.
        seed: of the projections.
        **options: how the network is put into memory, see `avreward.raters.Loading`.

    Raises:
        ArgumentError: for a file that is not there, or an adapter.
        AvrewardError: if a file is of another network.

    Example:
        >>> rater = new_aigveval(
        ...     "lmsys/vicuna-7b-v1.5", "blip-itm-large-coco", "SLOWFAST_8x8_R50.pyth", "DOVER.pth"
        ... )  # doctest: +SKIP
        >>> rater.save_pretrained("start/aigveval")  # doctest: +SKIP
    """
    from avreward.raters.checkpoints.loading import Loading
    from avreward.raters.hub import folder_of, read_config

    loading = Loading(**options)
    if loading.adapter is not None:
        raise ArgumentError("adapter", "none for a new rater", loading.adapter, "leave it out")
    folder = folder_of(language, loading.revision)
    state = _part(_LANGUAGE, read_weights(weight_files(folder)), "language", folder)
    for name, place, prefixes in (
        ("blip", blip, _BLIP), ("slowfast", slowfast, _SLOWFAST), ("technical", technical, _TECHNICAL)
    ):  # fmt: skip
        found = _part(prefixes, read_weights(_files(name, place)), name, place)
        state |= {ours_to_official(key) if key.startswith("vision.") else key: t for key, t in found.items()}
    config = read_config(folder)
    state |= _projections(state, seed)
    sizes = config_from_official(shapes_of(state), config, "the parts")
    with extra("lmm"):
        from accelerate import init_empty_weights
    with init_empty_weights(include_buffers=False):
        network = AigvEvalNetwork(sizes, loading.attention)
    load_matching(network, state, [*loading.allow, *DERIVED, *OLD_BUFFERS], official_to_ours, "the parts")
    loading.placed(network)
    tokenizer = vicuna_tokenizer(folder, special=True)
    views = AigvEvalViews(side=sizes.vision["image_size"])
    backbone = AigvEvalBackbone(network, tokenizer, loading.rounding, views)
    return AigvEvalRater(backbone, inverted=False, checkpointing=loading.checkpointing)


def _files(name: str, place: str | PathLike[str]) -> list[Path]:
    path = Path(place).expanduser()
    if path.is_dir():
        return weight_files(path)
    if not path.is_file():
        raise ArgumentError(name, "a file or folder with weights", str(path), "check the path")
    return [path]


def _part(prefixes: Mapping[str, str], state: Mapping[str, Tensor], name: str, place: object) -> dict[str, Tensor]:
    """Return the entries of one part under AIGVEval's names; the rest of the file, such as a classifier, is not."""
    state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    used = next((old for old in prefixes if any(key.startswith(old) for key in state)), None)
    if used is None:
        got = looks_like(state)
        raise AvrewardError(f"{name}: {place}: expected entries such as {next(iter(prefixes))}…, got {got}")
    several = name in ("slowfast", "language")
    chosen = prefixes if several else {used: prefixes[used]}
    return {
        new + key.removeprefix(old): tensor
        for key, tensor in state.items()
        for old, new in chosen.items()
        if key.startswith(old)
    }


def shapes_of(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return name → shape."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _projections(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return new projections and positions, as torch starts such layers."""
    width = state["llm_model.model.embed_tokens.weight"].shape[1]
    with torch.device("meta"):
        fast = SlowFast(slowfast_config(shapes_of(state), "slowfast.feature_extraction.")).widths[1]
    technical = state["swin3d.norm.weight"].shape[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts: dict[str, nn.Module] = {
            "finetune_blip_proj": nn.Linear(state["blip.norm.weight"].shape[0], width),
            "slowfast.position_embedding": nn.Embedding(POSITIONS, fast),
            "slowfast_proj": nn.Sequential(nn.Linear(fast, width), nn.GELU(), nn.Linear(width, width)),
            "finetune_proj": nn.Linear(technical, width),
        }
    named = ((f"{part}.{name}", t) for part, module in parts.items() for name, t in module.state_dict().items())
    return {name: tensor.detach() for name, tensor in named}
