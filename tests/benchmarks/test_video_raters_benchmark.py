"""The benchmark of video raters: extrapolated rows, ratios, and files against the forward."""

from __future__ import annotations

import math

import pytest
import torch
import video_raters
from tiny.dover import tiny_dover
from video_raters import Part

from avreward import Clip


def test_one_part_in_every_way(monkeypatch) -> None:
    llama = video_raters._llama

    def tiny():
        return llama(16, 32, 2, 2)

    monkeypatch.setattr(video_raters, "PARTS", {"tiny": Part(tiny, (1, 9, 16), layers=5)})
    for way in video_raters.WAYS:
        found = video_raters.run("tiny", way, "cpu", 8)
        assert found["seconds"] > 0
        assert found["layer"] == pytest.approx((found["weights"] - 8 * 16 - 16) / 2, rel=0.02)


def test_whole_networks_are_computed_from_layers_and_frames(monkeypatch) -> None:
    parts = {"language": Part(None, (1, 9, 16), layers=5), "frames": Part(None, (8, 3, 4, 4), frames=True)}
    monkeypatch.setattr(video_raters, "PARTS", parts)
    found = {"weights": 30.0, "layer": 10.0, "seconds": 3.0, "peak": 7.0}
    found |= {"seconds of one layer": 2.0, "peak of one layer": 8.0}
    measured, whole = video_raters.sizes("language", found, 8)
    assert measured == ("language, 2 of 5 layers", 30.0, {"seconds": 3.0, "peak": 7.0}, "measured")
    assert (whole[0], whole[1], whole[2]["seconds"], whole[3]) == ("language", 60.0, 6.0, "*computed*")
    assert math.isnan(whole[2]["peak"])  # peaks of processes do not show what all layers keep
    measured, whole = video_raters.sizes("frames", {"weights": 1.0, "seconds": 2.0, "peak": 3.0}, 2)
    assert measured[0] == "frames, 2 of 8 frames"
    assert whole == ("frames", 1.0, {"seconds": 8.0, "peak": 12.0}, "*computed*")
    assert len(video_raters.sizes("frames", {"weights": 1.0, "seconds": 2.0, "peak": 3.0}, 8)) == 1


@torch.no_grad()
def test_files_give_the_scores_of_the_forward(tmp_path) -> None:
    files = []
    for i in range(2):
        video = torch.rand(6, 3, 24, 32, generator=torch.Generator().manual_seed(i))
        files.append(Clip(video=video, fps=8).save(tmp_path / f"{i}.mkv"))
    row = video_raters._files_row("dover", tiny_dover(), [tmp_path / f"{i}.mkv" for i in range(len(files))])
    assert row.startswith("| dover | ")
    assert 0 < float(row.split("|")[4].split()[0]) < 3
