"""From scores to rewards where a rater hands over numbers that are not finite, and marks them as present."""

import pytest
import torch
from toy_raters import Toy

from avreward.errors import ArgumentError
from avreward.raters.scores import Scores
from avreward.rewards.base import Reward

BAD = [float("nan"), float("inf"), float("-inf")]


def scores_of(toy: Toy, values: torch.Tensor) -> Scores:
    """Scores as a rater of the user's own may build them: without `Scores.collect`, which filters."""
    return Scores(values, torch.ones_like(values).bool(), [{} for _ in values], toy.dimensions)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("build", [lambda a, b: a + b, lambda a, b: a + 0 * b], ids=["sum", "weight 0"])
def test_a_score_that_is_not_finite_is_missing_and_stays_out_of_the_gradients(bad: float, build) -> None:
    toy = Toy()
    reward: Reward = build(toy["power"], toy["brightness"])
    values = torch.tensor([[0.5, 0.25, 0.0, 0.0], [0.5, bad, 0.0, 0.0]], requires_grad=True)
    found = reward.combine({"toy": scores_of(toy, values)})
    assert found.present.tolist() == [True, False]
    assert found.reasons == [None, f"toy.brightness: the score is {bad}, not a finite number"]
    assert found.values[1].isnan()
    found.values[0].backward()
    assert values.grad.isfinite().all()
    assert values.grad[1].tolist() == [0.0] * 4


def test_a_bad_score_of_another_dimension_does_not_matter() -> None:
    toy = Toy()
    found = toy["power"].combine({"toy": scores_of(toy, torch.tensor([[0.5, float("nan"), 0.0, 0.0]]))})
    assert found.present.tolist() == [True]
    assert found.values.tolist() == [0.5]


def test_scores_of_another_rater_are_refused_by_name() -> None:
    toy = Toy()
    with pytest.raises(ArgumentError, match=r"scores: expected scores by toy, got those of other; pass"):
        toy["power"].combine({"other": scores_of(Toy("other"), torch.zeros(1, 4))})
