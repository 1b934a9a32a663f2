"""The table of taught raters, on two made-up sites where the original has less noise."""

import pytest
import teach as benchmark
import torch

from avreward import Clip

RATE = 12000


@pytest.fixture
def media(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for site in ("one", "two"):
        for group in range(6):
            folder = tmp_path / site / f"clip{group}"
            folder.mkdir(parents=True)
            for name, noise in {"ground_truth": 0.02, "dub": 0.1, "other": 0.2}.items():
                tone = 0.3 * torch.sin(torch.arange(6000) * 0.05 * (1 + group / 6))
                wave = tone + noise * torch.randn(6000, generator=generator)
                video = torch.rand(4, 3, 32, 32, generator=generator)
                Clip(video=video, fps=8, audio=wave.clamp(-1, 1)[None], sample_rate=RATE).save(folder / f"{name}.mp4")
    return tmp_path


def test_each_site_is_judged_by_what_the_other_taught(media, capsys):
    benchmark.main([str(media), "--sites", "one", "two"])
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    taught = {line[0].removeprefix("| "): float(line[2]) for line in lines if line[1] == "teach, signals"}
    assert set(taught) == {"one", "two"}
    assert min(taught.values()) > 0.9
    assert [line[1] for line in lines[1:5]] == [
        "signals.overall", "signals.audio_quality", "teach, signals", "teach, signals, degraded",
    ]  # fmt: skip
