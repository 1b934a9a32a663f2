"""What all commands have in common: help without torch, the version, errors in one line."""

import json
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from avreward.cli import _common as common
from avreward.errors import AvrewardError


def test_help_needs_no_torch():
    code = (
        "import sys; sys.argv = ['avreward', '--help']\n"
        "from avreward.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'av', 'numpy', 'scipy', 'pyarrow', 'jinja2', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in ("demo", "rank", "score", "probe", "raters", "Exit codes"):
        assert command in done.stdout


@pytest.mark.parametrize("command", ["demo", "rank", "score", "raters"])
def test_help_of_commands(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert "Exit codes" in result.stdout


def test_version(run):
    assert run("--version").stdout.strip()[0].isdigit()


def test_no_command_is_help(run):
    result = run()
    assert result.exit_code == 2
    assert "Usage" in result.stdout + result.stderr


def test_an_error_is_one_line(run, files, monkeypatch):
    def broken(name="signals"):
        raise AvrewardError("weights.safetensors: half of\nit is missing; download it again")

    monkeypatch.setattr("avreward.scoring.run.score_files", lambda *a, **k: broken())
    result = run("rank", files.loud)
    assert result.exit_code == 3
    assert result.stderr == "avreward: weights.safetensors: half of it is missing; download it again\n"


def test_an_interrupt(run, toy, files, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("avreward.scoring.run.score_files", interrupted)
    assert run("rank", files.loud).exit_code == 130


def test_raters(run):
    text = run("raters").stdout
    for expected in ("signals", "audio_quality", "agav", "caoyuqin/AGAV-Rater", "unknown", "Apache-2.0"):
        assert expected in text
    text = run("raters", "signals", environment={"COLUMNS": "160"}).stdout
    for expected in ("signals", "audio_quality", "0 to 100", "does not read the prompt", "--details"):
        assert expected in text
    assert "agav" not in text
    details = run("raters", "--details", environment={"COLUMNS": "160"}).stdout
    for expected in ("clipping", "lip_sync"):
        assert expected in details
    assert "audio_video" in run("raters", "avbench").stdout


def test_raters_as_json(run):
    told = {rater["name"]: rater for rater in json.loads(run("raters", "--json").stdout)}
    assert told["agav"]["licence"] == "unknown"
    assert told["agav"]["needs"] == ["audio", "video"]
    assert told["signals"]["checkpoint"] is None
    assert "fingerprint" not in told["signals"]  # it isn't loaded
    [signals] = json.loads(run("raters", "signals", "--json").stdout)
    assert signals["fingerprint"].startswith("signals:")
    assert not any(d["detail"] for d in signals["dimensions"])
    [told] = json.loads(run("raters", "signals", "--details", "--json").stdout)
    by_name = {d["name"]: d for d in told["dimensions"]}
    assert by_name["av_consistency"]["needs"] == ["audio", "video"]
    assert by_name["clipping"]["detail"]
    assert by_name["clipping"]["low"] is None or by_name["clipping"]["low"] == 0


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_listing_raters_is_quick_and_needs_no_torch(options):
    code = (
        f"import sys; sys.argv = ['avreward', 'raters', *{options}]\n"
        "from avreward.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'av', 'numpy', 'scipy', 'transformers'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "signals" in done.stdout


def test_a_full_disk_behind_standard_output_is_told():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", "from avreward.cli import main; main()", "raters", "--json"]
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert found.returncode == 3
    assert found.stderr.startswith("avreward: the output: No space left on device; check the path")


def test_quiet_shows_the_result_and_problems_alone(run, files, tmp_path):
    best = tmp_path / "best.wav"
    said = run("rank", str(files.wav), "--out", str(best))
    assert f"wrote {best}" in said.stderr.replace("\n", "")
    quiet = run("--quiet", "rank", str(files.wav), str(tmp_path / "lost.wav"), "--out", str(best))
    assert "wrote" not in quiet.stderr
    assert "lost.wav: there is no such file" in quiet.stderr
    assert quiet.stdout == run("-q", "rank", str(files.wav)).stdout
    assert best.is_file()
    assert f"wrote {best}" in run("rank", str(files.wav), "--out", str(best)).stderr.replace("\n", "")  # as before


def test_quiet_and_verbose_after_the_command(run, files, tmp_path):
    best = tmp_path / "best.wav"
    for flag in ("--quiet", "-q"):
        assert not run("rank", str(files.wav), "--out", str(best), flag).stderr
    assert "wrote" in run("rank", str(files.wav), "--out", str(best)).stderr
    for flag in ("--verbose", "-v"):
        assert "Traceback" in run("rank", flag, str(tmp_path / "lost.wav")).stderr
    assert "--quiet: there is no such file" in run("rank", "--", str(files.wav), "--quiet").stderr


def test_verbose_shows_where_an_error_comes_from(run, tmp_path):
    plain, verbose = (run(*options, "rank", str(tmp_path / "lost.wav")) for options in ([], ["--verbose"]))
    assert plain.exit_code == verbose.exit_code == 3
    assert "Traceback" not in plain.stderr
    assert "Traceback" in verbose.stderr
    assert verbose.stderr.endswith(plain.stderr.splitlines()[-1] + "\n")


def test_the_package_is_a_command():
    done = subprocess.run([sys.executable, "-m", "avreward", "--version"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()


def test_a_terminal_is_told_what_is_loaded(monkeypatch):
    shown = Console(file=StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(common, "stderr", lambda: shown)
    with common.waiting("Loading [b]a\nb"):
        pass
    assert common.rater_of("signals").name == "signals"
    text = shown.file.getvalue()
    assert "Loading [b]a\\nb" in text
    assert "Loading signals" in text
    monkeypatch.setattr(common, "TOLD", common.Told(quiet=True))
    with common.waiting("Loading much"):
        pass
    assert "much" not in shown.file.getvalue()
