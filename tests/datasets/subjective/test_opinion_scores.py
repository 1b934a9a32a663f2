"""Mean opinion scores: as the papers compute them, against known truth, and from bad input."""

from __future__ import annotations

import numpy as np
import pytest

from avreward.datasets import Ratings, mean_opinion_scores, reject_bt500
from avreward.errors import ArgumentError

TABLE = np.array([[1.0, 2, 1, 4], [3, 4, 3, 4], [5, 5, 4, 4]])


def test_z_scores_as_the_papers_have_them() -> None:
    own = TABLE[:, :3]
    z = (own - own.mean(axis=0)) / own.std(axis=0, ddof=1)
    found = mean_opinion_scores(Ratings.from_array(own), "z_score")
    np.testing.assert_allclose(found.mos, (100 * (z + 3) / 6).mean(axis=1))
    spread = (100 * (z + 3) / 6).std(axis=1, ddof=1)
    np.testing.assert_allclose(found.high - found.mos, 1.959964 * spread / np.sqrt(3), rtol=1e-6)


def test_somebody_who_gives_all_clips_the_same_does_not_count_in_z_scores() -> None:
    with pytest.warns(UserWarning, match="dan: gave all clips the same rating; their ratings do not count"):
        found = mean_opinion_scores(Ratings.from_array(TABLE, people=["ann", "bob", "cem", "dan"]), "z_score")
    alone = mean_opinion_scores(Ratings.from_array(TABLE[:, :3]), "z_score")
    np.testing.assert_array_equal(found.mos, alone.mos)
    assert found.left_out == {"dan": "gave all clips the same rating"}
    assert found.ratings.tolist() == [3, 3, 3]


@pytest.mark.parametrize("same", [0.1, 2.7, 3.3, 4.1])
def test_the_same_rating_everywhere_is_seen_whatever_its_rounding(same: float) -> None:
    table = np.column_stack([TABLE[[0, 1, 2] * 2, :3], np.full(6, same)])  # the mean of six 3.3 is not 3.3
    with pytest.warns(UserWarning, match="person 4: gave all clips the same"):
        found = mean_opinion_scores(Ratings.from_array(table), "z_score")
    assert found.ratings.tolist() == [3] * 6
    with pytest.raises(ArgumentError, match="expected two people who gave different ratings"):
        mean_opinion_scores(Ratings.from_array(np.full((7, 3), same)), "z_score")


def test_one_person_who_is_left_gives_no_mean_opinion() -> None:
    ratings = Ratings.from_array([[3, 1], [3.1, 5], [3, 4], [3.1, 2], [3, 1]], people=["ann", "bob"])
    with pytest.raises(ArgumentError, match=r"at least two people, got only bob; compute without reject"):
        mean_opinion_scores(ratings, reject="correlation")


def test_a_scale_of_ones_own_changes_no_z_score() -> None:
    moved = TABLE[:, :3] * [1, 2, 0.5] + [3, 0, -1]
    first, second = (mean_opinion_scores(Ratings.from_array(t), "z_score").mos for t in (TABLE[:, :3], moved))
    np.testing.assert_allclose(first, second)


@pytest.mark.parametrize("method", ["mean", "z_score", "bias_removed", "p910"])
def test_nobody_can_give_a_mean_opinion_alone(method: str) -> None:
    with pytest.raises(ArgumentError, match="expected at least two people, got only ann"):
        mean_opinion_scores(Ratings.from_array(TABLE[:, :1], people=["ann"]), method)


def test_all_ratings_equal() -> None:
    ratings = Ratings.from_array(np.full((3, 4), 2.0))
    for method in ("mean", "bias_removed", "p910"):
        assert mean_opinion_scores(ratings, method).mos.tolist() == [2, 2, 2]
    with pytest.raises(ArgumentError, match="expected two people who gave different ratings"):
        mean_opinion_scores(ratings, "z_score")


def test_clips_without_ratings_are_missing_and_named() -> None:
    table = np.vstack([TABLE, np.full(4, np.nan)])
    with pytest.warns(UserWarning, match="no rating that counts for clip 4; their scores are missing"):
        found = mean_opinion_scores(Ratings.from_array(table), "mean")
    assert np.isnan(found.mos[3])
    assert found.ratings.tolist() == [4, 4, 4, 0]
    assert np.isfinite(found.mos[:3]).all()


def test_a_single_rating_has_no_interval() -> None:
    table = TABLE.copy()
    table[0, 1:] = np.nan
    found = mean_opinion_scores(Ratings.from_array(table))
    assert found.mos[0] == 1
    assert np.isnan([found.low[0], found.high[0]]).all()


def test_one_person_who_decides_alone_is_told() -> None:
    ratings = Ratings.from_array([[1, 2, 1], [3, 4, 3], [2, 4, 5], [5, 1, 4]], people=["ann", "bob", "cem"])
    with pytest.warns(UserWarning, match=r"follow \w+ alone.*use \"bias_removed\""):
        mean_opinion_scores(ratings, "p910")


def test_rejected_people_do_not_count() -> None:
    generator = np.random.default_rng(1)
    table = np.clip(np.round(generator.uniform(1, 5, 60)[:, None] + generator.normal(0, 0.7, (60, 15))), 1, 5)
    table[:, 7] = generator.integers(1, 6, 60)
    found = mean_opinion_scores(Ratings.from_array(table), reject="bt500")
    assert list(found.left_out) == ["person 8"]
    np.testing.assert_allclose(found.mos, np.delete(table, 7, axis=1).mean(axis=1))
    assert "person 8" in mean_opinion_scores(Ratings.from_array(table), reject="correlation").left_out


def test_a_clip_that_all_rate_alike_counts_against_nobody() -> None:
    generator = np.random.default_rng(2)
    table = np.clip(np.round(generator.uniform(1, 5, 40)[:, None] + generator.normal(0, 0.7, (40, 15))), 1, 5)
    alike = np.vstack([table, np.full((20, 15), 3.0)])
    found, more = (reject_bt500(Ratings.from_array(one)) for one in (table, alike))
    np.testing.assert_array_equal(found.asymmetry, more.asymmetry)
    np.testing.assert_allclose(more.outside, found.outside * 40 / 60)
    same = Ratings.from_array(np.full((20, 15), 3.0))
    assert not reject_bt500(same).outside.any()
    assert reject_bt500(same, literal=True).outside.tolist() == [2.0] * 15


def test_z_scores_of_one_person_are_no_mean_opinion() -> None:
    table = TABLE[:, [0, 3]].copy()
    with pytest.raises(ArgumentError, match="expected two people who gave different ratings, got only ann"):
        mean_opinion_scores(Ratings.from_array(table, people=["ann", "dan"]), "z_score")
    table = np.hstack([TABLE[:, :2], [[5], [np.nan], [np.nan]]])
    with pytest.warns(UserWarning, match="cem: rated once; their ratings do not count"):
        mean_opinion_scores(Ratings.from_array(table, people=["ann", "bob", "cem"]), "z_score")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "zscore"}, "did you mean 'z_score'"),
        ({"reject": "bt501"}, "did you mean 'bt500'"),
        ({"level": 95}, "expected a number between 0 and 1, got 95"),
    ],
)
def test_wrong_arguments(arguments: dict, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        mean_opinion_scores(Ratings.from_array(TABLE), **arguments)


@pytest.mark.filterwarnings("ignore:the scores follow")
def test_methods_recover_known_truth_in_their_order() -> None:
    """People of different bias and noise, each rating a half: removing biases helps, weighting by noise more."""
    errors: dict[str, list[float]] = {"mean": [], "bias_removed": [], "p910": []}
    covered = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        truth = generator.uniform(1, 5, 60)
        bias, noise = generator.normal(0, 0.7, 16), generator.uniform(0.2, 1.6, 16)
        table = truth[:, None] + bias + generator.normal(0, 1, (60, 16)) * noise
        table[generator.random((60, 16)) < 0.5] = np.nan
        for method, found in errors.items():
            scores = mean_opinion_scores(Ratings.from_array(table), method)
            shift = np.mean(scores.mos - truth)  # the common bias can't be known
            found.append(float(np.sqrt(np.mean((scores.mos - truth - shift) ** 2))))
            if method == "bias_removed":
                covered.append(np.mean((scores.low - shift <= truth) & (truth <= scores.high - shift)))
    plain, unbiased, modelled = (float(np.mean(errors[name])) for name in errors)
    assert modelled < 0.9 * unbiased < 0.81 * plain
    assert 0.85 < np.mean(covered) < 0.97  # few ratings a clip: a little too narrow


def test_the_frame_and_the_text() -> None:
    found = mean_opinion_scores(Ratings.from_array(TABLE, ["a", "b", "c"]))
    assert found.to_frame().columns.tolist() == ["clip", "mos", "low", "high", "ratings"]
    assert found.to_frame()["mos"].tolist() == [2, 3.5, 4.5]
    assert "mean opinion scores (mean) of 3 clips" in repr(found)
