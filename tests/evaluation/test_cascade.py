"""Calibration of cascades: the stated risk holds over many calibrations, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from toy_raters import Toy, sound

from avreward.errors import ArgumentError, AvrewardError
from avreward.evaluation._risk_bounds import fewest_groups, risk_p_value
from avreward.evaluation.cascade import calibrate_cascade, cascade_rule, group_losses
from avreward.raters.scores import Dimension, Scores

AUDIO = frozenset({"audio"})
CLIPS = 4  # a group


class Peak(Toy):
    dimensions = (Dimension("peak", 0, 1, AUDIO),)


class Lowest(Toy):
    dimensions = (Dimension("power", 0, 1, AUDIO, higher_is_better=False),)


def scores(values, dimension, sigma=None):
    table = torch.tensor(values, dtype=torch.float64)[:, None]
    spread = None if sigma is None else torch.tensor(sigma, dtype=torch.float64)[:, None]
    return Scores(table, torch.ones_like(table, dtype=torch.bool), [{} for _ in values], (dimension,), sigma=spread)


def drawn(random, groups, with_sigma, noise=0.7):
    """Expensive and cheap scores of groups; the cheap rater knows where it is unsure, if asked for."""
    level = random.normal(size=(groups, 1))
    truth = (level + random.normal(size=(groups, CLIPS))).ravel()
    size = np.exp(random.normal(size=truth.shape)) * 0.3 if with_sigma else np.full(truth.shape, noise)
    return truth + size * random.normal(size=truth.shape), truth, (size if with_sigma else None)


def fitted(random, groups, decision, with_sigma, risk, **options):
    cheap, truth, sigma = drawn(random, groups, with_sigma)
    toy, slow = Toy("quick"), Peak("slow")
    names = np.repeat(np.arange(groups), CLIPS).tolist()
    return cascade_rule((toy, "power"), (slow, "peak"), scores(cheap, toy.dimensions[0], sigma),
                        scores(truth, slow.dimensions[0]), names, decision=decision, risk=risk, **options)  # fmt: skip


def risk_of(rule, cheap, truth, sigma):
    read = cheap if rule.reads == "score" else sigma
    asked = (read >= rule.low) & (read <= rule.high)
    made = np.where(asked, truth, rule.slope * cheap + rule.intercept)
    group = np.repeat(np.arange(len(truth) // CLIPS), CLIPS)
    return group_losses(made, truth, group, rule.decision).mean(), asked.mean()


@pytest.mark.parametrize(("decision", "with_sigma"), [("best", False), ("best", True), ("pairs", False)])
def test_the_risk_holds_in_as_many_calibrations_as_stated(decision, with_sigma):
    random = np.random.default_rng(3)
    population = drawn(random, 800, with_sigma)
    runs, risk, confidence, broken, shares = 60, 0.1, 0.9, 0, []
    for run in range(runs):
        rule = fitted(random, 120, decision, with_sigma, risk, confidence=confidence, seed=run)
        found, asked = risk_of(rule, *population)
        broken += found > risk
        shares.append(asked)
    # as many failures as this would be rare if each had a probability of 1 - confidence
    assert broken <= stats.binom.ppf(0.999, runs, 1 - confidence)
    assert np.mean(shares) < 0.9  # and it saves something


def test_the_p_value_is_exact_for_yes_and_no_and_holds_for_shares():
    assert risk_p_value(np.array([1.0, 0.0, 0.0]), 0.5, yes_or_no=True) == pytest.approx(0.5)
    assert risk_p_value(np.zeros(10), 0.2, yes_or_no=True) == pytest.approx(0.8**10)
    assert risk_p_value(np.full(10, 0.3), 0.2, yes_or_no=False) == 1.0
    random = np.random.default_rng(0)
    drawn = (random.beta(0.2, 1.8, 80) for _ in range(400))  # a mean of just 0.1
    small = sum(risk_p_value(losses, 0.1, yes_or_no=False) <= 0.1 for losses in drawn)
    assert small <= stats.binom.ppf(0.999, 400, 0.1)
    assert fewest_groups(0.1, 0.95) == 29
    assert 0.9**28 > 0.05 >= 0.9**29
    assert fewest_groups(1e-20, 0.95) > 10**15


def test_the_test_of_a_risk_is_not_chosen_by_the_losses():
    losses = np.repeat([1.0, 0.0], [3, 97])
    exact, bound = (risk_p_value(losses, 0.1, yes_or_no=known) for known in (True, False))
    assert exact == pytest.approx(stats.binom.cdf(3, 100, 0.1))
    assert bound > exact


def test_losses_of_groups():
    made, truth = np.array([1.0, 2.0, 3.0, 5.0, 4.0]), np.array([1.0, 3.0, 2.0, 1.0, 1.0])
    group = np.array([0, 0, 0, 1, 1])
    assert group_losses(made, truth, group, "best").tolist() == [1.0, 0.0]  # of equal clips any is the best
    assert group_losses(made, truth, group, "pairs").tolist() == pytest.approx([1 / 3, 0.0])


def test_a_calibrated_cascade_rates_clips():
    random = np.random.default_rng(0)
    levels = random.uniform(0.05, 0.9, 50 * 2)
    rater = calibrate_cascade((Toy("quick"), "power"), (Peak("slow"), "peak"), [sound(x) for x in levels],
                              np.repeat(np.arange(50), 2).tolist())  # fmt: skip
    assert rater.rule.asked < 0.1  # the peak follows from the power
    found = rater([sound(0.25), sound(0.5)])
    assert found["asked"].tolist() == [0, 0]
    assert found["peak"][0] < found["peak"][1]


def test_where_lower_is_better_the_low_scores_are_checked():
    random = np.random.default_rng(1)
    cheap, truth, _ = drawn(random, 150, False)
    low, slow = Lowest("quick"), Peak("slow")
    names = np.repeat(np.arange(150), CLIPS).tolist()
    arguments = (low, "power"), (slow, "peak")
    rule = cascade_rule(*arguments, scores(-cheap, low.dimensions[0]), scores(truth, slow.dimensions[0]), names)
    same = cascade_rule((Toy("quick"), "power"), (slow, "peak"), scores(cheap, Toy.dimensions[0]),
                        scores(truth, slow.dimensions[0]), names)  # fmt: skip
    assert (rule.high, rule.slope, rule.intercept) == pytest.approx((-same.low, -same.slope, same.intercept))
    assert rule.low == -np.inf


def test_what_is_refused():
    random = np.random.default_rng(0)
    toy, slow = Toy("quick"), Peak("slow")
    with pytest.raises(
        ArgumentError, match=r"groups: expected at least 44 groups of two rated clips or more, .* got 12"
    ):
        fitted(random, 12, "best", False, 0.1)
    with pytest.raises(ArgumentError, match="got none; rate more groups"):
        calibrate_cascade((toy, "power"), (slow, "peak"), [], [])
    with pytest.raises(ArgumentError, match="another rater than the cheap one"):
        calibrate_cascade((toy, "power"), (toy, "peak"), [], [])
    with pytest.raises(ArgumentError, match="risk: expected a number between 0 and 1"):
        fitted(random, 120, "best", False, 1.5)
    with pytest.raises(ArgumentError, match="decision: expected one of best, pairs"):
        fitted(random, 120, "worst", False, 0.1)
    names = np.repeat(np.arange(100), CLIPS).tolist()
    _, truth, _ = drawn(random, 100, False)
    both = scores(-truth, toy.dimensions[0]), scores(truth, slow.dimensions[0])
    with pytest.raises(AvrewardError, match=r"expected scores of quick\.power that rise with slow\.peak"):
        cascade_rule((toy, "power"), (slow, "peak"), *both, names)
    names = np.repeat(np.arange(240), CLIPS).tolist()
    _, truth, _ = drawn(random, 240, False)
    loose = scores(truth + 6 * random.normal(size=len(truth)), toy.dimensions[0]), scores(truth, slow.dimensions[0])
    with pytest.raises(AvrewardError, match="accept a larger risk, or use slow alone"):
        cascade_rule((toy, "power"), (slow, "peak"), *loose, names, risk=0.02)


def test_settings_that_cannot_be_used_are_refused_before_rating():
    random = np.random.default_rng(0)
    for wrong in ({"risk": "0.1"}, {"risk": 10**400}, {"confidence": None}, {"seed": -1}, {"seed": 0.5}):
        with pytest.raises(ArgumentError, match=f"{next(iter(wrong))}: expected "):
            fitted(random, 120, "best", False, **{"risk": 0.1, **wrong})
    quick = Toy("quick")
    with pytest.raises(ArgumentError, match="seed: expected "):
        calibrate_cascade((quick, "power"), (Peak("slow"), "peak"), [sound(0.1)] * 100, [0, 1] * 50, seed=-1)
    assert not quick.calls
    with pytest.raises(ArgumentError, match="groups: expected at least"):
        fitted(random, 120, "best", False, 1e-20)
    rule = fitted(random, 120, "best", False, np.float64(0.2), confidence=np.float32(0.9))
    assert {type(value) for value in rule.record.values()} <= {float, int, str, list}


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_without_any_known_sigma_the_score_is_read(unknown):
    random = np.random.default_rng(0)
    cheap, truth, _ = drawn(random, 120, False, 0.3)
    toy, slow, names = Toy("quick"), Peak("slow"), np.repeat(np.arange(120), CLIPS).tolist()
    second = scores(truth, slow.dimensions[0])
    given = scores(cheap, toy.dimensions[0], np.full(len(cheap), unknown)), scores(cheap, toy.dimensions[0])
    found, same = (cascade_rule((toy, "power"), (slow, "peak"), first, second, names) for first in given)
    assert found == same
    assert found.reads == "score"


def test_equal_sigmas_give_no_cascade_that_always_asks():
    random = np.random.default_rng(0)
    cheap, truth, _ = drawn(random, 120, False)
    toy, slow, names = Toy("quick"), Peak("slow"), np.repeat(np.arange(120), CLIPS).tolist()
    first = scores(cheap, toy.dimensions[0], np.full(len(cheap), 0.7))
    with pytest.raises(AvrewardError, match="accept a larger risk, or use slow alone"):
        cascade_rule((toy, "power"), (slow, "peak"), first, scores(truth, slow.dimensions[0]), names)
