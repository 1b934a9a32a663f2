"""A judge network in the manner of LPIPS: two feature vectors → which is better."""

from __future__ import annotations

from os import PathLike
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from avreward.errors import AvrewardError

SLOPE = 0.2  # of the leaky ReLU for negative inputs, as in LPIPS


class JudgeNetwork(nn.Module):
    """A small perceptron on the features of both and their difference, in both orders, averaged.

    After the judge of LPIPS (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric",
    CVPR 2018, section 3), which sees two distances where this sees two feature vectors, as AIGV-Assessor's third stage
    does. The second pass swaps the two and turns its logits round, so that swapping the arguments swaps win and loss
    exactly. Train it with cross-entropy on `forward`; features should be about 1 in size.

    Args:
        width: of a feature vector.
        hidden: width of the two hidden layers.
        ties: whether a tie is among the outcomes.

    >>> judge = JudgeNetwork(width=4, ties=True)
    >>> one, other = torch.randn(8, 4), torch.randn(8, 4)
    >>> won = torch.zeros(8, dtype=torch.long)  # 0: the first is the better one
    >>> loss = torch.nn.functional.cross_entropy(judge(one, other), won)
    """

    def __init__(self, width: int, hidden: int = 32, ties: bool = False) -> None:
        super().__init__()
        self.width, self.hidden, self.ties = width, hidden, ties
        self.layers = nn.Sequential(
            nn.Linear(3 * width, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, 3 if ties else 2),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Logits (pairs, outcomes) from features (pairs, width) each; the outcomes are win, tie where known, loss."""
        if first.shape != second.shape or first.ndim != 2 or first.shape[1] != self.width:
            shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
            raise AvrewardError(f"first, second: shapes {shapes}; this judge takes (pairs, {self.width}) each")
        return (self._ask(first, second) + self._ask(second, first).flip(-1)) / 2

    def probabilities(self, first: Tensor, second: Tensor) -> Tensor:
        """Probabilities (pairs, 3) of win, tie (0 for a judge without ties) and loss."""
        logits = self(first, second)
        # A softmax rounds differently when turned round, and swapping must change places only.
        found = (logits.softmax(dim=-1) + logits.flip(-1).softmax(dim=-1).flip(-1)) / 2
        return found if self.ties else torch.stack([found[:, 0], torch.zeros_like(found[:, 0]), found[:, 1]], dim=-1)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes weights and sizes to one safetensors file, which `JudgeNetwork.load` reads."""
        sizes = {"width": str(self.width), "hidden": str(self.hidden), "ties": str(int(self.ties))}
        save_file({k: v.detach().contiguous() for k, v in self.state_dict().items()}, path, {"kind": "judge", **sizes})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The judge that `save` wrote, in evaluation mode. `AvrewardError` for a file that holds none."""
        try:
            with safe_open(path, framework="pt") as file:
                sizes = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            judge = cls(int(sizes["width"]), int(sizes["hidden"]), bool(int(sizes["ties"])))
            judge.to(next(iter(state.values())).dtype).load_state_dict(state)
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, StopIteration) as error:
            cause = " ".join(str(error).split())
            raise AvrewardError(f"{path}: holds no judge ({cause}); pass what JudgeNetwork.save wrote") from error
        return judge.eval()

    def extra_repr(self) -> str:
        """Its sizes."""
        return f"width={self.width}, hidden={self.hidden}, ties={self.ties}"

    def _ask(self, first: Tensor, second: Tensor) -> Tensor:
        logits: Tensor = self.layers(torch.cat([first, second, first - second], dim=-1))
        return logits
