"""A search's folder: what is kept there, what is taken up again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from landscape import Distance, Landscape
from toy_raters import Toy, sound

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.scoring.table_reader import read_table
from avreward.selection.candidates import candidates_of
from avreward.selection.pairs._table import pair_table
from avreward.selection.pairs.make import make_pairs
from avreward.selection.search.search import BestOfN, Search
from avreward.selection.search.steering import Beam, Steering

LEVELS = (0.25, 0.75, 0.5, 0.125, 0.75, 0.375)


def noisy(condition: Any, seed: int) -> Clip:
    """A sound whose power is known."""
    return sound(LEVELS[seed % len(LEVELS)])


def test_pairs_are_made_of_what_was_kept_as_files(tmp_path) -> None:
    lost = BestOfN(noisy, Toy()["power"], n=4)().table(tmp_path / "lost.parquet")
    with pytest.raises(AvrewardError, match=r"4 × the candidate has no file.*seed 0, seed 1.*out= and keep="):
        make_pairs(candidates_of(read_table(lost)))
    table = BestOfN(noisy, Toy()["power"], n=4, keep=2, out=tmp_path / "out")().table(tmp_path / "kept.parquet")
    found = make_pairs(candidates_of(read_table(table)))
    rows = pair_table(found).to_pylist()
    assert [(Path(row["chosen"]).name, Path(row["rejected"]).name) for row in rows] == [("seed-1.wav", "seed-2.wav")]
    assert Path(rows[0]["rejected"]).is_file()
    assert [(why[:25], count) for why, count in found.dropped.items()] == [("the candidate has no file", 2)]
    assert len(candidates_of(read_table(table)).kept) == 4  # of the curve all count


def found_in(folder: Path, reward: str = "power") -> Any:
    return BestOfN(noisy, Toy()[reward], n=2, out=folder)()


@pytest.mark.parametrize("text", ["{", '{"run": "ab', '{"run": "0123456789abcdef0123456789abcdef"'])
def test_a_folder_whose_first_line_was_cut_off_is_begun_anew(tmp_path, text) -> None:
    (tmp_path / "candidates.jsonl").write_text(text)
    with pytest.warns(UserWarning, match=r"candidates\.jsonl: its first line was truncated; the log starts again"):
        found_in(tmp_path)
    assert [c.known for c in found_in(tmp_path).candidates] == [True, True]
    with pytest.raises(AvrewardError, match="with candidates of another run"):
        found_in(tmp_path, "overall")


def test_a_folder_that_does_not_say_whose_it_is_is_refused(tmp_path) -> None:
    found_in(tmp_path)
    path = tmp_path / "candidates.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    for data in (b"\xff\xfe\x00bad\n", b"[]\n3\n", b"notes", "".join(['{"run": "ab\n', *lines[1:]]).encode()):
        path.write_bytes(data)
        with pytest.raises(
            AvrewardError, match=r"candidates\.jsonl: expected a first line that .* pass another folder"
        ):
            found_in(tmp_path)
        assert path.read_bytes() == data


def test_lines_of_something_else_are_left_out(tmp_path) -> None:
    found_in(tmp_path)
    path = tmp_path / "candidates.jsonl"
    header, first, second = path.read_bytes().splitlines(keepends=True)
    key = second.split(b'"judged"')[0]
    for other in (b"[]\n3\n\xff\xfe\n", b'{"key": 3}\n{"key": []}\n', key + b'"judged": 3}\n', key + b'"made": 3}\n'):
        path.write_bytes(header + first + other)
        again = found_in(tmp_path)
        assert [c.known for c in again.candidates] == [True, False]
        assert again.rewards.values.tolist() == pytest.approx([0.25, 0.75])
        assert all(c.known for c in found_in(tmp_path).candidates)


def test_a_prompt_with_a_line_separator_is_taken_up_again(tmp_path) -> None:
    def generate(condition: Any, seed: int) -> Clip:
        dub = sound(0.5)
        return Clip(audio=dub.audio, sample_rate=dub.sample_rate, prompt="rain\u2028on tin\x85")

    for known in (False, True):
        found = BestOfN(generate, Toy()["power"], n=1, out=tmp_path)()
        assert found.candidates[0].known is known


@pytest.mark.parametrize("strategy", [Steering(4), Beam(2, 2)])
def test_candidates_that_came_about_together_are_written_when_finished(tmp_path, strategy) -> None:
    landscape = Landscape(1)
    search = Search(landscape, Distance(landscape, 1)["reward"], strategy, keep=2, out=tmp_path)
    found = search()
    lines = (tmp_path / "candidates.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 4
    rewards = [json.loads(line)["judged"]["reward"] for line in lines[1:]]
    assert rewards == found.rewards.values.tolist()
    files = sorted(path.name for path in tmp_path.glob("together-*.wav"))
    assert sorted(c.file.name for c in found.ranked[:2]) == files
    assert len(files) == 2
    assert [c.name for c in found.ranked[:2]] == [str(c.file) for c in found.ranked[:2]]
    again = search()
    assert torch.equal(again.rewards.values, found.rewards.values)
    assert len((tmp_path / "candidates.jsonl").read_text().splitlines()) == 1 + 4
    Search(landscape, Distance(landscape, 1)["reward"], strategy, keep=2, seed=9, out=tmp_path)()
    assert {path.name for path in tmp_path.glob("together-*.wav")} > set(files)  # nothing is written over


def test_a_larger_keep_and_files_that_are_gone_are_made_again(tmp_path) -> None:
    asked: list[int] = []

    def generate(condition: Any, seed: int) -> Clip:
        asked.append(seed)
        if broken:
            raise RuntimeError("the service is down")
        return noisy(condition, seed)

    broken = False
    BestOfN(generate, Toy()["power"], n=4, keep=1, out=tmp_path)()
    asked.clear()
    found = BestOfN(generate, Toy()["power"], n=4, keep=3, out=tmp_path)()
    assert asked == [2, 0]  # the best one's file is there
    assert [round(float(clip.sound().square().mean()), 2) for clip in found.clips] == [0.75, 0.5, 0.25]
    assert all(c.file.exists() for c in found.ranked[:3])
    (tmp_path / "seed-1.wav").unlink()
    asked.clear()
    found = BestOfN(generate, Toy()["power"], n=4, keep=3, out=tmp_path)()
    assert asked == [1]
    assert len(found.clips) == 3
    assert (tmp_path / "seed-1.wav").exists()
    (tmp_path / "seed-2.wav").unlink()
    broken = True
    with pytest.warns(UserWarning, match="seed 2: could not be generated again .*the service is down"):
        found = BestOfN(generate, Toy()["power"], n=4, keep=3, out=tmp_path)()
    assert len(found.clips) == 2
    assert len(found.ranked) == 4
