"""`avreward probe`: the table, the card, JSON, and what goes wrong."""

import json

import pytest
import torch

from avreward.clip import Clip


@pytest.fixture(scope="module")
def reals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    paths = []
    for n, level in enumerate((0.2, 0.4, 0.5)):
        video = (level + 0.1 * torch.linspace(0, 1, 8)[:, None, None, None]).expand(8, 3, 32, 48)
        sound = level * torch.sin(torch.arange(4000) * 0.3)[None]
        paths.append(folder / f"{n}.mkv")
        Clip(video=video, fps=16, audio=sound, sample_rate=8000).save(paths[-1])
    return paths


def test_the_table_names_who_beats_the_real_clips(run, toy, reals, tmp_path):
    result = run("probe", "power", *reals, "--against", "brightness", "--out", tmp_path / "card.html")
    assert result.exit_code == 0, result.stderr
    lines = {line.split("  ")[0].strip(): line for line in result.stdout.splitlines()}
    assert "beats the median real clip" in lines["loud"]
    assert "none does" in lines["silence"]
    assert "makes no difference" in lines["black"]
    assert "no reward" in lines["swapped prompt"]
    assert "Reward: toy.power; real clips: 3" in result.stdout
    assert "Gradient ascent, 3 clips: +" in result.stdout
    assert "held out 0" in result.stdout
    assert "Cost a clip:" in result.stdout
    assert "Few clips: 3." in result.stdout
    assert "Reward card" in (tmp_path / "card.html").read_text()
    assert result.stderr == f"wrote {tmp_path / 'card.html'}\n"


def test_a_card_that_cannot_be_written_is_named_after_the_figures(run, toy, reals, tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("avreward.report.card.write_whole", full)
    result = run("probe", "power", *reals, "--out", tmp_path / "card.html")
    assert result.exit_code == 3
    assert "Gradient ascent, 3 clips" in result.stdout
    assert "card.html: can't be written (No space left on device); choose another place" in result.stderr


def test_json_and_its_seed(run, toy, reals, tmp_path):
    first, again, other = (
        json.loads(run("probe", "power", *reals[:2], "--json", "--seed", seed).stdout) for seed in (0, 0, 1)
    )
    for told in (first, again, other):
        del told["cost"]  # the one thing that differs from run to run
    assert first == again
    assert first["seed"] == 0
    assert first["probes"] != other["probes"]
    assert first["clips"] == [str(path) for path in reals[:2]]
    assert first["held_out"] == ""


def test_prompts_bring_the_warning_and_the_swap(run, toy, reals, tmp_path):
    table = tmp_path / "prompts.csv"
    table.write_text("clip,prompt\n0.mkv,a dog\n1.mkv,rain\n2.mkv,rain\n")
    result = run("probe", "power", *reals, "--prompts", table, "--json")
    told = json.loads(result.stdout)
    assert "20th rollout" in told["notes"][0]
    swapped = next(row for row in told["probes"] if row["name"] == "swapped prompt")
    assert swapped["verdict"] == "unseen"


def test_one_bad_file_costs_one_line(run, toy, reals, files):
    result = run("probe", "power", *reals[:2], files.bad["text.mp4"], files.silent, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert len(told["clips"]) == 2
    assert sorted(told["failed"]) == sorted([str(files.bad["text.mp4"]), str(files.silent)])
    assert len(result.stderr.splitlines()) == 2
    assert "no audio" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["power", "BAD"], 3, "avreward: the file cannot be opened; give"),
        (["power", "SILENT"], 3, "the clip has no reward"),
        (["powre", "SILENT"], 2, "power"),
        (["power", "SILENT", "--against", "nothing"], 2, "nothing"),
        (["power", "SILENT", "--out", "card.pdf"], 2, "end the name in"),
        (["power"], 2, "Missing argument"),
    ],
)
def test_what_goes_wrong_is_named(run, toy, files, arguments, code, said):
    places = {"BAD": files.bad["missing.mp4"], "SILENT": files.silent}
    result = run("probe", *(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == code
    assert said in result.stderr


def test_scores_come_from_the_store_that_all_commands_share(run, toy, reals, store, tmp_path):
    """The second run only measures gradients and cost again; it comes to the same card."""
    first = json.loads(run("probe", "power", *reals[:2], "--json").stdout)
    once = sum(toy.calls)
    toy.calls.clear()
    again = json.loads(run("probe", "power", *reals[:2], "--json").stdout)
    assert sum(toy.calls) < once / 2
    assert any(store.iterdir())
    toy.calls.clear()
    anew = json.loads(run("probe", "power", *reals[:2], "--json", "--no-store").stdout)
    assert sum(toy.calls) >= once
    for told in (first, again, anew):
        del told["cost"]
    assert first == again == anew
    assert run("probe", "power", *reals, "--store", tmp_path / "s", "--no-store").exit_code == 2
