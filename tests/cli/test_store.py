"""The store that commands share: what a second run finds, and what a person is told."""

import json
import sqlite3

import pytest
from pyarrow import parquet
from toy_raters import Toy

from avreward.raters import _environment
from avreward.scoring.store._checksums import APPLICATION
from avreward.scoring.store.store import Store


@pytest.fixture
def score(run, tmp_path, store):
    out = tmp_path / "scores.parquet"

    def scored(*arguments):
        result = run("score", *arguments, "--out", out)
        return result, parquet.read_table(out).to_pylist()

    scored.store = store
    return scored


def test_a_second_run_decodes_nothing(score, toy, files):
    first, before = score(files.loud, files.silent, "--reward", "overall")
    toy.loads.clear()
    second, after = score(files.loud, files.silent, "--reward", "overall")
    assert after == before
    assert toy.loads == []
    assert "known" not in first.stderr
    assert "2 of 2 clips scored (2 known from" in second.stderr
    assert str(score.store) in second.stderr


def test_scores_by_another_decoder_are_made_again(score, toy, files, monkeypatch):
    score(files.loud, files.silent)
    monkeypatch.setattr(_environment, "_version_of", lambda library: f"{library} 0.1")
    toy.calls.clear()
    second, _ = score(files.loud, files.silent)
    assert toy.calls == [1, 1]
    [line] = [line for line in second.stderr.splitlines() if "were made with" in line]
    assert line.startswith(f"avreward: {score.store}: scores of toy were made with PyAV ")
    assert line.endswith("and this run has PyAV av 0.1; those clips are rated again")
    third, _ = score(files.loud, files.silent)
    assert "were made with" not in third.stderr


def test_prompts_too(score, toy, files, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"clip": "loud.mp4", "prompt": "a drum"}))
    _, before = score(files.loud, files.soft, "--prompts", prompts)
    toy.loads.clear()
    _, after = score(files.loud, files.soft, "--prompts", prompts)
    assert (after, toy.loads) == (before, [])
    assert after[0]["prompt"] == "a drum"


def test_it_goes_on_where_it_was_interrupted(score, toy, files, monkeypatch, run, tmp_path):
    rate = toy.rate

    def rated(samples, work=None):
        if samples[0].clip.name == "soft.mp4":
            raise KeyboardInterrupt
        return rate(samples, work)

    monkeypatch.setattr(toy, "rate", rated)
    out = tmp_path / "scores.parquet"
    assert run("score", files.loud, files.silent, files.soft, "--out", out).exit_code == 130
    monkeypatch.setattr(toy, "rate", rate)
    toy.calls.clear()
    result, rows = score(files.loud, files.silent, files.soft)
    assert "3 of 3 clips scored (2 known" in result.stderr
    assert sum(toy.calls) == 1
    assert len(rows) == 3


def test_no_store(score, toy, files):
    score(files.loud, "--no-store")
    assert not score.store.exists()
    score(files.loud, "--no-store")
    assert toy.calls == [1, 1]


def test_another_place(score, toy, files, tmp_path):
    score(files.loud, "--store", tmp_path / "kept")
    assert not score.store.exists()
    with Store(tmp_path / "kept") as store:
        assert len(store) == 1


def test_both_options(run, toy, files, tmp_path):
    result = run("score", files.loud, "--out", tmp_path / "s.jsonl", "--store", tmp_path / "kept", "--no-store")
    assert result.exit_code == 2
    assert toy.calls == []


def test_other_settings_are_said_once(score, files, monkeypatch):
    def rated_by(fingerprint):
        rater = Toy()
        rater.fingerprint = fingerprint
        monkeypatch.setattr("avreward.raters.hub.load_rater", lambda name="signals": rater)
        return score(files.loud)

    assert "other settings" not in rated_by("toy old")[0].stderr
    changed, rows = rated_by("toy new")
    assert "toy old" in changed.stderr
    assert "other settings" in changed.stderr
    assert rows[0]["fingerprint"] == "toy new"
    again, _ = rated_by("toy new")
    assert "other settings" not in again.stderr
    assert "1 known" in again.stderr


def test_missing_scores_again(score, files, monkeypatch):
    class Moody(Toy):
        mood = "the model was out of memory"

        def row(self, sample):
            values, reasons, basis = super().row(sample)
            if self.mood:
                values.pop("power")
                reasons["power"] = self.mood
            return values, reasons, basis

    rater = Moody()
    monkeypatch.setattr("avreward.raters.hub.load_rater", lambda name="signals": rater)
    _, [row] = score(files.loud)
    assert row["toy.power"] is None
    rater.mood = ""
    _, [row] = score(files.loud)
    assert row["toy.power"] is None
    result, [row] = score(files.loud, "--retry-missing")
    assert row["toy.power"] is not None
    assert "known" not in result.stderr
    assert score(files.loud)[1] == [row]


def test_a_damaged_file_is_named(score, toy, files):
    score(files.loud)
    [shard] = score.store.glob("*.sqlite")
    shard.write_bytes(b"no database" * 1000)
    result, rows = score(files.loud)
    assert result.exit_code == 0
    assert shard.name in result.stderr
    assert rows[0]["toy.power"] is not None


def test_a_newer_store(run, score, toy, files, tmp_path):
    score(files.loud)
    [shard] = score.store.glob("*.sqlite")
    with sqlite3.connect(shard) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute(f"PRAGMA application_id = {APPLICATION + 99}")
    result = run("score", files.loud, "--out", tmp_path / "scores.parquet")
    assert result.exit_code == 3
    assert "version 99" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.parquet"]


def test_many_runs_are_merged(score, toy, files, monkeypatch):
    monkeypatch.setattr("avreward.cli._store.MOST_FILES", 2)
    for clips in ([files.loud], [files.soft], [files.silent], [files.wav]):
        score(*clips)
    assert len(list(score.store.iterdir())) == 1
    with Store(score.store) as store:
        assert len(store) == 4


def test_a_stored_row_is_written_as_a_new_one(run, files, tmp_path):
    """Byte for byte, the order of reasons too: `signals` measures more of a video than of a sound."""
    outs = [tmp_path / "new.jsonl", tmp_path / "known.jsonl"]
    for out in outs:
        asked = ["--reward", "signals.audio_quality", "--store", tmp_path / "store", "--out", out]
        assert run("score", files.wav, *asked).exit_code == 0
    assert outs[0].read_text() == outs[1].read_text()
