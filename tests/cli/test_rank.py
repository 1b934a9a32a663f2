"""`avreward rank`: the table, JSON, the best file, the page, and what happens with bad files."""

import json
import os
import subprocess
import sys

import pytest

from avreward.clip import Clip

BAD = ("truncated.mp4", "empty.mp4", "text.mp4", "folder.mp4", "missing.mp4")


def test_best_first(run, toy, files):
    result = run("rank", files.soft, files.loud)
    assert result.exit_code == 0
    assert result.stdout.index("loud.mp4") < result.stdout.index("soft.mp4")
    assert "read the prompt" not in result.stdout
    assert not result.stderr


def test_folders_of_outputs_are_made(run, toy, files, tmp_path):
    outputs = [tmp_path / "a" / "best.mp4", tmp_path / "b" / "c" / "t.csv", tmp_path / "d" / "page.html"]
    options = zip(("--out", "--table", "--report"), outputs, strict=True)
    assert run("rank", files.loud, files.soft, *(part for option in options for part in option)).exit_code == 0
    assert all(path.is_file() for path in outputs)


def test_prompts_that_are_not_read_are_said(run, toy, files, tmp_path):
    """In the table and in JSON, of one ranking and of groups, of clips and of their table; never without prompts."""
    asked = tmp_path / "asked.csv"
    asked.write_text(f"clip,prompt\n{files.loud},a dog\n{files.soft},a dog\n")
    table = tmp_path / "scores.csv"
    assert run("score", asked, "--out", table).exit_code == 0
    for source in (asked, table):
        for more in ((), ("--group-by", "parent")):
            assert "toy does not read the prompt" in run("rank", source, *more).stdout
            assert "toy does not read the prompt" in json.loads(run("rank", source, *more, "--json").stdout)["notes"][0]
    for more in ((), ("--group-by", "parent")):
        assert "read the prompt" not in run("rank", files.loud, files.soft, *more).stdout
        assert json.loads(run("rank", files.loud, files.soft, *more, "--json").stdout)["notes"] == []


def test_json_is_all_of_standard_output(run, toy, files):
    result = run("rank", files.soft, files.loud, "--json", "--reward", "power - 0.5*brightness")
    told = json.loads(result.stdout)
    assert [c["clip"] for c in told["candidates"]] == [str(files.loud), str(files.soft)]
    assert told["best"] == str(files.loud)
    assert told["reward"] == "toy.power - 0.5*toy.brightness"
    first = told["candidates"][0]
    assert first["rank"] == 1
    assert first["reward"] == pytest.approx(first["scores"]["toy.power"] - 0.5 * first["scores"]["toy.brightness"])
    assert told["raters"] == {"toy": "toy 1"}
    assert told["failed"] == []
    assert told["notes"] == []


def test_levels_and_measurements_of_the_default_rater(run, files):
    result = run("rank", files.soft, files.loud, "--reward", "audio_quality", "--json")
    assert result.exit_code == 0, result.stderr
    first = json.loads(result.stdout)["candidates"][0]
    assert first["levels"]["signals.audio_quality"] in ("bad", "poor", "fair", "good", "excellent")
    assert "signals.clipping" in first["scores"]
    assert "signals.clipping" not in first["levels"]
    wide = run("rank", files.soft, files.loud, environment={"COLUMNS": "150"}).stdout
    assert "audio quality" in wide
    assert any(level in wide for level in ("bad", "poor", "fair", "good", "excellent"))


def test_sounds_over_a_silent_video(run, toy, files, tmp_path):
    best = tmp_path / "best.mp4"
    result = run("rank", "--video", files.silent, files.wav, files.soft, "--out", best, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["best"] == str(files.wav)
    written = Clip.open(best)
    assert written.has_video
    assert abs(float(written.sound(16000, 1).square().mean()) - 0.125) < 0.02
    assert toy.loads.count(("video", "silent.mp4")) == 1  # the picture is decoded once for both


def test_a_video_that_is_only_sound(run, toy, files):
    result = run("rank", "--video", files.wav, files.wav)
    assert result.exit_code == 2
    assert "no video track" in result.stderr


def test_the_best_file_is_copied_as_it_is(run, toy, files, tmp_path):
    best = tmp_path / "best.mp4"
    assert run("rank", files.soft, files.loud, "--out", best).exit_code == 0
    assert best.read_bytes() == files.loud.read_bytes()


def test_an_input_is_not_overwritten(run, toy, files):
    before = files.loud.read_bytes()
    result = run("rank", files.soft, files.loud, "--out", files.loud)
    assert result.exit_code == 2
    assert files.loud.read_bytes() == before


def test_the_page_links_the_files(run, toy, files, tmp_path):
    page = tmp_path / "page.html"
    result = run("rank", files.soft, files.loud, files.bad["text.mp4"], "--report", page, "--prompt", "a <b>ball</b>")
    assert result.exit_code == 1
    text = page.read_text()
    assert f'src="{os.path.relpath(files.loud, tmp_path)}"' in text
    assert "a &lt;b&gt;ball&lt;/b&gt;" in text
    assert "text.mp4" in text
    assert not (tmp_path / "page_files").exists()


def test_the_page_of_dubs_brings_its_media(run, toy, files, tmp_path):
    page = tmp_path / "a page.html"
    assert run("rank", "--video", files.silent, files.wav, files.loud, "--report", page).exit_code == 0
    made = sorted(path.name for path in (tmp_path / "a page_files").iterdir())
    assert made == ["01-dub.mp4", "02-loud.mp4"]
    assert 'src="./a%20page_files/01-dub.mp4"' in page.read_text()


def test_media_can_travel_with_the_page(run, toy, files, tmp_path):
    page = tmp_path / "page.html"
    assert run("rank", files.soft, files.loud, "--report", page, "--copy-media").exit_code == 0
    assert {path.name for path in (tmp_path / "page_files").iterdir()} == {"01-soft.mp4", "02-loud.mp4"}
    assert str(files.folder) not in page.read_text().split('id="settings"')[0]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_costs_one_line(run, toy, files, name):
    bad = files.bad[name]
    result = run("rank", files.soft, bad, files.loud)
    assert result.exit_code == 1
    assert result.stdout.index("loud.mp4") < result.stdout.index("soft.mp4")
    [line] = result.stderr.splitlines()
    assert line.startswith(f"avreward: {bad}: ")
    assert "; " in line  # the remedy
    assert line.count(str(bad)) == 1


@pytest.mark.parametrize("name", BAD)
def test_only_a_bad_file(run, toy, files, name):
    result = run("rank", files.bad[name])
    assert result.exit_code == 3
    assert not result.stdout
    assert len(result.stderr.splitlines()) == 2
    assert "avreward: the file could not be judged; give at least one that can" in result.stderr


def test_failures_in_json(run, toy, files):
    result = run("rank", *files.bad.values(), files.loud, "--json")
    assert result.exit_code == 1
    failed = json.loads(result.stdout)["failed"]
    assert {entry["clip"] for entry in failed} == {str(path) for path in files.bad.values()}
    assert all(entry["reason"] and "\n" not in entry["reason"] for entry in failed)


def test_other_tracks_are_ranked_only_when_asked(run, toy, files):
    clips = (files.silent, files.soft, files.loud)
    apart = run("rank", *clips)
    assert apart.exit_code == 1
    assert "--mixed" in apart.stdout
    assert "mixed=True" not in apart.stdout
    together = run("rank", *clips, "--mixed", "--json")
    assert together.exit_code == 0
    assert len(json.loads(together.stdout)["candidates"]) == 3


def test_what_is_missing_is_said(run, toy, files):
    result = run("rank", files.silent, files.loud, "--reward", "brightness")
    assert "silent.mp4: no power: no sound track" in result.stdout
    result = run("rank", files.wav, "--reward", "power")
    assert "dub.wav: no brightness: no picture track" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--reward", "powr"), "did you mean toy.power"),
        (("--reward", "power *"), "at character"),
        (("--reward", ""), "is empty"),
        (("--out", "best.gif"), ".mp4"),
        (("--out", "/dev/null/x/best.mp4"), "its folder can't be made (Not a directory)"),
        (("--report", "page.pdf"), ".html"),
        (("--no-such-option",), "No such option"),
    ],
)
def test_wrong_calls(run, toy, files, arguments, said):
    result = run("rank", files.loud, *arguments, environment={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert said in result.stderr
    assert not result.stdout


def test_no_clips(run):
    assert run("rank").exit_code == 2


def test_an_unknown_rater(run, files):
    result = run("rank", files.loud, "--rater", "signal")
    assert result.exit_code == 2
    assert "signals" in result.stderr


def test_names_with_markup_and_odd_bytes(run, toy, files, tmp_path):
    odd = [tmp_path / "[red]a 100%.mp4", tmp_path / "<b>ü.mp4", tmp_path / os.fsdecode(b"caf\xe9.mp4")]
    for path in odd:
        path.write_bytes(files.loud.read_bytes())
    result = run("rank", *odd, tmp_path / os.fsdecode(b"no\xe9.mp4"), "--report", tmp_path / "p.html")
    assert result.exit_code == 1
    assert all(name in result.stdout for name in ("[red]a 100%.mp4", "<b>ü.mp4", "caf\\xe9.mp4"))
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    for address in ("./%5Bred%5Da%20100%25.mp4", "./%3Cb%3E%C3%BC.mp4", "./caf%E9.mp4"):
        assert f'src="{address}"' in page
    assert "<b>ü" not in page


def test_as_a_real_process(files):
    """Not a terminal: no colours, no progress bar, the exit code of a run with a bad file."""
    command = [sys.executable, "-c", "from avreward.cli import main; main()", "rank"]
    done = subprocess.run(
        [*command, files.loud, files.soft, files.bad["text.mp4"]], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_why_the_best_one_won(run, toy, files, tmp_path):
    result = run("rank", files.soft, files.loud, "--reward", "power", "--why")
    assert result.exit_code == 0, result.stderr
    assert "loud.mp4 won over soft.mp4 by 0.29" in result.stdout
    assert "Equal for all: brightness" in result.stdout
    page = tmp_path / "page.html"
    told = run("rank", files.soft, files.loud, "--reward", "power", "--why", "--json", "--report", page)
    assert json.loads(told.stdout)["why"]["equal"] == ["brightness"]
    text = page.read_text()
    assert "Why loud.mp4 won" in text
    assert text.count('class="strip moments"') == 4  # of both candidates, video and audio
    alone = run("rank", files.loud, "--why", "--json")
    assert json.loads(alone.stdout)["why"] is None


def test_why_each_group_was_won(run, toy, files, tmp_path):
    listed = tmp_path / "list.csv"
    listed.write_text(f"clip,take\n{files.soft},a\n{files.loud},a\n")
    result = run("rank", listed, "--group-by", "take", "--reward", "power", "--why")
    assert result.exit_code == 0, result.stderr
    assert "a: loud.mp4 won over soft.mp4 by 0.29" in result.stdout
    told = run("rank", listed, "--group-by", "take", "--reward", "power", "--why", "--json")
    assert json.loads(told.stdout)["groups"][0]["why"]["best"] == "loud.mp4"
