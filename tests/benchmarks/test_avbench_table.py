"""The benchmark of AVBench: whole networks from layers, totals, decoding."""

from __future__ import annotations

import avbench
import pytest
import torch
from avbench_judges import JUDGES, narrow_avbench

from avreward import Clip
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
