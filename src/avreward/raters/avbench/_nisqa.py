"""NISQA v2: quality of speech as people hear it on a telephone line, in five scores (arXiv:2104.09494)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward.errors import ArgumentError, AvrewardError
from avreward.media._precision import widened
from avreward.media.rounding import Rounding
from avreward.raters.avbench._audio_cards import NISQA_FILE, NISQA_SCORES
from avreward.raters.avbench._nisqa_network import NisqaConfig, NisqaNetwork, nisqa_mel
from avreward.raters.avbench._sound_rater import RATE, SoundRater
from avreward.raters.checkpoints.loading import refuse_options

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

_KINDS = {"cnn_model": "adapt", "td": "self_att", "pool": "att"}


class NisqaRater(SoundRater):
    """NISQA's scores of speech: overall quality (MOS), noisiness, discontinuity, coloration, loudness.

    About 1 to 5, not clipped; higher is better in all five (5: no noise, not discontinuous, …). The network hears
    segments of 150 ms every 40 ms, 52 s at most. It was trained on 48 kHz speech; AVBench hands it 16 kHz, which leaves
    its top ten bands empty. It does not know whether there is speech: music gets a score, too.

    Args:
        module: the network.
        sample_rate: sample rate in Hz at which it hears clips; 48000 for the range that it was trained on.
        rounding: how samples are rounded to 16 bits; see `avreward.media.rounding`.
        checkpointing: as for `NetworkRater`.

    Raises:
        ArgumentError: for a `sample_rate` that is not an integer of at least 8000.

    Example:
        >>> from tiny.avbench_audio import tiny_nisqa
        >>> rater = tiny_nisqa()  # published: load_rater("FOLDER") with nisqa.tar in it
        >>> rater([Clip(audio=torch.rand(16000) - 0.5, sample_rate=16000)]).names
        ('speech_quality', 'noisiness', 'discontinuity', 'coloration', 'loudness')
    """

    name = "nisqa"
    dimensions = NISQA_SCORES
    module: NisqaNetwork

    def __init__(
        self,
        module: NisqaNetwork,
        sample_rate: int = RATE,
        rounding: Rounding = "straight_through",
        *,
        checkpointing: Checkpointing = False,
    ) -> None:
        if isinstance(sample_rate, bool) or not isinstance(sample_rate, int) or sample_rate < 8000:
            raise ArgumentError("sample_rate", "an integer of at least 8000, in Hz", sample_rate)
        super().__init__(self.name, module, rounding, checkpointing=checkpointing)
        self.sample_rate = sample_rate

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        return {
            "rater": self.name,
            "network": self.module.config.to_dict(),
            "options": {"sample_rate": self.sample_rate},
        }

    def judged(self, waves: Sequence[Tensor]) -> list[Mapping[str, Tensor]]:
        """Return the five scores of each of `waves`."""
        like = next(self.module.parameters())
        spectrograms = [
            nisqa_mel(self.placed(wave), self.sample_rate, self.module.config).to(like.dtype) for wave in waves
        ]
        names = [dimension.name for dimension in self.dimensions]
        return [dict(zip(names, scores, strict=True)) for scores in widened(self.module(spectrograms))]

    def unusable(self, wave: Tensor) -> str | None:
        """Return why there is no score: silence, or audio that is too short or too long."""
        sizes = self.module.config
        hop = int(sizes.ms_hop_length * self.sample_rate)
        frames = 1 + len(wave) // hop
        seconds = len(wave) / self.sample_rate
        if frames < sizes.ms_seg_length:
            least = (sizes.ms_seg_length - 1) * hop / self.sample_rate
            return f"{seconds:.2f} s of audio are too short for NISQA, which needs {least:.2f} s"
        if -(-(frames - sizes.ms_seg_length + 1) // sizes.ms_seg_hop_length) > sizes.ms_max_segments:
            most = sizes.ms_max_segments * sizes.ms_seg_hop_length * hop / self.sample_rate
            return f"{seconds:.0f} s of audio are too long for NISQA, which reads {most:.0f} s; cut the clip"
        return super().unusable(wave)


def load(folder: Path, config: Mapping[str, Any], loading: Loading, *, sample_rate: int | None = None) -> NisqaRater:
    """Return the rater in `folder`, which holds the published ``nisqa.tar`` or what `save_pretrained` writes.

    The weights are float32 unless `loading` says otherwise.

    Args:
        folder: where the checkpoint is.
        config: its ``config.json``; empty for the published file.
        loading: how the network is put into memory.
        sample_rate: see `NisqaRater` (*optional*, as saved, or AVBench's 16000).

    Raises:
        ArgumentError: for options of `loading` that this network does not have.
        AvrewardError: for a checkpoint of another system or another kind of NISQA.
    """
    from avreward.raters.checkpoints._weights import (
        load_matching,
        read_pickle,
        read_weights,
        state_dict_of,
        weight_files,
    )

    refuse_options(loading, "NISQA")
    if config.get("format") == "avreward":
        source, state, args = folder, read_weights(weight_files(folder)), config["network"]
    else:
        source = folder / NISQA_FILE
        loaded = read_pickle(source)
        state, args = state_dict_of(loaded, source), loaded.get("args", {})
        if other := {name: args[name] for name, kind in _KINDS.items() if args.get(name, kind) != kind}:
            got = ", ".join(f"{name}={kind!r}" for name, kind in other.items())
            raise AvrewardError(f"{source}: expected NISQA v2 with five outputs, got {got}; give the file nisqa.tar")
    network = NisqaNetwork(NisqaConfig.of(args))
    load_matching(network, state, loading.allow, source=source)
    saved = config.get("options", {}).get("sample_rate", RATE)
    hertz = saved if sample_rate is None else sample_rate
    placed = loading.placed(network, torch.float32)
    return NisqaRater(placed, hertz, loading.rounding, checkpointing=loading.checkpointing)  # type: ignore[arg-type]
