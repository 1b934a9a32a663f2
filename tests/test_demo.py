"""The demonstration: real files, and the planted best wins on scenes that nothing was fitted on."""

import json

import pytest
from typer.testing import CliRunner

from avreward.cli.main import app
from avreward.clip import Clip
from avreward.datasets.synthetic.demo import BEST, DEFECTS, demo_candidates
from avreward.raters.hub import load_rater
from avreward.report._media import browser_plays
from avreward.scoring._torch_threads import one_core
from avreward.scoring.run import score_files
from avreward.selection._best_of_n import select

SEEDS = range(1, 21)  # counted from `FIRST_SEED`; the demonstration itself takes 0


def winner(seed: int, folder) -> str:
    from avreward.rewards.base import Rewards

    with one_core():
        files = demo_candidates(seed, folder)
    scored = list(score_files(files.values(), load_rater()["overall"]))
    picked = select(list(files.values()), Rewards.concatenate([s.rewards for s in scored if s.rewards]))
    return list(files)[picked.best_index]


@pytest.mark.slow
def test_the_planted_best_wins_on_twenty_scenes(tmp_path):
    winners = {seed: winner(seed, tmp_path / str(seed)) for seed in SEEDS}
    lost = {seed: name for seed, name in winners.items() if name != BEST}
    assert len(lost) <= 1, lost


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "new"
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["demo", "--out", str(folder)]), folder


def test_it_says_that_the_planted_best_won(demo):
    result, _ = demo
    assert result.exit_code == 0, result.output
    assert "The planted best, original.mp4, won" in result.stdout


def test_its_files_are_what_browsers_play(demo):
    _, folder = demo
    clips = {path.stem: Clip.open(path) for path in folder.glob("*.mp4")}
    assert set(clips) == {BEST, *(defect.name for defect in DEFECTS)}
    assert all(browser_plays(folder / f"{name}.mp4") for name in clips)
    assert all(clip.has_video and clip.has_audio for clip in clips.values())
    shared = {clip.keys["video"] for name, clip in clips.items() if name != "frozen"}
    assert len(shared) == 1  # dubs of one video
    assert clips["frozen"].keys["audio"] == clips[BEST].keys["audio"]
    assert len({clip.keys["audio"] for clip in clips.values()}) == len(clips) - 1


def test_its_report_tells_what_was_planted(demo):
    _, folder = demo
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert 'src="./original.mp4"' in text
    assert "half a second late" in text


def test_the_same_seed_makes_the_same_sound(tmp_path):
    with one_core():
        first, second = (demo_candidates(3, tmp_path / name, seconds=1.0)["noise"] for name in "ab")
    assert Clip.open(first).keys["audio"] == Clip.open(second).keys["audio"]


def test_another_winner_is_an_exit_code(tmp_path, monkeypatch):
    """A reward that likes noise: the command must say so."""
    import avreward.cli.demo as command

    real = command.reward_of
    monkeypatch.setattr(command, "reward_of", lambda expression, rater: real("-1*overall", rater))
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "should have won" in result.stdout


def test_it_is_the_ranking_of_the_rank_command(demo):
    result, folder = demo
    files = sorted(str(path) for path in folder.glob("*.mp4"))
    ranked = json.loads(CliRunner().invoke(app, ["rank", *files, "--json"]).stdout)
    names = [candidate["clip"].rpartition("/")[2] for candidate in ranked["candidates"]]
    places = [result.stdout.index(name) for name in names]
    assert places == sorted(places)
