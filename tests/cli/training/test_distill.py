"""`avreward distill`: from clips to a student's folder, with what it knows of its teacher."""

import json

import pytest
import torch

from avreward import Clip, load_rater


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    generator = torch.Generator().manual_seed(1)
    for number in range(36):
        noise = 10 ** (-3 + 2.5 * torch.rand((), generator=generator))
        wave = 0.3 * torch.sin(torch.arange(2000) * 0.05) + noise * torch.randn(2000, generator=generator)
        (folder / str(number // 2)).mkdir(exist_ok=True)
        Clip(audio=wave.clamp(-1, 1)[None], sample_rate=8000).save(folder / str(number // 2) / f"{number}.wav")
    return folder


def test_a_student_is_made(run, sounds, tmp_path):
    out = tmp_path / "student"
    options = ("--dimension", "audio_quality", "--by", "parent", "--no-isolate", "--json")
    result = run("distill", "signals", sounds, "--out", out, *options)
    assert result.exit_code == 1, result.stderr  # seven held-out groups are too few for a rule
    told = json.loads(result.stdout)
    assert (told["clips"], told["groups"], told["held-out groups"]) == (36, 18, 7)
    assert -1 <= told["SRCC with the teacher"] <= 1
    assert "no fallback: groups: expected at least" in result.stderr
    student = load_rater(out)
    assert [d.name for d in student.dimensions] == ["audio_quality"]
    assert student([Clip.open(sounds / "0" / "0.wav")]).present.all()


def test_wrong_calls_cost_nothing(run, sounds, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    result = run("distill", "signals", sounds, "--out", tmp_path / "taken")
    assert result.exit_code == 2
    assert "a rater that was taught" in result.stderr
    result = run("distill", "signals", sounds / "0", "--out", tmp_path / "new", "--dimension", "audio_quality")
    assert result.exit_code == 2
    assert "expected clips of at least 15 groups, got 2" in result.stderr
    assert not (tmp_path / "new").exists()


def test_a_teacher_can_be_in_a_python_file(run, sounds, tmp_path):
    result = run("distill", f"{tmp_path}/absent.py:mine", sounds / "0", "--out", tmp_path / "new")
    assert result.exit_code == 2
    assert "absent.py" in result.stderr
    assert "only --rater imports" not in result.stderr
