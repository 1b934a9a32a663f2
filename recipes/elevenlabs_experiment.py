"""The ElevenLabs experiment of AGAV-Rater (section 5.6): do people prefer the dub that a rater picks?

    python recipes/elevenlabs_experiment.py prepare OUT --videos silent/*.mp4 --candidates dubs/
    python recipes/elevenlabs_experiment.py serve OUT
    python recipes/elevenlabs_experiment.py result OUT

In the paper: 230 silent videos, two dubs each by ElevenLabs, the rater picks one, ten people see both; 80 % prefer the
pick. Here the dubs come from a folder of ready ones, or with --elevenlabs from the same service (key in
ELEVENLABS_API_KEY, prompts or descriptions as text). All three commands can be stopped and called again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from avreward import AvrewardError, MediaError, load_rater, load_reward
from avreward.generators import FolderGenerator, GeneratorStopped
from avreward.integrations import DescriptionTable, prompt_of, read_column
from avreward.studies import Choices, ChoiceServer, agav_paper, of_video, prepare, summarize


def make(options: argparse.Namespace) -> dict[str, Any]:
    """Dubs, the rater's picks, files to play."""
    raters = [load_rater(name) for name in options.rater or ()]
    reward = load_reward(options.reward or "overall", {rater.name: rater for rater in raters} or None)
    if options.elevenlabs:
        from avreward.integrations import ElevenLabs

        describe = DescriptionTable(options.describe) if options.describe else prompt_of
        limits = {"credits": options.credits, "calls": options.calls}
        generate: Any = ElevenLabs(options.out / "answers", describe, **limits)
        provider, count = f"ElevenLabs {json.dumps(generate.settings)}", options.n or 2
    else:
        generate = FolderGenerator(options.candidates, [path.stem for path in options.videos])
        provider, count = f"folder {options.candidates.resolve()}", options.n
    about = {"seed": options.seed, "reward": repr(reward), "fingerprint": reward.fingerprint, "provider": provider}
    tables = {
        "categories": told(options.categories, "category", options.videos),
        "prompts": told(options.prompts, "text", options.videos),
    }
    choices = Choices(options.out, about)
    try:
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("Preparing", total=len(options.videos))
            prepare(choices, options.videos, generate, reward, count, step=lambda _: bar.advance(task), **tables)
    except GeneratorStopped as error:
        print(f"stopped: {error}", file=sys.stderr)
    return {"experiment": str(choices.path), **summarize(choices)}


def told(path: Path | None, column: str, videos: list[Path]) -> dict[str, str] | None:
    """Return a column of a table; print which videos it lacks, and refuse a table that lacks all of them."""
    if path is None:
        return None
    table = read_column(path, column)
    if lacking := [video.name for video in videos if not of_video(table, video)]:
        names = ", ".join(lacking[:5]) + (", …" if len(lacking) > 5 else "")
        if len(lacking) == len(videos):
            raise MediaError(path, f"no line is about one of the videos ({names})", "put their names under clip")
        print(f"{path}: it has no {column} for {counted(len(lacking), 'video')}: {names}", file=sys.stderr)
    return table


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    >>> counted(1, "person", "people"), counted(2, "video")
    ('1 person', '2 videos')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def serve(options: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    server = ChoiceServer(Choices(options.out), options.host, options.port)
    print(f"People choose at {server.url} (Ctrl-C ends it; answers are kept)", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def result(options: argparse.Namespace) -> dict[str, Any]:
    """Return the agreement, in all and by category, beside the paper's."""
    reported = {"all": agav_paper.ALL, **agav_paper.CATEGORIES}
    return {**summarize(Choices(options.out)), "paper": {name: vars(part) for name, part in reported.items()}}


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(title="How often people prefer the pick, with 95 % intervals")
    columns = (
        "",
        "answers",
        "prefer the pick",
        "can't tell",
        "videos won : lost : tied",
        "of videos",
        "paper, of videos",
    )
    for name in columns:
        table.add_column(name, justify="left" if not name else "right")
    reported = {"all": agav_paper.ALL, **agav_paper.CATEGORIES}
    for name, part in {"all": found["all"], **found["categories"]}.items():
        paper = reported.get(name)
        table.add_row(
            name,
            f"{part['answers']}",
            share(part["share"], part["low"], part["high"]),
            f"{part['undecided']}",
            f"{part['won']} : {part['lost']} : {part['tied']}",
            share(part["by_video"], *part["by_video_interval"]),
            "" if paper is None else share(paper.share, *paper.interval),
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table)
    everything = found["all"]
    sure = f"Intervals of answers are clustered by {everything['method']}; those of videos hold for these people."
    if everything["method"] == "nothing":
        sure = "There is no interval with fewer than two answers that decide."
    took_part = f"{counted(found['videos'], 'video')}, {counted(len(found['people']), 'person', 'people')}"
    console.print(
        f"{took_part}; the reward is {found['reward']}.\n{sure}\n"
        f"The paper: {agav_paper.ALL.videos} videos, {agav_paper.PEOPLE} people; its shares seem to count videos."
    )
    if everything["people"] == 1:
        console.print("One person: the interval says nothing about other people.")


def share(value: float | None, low: float, high: float) -> str:
    """Return a share with its interval."""
    return "–" if value is None else f"{value:.0%} ({low:.0%}–{high:.0%})"


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare", help="dubs, picks, files to play")
    first.add_argument("out", type=Path)
    first.add_argument("--videos", type=Path, nargs="+", required=True, help="silent; sound that they have isn't used")
    provider = first.add_mutually_exclusive_group(required=True)
    provider.add_argument("--candidates", type=Path, help="folder of ready dubs: NAME/*.wav, NAME_1.mp4, …")
    provider.add_argument("--elevenlabs", action="store_true", help="make dubs with the service; this costs money")
    first.add_argument("--n", type=int, help="dubs a video; default: all of the folder, or two of the service")
    first.add_argument("--reward", help="expression or file, as for avreward rank")
    first.add_argument("--rater", action="append", help="as for avreward rank; default signals")
    first.add_argument("--categories", type=Path, help="CSV with the columns clip and category")
    first.add_argument("--prompts", type=Path, help="CSV with the columns clip and text: what each video was to show")
    first.add_argument("--describe", type=Path, help="CSV with the columns clip and text: what each is to sound like")
    first.add_argument("--credits", type=float, default=20_000, help="of the service, at most (20,000)")
    first.add_argument("--calls", type=int, default=1_000, help="of the service, at most (1,000)")
    first.add_argument("--seed", type=int, default=0, help="of orders and places")
    second = commands.add_parser("serve", help="the page")
    second.add_argument("out", type=Path)
    second.add_argument("--host", default="127.0.0.1", help="this machine by default; else the address holds a key")
    second.add_argument("--port", type=int, default=8000)
    third = commands.add_parser("result", help="the agreement")
    third.add_argument("out", type=Path)
    for command in (first, third):
        command.add_argument("--json", action="store_true", help="for scripts")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    options = parsed(arguments)
    try:
        if options.command == "serve":
            serve(options)
            return 0
        found = make(options) if options.command == "prepare" else result(options)
    except (AvrewardError, OSError) as error:
        print(f"elevenlabs_experiment: {error}", file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
    elif options.command == "result":
        show(found)
    else:
        print(f"{counted(found['videos'], 'video')} can be asked about, in {found['experiment']}")
    for kind in ("left_out", "missing"):
        for name, reason in found[kind].items():
            print(f"{kind.replace('_', ' ')}: {name}: {reason}", file=sys.stderr)
    return 0 if found["videos"] else 3


if __name__ == "__main__":
    sys.exit(main())
