"""Score clips by actors of Ray, for `avreward score --ray`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from avreward.cli._common import INTERRUPTED, Complaints, complain, progress, raters_of, reward_of
from avreward.cli._inputs import listed

if TYPE_CHECKING:
    from avreward.raters.base import Rater
    from avreward.rewards.base import Reward
    from avreward.scoring._score_table import TableRun


def score_by_ray(
    clips: Sequence[Path], prompts: Path | None, out: Path, reward: str | None, raters: list[str] | None, address: str,
    actors: int | None, gpus: float, group_by: str | None, store: Path | None, retry_missing: bool,
) -> TableRun:  # fmt: skip
    """Score clips into a table, see `avreward.integrations.score_dataset`; return the counts."""
    from avreward.integrations.ray._actors import RayActors
    from avreward.integrations.ray.dataset import score_dataset
    from avreward.scoring._score_table import TableRun

    found, run, tell = listed(clips, prompts), TableRun(), Complaints()
    try:
        with progress("Scoring", len(found)) as step:
            score_dataset(
                found, out, partial(_loaded, reward, raters), actors=RayActors(actors, gpus=gpus), address=address,
                group_by=group_by, store=store, retry_missing=retry_missing, step=step, tell=tell, run=run,
            )  # fmt: skip
    except KeyboardInterrupt as interrupt:
        complain(f"interrupted after {run.rows} rows; the same command goes on from the store")
        raise typer.Exit(INTERRUPTED) from interrupt
    tell.end(f"; the column reasons of {out} has them all")
    return run


def _loaded(reward: str | None, names: list[str] | None) -> tuple[Reward | None, list[Rater]]:
    """Load the reward and the raters, in each actor."""
    asked_for = raters_of(names or (["signals"] if reward is None else None))
    return None if reward is None else reward_of(reward, asked_for), list(asked_for.values())
