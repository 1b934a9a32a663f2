"""What training and evaluation of AIGVEval take beside its scores: LoRA, and the scale of opinions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from torch import Tensor

from avreward._extras import extra
from avreward.errors import ArgumentError, unknown_name
from avreward.raters.wrappers.calibration_curves import Linear

if TYPE_CHECKING:
    from peft import LoraConfig

Targets = Literal["query_key", "query_value"]
_LETTERS = {"query_key": "qk", "query_value": "qv"}


def aigveval_lora(targets: Targets = "query_key") -> LoraConfig:
    """Return the LoRA that AIGVEval trains its language model with: rank 8, alpha 16, dropout 0.05.

    Args:
        targets: ``"query_key"``, as in the paper's section 4.2, or ``"query_value"``, as in the published code and
            its checkpoint.

    Raises:
        ArgumentError: for other targets.

    Example:
        >>> aigveval_lora("query_value").r
        8
    """
    if targets not in get_args(Targets):
        raise unknown_name("targets", targets, get_args(Targets))
    with extra("lmm"):
        from peft import LoraConfig

    layers = rf".*language\.layers\.\d+\.self_attn\.[{_LETTERS[targets]}]_proj"
    return LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=layers)


def mos_curve(scores: Tensor, mean: float = 2.90869, std: float = 0.62313) -> Linear:
    """Return the line that gives `scores` another mean and deviation: the published code's scale where there are none.

    y = (x − mean of scores)/(deviation of scores)·std + mean, with the population's deviation. The defaults are the
    opinions' of its training set (1 to 5). Pass the result to `avreward.raters.calibrated`.

    Args:
        scores: of all videos that are judged together, (n,), at least two different ones.
        mean: of the opinions.
        std: deviation of the opinions.

    Raises:
        ArgumentError: for scores that do not differ, or a `std` that is not positive.

    Example:
        >>> curve = mos_curve(torch.tensor([2.0, 3.0]), mean=3.0, std=1.0)
        >>> curve(torch.tensor([2.0, 3.0]))
        tensor([2., 4.])
    """
    if not std > 0:
        raise ArgumentError("std", "a positive number", std)
    values = scores.detach().double()
    if values.ndim != 1 or len(values) < 2 or not bool(values.isfinite().all()) or float(values.std()) == 0:
        raise ArgumentError("scores", "finite scores (n,), two of which differ", tuple(values.shape))
    slope = std / float(values.std(correction=0))
    return Linear(slope, mean - slope * float(values.mean()), 1.0, 5.0)
