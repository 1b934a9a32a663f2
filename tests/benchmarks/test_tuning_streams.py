"""The benchmark of routed advantages: what differs between its rewards, and its table."""

from __future__ import annotations

import pytest
import torch
import tuning_streams
from tuned import HELD_OUT
from tuning import RATES, SEARCH_SEED, TASKS, Run
from tuning_streams import LOOPS, REWARDS

from avreward import Clip

SCORES = ("reward", *(HELD_OUT + name for name in ("calm (minus log of normal flow)", "loud (LUFS)")))


def test_the_rewards_differ_in_their_streams_alone():
    draw = torch.Generator().manual_seed(0)
    video, audio = torch.rand(4, 3, 8, 8, generator=draw), torch.rand(1, 800, generator=draw) - 0.5
    clip = Clip(video=video, fps=8, audio=audio, sample_rate=800)
    routed, summed = REWARDS["routed"](), REWARDS["summed"]()
    assert torch.equal(routed([clip]), summed([clip]))
    streams = [[set(term.rater.dimension(term.dimension).streams) for term in r.terms] for r in (routed, summed)]
    assert streams == [[{"video"}, {"audio"}], [{"video", "audio"}] * 2]
    assert set(REWARDS) < set(TASKS)


def test_the_table(tmp_path, monkeypatch, capsys):
    def curve(run: Run) -> list[dict[str, float]]:
        if run.task == "dubs":
            return [{"reward": 0.0}, {"reward": 1.0 + (run.rate == RATES[1])}]
        assert run.rate == RATES[1]
        assert run.seed != SEARCH_SEED
        return [dict.fromkeys(SCORES, 0.0), dict.fromkeys(SCORES, 0.5 + (run.task == "routed"))]

    monkeypatch.setattr(Run, "curve", curve)
    tuning_streams.main(["--out", str(tmp_path / "runs.jsonl")])
    shown = capsys.readouterr().out
    for loop in LOOPS:
        assert f"| {loop} | one a stream | {' | '.join(['+1.500 ± 0.000'] * 3)} |" in shown
        assert f"| {loop} | summed | {' | '.join(['+0.500 ± 0.000'] * 3)} |" in shown


@pytest.mark.slow
def test_a_small_run(monkeypatch):
    monkeypatch.setattr("tuning.STEPS", 2)
    small = {"updates": 1, "batch": 1, "group": 2}
    monkeypatch.setattr("tuning.LOOPS", {name: (*found[:2], small) for name, found in tuning_streams_loops().items()})
    for task in REWARDS:
        before, after = Run("DiffusionNFT", task, 1e-3, SEARCH_SEED).curve()
        assert set(SCORES) <= set(before)
        assert after["samples"] == 2


def tuning_streams_loops():
    from tuning import LOOPS as every

    return every
