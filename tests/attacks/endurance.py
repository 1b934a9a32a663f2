"""Score many tiny clips in one process, and look many known ones up: memory stays flat and time is linear.

    python tests/attacks/endurance.py --clips 20000 --known 100000

Prints memory and CPU time a clip (making it counts, too) for each tenth of the run, and the CPU time of a known row.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from media_files import write  # noqa: E402
from toy_raters import Toy, sound  # noqa: E402

from attacks.store_flips import memory  # noqa: E402
from avreward.raters import load_rater  # noqa: E402
from avreward.scoring import Store, score_files  # noqa: E402


def resident() -> float:
    """Return the memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def tiny_clips(folder: Path, count: int) -> Iterator[Path]:
    """Yield clips of 64×64 pixels and 0.2 s with sounds of their own; each is removed 200 clips later."""
    rng = np.random.default_rng(0)
    made: deque[Path] = deque()
    for number in range(count):
        samples = (0.1 * rng.standard_normal((1, 3200))).astype(np.float32)
        size = {"count": 4, "fps": 20, "size": (64, 64), "codec": "mpeg4"}
        path = folder / f"{number}.mkv"
        write(path, sound="pcm_s16le", rate=16000, channels=1, samples=samples, **size)
        made.append(path)
        if len(made) > 200:
            made.popleft().unlink()
        yield path


def score_many(folder: Path, count: int) -> tuple[float, float]:
    """Print each tenth; return by how many MB memory grew after the first tenth, and the last over the second time."""
    sizes, times = [], []
    step, started = max(1, count // 10), time.process_time()
    with Store(folder / "store") as store:
        rows = score_files(tiny_clips(folder, count), load_rater("signals"), store=store, isolate=False)
        for number, row in enumerate(rows, 1):
            assert row.error is None, row.error
            if number % step == 0:
                now = time.process_time()
                sizes.append(resident())
                times.append((now - started) / step * 1e3)
                started = now
                print(f"{number:7} clips: {sizes[-1]:7.1f} MB, {times[-1]:6.2f} ms a clip", flush=True)
    return sizes[-1] - sizes[0], times[-1] / times[min(1, len(times) - 1)]


def look_up(folder: Path, count: int) -> float:
    """Store rows of `count` clips, then run over them again; return the milliseconds of CPU time a known row."""
    toy = Toy()
    with Store(folder / "known") as store:
        for first in range(0, count, 1000):
            clips = [sound(1e-6 * (i + 1), samples=4) for i in range(first, min(count, first + 1000))]
            store.put(toy, clips, toy(clips))
    clips = [sound(1e-6 * (i + 1), samples=4) for i in range(count)]
    before = sorted(path.stat().st_mtime_ns for path in (folder / "known").iterdir())
    started = time.process_time()
    with Store(folder / "known") as store:
        assert all(row.known for row in score_files(clips, toy, store=store, isolate=False))
    taken = (time.process_time() - started) / count * 1e3
    assert before == sorted(path.stat().st_mtime_ns for path in (folder / "known").iterdir())  # nothing was written
    return taken


def main() -> int:
    """Print both; return 1 if memory grew by more than 50 MB or a known row took 1 ms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--known", type=int, default=100_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        taken = look_up(Path(folder), arguments.known)
        print(f"{arguments.known} known rows: {taken:.3f} ms a row")
        grown, slower = score_many(Path(folder), arguments.clips)
    print(f"memory grew by {grown:.1f} MB after the first tenth; the last tenth took {slower:.2f} times the second")
    return int(grown > 50 or taken >= 1)


if __name__ == "__main__":
    raise SystemExit(main())
