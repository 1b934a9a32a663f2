"""The table of recovered opinion scores can fail: known truth, wrong intervals, people who answer at random."""

import subjective

CASE = subjective.Case("unequal", clips=60, people=20, noise=(0.3, 1.5))


def test_better_methods_have_smaller_errors() -> None:
    found = subjective.errors(CASE, 4)
    assert list(found) == list(subjective.METHODS)
    plain, modelled = found["mean", None], found["p910", None]
    assert 0.5 * plain[0] < modelled[0] < plain[0] < 0.5
    assert all(0.5 < inside <= 1 for _, inside, _ in found.values())


def test_ratings_follow_the_case() -> None:
    truth, ratings = subjective.simulated(subjective.Case("x", clips=50, people=6, answered=0.5, step=1.0), 0)
    assert len(truth) == len(ratings.clips) == 50
    assert 120 < len(ratings) < 220
    assert set(ratings.values.tolist()) <= {1, 2, 3, 4, 5}


def test_alpha_is_about_the_share_of_variance_that_qualities_have() -> None:
    alpha, share, halves = subjective.agreement(CASE, 2)
    assert abs(alpha - share) < 0.08
    assert alpha < halves < 1


def test_the_tables_are_printed(capsys, monkeypatch) -> None:
    monkeypatch.setattr(subjective, "CASES", (CASE,))
    subjective.main(1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| people | mean | mean, bt500 |")
    assert [line.startswith("| unequal |") for line in lines].count(True) == 2
