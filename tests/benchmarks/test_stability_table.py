"""The stability table reports the worst case, its sign and where it was, for any rater."""

import math

import pytest
import torch
from stability import Move, by_edit, compared, main, moves, show, worst
from stability_edits import BY_NAME

from avreward.clip import Clip
from avreward.raters.hub import load_rater

MOVES = [
    Move("a", "louder", "audio_quality", "", 0.5),
    Move("b", "louder", "audio_quality", "", -3.0),
    Move("b", "zeros", "audio_quality", "", 1.0),
    Move("b", "zeros", "audio_quality", "loudness", 1.5),
]


def test_the_largest_move_is_shown_with_its_sign_its_edit_and_its_clip(capsys):
    whole, part = worst(MOVES)
    assert (whole["points"], whole["edit"], whole["clip"], whole["clips"]) == (-3.0, "louder", "b", 2)
    assert (part["measurement"], part["points"], part["clips"]) == ("loudness", 1.5, 1)
    assert [(row["edit"], row["audio_quality"]) for row in by_edit(MOVES)] == [("louder", -3.0), ("zeros", 1.0)]
    show(MOVES, 2.0)
    printed = capsys.readouterr().out
    assert "| audio_quality | *all* | -3.00 **over** | louder | 2 |" in printed
    assert "| audio_quality | loudness | +1.50 | zeros | 1 |" in printed


def test_a_measurement_alone_accounts_for_the_move_of_its_dimension():
    rater = load_rater("signals")
    noise = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    both = [rater([Clip(audio=a, sample_rate=16_000)]) for a in (noise, noise.clamp(-0.1, 0.1))]
    first, second = ({d: float(v) for d, v in zip(s.names, s.values[0], strict=True) if v.isfinite()} for s in both)
    found = {(m.dimension, m.measurement): m.points for m in compared(rater, "a", "clipped", first, second)}
    assert found["audio_quality", ""] == pytest.approx(second["audio_quality"] - first["audio_quality"], abs=1e-3)
    assert found["audio_quality", ""] < -2
    assert found["audio_quality", "clipping"] == pytest.approx(found["audio_quality", ""], abs=1.0)
    assert found["audio_quality", "bandwidth"] == pytest.approx(0, abs=0.5)


def test_a_file_gets_every_edit_that_can_be_made_of_it(tmp_path):
    path = tmp_path / "sound.wav"
    time = torch.arange(48_000) / 48_000
    tones = sum(0.1 / k * torch.sin(2 * torch.pi * 220 * k * time) for k in range(1, 9))
    noise = 0.003 * torch.randn(1, 48_000, generator=torch.Generator().manual_seed(0))
    Clip(audio=(0.6 + 0.4 * torch.sin(20 * time)) * tones + noise, sample_rate=48_000).save(path)
    found = moves(path, "signals", 5.0, 160)
    made = {m.edit for m in found}
    assert made == {name for name, edit in BY_NAME.items() if edit.track != "video"}
    assert {m.dimension for m in found} == {"audio_quality", "overall"}
    assert all(math.isfinite(m.points) and abs(m.points) < 2 for m in found)


def test_a_score_beyond_the_bound_is_exit_status_one(tmp_path, monkeypatch, capsys):
    path = tmp_path / "sound.wav"
    Clip(audio=0.1 * torch.randn(1, 24_000, generator=torch.Generator().manual_seed(0)), sample_rate=48_000).save(path)
    out = tmp_path / "moves.csv"
    monkeypatch.setattr("sys.argv", ["stability.py", str(path), "--bound", "0", "--jobs", "1", "--csv", str(out)])
    assert main() == 1
    assert out.read_text().startswith("clip,edit,dimension,measurement,points")
    assert "**over**" in capsys.readouterr().out
