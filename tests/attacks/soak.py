"""Attack the package for a while and print a table of what was tried and what survived; `make soak` runs it.

    python tests/attacks/soak.py --scale 1.0 --seed 0     # about an hour on two cores
    python tests/attacks/soak.py --scale 0.15             # ten minutes: SOAK=short make soak

At scale 1: 10,000 damaged media files over all containers, 100 killed commands, 10,000 bit flips in a store and
1,000 votes by 200 people at once. `--only files kills` runs some of them.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TESTS = str(Path(__file__).parents[1])
if TESTS not in sys.path:
    sys.path.insert(0, TESTS)

import torch  # noqa: E402
from media_files import write  # noqa: E402

from attacks.mutations import drawn, make, spoilt  # noqa: E402
from attacks.store_flips import Victim, flip, memory  # noqa: E402
from avreward.clip import Clip  # noqa: E402
from avreward.errors import MediaError  # noqa: E402
from avreward.media._isolated.workers import DecoderDied, Workers, isolated  # noqa: E402

Row = tuple[str, int, int, str]  # what was attacked, how often, how often it survived, and details
COMMANDS = ("score", "rank", "pairs", "BestOfN")


def files(folder: Path, count: int, rng: random.Random) -> list[Row]:
    """Decode damaged files in worker processes: each is refused, or gives a clip; nothing else may happen."""
    intact = make(folder)
    expected = {name: _content(folder / name) for name in intact}
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in intact}
    with isolated(Workers(seconds=120)):
        for number in _counted("files", count):
            name = sorted(intact)[number % len(intact)]
            path = folder / f"spoilt-{number}-{name}"
            path.write_bytes(spoilt(intact[name], drawn(rng)))
            outcomes[name][_outcome(path, expected[name])] += 1
            path.unlink()
    rows = []
    for name, found in outcomes.items():
        fine = found["refused"] + found["unharmed"] + found["read, with other content"]
        rows.append(
            (f"damaged {name}", found.total(), fine, ", ".join(f"{n} {what}" for what, n in sorted(found.items())))
        )
    return rows


def _counted(what: str, count: int) -> Iterator[int]:
    """Yield the numbers below `count`, and say after each tenth how far the attack is."""
    for number in range(count):
        yield number
        if (number + 1) % max(1, count // 10) == 0:
            print(f"{what}: {number + 1} of {count}, {sum(os.times()[:4]):.0f} s of CPU", file=sys.stderr, flush=True)


def _content(path: Path) -> list[torch.Tensor]:
    clip = Clip.open(path, max_seconds=600, max_pixels=2**22)
    return [*([clip.video] if clip.has_video else []), *([clip.sound()] if clip.has_audio else [])]


def _outcome(path: Path, expected: list[torch.Tensor]) -> str:
    try:
        found = _content(path)
    except DecoderDied as error:
        return "KILLED ITS DECODER" if "SIG" in error.problem else "refused"
    except MediaError:
        return "refused"
    except Exception as error:
        print(f"{path.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return f"RAISED {type(error).__name__}"
    same = len(found) == len(expected) and all(map(torch.equal, found, expected))
    return "unharmed" if same else "read, with other content"


def kills(folder: Path, count: int, rng: random.Random) -> list[Row]:
    """Kill commands at random moments: outputs are whole or absent, and the same command then gives the full result."""
    clips = []
    for i in range(12):
        sound = 0.02 * (i + 1) * torch.randn(1, 8000, generator=torch.Generator().manual_seed(i)).numpy()
        group = folder / "clips" / f"g{i // 4}"
        group.mkdir(parents=True, exist_ok=True)
        clips.append(write(group / f"{i}.wav", codec=None, sound="pcm_s16le", rate=16000, samples=sound, channels=1))
    whole = {name: _run(name, folder / "whole", clips, None) for name in COMMANDS}
    seconds = {name: taken for name, (_, taken) in whole.items()}
    tried, survived, cut = Counter[str](), Counter[str](), Counter[str]()
    for number in _counted("kills", count):
        name = COMMANDS[number % len(COMMANDS)]
        place = folder / f"{name}-{number}"
        killed, _ = _run(name, place, clips, rng.uniform(0.02, 1.5) * seconds[name])
        early = _problem(name, place, folder / "whole", complete=False)
        _, seconds[name] = _run(name, place, clips, None)  # goes on from there, so about half
        late = _problem(name, place, folder / "whole", complete=True)
        tried[name] += 1
        cut[name] += killed
        survived[name] += early is None and late is None
        if early or late:
            print(f"killed {name}: {early or late}", file=sys.stderr)
    return [(f"killed {name}", tried[name], survived[name], f"{cut[name]} were still running") for name in COMMANDS]


def _run(name: str, place: Path, clips: list[Path], after: float | None) -> tuple[bool, float]:
    """Run a command in a forked process, killed `after` seconds; return whether it was, and how long it ran."""
    place.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            status = _work(name, place, clips)
        finally:
            os._exit(status)
    while after is not None and (late := started + after - time.monotonic()) > 0:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
        time.sleep(min(late, 0.01))
    if after is not None:
        os.kill(pid, signal.SIGKILL)  # one that has ended keeps its status
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status), time.monotonic() - started


def _work(name: str, place: Path, clips: list[Path]) -> int:
    """Run one command to its end; return its exit status."""
    if name == "BestOfN":
        from toy_raters import Toy

        from avreward.selection import BestOfN

        BestOfN(_generate, Toy()["power"], n=12, keep=2, out=place / "run")()
        return 0
    from typer.testing import CliRunner

    from avreward.cli.main import app

    store = ["--reward", "audio_quality", "--store", str(place / "store")]
    scored = str(place.parent / "whole" / "scores.parquet")
    arguments = {
        "score": ["score", *map(str, clips), "--out", str(place / "scores.parquet"), "--group-by", "parent", *store],
        "rank": ["rank", *map(str, clips), "--table", str(place / "ranked.parquet"), *store],
        "pairs": ["pairs", scored, "--out", str(place / "pairs"), "--copy"],
    }
    if name == "pairs" and (place / "pairs").exists():
        return 0  # the killed command had written all of it
    return CliRunner().invoke(app, arguments[name]).exit_code


def _generate(condition: object, seed: int) -> Clip:
    time.sleep(0.05)  # so that kills hit the search, not what comes before
    noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(seed))
    return Clip(audio=0.1 * noise, sample_rate=8000)


def _problem(name: str, place: Path, whole: Path, complete: bool) -> str | None:
    """Return what is wrong with the outputs of a command beside those of a run that nobody killed."""
    from pyarrow import parquet

    known = {"score": ["scores.parquet"], "rank": ["ranked.parquet"], "pairs": ["pairs"], "BestOfN": ["run"]}[name]
    for output in known:
        mine, full = place / output, whole / output
        if complete and not mine.exists():
            return f"{output} is missing"
        for path in [mine] if mine.is_file() else sorted(mine.rglob("*")):
            twin = full / path.relative_to(mine) if path != mine else full
            if path.name.startswith(".") or not path.is_file():
                continue
            try:
                if path.suffix == ".parquet":
                    found = repr(parquet.read_table(path).to_pylist())  # NaN is unlike itself, its text is not
                    if complete and path == mine and found != repr(parquet.read_table(twin).to_pylist()):
                        return f"{path.name} has other rows"
                elif path.suffix == ".wav":
                    Clip.open(path).sound()
            except Exception as error:
                return f"{path.relative_to(place)} can't be read: {error}"
        if complete and not mine.is_file():
            names = [{p.relative_to(f) for p in f.rglob("*") if p.is_file()} for f in (mine, full)]
            if names[0] != names[1]:
                return f"{output} has other files: {sorted(map(str, names[0] ^ names[1]))[:4]}"
    return None


def flips(folder: Path, count: int, rng: random.Random) -> list[Row]:
    """Flip bits of a store: no score may come back wrong."""
    found = flip(Victim(folder), count, rng.randrange(2**32))
    fine = found["unharmed"] + found["rated again"]
    return [("flipped bits of a store", count, fine, f"{found['rated again']} led to clips that are rated again")]


def votes(folder: Path, count: int, rng: random.Random) -> list[Row]:
    """Let many people vote at once: each confirmed vote is on disk, once."""
    from study_requests import answered, experiment, key_in, question_at, started

    from avreward.studies import ChoiceServer

    each = 5
    people = max(1, count // each)
    confirmed, lock, failures = Counter[str](), threading.Lock(), Counter[str]()

    def vote(server: Any, name: str) -> None:
        for attempt in range(each):
            try:
                where = started(server, name)
                answered(server, where, key_in(question_at(server, where)[1]), "first")
            except Exception as error:  # what a voter would see as an error page
                with lock:
                    failures[f"{type(error).__name__} at vote {attempt + 1}"] += 1
                return
            with lock:
                confirmed[name] += 1

    with ChoiceServer(experiment(folder / "experiment")) as server:
        threads = [threading.Thread(target=vote, args=(server, f"person {i}")) for i in range(people)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = Counter(answer.person for answer in server.choices.answers())
    lost = confirmed - kept
    for what, number in failures.items():
        print(f"votes: {number} × {what}", file=sys.stderr)
    said = f"{people} people at once, {confirmed.total()} confirmed, {lost.total()} of them not on disk"
    return [("concurrent votes", people * each, confirmed.total() - lost.total(), said)]


ATTACKS: dict[str, tuple[Callable[[Path, int, random.Random], list[Row]], int]] = {
    "files": (files, 10_000),
    "kills": (kills, 100),
    "flips": (flips, 10_000),
    "votes": (votes, 1_000),
}


def main() -> int:
    """Attack, and print the table; return 1 if anything did not survive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=ATTACKS, default=list(ATTACKS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in arguments.only:
        attack, count = ATTACKS[name]
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            rows += attack(Path(folder), max(1, round(count * arguments.scale)), random.Random(arguments.seed))
        taken = time.monotonic() - started
        print(f"{name}: {taken:.0f} s, {sum(os.times()[:4]):.0f} s of CPU so far", file=sys.stderr, flush=True)
    print("| attack | tried | survived | |\n|---|---|---|---|")
    for what, tried, survived, details in rows:
        print(f"| {what} | {tried} | {survived} | {details} |")
    return int(any(survived < tried for _, tried, survived, _ in rows))


if __name__ == "__main__":
    raise SystemExit(main())
