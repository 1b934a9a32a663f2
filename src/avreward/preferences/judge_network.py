"""A judge network similar to that of LPIPS: two feature vectors → which clip is better."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from avreward._whole_files import whole_file
from avreward.errors import ArgumentError, AvrewardError, Described

SLOPE = 0.2  # of the leaky ReLU for negative inputs, as in LPIPS


class JudgeNetwork(nn.Module):
    """A small perceptron on the features of two clips and their difference, averaged over both orders.

    Based on the judge of LPIPS (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric",
    CVPR 2018, section 3), which takes two distances; this one takes two feature vectors, like AIGV-Assessor's third
    stage. A second pass swaps the two clips and reverses its logits, so that swapping the arguments swaps win and loss
    exactly. Train it with cross-entropy on `forward`; features should be on the order of 1.

    Args:
        width: length of a feature vector.
        hidden: width of the two hidden layers.
        ties: whether a tie is a possible outcome.

    Raises:
        ArgumentError: if a width isn't a positive integer.

    Example:
        >>> judge = JudgeNetwork(width=4, ties=True)
        >>> one, other = torch.randn(8, 4), torch.randn(8, 4)
        >>> won = torch.zeros(8, dtype=torch.long)  # 0: the first is the better one
        >>> loss = torch.nn.functional.cross_entropy(judge(one, other), won)
    """

    def __init__(self, width: int, hidden: int = 32, ties: bool = False) -> None:
        super().__init__()
        for name, size in (("width", width), ("hidden", hidden)):
            if not isinstance(size, int) or size < 1:
                raise ArgumentError(name, "a positive integer", size)
        self.width, self.hidden, self.ties = width, hidden, ties
        self.layers = nn.Sequential(
            nn.Linear(3 * width, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, 3 if ties else 2),
        )

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (pairs, outcomes) from features (pairs, width) each.

        The outcomes are win, tie (if `ties`) and loss.

        Args:
            first: features of the first clips (pairs, width).
            second: features of the second clips (pairs, width).

        Raises:
            ArgumentError: if a shape is wrong.
        """
        if first.shape != second.shape or first.ndim != 2 or first.shape[1] != self.width:
            shapes = Described(f"{tuple(first.shape)} and {tuple(second.shape)}")
            raise ArgumentError("first, second", f"features (pairs, {self.width}) each", shapes)
        return (self._ask(first, second) + self._ask(second, first).flip(-1)) / 2

    def probabilities(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the probabilities (pairs, 3) of win, tie (0 for a judge without ties) and loss.

        Args:
            first: features of the first clips (pairs, width).
            second: features of the second clips (pairs, width).
        """
        logits = self(first, second)
        # A softmax rounds differently if its input is reversed, but swapping must only exchange win and loss.
        found = (logits.softmax(dim=-1) + logits.flip(-1).softmax(dim=-1).flip(-1)) / 2
        return found if self.ties else torch.stack([found[:, 0], torch.zeros_like(found[:, 0]), found[:, 1]], dim=-1)

    def save(self, path: str | PathLike[str]) -> None:
        """Save weights and sizes to one safetensors file, which `JudgeNetwork.load` reads."""
        sizes = {"width": str(self.width), "hidden": str(self.hidden), "ties": str(int(self.ties))}
        with whole_file(Path(path)) as part:
            save_file(
                {k: v.detach().contiguous() for k, v in self.state_dict().items()}, part, {"kind": "judge", **sizes}
            )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Load a judge that `save` wrote, in evaluation mode.

        Args:
            path: the safetensors file.

        Raises:
            AvrewardError: if the file can't be read or isn't a judge.
        """
        try:
            with safe_open(path, framework="pt") as file:
                sizes = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            judge = cls(int(sizes["width"]), int(sizes["hidden"]), bool(int(sizes["ties"])))
            judge.to(next(iter(state.values())).dtype).load_state_dict(state)
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError, StopIteration) as error:
            cause = " ".join(str(error).split())
            raise AvrewardError(
                f"{path}: expected a judge, got something else ({cause}); pass a file that JudgeNetwork.save wrote"
            ) from error
        return judge.eval()

    def extra_repr(self) -> str:
        """Return the sizes for the representation."""
        return f"width={self.width}, hidden={self.hidden}, ties={self.ties}"

    def _ask(self, first: Tensor, second: Tensor) -> Tensor:
        logits: Tensor = self.layers(torch.cat([first, second, first - second], dim=-1))
        return logits
