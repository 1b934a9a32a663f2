"""Rewards computed from the scores in a table: without its raters, without its clips, by any expression."""

import numpy as np
import pytest
import torch
from toy_raters import Toy

from avreward import Clip, load_reward
from avreward.errors import ArgumentError
from avreward.rewards import zscore
from avreward.scoring import list_clips, read_table, score_table
from avreward.scoring._table_rewards import rewards_of, table_reward
from avreward.selection import candidates_of


@pytest.fixture
def table(tmp_path):
    """Three clips, of which the last is silent, and a file that is none."""
    video = torch.linspace(0.2, 0.6, 4)[:, None, None, None].expand(4, 3, 16, 16)
    for number, level in enumerate((0.8, 0.2, None)):
        clip = Clip(video=video, fps=8)
        if level is not None:
            clip = clip.with_audio(level * torch.sin(torch.arange(4000) * 0.3)[None], 8000)
        clip.save(tmp_path / f"{number}.mp4")
    (tmp_path / "broken.mp4").touch()
    rater = Toy()
    clips = list_clips(tmp_path)
    score_table(clips, tmp_path / "t.csv", [rater], rater["overall"])
    for listed in clips:
        listed.path.unlink()
    return read_table(tmp_path / "t.csv")


def test_any_expression_without_rating(table):
    power, brightness = table.numbers("toy.power"), table.numbers("toy.brightness")
    found = table.with_reward("power - 0.5*toy.brightness")
    assert found.metadata["reward"] == "toy.power - 0.5*toy.brightness"
    np.testing.assert_allclose(found.numbers("reward"), power - 0.5 * brightness)
    assert np.isnan(found.numbers("reward")[2:]).all()  # silent, broken
    assert found.rows["sigma"].null_count == len(found)
    np.testing.assert_allclose(table.with_reward("overall").numbers("reward"), table.numbers("reward"))


def test_saved_rewards_and_fitted_ones(table, tmp_path):
    rater = Toy()
    (2 * rater["power"]).save(tmp_path / "mine.yaml")
    np.testing.assert_allclose(
        table.with_reward(tmp_path / "mine.yaml").numbers("reward"), 2 * table.numbers("toy.power")
    )
    fitted = zscore(rater["brightness"], torch.tensor([0.1, 0.2, 0.3]))
    fitted.save(tmp_path / "fitted")
    expected = (table.numbers("toy.brightness") - 0.2) / 0.1
    for reward in (fitted, tmp_path / "fitted"):
        np.testing.assert_allclose(table.with_reward(reward).numbers("reward"), expected, rtol=1e-5)


def test_what_a_table_does_not_have(table):
    with pytest.raises(Exception, match=r"did you mean toy\.power"):
        table.with_reward("powr")
    with pytest.raises(ArgumentError, match=r"column of .*t.csv: expected one of toy.power.*, got 'signals.clipping'"):
        table.with_reward("power + signals.clipping")
    bare = table.path.with_name("bare.csv")
    bare.write_text("clip,mine\na.mp4,1\n")
    with pytest.raises(ArgumentError, match=r"columns of scores .*, got none"):
        read_table(bare).with_reward("mine")


def test_a_reward_without_an_expression_is_the_column(tmp_path):
    """As in a CSV without its NAME.meta.json: the numbers in ``reward`` count, not ``overall``."""
    path = tmp_path / "t.csv"
    path.write_text('clip,signals.overall,signals.clipping,reward,reasons\na.mp4,9,0,1,\nb.mp4,1,0,2,\n'
                    'c.mp4,5,0,,"{""toy.x"": ""no speech""}"\n')  # fmt: skip
    table = read_table(path)
    found = rewards_of(table, table_reward(table))
    assert found.values[:2].tolist() == [1, 2]
    assert "no speech" in str(found.reasons[2])
    assert table_reward(table, "overall").terms[0].name == "signals.overall"
    assert table.with_reward("reward - overall").numbers("reward")[:2].tolist() == [-8, 1]


def test_candidates_by_an_expression(table):
    pool = candidates_of(table, "toy.power*2")
    assert pool.reward == "reward"
    np.testing.assert_allclose(pool.values[:2], 2 * table.numbers("toy.power")[:2])
    assert len(pool.kept) == 2
    assert candidates_of(table, "power").values[0] == table.numbers("toy.power")[0]
    with pytest.raises(ArgumentError, match=r"expected one of toy\.power"):
        candidates_of(table, "speed")


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv"])
def test_a_table_is_saved_as_it_was_read(table, tmp_path, ending):
    path = table.with_reward("power").save(tmp_path / f"again.{ending}")
    found = read_table(path)
    assert found.rows.column_names == table.rows.column_names
    assert found.metadata == {**table.metadata, "reward": "toy.power"}
    for column in ("clip", "group", "reasons", "toy.power", "width"):
        assert found.rows[column].to_pylist() == table.rows[column].to_pylist()


def test_a_table_without_descriptions_is_told_by_cards(tmp_path):
    path = tmp_path / "old.csv"
    path.write_text("clip,signals.overall,signals.clipping\na.mp4,50,1\nb.mp4,60,2\n")
    assert load_reward("overall - clipping").raters[0].name == "signals"
    np.testing.assert_allclose(read_table(path).with_reward("overall - clipping").numbers("reward"), [49, 58])
