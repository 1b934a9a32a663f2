"""What AVBench reports of many clips, against its formulas."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from torch import Tensor

from avreward.raters import Scores
from avreward.raters.avbench import DimensionSummary, summarize_avbench
from avreward.raters.avbench._aesthetic import mean_and_spread
from avreward.raters.avbench._audiobox import avbench_mean
from avreward.raters.avbench._audiobox_network import AXES
from avreward.raters.avbench._card import DIMENSIONS
from avreward.raters.avbench._sync_offset import sync_score

NAMES = {
    "audio-video consistency": "audio_video",
    "video-text consistency": "video_text",
    "audio-text consistency": "audio_text",
}
BY_NAME = {dimension.name: dimension for dimension in DIMENSIONS}
ROUNDED = 5.1e-5


def summary(name: str, values: list[float] | Tensor, present: Tensor | None = None) -> DimensionSummary:
    column = torch.as_tensor(values, dtype=torch.float64)[:, None]
    there = torch.ones(len(column), 1, dtype=torch.bool) if present is None else present[:, None]
    reasons = [{} if one else {name: "silent"} for one in there[:, 0].tolist()]
    return summarize_avbench(Scores(column, there, reasons, (BY_NAME[name],)))[name]


@pytest.mark.golden(case="avbench_total")
def test_ranges_and_orientation(golden) -> None:
    stated = {NAMES.get(row["dimension"], row["dimension"].replace(" ", "_")): row for row in golden.data["dimensions"]}
    golden.same(set(stated), set(BY_NAME))
    for name, row in stated.items():
        golden.same(BY_NAME[name].higher_is_better, row["higher_is_better"])
        if isinstance(row["range"], list):
            golden.same([BY_NAME[name].low, BY_NAME[name].high], row["range"])


def _probability(golden, row) -> None:
    found = summary("audio_video", row["scores"])
    for name, expected in (("mean", "mean"), ("std", "population_std"), ("low", "min"), ("high", "max")):
        golden.close(getattr(found, name), row[expected], atol=1e-6)
    golden.same(found.above_half, row["above_05_count"])
    golden.close(found.share, row["above_05_ratio"], atol=1e-6)


def _bonafide(golden, row) -> None:
    found = summary("speech_realism", row["scores"])
    golden.close(found.mean, row["avg_bonafide_score"], atol=ROUNDED)
    golden.close(found.share, row["bonafide_ratio"], atol=ROUNDED)
    golden.close(1 - found.share, row["spoof_ratio"], atol=ROUNDED)


def _aesthetic_frames(golden, row) -> None:
    each = [mean_and_spread(torch.tensor(frames, dtype=torch.float64)) for frames in row["frames"]]
    golden.close(torch.stack([mean for mean, _ in each]), row["clip_means"], atol=1e-6)
    golden.close(torch.stack([spread for _, spread in each]), row["clip_population_std"], atol=1e-6)
    found = summary("video_aesthetic", torch.stack([mean for mean, _ in each]))
    golden.close(found.mean, row["mean_score"], atol=1e-6)
    golden.close(found.std, row["std_score"], atol=1e-6)


def _lip_sync(golden, row) -> None:
    confidence, offset = (torch.tensor(row[name], dtype=torch.float64) for name in ("confidence", "offset_frames"))
    scores = sync_score(confidence, offset)
    golden.close(scores, row["sync_scores"], atol=0.0051)
    golden.close(summary("lip_sync", scores).mean, row["mean_sync_score"], atol=0.0051)
    golden.close((offset / 25).mean(), row["mean_offset_sec"], atol=ROUNDED)
    golden.close((offset / 25).abs().mean(), row["mean_abs_offset_sec"], atol=ROUNDED)


def _audio_aesthetics(golden, row) -> None:
    axes = [torch.tensor([clip[axis] for axis in AXES], dtype=torch.float64) for clip in row["clips"]]
    scores = torch.stack([avbench_mean(one) for one in axes])
    golden.close(scores, row["avg_scores"], atol=1e-6)
    golden.close(summary("audio_aesthetics", scores).mean, row["mean_avg_score"], atol=ROUNDED)


KINDS = {f.__name__[1:]: f for f in (_probability, _bonafide, _aesthetic_frames, _lip_sync, _audio_aesthetics)}


@pytest.mark.golden(case="avbench_total")
def test_summaries(golden) -> None:
    for row in golden.data["rows"]:
        KINDS[row["kind"]](golden, row)


def test_missing_scores_are_left_out_and_counted() -> None:
    found = summary("audio_video", [0.25, float("nan"), 0.75], torch.tensor([True, False, True]))
    assert (found.mean, found.clips, found.missing, found.above_half, found.share) == (0.5, 2, 1, 1, 0.5)
    assert summary("lip_sync", [3.0]).above_half is None
    nothing = summary("audio_video", [float("nan")], torch.tensor([False]))
    assert isnan(nothing.mean)
    assert (nothing.clips, nothing.share) == (0, None)
