"""The benchmark of AVBench: whole networks from layers, totals, decoding, descent on a shift."""

from __future__ import annotations

import avbench
import avbench_offset
import pytest
import torch
from avbench_judges import JUDGES, narrow_avbench
from avbench_offset import Run

from avreward import Clip
from avreward.raters.avbench import SyncNet, SyncNetConfig, SyncNetRater
from avreward.raters.avbench._card import DIMENSIONS


@pytest.fixture
def file(tmp_path):
    video = torch.rand(30, 3, 56, 64, generator=torch.Generator().manual_seed(0))
    audio = 0.2 * torch.randn(1, 20000, generator=torch.Generator().manual_seed(1))
    Clip(video=video, fps=24, audio=audio, sample_rate=16000).save(tmp_path / "clip.mp4")
    return tmp_path / "clip.mp4"


@pytest.mark.slow
def test_there_is_a_judge_for_each_dimension_and_all_score_one_clip(file) -> None:
    assert list(JUDGES) == [dimension.name for dimension in DIMENSIONS]
    rater = narrow_avbench()
    with torch.no_grad():
        scores = rater([Clip.open(file, prompt=avbench.PROMPT, texts=avbench.TEXTS)])
    assert scores.present.all(), scores.reasons


def test_a_language_model_is_computed_from_its_layers(file, monkeypatch) -> None:
    layers = {}

    def measured(name, path, built, narrow):
        layers[tuple(built.items())] = True
        return {"weights": 10.0 + 3 * (built.get("audio", 1) - 1) + 5 * (built.get("language", 1) - 1),
                "seconds": 1.0 + 0.5 * (built.get("audio", 1) - 1), "peak": 7.0}  # fmt: skip

    monkeypatch.setattr(avbench, "measured", measured)
    found = avbench.run("audio_text", file)
    assert found["weights"] == 10 + 31 * 3 + 31 * 5 + JUDGES["audio_text"].vocabulary
    assert found["seconds"] == 1 + 31 * 0.5
    assert found["built"] == 10
    assert len(layers) == 3


def test_small_networks_are_measured_whole(file) -> None:
    found = avbench.run("speech_quality", file, narrow=True)
    assert "built" not in found
    assert found["seconds"] > 0
    assert found["weights"] > 1e5


def test_totals_hold_the_largest_or_all() -> None:
    every = {"a": {"weights": 2e9, "seconds": 3.0, "peak": 5e6}, "b": {"weights": 1e9, "seconds": 1.0, "peak": 9e6}}
    one, together = avbench.totals(every)
    assert one == "| one after the other | 3000 M | 4 s | 8.00 GB | 9 MB | *computed* |"
    assert together == "| all together | 3000 M | 4 s | 12.00 GB | 9 MB | *computed* |"


def test_files_opened_and_frames_are_counted(file) -> None:
    clip = Clip.open(file)
    _ = clip.width
    with avbench.counting() as counts:
        assert len(clip.video) == 30
        clip.sound()
    assert counts == {"opened": 2, "frames": 30}
    with avbench.counting() as counts:
        narrow_avbench().load(Clip.open(file, prompt="a", texts=avbench.TEXTS))
    assert counts["opened"] <= 3  # the first frame's orientation, the frames, the audio


def test_a_shift_moves_the_waveform_and_has_a_gradient() -> None:
    wave = torch.zeros(1600)
    wave[800] = 1.0
    shift = torch.tensor(0.01, requires_grad=True)
    moved = avbench_offset.shifted(wave, shift)
    assert int(moved.argmax()) == 960
    assert torch.autograd.grad(moved.square().cumsum(0).sum(), shift)[0] != 0


@pytest.mark.slow
def test_descent_runs_from_every_start() -> None:
    torch.manual_seed(0)
    network = SyncNet(SyncNetConfig((3, 4, 4, 4, 4, 6), (2, 2, 2, 2, 2, 4), 8, 6))
    seen = avbench_offset.prepared(SyncNetRater(network), 0)
    assert seen.frames.shape == (100, 3, 224, 224)
    assert avbench_offset.train(network, [seen], 2) > 0
    run = avbench_offset.descended(SyncNetRater(network), avbench_offset.talking(1), 0.1, steps=2)
    assert run.start == 0.1
    assert run.end != 0.1


def test_the_report_counts_what_is_left() -> None:
    runs = [[Run(start, 0.25 * start, start, 0.0) for start in avbench_offset.STARTS] for _ in range(3)]
    lines = avbench_offset.report(runs, 1.0).splitlines()
    assert lines[2].startswith("| -0.2 s | 0.25 (0.25–0.25) | 0.00 ")
    assert lines[6].startswith("| all | 0.25 (0.25–0.25) | 0.50 ")
