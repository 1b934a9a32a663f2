"""From a difference to win, tie and loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avreward.errors import ArgumentError
from avreward.preferences.models import BradleyTerry, Davidson, RaoKupper

DIFFERENCES = st.lists(st.floats(-700, 700), min_size=1, max_size=8)
MODELS = st.one_of(
    st.builds(BradleyTerry, scale=st.floats(1e-3, 1e3)),
    st.builds(RaoKupper, theta=st.floats(1, 1e6), scale=st.floats(1e-3, 1e3)),
    st.builds(Davidson, nu=st.floats(0, 1e6), scale=st.floats(1e-3, 1e3)),
)


@given(MODELS, DIFFERENCES)
def test_they_are_probabilities(model, differences):
    found = model(torch.tensor(differences, dtype=torch.float64))
    assert found.shape == (len(differences), 3)
    assert (found >= 0).all()
    assert torch.allclose(found.sum(-1), torch.ones(len(differences), dtype=torch.float64), atol=1e-12)


@given(MODELS, DIFFERENCES)
def test_swapping_the_two_swaps_win_and_loss_exactly(model, differences):
    d = torch.tensor(differences, dtype=torch.float64)
    assert torch.equal(model(-d), model(d).flip(-1))


@given(DIFFERENCES, st.floats(0.1, 10))
def test_without_ties_both_are_bradley_terry(differences, scale):
    d = torch.tensor(differences, dtype=torch.float64)
    plain = BradleyTerry(scale)(d)
    assert torch.allclose(RaoKupper(1.0, scale)(d), plain, atol=1e-14)
    assert torch.allclose(Davidson(0.0, scale)(d), plain, atol=1e-14)


def test_the_formulas_of_the_papers():
    better, worse, theta, nu = 3.0, 0.5, 1.7, 0.8
    d = torch.tensor([math.log(better / worse)], dtype=torch.float64)
    assert BradleyTerry()(d)[0, 0].item() == pytest.approx(better / (better + worse))
    win, tie, loss = RaoKupper(theta)(d)[0].tolist()
    assert win == pytest.approx(better / (better + theta * worse))
    assert loss == pytest.approx(worse / (worse + theta * better))
    above = (theta**2 - 1) * better * worse
    assert tie == pytest.approx(above / ((better + theta * worse) * (worse + theta * better)))
    total = better + worse + nu * math.sqrt(better * worse)
    expected = [better / total, nu * math.sqrt(better * worse) / total, worse / total]
    assert Davidson(nu)(d)[0].tolist() == pytest.approx(expected)


def test_equals_tie_as_often_as_the_docstrings_say():
    zero = torch.zeros(1, dtype=torch.float64)
    assert RaoKupper(2.5)(zero)[0, 1].item() == pytest.approx(1.5 / 3.5)
    assert Davidson(2.5)(zero)[0, 1].item() == pytest.approx(2.5 / 4.5)


@pytest.mark.parametrize("model", [RaoKupper(1e12), Davidson(1e12)])
def test_a_large_tie_parameter_leaves_ties_only(model):
    assert model(torch.tensor([2.0], dtype=torch.float64))[0, 1].item() == pytest.approx(1, abs=1e-10)


def test_scale_is_the_unit_of_the_difference():
    d = torch.tensor([-3.0, 0.5, 8.0])
    for model in (BradleyTerry, lambda scale=1.0: RaoKupper(2.0, scale), lambda scale=1.0: Davidson(0.5, scale)):
        assert torch.allclose(model(scale=10.0)(10 * d), model()(d))


@pytest.mark.parametrize("model", [BradleyTerry(2.0), RaoKupper(1.5, 0.5), Davidson(0.7, 3.0), Davidson(0.0)])
def test_gradients(model, check_gradient):
    check_gradient(model, torch.tensor([-4.0, -0.3, 0.0, 0.1, 6.0]))


@pytest.mark.parametrize("model", [BradleyTerry(), RaoKupper(1.0), RaoKupper(2.0), Davidson(0.0), Davidson(1.0)])
def test_far_out_nothing_overflows(model):
    d = torch.tensor([-1e4, 1e4], requires_grad=True)
    found = model(d)
    assert found[0].tolist() == pytest.approx([0, 0, 1])
    (found * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert d.grad.isfinite().all()


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: BradleyTerry(0), "scale: expected a finite number above 0, got 0"),
        (lambda: BradleyTerry("10"), "scale: expected a finite number above 0, got '10'"),
        (lambda: BradleyTerry(math.nan), "scale: expected .*, got nan"),
        (lambda: RaoKupper(0.9), "theta: expected a finite number of 1 or more, got 0.9"),
        (lambda: RaoKupper(2, -1), "scale: expected .* above 0, got -1"),
        (lambda: Davidson(-0.1), "nu: expected .* of 0 or more, got -0.1"),
        (lambda: Davidson(math.inf), "nu: expected .*, got inf"),
    ],
)
def test_bad_parameters_are_named(build, named):
    with pytest.raises(ArgumentError, match=named):
        build()
