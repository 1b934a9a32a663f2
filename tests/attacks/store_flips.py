"""Flip single bits of a store's file: a score must come back as it was, or not at all, and no flip may end the run.

    python tests/attacks/store_flips.py --flips 10000 --seed 0

After each flip every clip is looked up, the lost ones are rated again, and all are looked up once more. Half of the
flips hit bytes that are not zero, since most of a small store's file is empty.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

import torch  # noqa: E402
from media_files import write  # noqa: E402
from toy_raters import Toy, both, picture, sound  # noqa: E402

from avreward.clip import Clip  # noqa: E402
from avreward.raters.scores import Scores  # noqa: E402
from avreward.scoring.store._files import remembered  # noqa: E402
from avreward.scoring.store._tables import Rows  # noqa: E402
from avreward.scoring.store.store import Store  # noqa: E402

CLIPS = [make(0.01 * i) for i in range(1, 9) for make in (sound, picture)] + [both(0.2, 0.3)]


class Victim:
    """A store with one file, and what it should answer."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.toy = folder / "store", Toy()
        self.media = [
            write(folder / f"{i}.wav", codec=None, sound="pcm_s16le", seconds=0.1 * (i + 1)) for i in range(3)
        ]
        for path in self.media:
            _age(path)
        self.scores = self.toy(CLIPS).split()
        opened = [Clip.open(path) for path in self.media]
        self.facts = [_facts(clip) for clip in opened]
        with Store(self.folder) as store:
            store.put(self.toy, CLIPS, self.toy(CLIPS))
            store.write(Rows(files=[row for clip in opened if (row := remembered(clip)) is not None]))
            self.remembered = all(store.remembers(row) for clip in opened if (row := remembered(clip)) is not None)
        [self.file] = self.folder.glob("*.sqlite")
        self.data = self.file.read_bytes()
        self.filled = [place for place, byte in enumerate(self.data) if byte]

    def outcome(self, place: int, bit: int) -> str:
        """Return "unharmed", "rated again", "WRONG" or "ENDED", with the file as it was before."""
        for path in self.folder.iterdir():
            path.unlink()
        damaged = bytearray(self.data)
        damaged[place] ^= 1 << bit
        self.file.write_bytes(damaged)
        told: list[str] = []
        ignored: list[str] = []
        try:
            with Store(self.folder) as store:
                store.tell = told.append
                found = store.get(self.toy, CLIPS)
                recalled = [_facts(store.open(path)) for path in self.media]
                len(store), store.fingerprints("toy")
                again = [clip for clip, row in zip(CLIPS, found, strict=True) if row is None]
                if again:
                    store.put(self.toy, again, self.toy(again))
            with Store(self.folder) as store:
                store.tell = ignored.append
                store.compact()
                after = store.get(self.toy, CLIPS)
        except Exception:
            traceback.print_exc()
            return "ENDED"
        rows = zip([*found, *after], [*self.scores] * 2, strict=True)
        right = all(row is None or _same(row, own) for row, own in rows)
        if not right or recalled != self.facts or len(told) != len(set(told)):
            return "WRONG"
        return "rated again" if again else "unharmed"


def flip(victim: Victim, count: int, seed: int) -> Counter[str]:
    """Return how many of `count` flips had each outcome."""
    warnings.filterwarnings("ignore", message=".*these scores can't be read")  # a store warns before it has `tell`
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number in range(count):
        place = rng.choice(victim.filled) if number % 2 else rng.randrange(len(victim.data))
        bit = rng.randrange(8)
        outcome = victim.outcome(place, bit)
        outcomes[outcome] += 1
        if outcome.isupper():
            print(f"{outcome}: bit {bit} of byte {place}, which is {victim.data[place]:#04x}", file=sys.stderr)
        if (number + 1) % 1000 == 0:
            print(f"flips: {number + 1} of {count}, {dict(outcomes)}", file=sys.stderr, flush=True)
    return outcomes


def memory() -> str | None:
    """Return a folder in memory, where a batch need not wait for a disk; `None` where there is none."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def _facts(clip: Clip) -> tuple[object, ...]:
    return clip.seconds, clip.channels, clip.sample_rate, dict(clip.keys), dict(clip.missing)


def _same(found: Scores, expected: Scores) -> bool:
    return (
        torch.equal(found.values.nan_to_num(-1), expected.values.nan_to_num(-1))
        and found.reasons == expected.reasons
        and found.basis == expected.basis
    )


def _age(path: Path) -> None:
    """Date a file back, since the store does not remember files written just now."""
    os.utime(path, (1.6e9, 1.6e9))


def main() -> int:
    """Print the outcomes; return 1 if a score was wrong or a run ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        outcomes = flip(Victim(Path(folder)), arguments.flips, arguments.seed)
    for outcome in ("unharmed", "rated again", "WRONG", "ENDED"):
        print(f"{outcome:12} {outcomes[outcome]:6}")
    return int(bool(outcomes["WRONG"] or outcomes["ENDED"]))


if __name__ == "__main__":
    raise SystemExit(main())
