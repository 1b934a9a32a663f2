"""Golden cases of AVBench's networks that look at lips and frames."""

from __future__ import annotations

from typing import Any

import torch
from tiny.avbench_video import AESTHETIC, SYNCNET
from torch import Tensor

from avreward.raters.avbench import AestheticNetwork, AestheticRater, FaceTracks, SyncNet, SyncNetRater
from avreward.raters.embedding._frames import Pictures
from versions.inputs import clip, network, opened, scores


def avbench_video_cases() -> dict[str, Any]:
    """SyncNet on the whole frame and on a face that reaches beyond it, a clip that is too short, and aesthetics."""
    face = FaceTracks(least_frames=3, least_side=4)

    def found(frames: Tensor) -> list[Tensor]:
        return [torch.tensor([[4.0, 2.0, 20.0, 18.0]])] * len(frames)

    whole = SyncNetRater(network(SyncNet(SYNCNET)), rounding="none")
    near = SyncNetRater(network(SyncNet(SYNCNET)), found, face, rounding="none")
    clips = [clip(24, 0.96, fps=25), clip(2, 0.1, fps=25)]
    pictures = AestheticRater(network(AestheticNetwork(AESTHETIC)), Pictures((24, 24)), "none")
    return {
        "syncnet": scores(whole, *clips),
        "syncnet, face": scores(near, *clips),
        "siglip_aesthetic": scores(pictures, clip(40), clip(2)),
        "syncnet, file": scores(whole, opened()),
        "siglip_aesthetic, file": scores(pictures, opened()),
    }
