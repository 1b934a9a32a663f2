"""DF Arena: the probability that speech is real and not generated (arXiv:2603.06164), AVBench's speech realism."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward.media._precision import widened
from avreward.media.rounding import Rounding
from avreward.raters.avbench._audio_cards import REALISM
from avreward.raters.avbench._df_arena_network import DfArenaConfig, DfArenaNetwork, held_name
from avreward.raters.avbench._sound_rater import SoundRater
from avreward.raters.checkpoints.loading import refuse_options

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

SAMPLES = 64600
"""How much of a clip is heard: its first 4.04 s."""
_BONA_FIDE = 1


class DfArenaRater(SoundRater):
    """Probability that the speech is real (bona fide), as a detector of generated speech sees it.

    The network hears the first 4.04 s; a shorter clip is repeated until it is as long. Levels are not normalised. It
    does not know whether there is speech: music gets a score, too.

    Args:
        module: the network.
        rounding: how samples are rounded to 16 bits; see `avreward.media.rounding`.
        checkpointing: as for `NetworkRater`.

    Example:
        >>> from tiny.avbench_audio import tiny_df_arena
        >>> rater = tiny_df_arena()  # published: load_rater("Speech-Arena-2025/DF_Arena_1B_V_1")
        >>> rater([Clip(audio=torch.rand(16000) - 0.5, sample_rate=16000)])["speech_realism"].shape
        torch.Size([1])
    """

    name = "df_arena"
    dimensions = REALISM
    libraries = (*SoundRater.libraries, "transformers")
    module: DfArenaNetwork

    def __init__(
        self, module: DfArenaNetwork, rounding: Rounding = "straight_through", *, checkpointing: Checkpointing = False
    ) -> None:
        super().__init__(self.name, module, rounding, checkpointing=checkpointing)

    @property
    def settings(self) -> Mapping[str, str]:
        """Sample rate, rounding, precision, and which state of the last layer is read."""
        return {**super().settings, "final norm": str(self.module.config.final_norm)}

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        return {"rater": self.name, "network": self.module.config.to_dict(), "options": {}}

    def judged(self, waves: Sequence[Tensor]) -> list[Mapping[str, Tensor]]:
        """Return the probability of each of `waves`."""
        like = next(self.module.parameters())
        heard = torch.stack([repeated(self.placed(wave)) for wave in waves]).to(like.dtype)
        probabilities = widened(self.module(heard)).softmax(-1)[:, _BONA_FIDE]
        return [{self.dimensions[0].name: probability} for probability in probabilities]

    def unusable(self, wave: Tensor) -> str | None:
        """Return why there is no score: silence in what is heard."""
        silent = super().unusable(wave[:SAMPLES])
        return silent and silent.replace("throughout", f"throughout the {SAMPLES / self.sample_rate:.2f} s heard")


def repeated(wave: Tensor, samples: int = SAMPLES) -> Tensor:
    """Return the first `samples` of `wave`, which is repeated from the start if it is shorter.

    >>> repeated(torch.arange(3), 7)
    tensor([0, 1, 2, 0, 1, 2, 0])
    """
    return wave.repeat(-(-samples // len(wave)))[:samples]


def load(folder: Path, config: Mapping[str, Any], loading: Loading, *, final_norm: bool | None = None) -> DfArenaRater:
    """Return the rater in `folder`, which holds the published files or what `save_pretrained` writes.

    The published repository holds code of its own, which is not run. The weights are float32 unless `loading` says
    otherwise. XLS-R has 16 attention heads unless ``config.json`` says otherwise (`num_attention_heads`).

    Args:
        folder: where the checkpoint is.
        config: its ``config.json``.
        loading: how the network is put into memory.
        final_norm: see `DfArenaConfig` (*optional*, as saved, or `True`); `False` gives what the published code gives
            under transformers 5.

    Raises:
        ArgumentError: for options of `loading` that this network does not have.
        AvrewardError: for a checkpoint of another system, or with other entries than its sizes ask for.
    """
    from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files

    refuse_options(loading, "DF Arena")
    state = read_weights(weight_files(folder))
    if config.get("format") == "avreward":
        sizes = DfArenaConfig.from_dict(config["network"])
    else:
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        sizes = DfArenaConfig.of(shapes, config.get("num_attention_heads", DfArenaConfig.heads), folder)
    if final_norm is not None:
        sizes = replace(sizes, final_norm=final_norm)
    with torch.device("meta"):
        network = DfArenaNetwork(sizes)
    load_matching(network, state, [*loading.allow, "*masked_spec_embed"], held_name, folder)
    placed = loading.placed(network, torch.float32)
    return DfArenaRater(placed, loading.rounding, checkpointing=loading.checkpointing)  # type: ignore[arg-type]
