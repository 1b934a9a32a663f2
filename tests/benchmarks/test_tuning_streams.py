"""The benchmark of routed advantages: what differs between its rewards, and its table."""

from __future__ import annotations

import pytest
import torch
import tuning
import tuning_streams
from tuned_joint import CALM, LOUD
from tuning import SEARCH_SEED, TASKS, Run
from tuning_streams import RATES, REWARDS, opposite_share

from avreward import Clip

SCORES = ("reward", CALM, LOUD)


def test_the_rewards_differ_in_their_streams_alone():
    draw = torch.Generator().manual_seed(0)
    video, audio = torch.rand(4, 3, 8, 8, generator=draw), torch.rand(1, 800, generator=draw) - 0.5
    clip = Clip(video=video, fps=8, audio=audio, sample_rate=800)
    routed, summed = REWARDS["routed"](), REWARDS["summed"]()
    assert torch.equal(routed([clip]), summed([clip]))
    streams = [[set(term.rater.dimension(term.dimension).streams) for term in r.terms] for r in (routed, summed)]
    assert streams == [[{"video"}, {"audio"}], [{"video", "audio"}] * 2]
    assert set(REWARDS) < set(TASKS)


def test_streams_on_opposite_sides():
    def clip(change: float, loudness: float) -> Clip:
        video = torch.zeros(2, 3, 4, 4)
        video[1] = change
        return Clip(video=video, fps=2, audio=torch.full((1, 8), loudness), sample_rate=8)

    assert opposite_share({"a": [clip(0.1, 0.1), clip(0.5, 0.5)], "b": [clip(0.1, 0.5), clip(0.5, 0.1)]}) == 0.5


def test_the_table(tmp_path, monkeypatch, capsys):
    def curve(run: Run) -> list[dict[str, float]]:
        assert run.seed != SEARCH_SEED
        return [dict.fromkeys(SCORES, 0.0), dict.fromkeys(SCORES, 0.5 + (run.task == "routed"))]

    monkeypatch.setattr(Run, "curve", curve)
    tuning_streams.main(["--out", str(tmp_path / "runs.jsonl")])
    shown = capsys.readouterr().out
    assert "% of the samples before training are better than the mean of their prompt in one stream" in shown
    for loop in RATES:
        assert f"| {loop} | one a stream | {' | '.join(['+1.500 ± 0.000'] * 3)} |" in shown
        assert f"| {loop} | summed | {' | '.join(['+0.500 ± 0.000'] * 3)} |" in shown


@pytest.mark.slow
def test_a_small_run(monkeypatch):
    monkeypatch.setattr("tuning.STEPS", 2)
    small = {"updates": 1, "batch": 1, "group": 2}
    monkeypatch.setattr("tuning.LOOPS", {name: (*found[:2], small) for name, found in tuning.LOOPS.items()})
    for task in REWARDS:
        before, after = Run("DiffusionNFT", task, 1e-3, SEARCH_SEED).curve()
        assert set(SCORES) <= set(before)
        assert after["samples"] == 2
