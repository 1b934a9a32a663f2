"""`avreward explain`: the moment and the region on the terminal, as JSON, in files and on a page."""

import json

import pytest
import torch

from avreward.clip import Clip


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A sound that is loud from 1.0 to 1.5 s."""
    audio = 0.01 * torch.sin(torch.arange(32000) * 0.3)[None]
    audio[:, 16000:24000] *= 50
    path = tmp_path_factory.mktemp("once") / "once.wav"
    Clip(audio=audio, sample_rate=16000).save(path)
    return path


def test_what_stands_out(run, toy, once):
    result = run("explain", once, "--reward", "power")
    assert result.exit_code == 0, result.stderr
    assert "toy.power = " in result.stdout
    assert "audio: raises the reward most from 1.00 to 1.50 s" in result.stdout
    assert "By occlusion" in result.stdout


def test_files_and_json(run, toy, once, tmp_path):
    result = run("explain", once, "--reward", "power", "--method", "gradient", "--json", "--out", tmp_path / "a.csv")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["method"] == "gradient"
    assert told["moments"]["audio"]["highest"]["where"] == "from 1.00 to 1.50 s"
    assert told["scores"]["toy.power"] == pytest.approx(told["value"])
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0] == "kind,stream,start,stop,top,left,bottom,right,effect"
    assert len(lines) == 8


def test_the_page(run, toy, files, tmp_path):
    page = tmp_path / "page.html"
    result = run("explain", files.loud, "--reward", "overall", "--report", page, "--moment", "0.1")
    assert result.exit_code == 0, result.stderr
    text = page.read_text()
    assert "frame: no region stands out" in text  # each frame has one colour
    assert text.count('class="strip moments"') == 2


def test_what_costs_most(run, once):
    result = run("explain", once, "--reward", "audio_quality", "--method", "gradient")
    assert result.exit_code == 0, result.stderr
    assert "Costs most: " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--method", "gradients"), 2),
        (("--moment", "0"), 2),
        (("--out", "a.txt"), 2),
        (("--reward", "powre"), 2),
        (("--reward", "brightness"), 3),
    ],
)
def test_what_can_not_be(run, toy, once, arguments, code):
    result = run("explain", once, *arguments)
    assert result.exit_code == code
    assert len(result.stderr.strip()) > 10
