"""Audiobox Aesthetics: four axes of the aesthetics of speech, music and sound effects (arXiv:2502.05139)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from avreward.media._precision import widened
from avreward.media.rounding import Rounding
from avreward.raters.avbench._audio_cards import AUDIOBOX_SCORES
from avreward.raters.avbench._audiobox_network import AudioboxConfig, AudioboxNetwork, held_name
from avreward.raters.avbench._sound_rater import RATE, SoundRater
from avreward.raters.checkpoints.loading import refuse_options

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

WINDOW = 10 * RATE
AT_ONCE = 8  # windows in one pass of the network, so that an hour of audio fits into memory


class AudioboxRater(SoundRater):
    """Aesthetics of audio on four axes, and AVBench's number, (CE + CU + PQ − PC)/4.

    The axes are content enjoyment (CE), content usefulness (CU), production complexity (PC) and production quality
    (PQ), each about 1 to 10. The network hears windows of ten seconds, the last one padded with zeros; a clip's score
    is their mean, weighted by how much of a window is not padding. Scores are not clipped. Zeros after a short clip
    change its score: the first layer is normalised over the whole window.

    Args:
        module: the network.
        rounding: how samples are rounded to 16 bits; see `avreward.media.rounding`.
        checkpointing: as for `NetworkRater`.

    Example:
        >>> from tiny.avbench_audio import tiny_audiobox
        >>> rater = tiny_audiobox()  # published: load_rater("facebook/audiobox-aesthetics")
        >>> rater([Clip(audio=torch.rand(16000) - 0.5, sample_rate=16000)])["audio_aesthetics"].shape
        torch.Size([1])
    """

    name = "audiobox"
    dimensions = AUDIOBOX_SCORES
    libraries = (*SoundRater.libraries, "transformers")
    module: AudioboxNetwork

    def __init__(
        self, module: AudioboxNetwork, rounding: Rounding = "straight_through", *, checkpointing: Checkpointing = False
    ) -> None:
        super().__init__(self.name, module, rounding, checkpointing=checkpointing)

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        return {"rater": self.name, "network": self.module.config.to_dict(), "options": {}}

    def judged(self, waves: Sequence[Tensor]) -> list[Mapping[str, Tensor]]:
        """Return the scores of each of `waves`."""
        like = next(self.module.parameters())
        pieces = [self.placed(wave).split(WINDOW) for wave in waves]
        lengths = torch.tensor([len(piece) for own in pieces for piece in own], device=like.device)
        windows = [F.pad(piece, (0, WINDOW - len(piece))) for own in pieces for piece in own]
        scores = torch.cat([
            widened(self.module(torch.stack(windows[i : i + AT_ONCE]).to(like.dtype), lengths[i : i + AT_ONCE]))
            for i in range(0, len(windows), AT_ONCE)
        ])  # fmt: skip
        counts = [len(own) for own in pieces]
        found: list[Mapping[str, Tensor]] = []
        for own, share in zip(scores.split(counts), lengths.to(scores).split(counts), strict=True):
            axes = (own * share[:, None]).sum(0) / share.sum()
            values = (avbench_mean(axes), *axes.unbind())
            found.append(dict(zip((d.name for d in self.dimensions), values, strict=True)))
        return found


def avbench_mean(axes: Tensor) -> Tensor:
    """Return AVBench's number, (CE + CU + PQ − PC)/4, of float (4,): CE, CU, PC, PQ.

    >>> avbench_mean(torch.tensor([6.0, 6.0, 2.0, 6.0]))
    tensor(4.)
    """
    ce, cu, pc, pq = axes.unbind()
    return (ce + cu + pq - pc) / 4


def load(folder: Path, config: Mapping[str, Any], loading: Loading) -> AudioboxRater:
    """Return the rater in `folder`, which holds the published files or what `save_pretrained` writes.

    The weights are float32, as in the original, unless `loading` says otherwise.

    Raises:
        ArgumentError: for options of `loading` that this network does not have.
        AvrewardError: for a checkpoint of another system, or with other entries than its sizes ask for.
    """
    from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files

    refuse_options(loading, "Audiobox Aesthetics")
    state = read_weights(weight_files(folder))
    ours = config.get("format") == "avreward"
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    sizes = AudioboxConfig(**config["network"]) if ours else AudioboxConfig.of(shapes, config, folder)
    network = AudioboxNetwork(sizes)
    load_matching(network, state, loading.allow, str if ours else held_name, folder)
    placed = loading.placed(network, torch.float32)
    return AudioboxRater(placed, loading.rounding, checkpointing=loading.checkpointing)  # type: ignore[arg-type]
