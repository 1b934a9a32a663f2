"""Start pairs of runs that write one output at the same time: every output must be whole, and one run's own.

    python tests/attacks/concurrent_runs.py --pairs 50

Each pair is two processes of one command with different inputs and the same output. Of `score`, `rank`, `pairs` and
`score --out NAME.csv` (which has a second file beside it), at least one run must end with exit code 0; the other one
does too, or says in one line who writes the output. The output is read and compared with what each run writes alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from avreward.clip import Clip
from avreward.scoring import read_table
from avreward.selection import read_pairs

START = [sys.executable, "-m", "avreward", "--quiet"]
IN_USE = re.compile(
    r"process \d+ on .* has been writing it since|another process is writing it|which has contents|not empty"
)


def made(folder: Path) -> list[Path]:
    """Write two folders with different clips, and scored tables of them; return the folders."""
    sides = []
    for side in range(2):
        place = folder / f"clips{side}"
        place.mkdir(parents=True)
        for number in range(6 + 3 * side):
            torch.manual_seed(100 * side + number)
            sound = (0.02 + 0.05 * number) * torch.randn(1, 4000)
            Clip(audio=sound, sample_rate=8000).save(place / f"s{side}_{number}.wav")
        alone(
            "score",
            place,
            "--out",
            folder / f"table{side}.parquet",
            "--reward",
            "audio_quality",
            "--group-by",
            "parent",
        )
        sides.append(place)
    return sides


def alone(*arguments: object) -> None:
    """Run a command to its end."""
    subprocess.run([*START, *map(str, arguments)], check=True, capture_output=True)


def commands(kind: str, folder: Path, out: Path) -> list[list[str]]:
    """Return the two commands of a pair."""
    both = []
    for side in range(2):
        clips, table = folder / f"clips{side}", folder / f"table{side}.parquet"
        both.append([str(part) for part in {
            "parquet": ["score", clips, "--out", out / "x.parquet"],
            "csv": ["score", clips, "--out", out / "x.csv"],
            "rank": ["rank", clips, "--reward", "audio_quality", "--report", out / "x.html", "--table", out / "x.csv",
                     "--out", out / "best.wav", "--copy-media"],
            "pairs": ["pairs", table, "--out", out / "x", "--margin", "0", "--copy"],
        }[kind]])  # fmt: skip
    return both


def content(kind: str, out: Path) -> str:
    """Return whose outputs these are, "0" or "1"; raise where they can't be read or are of both."""
    whose: set[str] = set()
    if kind in ("parquet", "csv", "rank"):
        rows = read_table(out / ("x.parquet" if kind == "parquet" else "x.csv")).rows
        whose |= {Path(clip).stem[1] for clip in rows["clip"].to_pylist()}
        assert len(rows) == 6 + 3 * int(min(whose)), f"{len(rows)} rows"
    if kind == "rank":
        page = (out / "x.html").read_text(encoding="utf-8")
        whose |= set(re.findall(r"s([01])_\d\.wav", page))
        assert page.rstrip().endswith("</html>")
        assert Clip.open(out / "best.wav").sound().shape[1] == 4000
        digests = {hashlib.sha256(path.read_bytes()).digest(): path.stem[1] for path in out.parent.glob("clips*/*.wav")}
        whose.add(digests[hashlib.sha256((out / "best.wav").read_bytes()).digest()])
    if kind == "pairs":
        rows = read_pairs(out / "x")
        for clip in (*rows["chosen"].to_pylist(), *rows["rejected"].to_pylist()):
            Clip.open(out / "x" / clip)
        whose |= {Path(clip).stem[1] for clip in rows["chosen_source"].to_pylist()}
    hidden = [path.name for path in out.rglob(".*")]
    assert not hidden, f"left behind: {hidden}"
    assert len(whose) == 1, f"outputs of both runs: {whose}"
    return whose.pop()


def one_pair(kind: str, folder: Path, number: int) -> str:
    """Run a pair; return how it went."""
    out = folder / f"out{number}"
    out.mkdir()
    environment = {**os.environ, "AVREWARD_STORE": str(folder / "store")}
    runs = [subprocess.Popen([*START, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
                             text=True) for command in commands(kind, folder, out)]  # fmt: skip
    said = [run.communicate()[1] for run in runs]
    codes = [run.returncode for run in runs]
    for side, (code, text) in enumerate(zip(codes, said, strict=True)):
        assert code == 0 or (code in (2, 3) and IN_USE.search(text)), f"{kind}: run {side} ended with {code}: {text}"
        assert "Traceback" not in text, text
    assert 0 in codes, f"{kind}: no run got through: {said}"
    whose = content(kind, out)
    assert codes[int(whose)] == 0, f"{kind}: the output is of run {whose}, which ended with {codes[int(whose)]}"
    shutil.rmtree(out)
    return "one was told" if any(codes) else "one after the other"


def main(arguments: Sequence[str] | None = None) -> Counter[str]:
    """Run the pairs and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--kinds", nargs="+", default=["parquet", "csv", "rank", "pairs"])
    asked = parser.parse_args(arguments)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        made(folder)
        for number in range(asked.pairs):
            kind = asked.kinds[number % len(asked.kinds)]
            try:
                found[f"{kind}: {one_pair(kind, folder, number)}"] += 1
            except AssertionError as error:
                found[f"{kind}: BROKEN"] += 1
                print(error, file=sys.stderr)
    for what, count in sorted(found.items()):
        print(f"{count:5d}  {what}")
    return found


if __name__ == "__main__":
    sys.exit(any("BROKEN" in what for what in main()))
