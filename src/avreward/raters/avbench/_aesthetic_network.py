"""The aesthetic predictor v2.5: SigLIP's vision tower and five linear layers on its unit-length output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.checkpoints._looks import looks_like

HEAD = "scoring_head."
_DROPOUT = (0.5, 0.5, 0.5, 0.2)  # for training alone; they hold the places that the published names count


@dataclass(frozen=True)
class AestheticConfig:
    """Sizes of the network.

    Args:
        vision: those of the vision tower, as ``vision_config`` of `transformers` names them.
        widths: of the head's layers, inputs first.
    """

    vision: Mapping[str, Any]
    widths: tuple[int, ...] = (1152, 1024, 128, 64, 16, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON."""
        return {"vision": dict(self.vision), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> AestheticConfig:
        """Return the configuration that `to_dict` wrote."""
        return cls(sizes["vision"], tuple(sizes["widths"]))


class AestheticNetwork(nn.Module):
    """Vision tower and head; names of the weights are those of the published code."""

    def __init__(self, config: AestheticConfig) -> None:
        with extra("lmm"):
            from transformers import SiglipVisionConfig, SiglipVisionModel

        super().__init__()
        self.config = config
        self.vision_model = SiglipVisionModel(SiglipVisionConfig(**dict(config.vision)))
        self.layers = nn.ModuleDict({"scoring_head": _head(config.widths)})

    def forward(self, frames: Tensor) -> Tensor:
        """Return the score of each frame, (frames,).

        Args:
            frames: float (frames, 3, side, side), normalised as SigLIP's are.
        """
        pooled = self.vision_model(pixel_values=frames).pooler_output
        return self.layers["scoring_head"](pooled / pooled.norm(dim=-1, keepdim=True))[:, 0]


def _head(widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(before, after))
        if place < len(widths) - 2:
            layers.append(nn.Dropout(_DROPOUT[min(place, len(_DROPOUT) - 1)]))
    return nn.Sequential(*layers)


def head_widths(shapes: Mapping[str, tuple[int, ...]], source: object) -> tuple[int, ...]:
    """Return the widths of a head whose entries have these shapes; raise `AvrewardError` for another file.

    >>> head_widths({"scoring_head.0.weight": (8, 4), "scoring_head.2.weight": (1, 8)}, "FILE")
    (4, 8, 1)
    """
    places = sorted(int(name.split(".")[1]) for name in shapes if name.startswith(HEAD) and name.endswith(".weight"))
    found = [shapes[f"{HEAD}{place}.weight"] for place in places]
    if not found or found[-1][0] != 1 or any(one[0] != other[1] for one, other in pairwise(found)):
        raise AvrewardError(
            f"{source}: expected the head of the aesthetic predictor v2.5 ({HEAD}*), got {looks_like(shapes)}; "
            "give aesthetic_predictor_v2_5.pth"
        )
    return (found[0][1], *(shape[0] for shape in found))
