"""How fast the store is: rows against plain sqlite3, and what it costs to resume a scored folder.

    python benchmarks/store.py [--scores 1000000] [--clips 10000] [--distinct 20]

**Rows.** As many scores as `--scores`, of 10 dimensions a clip and of a single one, are written in batches of 1 000
clips, one transaction each, and looked up again in batches of 1 000, in an order that is not that of writing. The same
by hand with plain sqlite3: the same keys, batches, journal and syncing, one row a clip with a column a dimension,
`executemany` and `SELECT … WHERE clip IN (…)`, and nothing else: no key of a clip is made, no tensor, no reason kept.
The clips are stand-ins whose track keys are known, so that no file is read. Both in one process, one after the other.

**Resuming.** `--distinct` clips (5 s, 480p, with sound; as in `throughput.py`) are synthesized and scored by `signals`
with a store; the seconds of that, times clips / distinct, stand for scoring all `--clips`: this is extrapolated. The
folder of `--clips` files is made of hard links, so each distinct content appears many times, under names of its own,
and the store is filled up to as many rows as if all contents were distinct. Measured, not extrapolated: resuming the
whole folder by `score_files` where the store has seen the names (path, size and time), and resuming it by the command.
Also: a folder that was moved, so that names are new and each file is read, but none is decoded whole or judged. CPU
seconds are those of all threads; on a machine that is shared they say more than wall seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from throughput import make_480p

from avreward import Dimension, Rater, Scores, load_rater, score_files
from avreward.clip import Clip
from avreward.scoring import Store

BATCH = 1000
SETTLED = 3.0  # seconds until a file is old enough to be remembered


class Keyed(Clip):
    """Stands for a clip whose tracks' keys are known."""

    def __init__(self, number: int) -> None:
        super().__init__(prompt="")
        self._keys = {"video": f"{number:032x}", "audio": f"{number * 7919:032x}"}

    @property
    def keys(self) -> dict[str, str]:  # noqa: D102
        return self._keys


class Judge(Rater):
    """Stands for a rater with any number of dimensions: the store keeps scores under its name, and none is computed."""

    name, fingerprint = "judge", "judge 1"

    def __init__(self, dimensions: int) -> None:
        self.dimensions = tuple(Dimension(f"d{i}", 0, 1, frozenset({"video"})) for i in range(dimensions))

    def load_track(self, *_: object) -> None:  # noqa: D102
        raise AssertionError("scores are only stored and looked up")

    def rate(self, *_: object) -> Scores:  # noqa: D102
        raise AssertionError("scores are only stored and looked up")


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def batches(items: Sequence) -> Iterator[Sequence]:
    """`items` in pieces of `BATCH`."""
    return (items[i : i + BATCH] for i in range(0, len(items), BATCH))


def through_store(folder: Path, values: torch.Tensor, order: Sequence[int]) -> tuple[float, float]:
    """Seconds of writing and of looking up `values` (clips, dimensions) by `Store`."""
    rater = Judge(values.shape[1])
    written = asked = 0.0
    with Store(folder) as store:
        for some in batches(range(len(values))):
            part = values[some.start : some.stop]
            scores = Scores(part, torch.ones_like(part).bool(), [{} for _ in some], rater.dimensions)
            clips = [Keyed(i) for i in some]
            written += seconds(lambda clips=clips, scores=scores: store.put(rater, clips, scores))
        for some in batches(order):
            clips, found = [Keyed(i) for i in some], []
            asked += seconds(lambda clips=clips, found=found: found.extend(store.get(rater, clips)))
            assert torch.equal(torch.cat([row.values for row in found]), values[some])
    return written, asked


def by_hand(path: Path, values: torch.Tensor, order: Sequence[int]) -> tuple[float, float]:
    """Return the same by sqlite3 alone; the keys are made beforehand."""
    rng = random.Random(0)
    keys = [rng.randbytes(16) for _ in range(len(values))]
    asked = [keys[i] for i in order]
    table = values.tolist()
    width = values.shape[1]
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA journal_mode = TRUNCATE")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA cache_size = -65536")
        columns = ", ".join(f"d{i} REAL" for i in range(width))
        database.execute(f"CREATE TABLE scores (clip BLOB PRIMARY KEY, {columns}) WITHOUT ROWID")
        insert = f"INSERT INTO scores VALUES (?{', ?' * width})"

        def write() -> None:
            for some, rows in zip(batches(keys), batches(table), strict=True):
                database.execute("BEGIN")
                database.executemany(insert, [(key, *row) for key, row in zip(some, rows, strict=True)])
                database.execute("COMMIT")

        def look_up() -> None:
            for some in batches(asked):
                query = f"SELECT * FROM scores WHERE clip IN ({', '.join('?' * len(some))})"
                found = {key: row for key, *row in database.execute(query, some)}
                assert len(found) == len(some)

        return seconds(write), seconds(look_up)


def rows_table(folder: Path, scores: int) -> Iterator[str]:
    """Rows of the table of scores a second."""
    yield f"| {scores} scores | dimensions | store, a second | plain sqlite3, a second | share |"
    yield "|---|---|---|---|---|"
    for width in (10, 1):
        values = torch.rand(scores // width, width, generator=torch.Generator().manual_seed(0))
        order = random.Random(1).sample(range(len(values)), len(values))
        plain = by_hand(folder / f"plain{width}.sqlite", values, order)
        ours = through_store(folder / f"store{width}", values, order)
        for name, one, other in zip(("written", "looked up"), ours, plain, strict=True):
            numbers = f"{scores / one:,.0f} | {scores / other:,.0f}".replace(",", " ")
            yield f"| {name} | {width} | {numbers} | {other / one:.2f} |"
        size = sum(path.stat().st_size for path in (folder / f"store{width}").iterdir())
        yield f"| bytes a clip | {width} | {size / len(values):.0f} | {_size(folder, width) / len(values):.0f} | |"


def _size(folder: Path, width: int) -> int:
    return (folder / f"plain{width}.sqlite").stat().st_size


def links(originals: Sequence[Path], folder: Path, count: int) -> list[Path]:
    """`count` names for the files."""
    folder.mkdir()
    paths = [folder / f"{k:05d}.mp4" for k in range(count)]
    for k, path in enumerate(paths):
        os.link(originals[k % len(originals)], path)
    return paths


def fill(store: Store, count: int) -> None:
    """Add rows until there are `count`: copies of those there are, on clips that nobody has."""
    rater = load_rater("signals")
    row = rater([Clip(audio=torch.rand(1, 32000), sample_rate=16000)])
    extra = [Keyed(10**9 + k) for k in range(count - len(store))]
    for some in batches(extra):
        store.put(rater, some, Scores.concatenate([row] * len(some)))


def all_known(paths: Sequence[Path], store: Store) -> None:
    """Scores files whose scores are known."""
    for scored in score_files(paths, load_rater("signals")["overall"], store=store):
        assert scored.known, scored


class Spent(NamedTuple):
    """Wall and CPU seconds, those of child processes included."""

    wall: float
    cpu: float

    @classmethod
    def by(cls, work: Callable[[], object]) -> Spent:
        """Measures a call."""
        before = os.times()
        wall = seconds(work)
        return cls(wall, sum(os.times()[:4]) - sum(before[:4]))


def resume_table(folder: Path, count: int, distinct: int) -> Iterator[str]:
    """Rows of the table of resuming."""
    (folder / "originals").mkdir()
    originals = make_480p(folder / "originals", distinct)
    time.sleep(SETTLED)
    reward = load_rater("signals")["overall"]
    list(score_files(originals[:2], reward))  # warm up
    stored = folder / "store"
    with Store(stored) as store:
        scoring = Spent.by(lambda: list(score_files(originals, reward, store=store)))
        fill(store, count)
        paths = links(originals, folder / "clips", count)
        moved = Spent.by(lambda: all_known(paths, store))
        resumed = Spent.by(lambda: all_known(paths, store))
    avreward = [str(Path(sys.executable).with_name("avreward")), "score"]
    options = ["--reward", "overall", "--out", str(folder / "all.parquet"), "--store", str(stored)]

    def command(some: Sequence[Path]) -> Spent:
        line = [*avreward, *map(str, some), *options]
        return Spent.by(lambda: subprocess.run(line, check=True, capture_output=True))

    times = count / distinct
    estimate = Spent(scoring.wall * times, scoring.cpu * times)
    rows = (
        (f"scoring {distinct} of them", scoring, distinct),
        ("scoring all (extrapolated)", estimate, count),
        ("resuming by `score_files`", resumed, count),
        ("resuming by `avreward score`, with its start and the table", command(paths), count),
        ("the same for one clip: the start", command(paths[:1]), 1),
        ("the folder was moved: each file is read, none judged", moved, count),
    )
    yield f"| {count} clips, 5 s, 480p, `signals` | wall s | CPU s | CPU ms a clip | wall / scoring | CPU / scoring |"
    yield "|---|---|---|---|---|---|"
    for name, spent, clips in rows:
        shares = f"{spent.wall / estimate.wall:.2%} | {spent.cpu / estimate.cpu:.2%}"
        yield f"| {name} | {spent.wall:.1f} | {spent.cpu:.1f} | {spent.cpu / clips * 1e3:.2f} | {shares} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=1_000_000, help="0: leave the first table out")
    parser.add_argument("--clips", type=int, default=10_000, help="0: leave the second table out")
    parser.add_argument("--distinct", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where to work; a disk, not memory, makes the syncing real")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        if arguments.scores:
            for line in rows_table(folder, arguments.scores):
                print(line, flush=True)
            print()
        if arguments.clips:
            for line in resume_table(folder, arguments.clips, arguments.distinct):
                print(line, flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
