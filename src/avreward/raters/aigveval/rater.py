"""AIGVEval (Qi et al., CVPR Workshops 2025, NTIRE): visual quality of generated video, read by a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from avreward._extras import extra
from avreward.errors import ArgumentError
from avreward.raters.aigveval._backbone import AigvEvalBackbone
from avreward.raters.aigveval._card import DIMENSIONS, published_files
from avreward.raters.aigveval._network import AigvEvalConfig, AigvEvalNetwork, Combination, Encoder
from avreward.raters.aigveval._version import VERSION
from avreward.raters.aigveval._views import AigvEvalViews
from avreward.raters.checkpoints.loading import is_number
from avreward.raters.encoders.swin3d import DERIVED
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import LEVEL_WORDS, FiveLevels, first_tokens

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

TEMPERATURE = 100.0
UP, DOWN = (5.0, 4.0, 3.0, 2.0, 1.0), (1.0, 2.0, 3.0, 4.0, 5.0)
OLD_BUFFERS = ("*.rotary_emb.inv_freq",)  # buffers that older releases of transformers saved


class AigvEvalRater(LmmRater):
    """AIGVEval: the expected quality level under a softmax over five words, after all tokens of the video.

    score = Σ values·softmax(logits/100) over excellent, good, fair, poor, bad. The published code, and with it its
    checkpoint, counts excellent as 1 and bad as 5: its training makes up for it, so that higher still is better. With
    the temperature of 100 scores stay near 3 unless logits are large; `mos_curve` and `avreward.raters.calibrated`
    bring them to the scale of opinions.

    Args:
        backbone: the network with its views.
        inverted: count excellent as 1 … bad as 5, as the published checkpoint needs it; `False` is the paper's
            equation 5, for new training.
        temperature: what logits are divided by before the softmax.
        checkpointing: as for `LmmRater`.

    Raises:
        ArgumentError: for a temperature that is not positive.

    Example:
        >>> from tiny.aigveval import tiny_aigveval
        >>> rater = tiny_aigveval()  # published: load_rater("FOLDER") with aigveval.pth in it
        >>> rater([Clip(video=torch.rand(12, 3, 40, 64), fps=8)])["quality"].shape
        torch.Size([1])
    """

    versions = MappingProxyType({**LmmRater.versions, "aigveval": VERSION})

    def __init__(
        self,
        backbone: AigvEvalBackbone,
        *,
        inverted: bool = False,
        temperature: float = TEMPERATURE,
        checkpointing: Checkpointing = False,
    ) -> None:
        if not is_number(temperature) or not temperature > 0:
            raise ArgumentError("temperature", "a positive number", temperature)
        if not isinstance(inverted, bool):
            raise ArgumentError("inverted", "True or False", inverted)
        self.inverted, self.temperature = inverted, float(temperature)
        ids = first_tokens(backbone.tokenizer, "", LEVEL_WORDS)
        values = DOWN if inverted else UP
        readout = FiveLevels(backbone.head, ids, 1.0, 5.0, values, self.temperature)
        question = Question(("quality",), tuple(backbone.chat()), readout)
        super().__init__("aigveval", backbone, [question], DIMENSIONS, checkpointing=checkpointing)
        self.backbone: AigvEvalBackbone = backbone

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        options = {"inverted": self.inverted, "temperature": self.temperature, "views": asdict(self.backbone.views)}
        return {"rater": "aigveval", "network": self.backbone.module.config.to_dict(), "options": options}


def load(
    folder: Path,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    base: str | Path | None = None,
    inverted: bool | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    stale_size: bool | None = None,
    lora_alpha: float | None = None,
    file: str | None = None,
    encoders: Sequence[Encoder] | None = None,
    combination: Combination | None = None,
) -> AigvEvalRater:
    """Return the rater in `folder`, which holds a published checkpoint or what `save_pretrained` writes.

    Args:
        folder: where the checkpoint is.
        config: its ``config.json``; empty if there is none.
        loading: how the network is put into memory.
        base: folder or hub name of Vicuna-7B v1.5, for the tokenizer and ``config.json`` (*optional*: `folder` holds
            them).
        inverted: see `AigvEvalRater` (*optional*, as saved; a published checkpoint is inverted).
        temperature: see `AigvEvalRater` (*optional*, as saved; 100 for a published checkpoint).
        seed: see `AigvEvalViews` (*optional*, as saved).
        stale_size: see `AigvEvalViews` (*optional*, as saved).
        lora_alpha: of the LoRA in a published checkpoint, which no entry shows (*optional*, 16).
        file: which published file, where there are several (*optional*).
        encoders: those that are read, see `AigvEvalConfig` (*optional*, as saved); the others are left out.
        combination: of their tokens, see `AigvEvalConfig` (*optional*, as saved).

    Raises:
        ArgumentError: for a wrong option.
        AvrewardError: for a checkpoint of another system, or with other entries than its sizes ask for.
    """
    with extra("lmm"):
        from accelerate import init_empty_weights

    from avreward.raters.checkpoints._folder import refuse_for_saved
    from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files

    if loading.adapter is not None:
        raise ArgumentError("adapter", "no adapter for AIGVEval, whose checkpoint holds it", loading.adapter)
    place = folder if base is None else _base(base, loading)
    ours = config.get("format") == "avreward"
    saved = config.get("options", {})
    if lora_alpha is not None and not is_number(lora_alpha):
        raise ArgumentError("lora_alpha", "a finite number", lora_alpha)
    if ours:
        refuse_for_saved(folder, lora_alpha=lora_alpha, file=file)
        source, state = folder, read_weights(weight_files(folder))
        sizes, rename = AigvEvalConfig.from_dict(config["network"]), str
    else:
        source, state, sizes, rename = _published(folder, place, 16.0 if lora_alpha is None else lora_alpha, file)
    wanted = replace(
        sizes,
        encoders=sizes.encoders if encoders is None else tuple(encoders),
        combination=combination or sizes.combination,
    )
    with init_empty_weights(include_buffers=False):
        network = AigvEvalNetwork(wanted, loading.attention)
    allowed = [*loading.allow, *DERIVED, *OLD_BUFFERS, *_left_out(sizes, wanted)]
    load_matching(network, state, allowed, rename, source)
    loading.placed(network)
    views = AigvEvalViews(**saved.get("views", {"side": sizes.vision["image_size"]}))
    if seed is not None:
        views = replace(views, seed=seed)
    if stale_size is not None:
        views = replace(views, stale_size=stale_size)
    tokenizer = vicuna_tokenizer(place, special=not ours or base is not None)  # a saved folder's has them
    return AigvEvalRater(
        AigvEvalBackbone(network, tokenizer, loading.rounding, views),
        inverted=saved.get("inverted", not ours) if inverted is None else inverted,
        temperature=saved.get("temperature", TEMPERATURE) if temperature is None else temperature,
        checkpointing=loading.checkpointing,
    )


def vicuna_tokenizer(folder: Path, special: bool) -> PreTrainedTokenizerBase:
    """Return the tokenizer in a folder; `special` adds the tokens that AIGVEval was trained with."""
    from avreward.raters.checkpoints._networks import load_tokenizer

    tokenizer = load_tokenizer(folder, "name the folder of Vicuna-7B v1.5 by base=")
    if special:
        tokenizer.add_special_tokens(
            {"pad_token": "[PAD]", "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>"}
        )
    return tokenizer


def _published(
    folder: Path, place: Path, alpha: float, name: str | None
) -> tuple[Path, dict[str, Tensor], AigvEvalConfig, Any]:
    """Return the file of a published checkpoint, its entries with the LoRA merged, its sizes, and how to rename."""
    from avreward.raters.aigveval._keys import config_from_official, merged, official_to_ours
    from avreward.raters.checkpoints._weights import chosen_file, read_weights
    from avreward.raters.hub import read_config

    file = chosen_file(folder, published_files(folder), "*aigveval*.pth", name)
    state = merged(read_weights([file]), alpha, file)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    return file, state, config_from_official(shapes, read_config(place), file), official_to_ours


def _left_out(sizes: AigvEvalConfig, wanted: AigvEvalConfig) -> list[str]:
    """Return patterns of the entries that the wanted network has no place for."""
    parts = {"semantic": "vision", "motion": "motion", "technical": "technical"}
    gone = [parts[name] for name in sizes.encoders if name not in wanted.encoders]
    patterns = [f"{name}{rest}" for name in gone for rest in (".*", "_projector.*", "_positions.*")]
    fused = sizes.combination == "cross_attention" != wanted.combination
    return [*patterns, *(["fusion.*"] if fused else [])]


def _base(base: str | Path, loading: Loading) -> Path:
    from avreward.raters.hub import folder_of

    return folder_of(base, loading.revision)
