"""The sync evaluator (arXiv:2607.09091): Qwen2.5-Omni-3B with one regression head, trained on people's choices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from torch import Tensor, nn

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.group import Group
from avreward.raters.base import Sample, Work
from avreward.raters.lmm.prompt import Encoded, Slot
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import Regression
from avreward.raters.sync._backbone import SyncBackbone
from avreward.raters.sync._card import DIMENSIONS
from avreward.raters.sync._version import VERSION

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

# Verbatim from the published inference code.
SYSTEM = (
    "You will be given a video and an audio, and you need to rate the synchronization between the video and the audio."
)
USER = "This is the video: "
# An answer, then the beginning of another; the line break after it, which the template adds, is dropped.
ANSWER, READ = "SCORE", "<|im_start|>assistant"


class SyncRater(LmmRater):
    """The sync evaluator: how well the audio of a video is synchronized with it, read at the last token of one pass.

    It looks at the first 5 s: 60 frames of 140 × 140 pixels, interleaved with the audio. The score has no fixed scale
    (it was trained on pairs and on rankings of dubs of one video), so compare it between dubs of one video; for a sum
    with other terms, standardize it with `avreward.rewards.zscore`.

    Args:
        backbone: Qwen2.5-Omni's thinker with interleaved tracks.
        head: hidden state → score.
        checkpointing: as for `LmmRater`.

    Raises:
        ArgumentError: for a head with more than one row.

    Example:
        >>> rater = load_rater("qianyijie/avsync-evaluator")  # doctest: +SKIP
        >>> best_of_n(dubs, rater["sync"]).order  # doctest: +SKIP
        (2, 0, 1)
    """

    versions = MappingProxyType({**LmmRater.versions, "sync": VERSION})

    def __init__(self, backbone: SyncBackbone, head: nn.Linear, *, checkpointing: Checkpointing = False) -> None:
        if head.out_features != 1:
            raise ArgumentError("head", "a layer with one row", Described(f"{head.out_features} rows"))
        chat = backbone.chat([USER, Slot("video"), Slot("audio")], [ANSWER], closed=True, system=SYSTEM)
        question = Question(("sync",), (*chat, READ), Regression(head))
        module = nn.ModuleDict({"base": backbone.module, "head": head})
        super().__init__("sync", backbone, [question], DIMENSIONS, checkpointing=checkpointing, module=module)
        self.backbone: SyncBackbone = backbone

    @property
    def origin(self) -> dict[str, Any]:
        """The data besides the weights that `load` needs, as JSON."""
        network = self.backbone.module.config.to_dict()  # type: ignore[union-attr,operator]
        return {"rater": "sync", "network": network, "options": {}}

    def encoded(self, sample: Sample, slot: Slot, work: Work) -> tuple[Hashable, Encoded]:
        """Return a key and the tokens of both tracks in the place of the audio, and nothing in that of the video."""
        if slot.track == "video":
            return "video", []
        (seen, video), (heard, audio) = (super(SyncRater, self).encoded(sample, Slot(t), work) for t in self.tracks)
        return (seen, heard), self.backbone.interleaved(video[0], audio[0])  # type: ignore[arg-type]

    def compare(self, clips: Sequence[Clip] | Group, work: Work | None = None) -> NoReturn:
        """Raise an error: the evaluator was not trained to compare clips in one prompt."""
        remedy = 'compare its scores, with FromReward(rater["sync"])'
        raise ArgumentError("rater", "one that compares clips in one prompt", Described("the sync evaluator"), remedy)


def build_network(config: Any, attention: str | None = None) -> nn.ModuleDict:
    """Return the modules with random weights: ``base``, Qwen2.5-Omni's thinker, and ``head`` with one row."""
    with extra("lmm"):
        from transformers import Qwen2_5OmniThinkerForConditionalGeneration as Thinker

    if attention is not None:
        config._attn_implementation = attention
    return nn.ModuleDict({"base": Thinker(config), "head": nn.Linear(config.text_config.hidden_size, 1)})


def load(folder: Path, config: Mapping[str, Any], loading: Loading, *, base: str | Path | None = None) -> SyncRater:
    """Load the rater from a folder with the published file, or one that `save_pretrained` wrote.

    Args:
        folder: with the checkpoint.
        config: its ``config.json``.
        loading: options of loading the network.
        base: folder or hub name of Qwen2.5-Omni-3B (*optional*: a folder ``base_model``, the folder itself, else the
            hub's), for its sizes and its tokenizer, and for weights that the checkpoint lacks.

    Raises:
        ArgumentError: for `adapter` in `loading`.
        AvrewardError: if a file is missing, or weights are missing or unexpected.
    """
    from avreward.raters.checkpoints._weights import read_weights, weight_files
    from avreward.raters.sync._folder import SyncFolder

    if loading.adapter is not None:
        raise ArgumentError("adapter", "none, as the evaluator is one network", loading.adapter, "leave it out")
    if config.get("format") == "avreward":
        return built(config["network"], read_weights(weight_files(folder)), folder, loading, folder)
    found = SyncFolder.find(folder, base)
    return built(found.sizes, found.state(), found.base, loading, folder)


def built(
    sizes: Mapping[str, Any], state: Mapping[str, Tensor], tokens: Path, loading: Loading, source: Path
) -> SyncRater:
    """Return the rater of sizes, weights by our names and a folder with a tokenizer; `source` is what errors name."""
    with extra("lmm"):
        from accelerate import init_empty_weights
        from transformers import Qwen2_5OmniThinkerConfig

    from avreward.raters.checkpoints._networks import load_tokenizer
    from avreward.raters.checkpoints._weights import load_matching
    from avreward.raters.sync._folder import held_name

    with init_empty_weights(include_buffers=False):
        network = build_network(Qwen2_5OmniThinkerConfig.from_dict(dict(sizes)), loading.attention)
    known = network.state_dict().keys()
    state = {held_name(name, known): weight for name, weight in state.items()}
    load_matching(network, state, (*loading.allow, "base.lm_head.weight"), source=source)  # no score needs the latter
    loading.placed(network)
    backbone = SyncBackbone(network["base"], load_tokenizer(tokens), loading.rounding)
    return SyncRater(backbone, network["head"], checkpointing=loading.checkpointing)  # type: ignore[arg-type]
