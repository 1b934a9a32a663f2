"""The model of P.910, plain means, rejection and bias removal give the reference values."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from avreward.datasets import Ratings, fit_p910, mean_opinion_scores, reject_bt500
from avreward.datasets.subjective.rejection import reject_by_correlation

LEVEL = 2 * float(stats.norm.cdf(1.95996)) - 1  # the reference rounds the quantile of 95 %


def ratings_of(rows: list) -> Ratings:
    return Ratings.from_array(np.array(rows, dtype=float))  # null becomes NaN


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


@pytest.mark.golden(case="p910_mos")
def test_p910_as_the_reference(golden) -> None:
    for case in golden.data["cases"]:
        fit, stated = fit_p910(ratings_of(case["ratings"])), case["p910"]
        low, high = fit.mos_interval()
        bias_low, bias_high = fit.bias_interval()
        spread_low, spread_high = fit.inconsistency_interval()
        older = fit.std_by_people
        found = {
            "mos_j": fit.mos,
            "sos_j": fit.std,
            "bias_i": fit.bias,
            "inconsistency_i": fit.inconsistency,
            "mos_ci95_half": (high - low) / 2,
            "bias_ci95_half": (bias_high - bias_low) / 2,
            "inconsistency_ci95_below": fit.inconsistency - spread_low,
            "inconsistency_ci95_above": spread_high - fit.inconsistency,
        }
        for name, values in found.items():
            golden.close(values.tolist(), stated[name], atol=1e-5)
        golden.close(older.tolist(), case["p910_first_variant"]["mos_std"], atol=1e-5)
        golden.at_most(abs(fit.iterations - stated["iterations"]), 1, "within 1")
        for name, value in (("loglikelihood_per_rating", fit.log_likelihood), ("aic", fit.aic), ("bic", fit.bic)):
            if stated[name] is None:
                assert math.isnan(value)
            else:
                golden.close(value, stated[name], atol=1e-5)


@pytest.mark.golden(case="p910_mos")
def test_repeated_ratings(golden) -> None:
    stated = golden.data["repetitions"]
    fit = fit_p910(ratings_of(stated["ratings"]))
    golden.close(fit.mos.tolist(), stated["p910"]["mos_j"], atol=1e-5)
    golden.close(fit.std.tolist(), stated["p910"]["sos_j"], atol=1e-5)
    golden.close(fit.bias.tolist(), stated["p910"]["bias_i"], atol=1e-5)
    golden.close(fit.inconsistency.tolist(), stated["p910"]["inconsistency_i"], atol=1e-5)


@pytest.mark.golden(case="p910_mos")
def test_means_rejection_and_bias_as_the_reference(golden) -> None:
    for case in golden.data["cases"]:
        ratings = ratings_of(case["ratings"])
        rejection = reject_bt500(ratings, literal=True)
        kept = ratings.kept(~rejection.rejected[ratings.person])
        for of, method, name in (
            (ratings, "mean", "mos"),
            (kept, "mean", "bt500"),
            (ratings, "bias_removed", "p913_bias_removed"),
        ):
            found = mean_opinion_scores(of, method, level=LEVEL)
            golden.close(found.mos.tolist(), case[name]["mos"], atol=1e-6)
            golden.close(((found.high - found.low) / 2).tolist(), case[name]["ci95_half"], atol=1e-6)
        golden.same(rejection.rejected.tolist(), case["bt500"]["rejected"])
        golden.close(rejection.outside.tolist(), case["bt500"]["ratio_outside"], atol=1e-6)
        asymmetry = [None if math.isnan(one) else one for one in rejection.asymmetry]
        assert [one is None for one in asymmetry] == [one is None for one in case["bt500"]["asymmetry"]]
        golden.close([one or 0 for one in asymmetry], [one or 0 for one in case["bt500"]["asymmetry"]], atol=1e-6)
        if (stated := case["p913_correlation_rejection"]) is not None:
            golden.same(reject_by_correlation(ratings).rejected.tolist(), stated["rejected"])


def test_the_likelihood_is_at_a_maximum() -> None:
    generator = np.random.default_rng(0)
    truth, bias = generator.normal(3, 1, 40), generator.normal(0, 0.5, 24)
    noise = generator.normal(0, 1, (40, 24)) * np.linspace(1, 1.5, 24)
    table = truth[:, None] + bias + noise
    fit = fit_p910(Ratings.from_array(table))

    def likelihood(mos: np.ndarray, own: np.ndarray, spread: np.ndarray) -> float:
        away = (table - mos[:, None] - own) / spread
        return float((-0.5 * away**2 - np.log(spread)).sum())

    best = likelihood(fit.mos, fit.bias, fit.inconsistency)
    for step in (-0.02, 0.02):
        for at in range(24):
            moved = np.eye(24)[at] * step
            assert likelihood(fit.mos, fit.bias + moved, fit.inconsistency) < best
            assert likelihood(fit.mos, fit.bias, fit.inconsistency + moved) < best
        assert likelihood(fit.mos + np.eye(40)[3] * step, fit.bias, fit.inconsistency) < best
    assert abs(fit.bias.sum()) < 1e-9
