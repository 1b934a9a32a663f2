"""Calibration: curves recovered, order and scale kept, gradients, a rater on the scale of opinions, bad input."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from toy_raters import Toy, both, picture, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.scores import Dimension
from avreward.raters.wrappers._calibrated import calibrated, load_calibrations, save_calibrations
from avreward.raters.wrappers.calibration_curves import Linear, Logistic, calibration_from
from avreward.rewards.calibration import fit_linear, fit_logistic, mos
from avreward.rewards.expression import parse_reward
from avreward.rewards.function_base import states_of
from avreward.rewards.io import load_reward

RISING = Logistic(4.6, 1.4, 52.0, 11.0, low=1.0, high=5.0)
FALLING = Logistic(1.4, 4.6, 52.0, 11.0, low=1.0, high=5.0)
LINE = Linear(0.8, 1.5, low=1.0, high=5.0)
FITS = pytest.mark.parametrize("fit", [fit_linear, fit_logistic])


def scores(n=60, seed=0):
    return 100 * torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noisy(curve, x, sigma=0.3, seed=1):
    noise = torch.randn(len(x), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (curve(x) + sigma * noise).clamp(1, 5)


def test_a_line_is_that_of_least_squares():
    x = scores()
    y = noisy(lambda x: 1 + x / 25, x)
    found = fit_linear(x, y)
    assert [found.a, found.b] == pytest.approx(np.polyfit(x.numpy(), y.numpy(), 1).tolist())
    assert fit_linear([1.0, 2.0, 4.0], [5.0, 4.0, 2.0])(torch.tensor(3.0)).item() == pytest.approx(3.0)


@pytest.mark.parametrize("curve", [RISING, FALLING])
def test_a_logistic_is_recovered(curve):
    x = scores()
    found = fit_logistic(x, curve(x))
    assert found.rising == curve.rising
    for name in ("beta1", "beta2", "beta3", "beta4"):
        assert getattr(found, name) == pytest.approx(getattr(curve, name), rel=1e-4)


@pytest.mark.parametrize("curve", [RISING, FALLING, Logistic(5, 1, 20, 2, 1, 5), Logistic(3.5, 3.0, 80, 25, 1, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_no_start_finds_a_better_curve(curve, seed):
    """SciPy, from the truth and from other starts, without bounds on the scale beyond ours."""
    x = scores(80, seed)
    y = noisy(curve, x, 0.2, seed)
    found = fit_logistic(x, y)

    def plain(x, a, b, c, d):
        return (a - b) / (1 + np.exp(-(x - c) / abs(d))) + b

    least = float((found(x) - y).square().sum())
    truth = [min(curve.beta1, 4.99), max(curve.beta2, 1.01), curve.beta3, curve.beta4]
    for start in (truth, [4.9, 1.1, 50, 25], [1.1, 4.9, 30, 5]):
        bounds = ([1, 1, -300, 0.5], [5, 5, 400, 500])
        with suppress(RuntimeError):  # it doesn't always converge
            betas, _ = curve_fit(plain, x.numpy(), y.numpy(), p0=start, bounds=bounds)
            assert least <= float(((plain(x.numpy(), *betas) - y.numpy()) ** 2).sum()) * (1 + 1e-3)


@settings(max_examples=15)
@given(st.floats(0.001, 1000), st.floats(-1000, 1000))
def test_the_scale_of_the_rater_makes_no_difference(scale, shift):
    x = scores(40)
    y = noisy(RISING, x)
    for fit in (fit_linear, fit_logistic):
        moved = fit(scale * x + shift, y)
        torch.testing.assert_close(moved(scale * x + shift), fit(x, y)(x), rtol=1e-3, atol=1e-3)


@settings(max_examples=25)
@given(st.lists(st.floats(-500, 500), min_size=6, max_size=30), st.integers(0, 1000))
def test_a_curve_keeps_or_turns_the_order_and_stays_on_the_scale(probe, seed):
    x = scores(30, seed)
    found = fit_logistic(x, noisy(RISING, x, 1.0, seed))
    values = found(torch.tensor(sorted(probe), dtype=torch.float64))
    assert (values.diff() * (1 if found.rising else -1) >= 0).all()
    assert (values >= 1 - 1e-9).all()
    assert (values <= 5 + 1e-9).all()


def test_the_scale_may_be_anywhere():
    """On −1000 … −996 the curve is that on 1 … 5, less 1001."""
    x = torch.linspace(0, 100, 24, dtype=torch.float64)
    y = Logistic(4.5, 1.5, 40.0, 9.0, low=1.0, high=5.0)(x)
    moved = fit_logistic(x, y - 1001, low=-1000.0, high=-996.0)
    torch.testing.assert_close(moved(x), y - 1001, rtol=0, atol=1e-3)


def test_a_step_and_a_straight_line_are_fitted_too():
    x = torch.linspace(0, 100, 40, dtype=torch.float64)
    step = torch.where(x < 50, 1.0, 5.0)
    assert (fit_logistic(x, step)(x) - step).abs().mean() < 0.05
    line = 2.5 + x / 100
    assert (fit_logistic(x, line)(x) - line).abs().max() < 0.05


@pytest.mark.parametrize("curve", [RISING, FALLING, LINE])
def test_gradients_and_slopes_are_those_of_finite_differences(curve, check_gradient):
    points = torch.tensor([0.0, 30.0, 52.0, 75.0])
    check_gradient(curve, points)
    x = points.double().requires_grad_()
    curve(x).sum().backward()
    torch.testing.assert_close(x.grad, curve.slope(points.double()))


def test_values_keep_their_type_and_far_scores_are_numbers():
    x = torch.tensor([-1e30, 0.0, 1e30], requires_grad=True)
    found = RISING(x)
    found.sum().backward()
    assert found.dtype == torch.float32
    assert found[[0, 2]].tolist() == pytest.approx([1.4, 4.6])
    assert x.grad.isfinite().all()


@FITS
def test_bad_points_are_errors_that_say_so(fit):
    good = list(range(1, 9))
    with pytest.raises(ArgumentError, match=r"scores: expected at least . clips, got 2"):
        fit([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(ArgumentError, match="scores: expected values that differ, got 3 for all 8 clips"):
        fit([3.0] * 8, [1.0, 2.0] * 4)
    with pytest.raises(ArgumentError, match="mos: expected values that differ, got 4 for all 8 clips"):
        fit(good, [4.0] * 8)
    with pytest.raises(ArgumentError, match="mos: expected finite numbers, got nan at index 1; leave"):
        fit(good, [1.0, float("nan"), *[2.0] * 6])
    with pytest.raises(ArgumentError, match=r"mos: expected values from 1 to 5, got 72; pass"):
        fit(good, [50.0, 60.0, 72.0, 64.0] * 2)
    with pytest.raises(ArgumentError, match=r"mos: expected one value .*, got shape \(3,\) for scores of shape \(8,\)"):
        fit(good, [1.0, 2.0, 3.0])
    assert fit(good, [50.0, 60.0, 72.0, 64.0] * 2, low=0, high=100).high == 100


def test_what_is_flat_or_two_valued_is_an_error():
    with pytest.raises(ArgumentError, match="scores: expected at least 4 different values, got 2; pass"):
        fit_logistic([1.0, 2.0] * 4, [1.0, 2.0] * 4)
    with pytest.raises(ArgumentError, match=r"scores: expected .*, got scores whose best-fitting curve is flat"):
        fit_linear([1.0, 2.0, 3.0], [1.0, 2.0, 1.0])


def test_a_calibrated_reward_is_saved_in_a_folder_and_loaded(tmp_path):
    toy = Toy()
    reward = 0.5 * mos(toy["power"], LINE) + mos(toy["brightness"], RISING)
    again = load_reward(reward.save(tmp_path / "mine"), {"toy": toy})
    assert again == reward
    assert again([both(0.5, 0.25)]) == reward([both(0.5, 0.25)])


def test_a_calibrated_reward():
    toy = Toy()
    curve = Logistic(5.0, 1.0, 0.5, 0.1, low=1.0, high=5.0)
    reward = mos(toy["power"] + toy["brightness"], curve)
    assert reward([both(0.25, 0.25)]).item() == pytest.approx(3.0)
    assert repr(reward) == f"mos(toy.power + toy.brightness, state={reward.state_hash})"
    assert reward.needs == {"audio", "video"}
    again = parse_reward(repr(reward), {"toy": toy}, states_of(reward))
    assert again == reward
    assert again.calibration == curve
    assert mos(toy["power"], LINE) != mos(toy["power"], Linear(0.8, 1.6, 1.0, 5.0))


def test_a_reward_that_people_disagree_with_is_refused():
    with pytest.raises(ArgumentError, match=r"one that falls as toy.power rises; calibrate the negative"):
        mos(Toy()["power"], FALLING)


def test_a_missing_score_is_refused():
    with pytest.raises(
        ArgumentError, match=r"scores: expected a sequence of numbers, got other values \(.*\); leave out"
    ):
        fit_linear([1.0, None, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    "state", [{}, {"cubic": torch.ones(4)}, {"linear": torch.ones(3)}, {"a": torch.ones(1)} | LINE.state]
)
def test_a_state_that_is_no_curve_is_refused(state):
    with pytest.raises(ValueError, match=r"state: expected a linear or logistic curve|linear: expected 4 "):
        calibration_from(state)


def test_a_calibrated_rater_has_levels():
    toy = Toy()
    rater = calibrated(toy, {"toy.power": Linear(4.0, 1.0, 1.0, 5.0)})
    assert rater.dimension("power") == Dimension("power", 1.0, 5.0, frozenset({"audio"}), "MOS", True, True)
    assert rater.dimension("brightness") == toy.dimension("brightness")
    found = rater([sound(0.5), picture(0.5), sound(0.99)])
    assert found["power"][[0, 2]].tolist() == pytest.approx([3.0, 4.96])
    assert found.levels("power") == ["fair", None, "excellent"]
    assert found["brightness"][1] == 0.5
    assert found.reasons == toy([sound(0.5), picture(0.5), sound(0.99)]).reasons
    with pytest.raises(ValueError, match="a calibrated one, which has levels, got 'brightness'"):
        found.levels("brightness")
    assert rater["power"]([sound(0.5)]).item() == pytest.approx(3.0)


def test_the_curves_enter_the_fingerprint():
    toy = Toy()
    names = {calibrated(toy, c).fingerprint for c in ({}, {"power": LINE}, {"peak": LINE}, {"power": RISING})}
    assert len(names | {toy.fingerprint}) == 5


def test_sigma_follows_the_slope():
    class Unsure(Toy):
        def rate(self, samples, work=None):
            found = super().rate(samples, work)
            found.sigma = torch.full_like(found.values, 0.1)
            return found

    found = calibrated(Unsure(), {"power": Logistic(5.0, 1.0, 0.5, 0.1, 1.0, 5.0)})([sound(0.5)])
    assert found.sigma[0, 0].item() == pytest.approx(0.1 * 4.0 / 0.1 / 4)
    assert found.sigma[0, 2].item() == pytest.approx(0.1)


def test_gradients_pass_a_calibrated_rater_and_none_is_spoilt_by_a_missing_score():
    wave = torch.full((1, 64), 0.7, dtype=torch.float64, requires_grad=True)
    rater = calibrated(Toy(), {"power": RISING, "brightness": RISING})
    found = rater([Clip(audio=wave, sample_rate=16000), picture(0.5)])
    found.values[found.present].sum().backward()
    assert wave.grad.isfinite().all()
    assert wave.grad.abs().sum() > 0

    class Given(Toy):
        def rate(self, samples, work=None):
            self.values = super().rate(samples).values.detach().requires_grad_()
            return replace(super().rate(samples), values=self.values)

    given = Given()
    found = calibrated(given, {"power": RISING})([sound(0.5), picture(0.5)])
    found.values[found.present].sum().backward()
    assert given.values.grad.isfinite().all()


def test_a_curve_against_the_dimension_is_refused():
    with pytest.raises(
        ArgumentError, match=r"calibration of power: expected .*, got one that falls though higher is better"
    ):
        calibrated(Toy(), {"power": FALLING})

    class Costly(Toy):
        dimensions = (Dimension("power", 0, 1, frozenset({"audio"}), higher_is_better=False),)

    with pytest.raises(
        ArgumentError, match=r"calibration of power: expected .*, got one that rises though lower is better"
    ):
        calibrated(Costly(), {"power": RISING})
    assert calibrated(Costly(), {"power": FALLING}).dimension("power").higher_is_better
    with pytest.raises(KeyError, match=r"dimension of toy: expected one of power.*got 'loud'"):
        calibrated(Toy(), {"loud": RISING})


def test_curves_are_saved_and_loaded(tmp_path):
    curves = {"power": LINE, "a/b": RISING}
    assert load_calibrations(save_calibrations(curves, tmp_path / "curves.safetensors")) == curves


def test_files_without_curves_are_errors(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(AvrewardError, match=r"nowhere.safetensors: holds no curves"):
        load_calibrations(tmp_path / "nowhere.safetensors")
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(AvrewardError, match=r"other.safetensors: holds no curves"):
        load_calibrations(tmp_path / "other.safetensors")
