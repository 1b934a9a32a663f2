"""The comparison that tells most, the end of asking, and intervals that hold."""

import numpy as np
import pytest
from adaptive_pairs import covers, strengths, votes_needed

from avreward.errors import ArgumentError
from avreward.preferences import fit_strengths
from avreward.studies import known_order


def ask_at_random(truth, generator, votes):
    """What so many votes on random pairs say."""
    pairs = [generator.choice(len(truth), 2, replace=False) for _ in range(votes)]
    won = [float(generator.random() < 1 / (1 + np.exp(truth[j] - truth[i]))) for i, j in pairs]
    return known_order(range(len(truth)), [int(i) for i, _ in pairs], [int(j) for _, j in pairs], won)


def test_an_order_of_16_is_fixed_with_60_percent_of_the_votes_of_random_pairs():
    generator = np.random.default_rng(0)
    truth = strengths("gaps of 1", generator)
    found, votes = votes_needed(truth, generator, adaptive=True)
    assert found.order == tuple(np.argsort(-truth))
    assert found.share == 1
    assert votes < 800
    for more in (int(votes / 0.6), 2 * votes):
        assert ask_at_random(truth, generator, more).share < 1


@pytest.mark.slow
def test_intervals_hold_where_votes_decided_what_was_asked():
    hold = []
    for seed in range(12):
        generator = np.random.default_rng(100 + seed)
        truth = strengths("gaps of 1", generator)
        hold.append(covers(votes_needed(truth, generator, adaptive=True)[0], truth))
    assert np.mean(hold) > 0.85


def test_many_votes_give_the_strengths_of_bradley_and_terry():
    rng = np.random.default_rng(0)
    truth = np.array([1.0, 0.2, -0.3, -0.9])
    pairs = [(i, j) for i in range(4) for j in range(i)] * 300
    won = [float(rng.random() < 1 / (1 + np.exp(truth[j] - truth[i]))) for i, j in pairs]
    ours = known_order(range(4), *zip(*pairs, strict=True), won)
    theirs = fit_strengths(range(4), *zip(*pairs, strict=True), won)
    assert ours.values == pytest.approx(theirs.values.numpy(), abs=0.02)
    assert np.sqrt(ours.covariance.diagonal()) == pytest.approx(theirs.sigma.numpy(), rel=0.05)
    assert ours.covariance.sum() == pytest.approx(0, abs=1e-9)


def test_the_pair_next_to_each_other_that_is_least_known_comes_first():
    first, second = "ab" * 30 + "bc" * 2, "ba" * 30 + "cb" * 2
    outcome = [1, 0] * 30 + [1, 0] * 2  # a beats b always; b beats c, but hardly asked
    found = known_order("abc", first, second, outcome)
    assert found.order == ("a", "b", "c")
    worth = found.worth_asking()
    assert max(worth, key=worth.get) == (1, 2)
    assert (0, 1) not in worth
    assert found.regret([1], [2]) == pytest.approx(found.regret([2], [1]))


def test_items_that_are_alike_are_settled_as_such():
    found = known_order("ab", "a" * 400, "b" * 400, [1, 0] * 200)
    assert found.settled() == [True]
    assert found.worth_asking() == {}
    ties = known_order("ab", "a" * 400, "b" * 400, [0.5] * 400)
    assert ties.values == pytest.approx(found.values, abs=1e-6)
    assert known_order("ab", "a" * 4, "b" * 4, [1, 0] * 2).settled() == [False]


def test_an_item_that_always_wins_has_a_finite_strength():
    found = known_order("abc", "aaaaaaaa", "bcbcbcbc", [1] * 8)
    assert np.isfinite(found.values).all()
    low, high = found.interval()
    assert (low < found.values).all()
    assert (found.values < high).all()


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="certainty: expected a probability"):
        known_order("ab", certainty=0.5)
    with pytest.raises(ArgumentError, match="at least two items"):
        known_order("a")
