"""VideoReward (Liu et al., NeurIPS 2025, arXiv:2501.13918): visual quality, motion quality and text alignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import ArgumentError, Described
from avreward.media.sampling_rules import QwenFrames
from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files
from avreward.raters.lmm._preprocessing import chosen, preprocessing_of
from avreward.raters.lmm.backbones.qwen2_vl import Qwen2Vl
from avreward.raters.lmm.prompt import Prompt, Read, Slot
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import applied
from avreward.raters.video_reward._card import DIMENSIONS
from avreward.raters.video_reward._version import VERSION

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen2VLConfig

    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading


Norms = Mapping[str, tuple[float, float]]

NAMES = ("VQ", "MQ", "TA")
TOKENS = tuple(f"<|{name}_reward|>" for name in NAMES)
NORMS: Norms = MappingProxyType({"VQ": (3.6757, 2.2476), "MQ": (1.1646, 1.3811), "TA": (2.8105, 2.5121)})
"""Mean and standard deviation of the published checkpoint's raw rewards (its ``model_config.json``)."""

# Verbatim: DETAILED_PROMPT_WITH_SPECIAL_TOKEN of prompt_template.py in github.com/KwaiVGI/VideoAlign. It is a text
# file because some of its lines end in spaces.
INSTRUCTION = files(__package__).joinpath("instruction.txt").read_text(encoding="utf-8")

_IN, _OUT = "base.model.language_model.embed_tokens.weight", "base.lm_head.weight"


@dataclass(frozen=True, eq=False)
class RewardTokenHead:
    """A linear head at the reward tokens, each score shifted and scaled; after all three follows their sum.

    Args:
        head: hidden (k, width) → (k, rows): one row that all tokens share (as published), or row i for token i.
        norms: one (mean, standard deviation) a token.

    >>> head = nn.Linear(1, 1, bias=False)
    >>> _ = torch.nn.init.ones_(head.weight)
    >>> RewardTokenHead(head, ((1.0, 2.0), (0.0, 1.0), (0.0, 1.0)))(torch.tensor([[5.0], [1.0], [2.0]])).detach()
    tensor([2., 1., 2., 5.])
    """

    head: nn.Module
    norms: tuple[tuple[float, float], ...]

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return (4,) rewards, or (2,) where only the first two tokens were read."""
        scores = applied(self.head, hidden)
        raw = scores[:, 0] if scores.shape[1] == 1 else scores.diagonal()
        means, deviations = raw.new_tensor(self.norms)[: len(raw)].T
        rewards = (raw - means) / deviations
        return torch.cat([rewards, rewards.sum()[None]]) if len(rewards) == len(self.norms) else rewards


class VideoRewardRater(LmmRater):
    """VideoReward: three rewards from one pass of Qwen2-VL over the video and an instruction with three reward tokens.

    `VQ` and `MQ` need the video only: their tokens come before the prompt, which the model cannot see there. A
    clip without a prompt is read up to the second token, with the same `VQ` and `MQ`. The scores are unbounded.

    Args:
        backbone: Qwen2-VL with `backbone_options`: 2 frames a second, 100352 to 200704 pixels, and positions that
            increase by one, video included.
        head: hidden states → rewards, no bias; one row, or three.
        normalized: standardise with `norms`, as the original does by default; else the rewards are raw.
        norms: mean and standard deviation of each raw reward.
        checkpointing: as for `LmmRater`.

    Raises:
        ArgumentError: for a head with another number of rows, a backbone with positions on three axes, or a tokenizer
            without the reward tokens.

    Example:
        >>> rater = load_rater("KwaiVGI/VideoReward")  # doctest: +SKIP
        >>> rater([Clip.open("generated.mp4", prompt="A red ball rolls.")])["overall"].shape  # doctest: +SKIP
        torch.Size([1])
    """

    versions = MappingProxyType({**LmmRater.versions, "video_reward": VERSION})

    def __init__(
        self,
        backbone: Qwen2Vl,
        head: nn.Linear,
        *,
        normalized: bool = True,
        norms: Norms = NORMS,
        checkpointing: Checkpointing = False,
    ) -> None:
        if head.out_features not in (1, len(NAMES)):
            raise ArgumentError(
                "head", "a layer with one row (shared) or three", Described(f"{head.out_features} rows")
            )
        if not backbone.plain_positions:
            got = Described("one with positions on three axes")
            raise ArgumentError("backbone", "one with plain_positions=True, as in training", got)
        known = backbone.tokenizer.get_vocab()
        absent = [token for token in TOKENS if token not in known]
        if absent:
            remedy = "use the checkpoint's, or add them with `with_tokens`"
            raise ArgumentError(
                "tokenizer", "one with the reward tokens", Described(f"one without {absent[0]}"), remedy
            )
        self.normalized = normalized
        self.norms: Norms = {name: (float(norms[name][0]), float(norms[name][1])) for name in NAMES}
        readout = RewardTokenHead(head, tuple(self.norms.values()) if normalized else ((0.0, 1.0),) * len(NAMES))
        questions = [
            Question((*NAMES, "overall"), _prompt(backbone), readout),
            Question(NAMES[:2], _cut(_prompt(backbone)), readout),
        ]
        module = nn.ModuleDict({"base": backbone.module, "rm_head": head})
        super().__init__("video_reward", backbone, questions, DIMENSIONS, checkpointing=checkpointing, module=module)
        self.backbone: Qwen2Vl = backbone

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what a score may depend on: not the prompt for `VQ` and `MQ`, whose tokens come before it."""
        return super().reads() if dimension is None else self.dimension(dimension).needs

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of preprocessing and of the scale of rewards."""
        return {**super().settings, "norms": repr(dict(self.norms)) if self.normalized else "none"}

    @property
    def origin(self) -> dict[str, Any]:
        """The data besides the weights that `load` needs, as JSON."""
        network = self.backbone.module.config.to_dict()  # type: ignore[union-attr,operator]
        options = {
            "preprocessing": preprocessing_of(self.backbone),
            "normalized": self.normalized,
            "norms": dict(self.norms),
        }
        return {"rater": "video_reward", "network": network, "options": options}


def backbone_options(fps: float = 2.0, min_pixels: int = 100352, max_pixels: int = 200704) -> dict[str, Any]:
    """Return the preprocessing of VideoReward: keyword arguments of `Qwen2Vl`.

    The original passes no position ids, which in `transformers` 4.45 meant 0, 1, 2 … for all tokens on all axes.
    """
    frames = QwenFrames(rate=fps, nearest=True)
    return {"frames": frames, "min_pixels": min_pixels, "max_pixels": max_pixels, "plain_positions": True}


def build_network(config: Qwen2VLConfig, rows: int = 1) -> nn.ModuleDict:
    """Return the modules of a checkpoint with random weights: ``base``, Qwen2-VL, and ``rm_head`` with `rows` rows."""
    with extra("lmm"):
        from transformers import Qwen2VLForConditionalGeneration

    head = nn.Linear(config.text_config.hidden_size, rows, bias=False)  # type: ignore[union-attr]
    return nn.ModuleDict({"base": Qwen2VLForConditionalGeneration(config), "rm_head": head})


def load(
    folder: Path,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    base: str | Path | None = None,
    normalized: bool | None = None,
) -> VideoRewardRater:
    """Load the rater from a folder written by VideoReward's training code or `save_pretrained`.

    Args:
        folder: with the checkpoint.
        config: its ``config.json``.
        loading: options of loading the network.
        base: folder or hub name of the base model (*optional*: a folder ``base_model``, else what
            ``model_config.json`` names). From it come the sizes, the tokenizer where the checkpoint has none, and, for
            an adapter alone, the weights.
        normalized: see `VideoRewardRater` (*optional*: as saved; published folders are normalised if they have an
            ``inference_config``).

    Raises:
        ArgumentError: for `adapter` in `loading`, or `normalized` without statistics.
        AvrewardError: if a file is missing, or weights are missing or unexpected.
    """
    with extra("lmm"):
        from transformers import Qwen2VLConfig

    from avreward.raters.checkpoints._networks import load_tokenizer
    from avreward.raters.video_reward._folder import Published

    if loading.adapter is not None:
        raise ArgumentError(
            "adapter", "none, as VideoReward's own is merged on loading", loading.adapter, "leave it out"
        )
    attention: dict[str, Any] = {"attn_implementation": loading.attention}
    if config.get("format") == "avreward":
        options = config["options"]
        sizes = Qwen2VLConfig.from_dict({**config["network"], **attention})
        state, tokens = read_weights(weight_files(folder)), folder
    else:
        found = Published.find(folder, base)
        options = {
            "preprocessing": backbone_options(**found.preprocessing),
            "norms": found.norms,
            "normalized": found.norms is not None,
        }
        sizes = Qwen2VLConfig.from_pretrained(found.base, **attention)
        state, tokens = found.state(loading.torch_dtype), found.tokenizer
    normalized = options["normalized"] if normalized is None else normalized
    if normalized and options["norms"] is None:
        expected = "False for a folder without inference_config in model_config.json"
        raise ArgumentError("normalized", expected, normalized, f"pass normalized=False for {folder}")
    network = _filled(sizes, state, loading, folder)
    tokenizer = with_tokens(load_tokenizer(tokens))
    backbone = Qwen2Vl(network["base"], tokenizer, loading.rounding, **chosen(Qwen2Vl, options["preprocessing"]))
    return VideoRewardRater(
        backbone,
        network["rm_head"],  # type: ignore[arg-type]
        normalized=normalized,
        norms=options["norms"] or NORMS,
        checkpointing=loading.checkpointing,
    )


def with_tokens(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return `tokenizer` with the three reward tokens added, unless it has them."""
    with extra("lmm"):
        from transformers import AddedToken

    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in TOKENS], special_tokens=True)
    return tokenizer


def _filled(sizes: Qwen2VLConfig, state: Mapping[str, Tensor], loading: Loading, source: Path) -> nn.ModuleDict:
    """Return the network with the weights of `state` and the size of its vocabulary."""
    with extra("lmm"):
        from accelerate import init_empty_weights

    state = dict(state)
    if sizes.tie_word_embeddings:  # one tensor, which files hold under either name
        words = [state.pop(name) for name in (_OUT, _IN) if name in state]
        state |= {_IN: words[-1]} if words else {}
    if _IN in state:
        sizes.text_config.vocab_size = len(state[_IN])  # type: ignore[union-attr]
    rows = len(state["rm_head.weight"]) if "rm_head.weight" in state else 1
    with init_empty_weights(include_buffers=False):
        network = build_network(sizes, rows)
    load_matching(network, state, (*loading.allow, *([_OUT] if sizes.tie_word_embeddings else [])), source=source)
    network["base"].tie_weights()  # type: ignore[operator]
    return loading.placed(network)  # type: ignore[return-value]


def _prompt(backbone: Qwen2Vl) -> Prompt:
    reads, rest = [], INSTRUCTION.replace("{text_prompt}", "{prompt}")
    for token in TOKENS:
        before, rest = rest.split(token)
        reads.append(Read(before + token))
    return tuple(backbone.chat([Slot("video"), *reads, rest]))


def _cut(prompt: Prompt) -> Prompt:
    """Return `prompt` up to its second read, before the clip's prompt."""
    reads = [i for i, part in enumerate(prompt) if isinstance(part, Read)]
    return prompt[: reads[1] + 1]
