"""Which search strategies work with which pipelines of diffusers, and with which schedulers.

    python benchmarks/pipelines.py [--only WanPipeline ...] [--json out.json]

Every class of the installed diffusers that makes video or audio is built tiny, with random weights, and searched with
two candidates by each strategy. "yes" means that it worked, "refused" that it was refused before the first denoising
step; anything else is an error and printed as such. Classes without a tiny build are listed below the table with the
reason. The last lines are the schedulers whose clean samples are known, which previews and steering need, and the
others.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))

import torch
from tiny_diffusers import BUILDERS, audio, build
from tiny_diffusers._classes import NOT_BUILT

from avreward import ArgumentError, Clip, Search, term
from avreward.generators import DiffusersSampler
from avreward.generators.diffusers._clean import SUPPORTED
from avreward.selection import Beam, Drafts, Evolution, Halving, Independent, Steering, Strategy

STRATEGIES: dict[str, Strategy] = {
    "best_of_n": Independent(2),
    "evolution": Evolution(2, generations=1, children=1),
    "drafts": Drafts(2, 0.5, commit=1),
    "halving": Halving(2, (0.5,)),
    "steering": Steering(2, (0.5,), threshold=1.0),
    "beam": Beam(1, 2, (0.5,)),
}


@term(needs="video")
def brightness(clip: Clip) -> torch.Tensor:
    """Return the mean square of the pixels."""
    return clip.video.square().mean()


@term(needs="audio")
def power(clip: Clip) -> torch.Tensor:
    """Return the mean square of the samples."""
    return clip.audio.square().mean()


def outcome(sampler: DiffusersSampler, reward: Any, strategy: Strategy, call: dict[str, Any]) -> str:
    """Return "yes", "refused" or the error of a search."""
    try:
        found = Search(sampler, reward, strategy, batch_size=2, keep=2)(**call)
    except ArgumentError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    failed = [c.reason for c in found.candidates if c.reason and "dropped at" not in c.reason]
    return failed[0] if failed else "yes"


def row(name: str) -> dict[str, str]:
    """Return what works with one pipeline class."""
    tiny = build(name)
    scheduler = type(tiny.pipeline.scheduler).__name__.removesuffix("Scheduler")
    found = {"pipeline": name.removesuffix("Pipeline"), "scheduler": scheduler}
    try:
        sampler = DiffusersSampler(tiny.pipeline, fps=tiny.fps, sample_rate=tiny.sample_rate)
    except ArgumentError:
        return found | {"in a batch": "–"} | dict.fromkeys(STRATEGIES, "refused")
    found["in a batch"] = "yes" if sampler.rows(2) == 2 else "one by one"
    reward = power["power"] if name in audio.BUILDERS else brightness["brightness"]
    return found | {label: outcome(sampler, reward, strategy, tiny.call) for label, strategy in STRATEGIES.items()}


def schedulers() -> list[tuple[str, bool]]:
    """Return the schedulers of the installed diffusers, and whether their clean samples are known."""
    import diffusers

    kinds = [name for name in dir(diffusers) if name.endswith("Scheduler") and not name.startswith(("Flax", "Karras"))]
    return [(kind.removesuffix("Scheduler"), kind in SUPPORTED) for kind in kinds]


def table(rows: Sequence[dict[str, str]]) -> str:
    """Return the rows as Markdown."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([one[name] for name in names] for one in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=sorted(BUILDERS), metavar="CLASS", help="default: all")
    parser.add_argument("--json", type=Path, help="write the rows here, too")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    rows = [row(name) for name in options.only or sorted(BUILDERS)]
    print(table(rows), "\n")
    print("\n".join(f"- {name}: {why}" for name, why in NOT_BUILT.items()), "\n")
    known, unknown = ([kind for kind, there in schedulers() if there is wanted] for wanted in (True, False))
    print(f"known: {', '.join(known)}\n\nrefused: {', '.join(unknown)}")
    if options.json:
        options.json.write_text(json.dumps({"pipelines": rows, "known": known, "refused": unknown}, indent=1))


if __name__ == "__main__":
    main()
