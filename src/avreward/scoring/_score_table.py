"""Score many clips into a table, row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._printable import printable
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError
from avreward.media._isolated.workers import MANY
from avreward.raters._environment import environment
from avreward.raters.base import Rater
from avreward.raters.scores import as_row
from avreward.rewards.base import Reward
from avreward.scoring._column_kinds import fits_in_64_bits, kind_of
from avreward.scoring._grouping import default_rule, group_in, names_column
from avreward.scoring._shares import Share, check_free
from avreward.scoring._streaming import Scored
from avreward.scoring._table_rewards import DIMENSIONS, described
from avreward.scoring.inputs import ListedClip
from avreward.scoring.store.store import Store
from avreward.scoring.table_writer import TableWriter, covariates


@dataclass
class TableRun:
    """How scoring into a table went.

    Attributes:
        path: of the table, or of the rows so far where the run was interrupted; `None` while it is not written.
        rows: how many clips are in it.
        failed: how many of them have no score.
        known: how many were in the store.
    """

    path: Path | None = None
    rows: int = 0
    failed: int = 0
    known: int = 0


def score_table(
    clips: Sequence[ListedClip],
    out: Path,
    raters: Sequence[Rater],
    reward: Reward | None = None,
    *,
    group_by: str | None = None,
    store: Store | None = None,
    retry_missing: bool = False,
    isolate: bool | None = None,
    share: Share | None = None,
    step: Callable[[str], None] = lambda name: None,
    tell: Callable[[str], None] = lambda problem: None,
    run: TableRun | None = None,
) -> TableRun:
    """Score clips by `raters` and `reward` and write the table `out` with a row a clip, while the run goes on.

    Columns of a manifest that the table does not have itself are copied. On an interrupt the rows so far are kept.

    Args:
        clips: see `list_clips`.
        out: the table to write: ``.parquet``, ``.jsonl`` or ``.csv``.
        raters: at least one; those of the reward too.
        reward: for the column ``reward`` (*optional*).
        group_by: see `group_of`. Default: the manifest's column ``group``, the prompt where there is one, the folder.
        store: where scores are kept (*optional*).
        retry_missing: see `score_files`.
        isolate: see `score_files`.
        share: of this process, where several score the clips together (*optional*): it scores its own clips alone, into
            ``share.table(out)``. `read_table(out)` reads the tables of all processes as one.
        step: called with the name of each clip when it is done.
        tell: called with a line for each clip that could not be scored.
        run: is kept up to date, so that a caller knows the counts after an interrupt (*optional*).

    Returns:
        The counts.

    Raises:
        ArgumentError: if `group_by` is neither a rule nor a column, a seed of a manifest is not an integer of 64 bits,
            there are no raters, or there is a table at `out` and `share` is given.
        AvrewardError: if the table can't be written.
    """
    from avreward.scoring.run import score_files

    if not raters:
        raise ArgumentError("raters", "at least one rater", Described("none"))
    formed = group_by or rule_of(clips)
    column = names_column(clips, formed)
    check_seeds(clips)
    run, share = run or TableRun(), share or Share()
    if not share.whole:
        check_free(out)
    fingerprint = reward.fingerprint if reward else "+".join(rater.fingerprint for rater in raters)
    columns = [f"{rater.name}.{dimension.name}" for rater in raters for dimension in rater.dimensions]
    metadata = metadata_of(raters, reward, formed)
    others = other_columns(clips, columns)
    table, clips = TableWriter(share.table(out), columns, metadata, others), share.of(clips)
    rows = score_files(
        _opened(clips, store),
        reward or raters[0],
        also=raters,
        store=store,
        retry_missing=retry_missing,
        isolate=len(clips) > MANY if isolate is None else isolate,
    )
    try:
        with nullcontext() if store is None else store, table, closing(rows):
            for listed, scored in zip(clips, rows, strict=True):
                step(listed.path.name)
                if problem := problem_of(scored):
                    run.failed += 1
                    tell(problem if problem.startswith(printable(str(listed.path))) else f"{listed.path}: {problem}")
                row = other_values(listed, others) | row_of(scored, listed)
                group = group_in(listed, formed, column, scored.clip)
                table.add(clip=str(listed.path), fingerprint=fingerprint, group=group, **row)
                run.rows, run.known = table.rows, run.known + scored.known
    finally:
        run.path = table.kept
    return run


def metadata_of(raters: Sequence[Rater], reward: Reward | None, group_by: str) -> dict[str, Any]:
    """Return the metadata of a scored table."""
    return {
        "group_by": group_by,
        "reward": None if reward is None else repr(reward),
        "raters": {rater.name: rater.fingerprint for rater in raters},
        DIMENSIONS: described(raters),
        "environment": environment(library for rater in raters for library in rater.libraries),
    }


def rule_of(clips: Sequence[ListedClip]) -> str:
    """Return by what clips are grouped if nobody says; see `default_rule`."""
    return default_rule(any("group" in one.columns for one in clips), (one.prompt for one in clips))


def check_seeds(clips: Sequence[ListedClip]) -> None:
    """Raise an `ArgumentError` unless the column ``seed`` of manifests holds integers that fit in 64 bits."""
    for listed in clips:
        seed = listed.columns.get("seed")
        if seed not in (None, "") and seed_of(listed) is None:
            remedy = "correct it, or give the column another name to keep it as text"
            raise ArgumentError(f"seed of {listed.path}", "an integer that fits in 64 bits", seed, remedy)


def seed_of(listed: ListedClip) -> int | None:
    """Return the seed of a clip in its manifest; `None` if there is none, or no integer of 64 bits."""
    text = str(listed.columns.get("seed"))
    if re.fullmatch(r"-?[0-9]+(\.0*)?", text) is None:  # 7.0 is how tables with gaps write 7
        return None
    seed = int(text.partition(".")[0])
    return seed if fits_in_64_bits(seed) else None


def other_columns(clips: Sequence[ListedClip], columns: Sequence[str]) -> dict[str, str]:
    """Return the columns of manifests that are copied: name → kind. The table's own columns are not."""
    own = {*columns, *(name for name, _ in TableWriter.COLUMNS), "metadata"}
    names = dict.fromkeys(name for listed in clips for name in listed.columns if name not in own)
    return {name: _kind(name, [listed.columns.get(name) for listed in clips]) for name in names}


def other_values(listed: ListedClip, others: Mapping[str, str]) -> dict[str, Any]:
    """Return a clip's values in the columns that `other_columns` returned."""
    return {name: _typed(listed.columns.get(name), kind) for name, kind in others.items()}


def _kind(name: str, values: Sequence[Any]) -> str:
    """Return the type of a column: numbers if all values are and their text comes back unchanged."""
    kind = kind_of(_text(value) for value in values if value not in (None, ""))
    return "double" if kind == "int64" and "." in name else kind  # scores of another rater


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _typed(value: Any, kind: str) -> Any:
    if value in (None, ""):
        return None
    return float(value) if kind == "double" else int(value) if kind == "int64" else str(value)


def _opened(clips: Sequence[ListedClip], store: Store | None) -> Iterator[str | PathLike[str] | Clip]:
    """Paths, or clips where a prompt or another text is known."""
    opened = Clip.open if store is None else store.open
    for listed in clips:
        try:
            known = listed.prompt is not None or listed.texts
            yield opened(listed.path, prompt=listed.prompt, texts=listed.texts) if known else listed.path
        except MediaError:
            yield listed.path  # so that it fails in its turn


def problem_of(scored: Scored) -> str | None:
    """Return why the clip has no reward, or no score at all; `None` where all is well."""
    why = scored.error or (scored.rewards.reasons[0] if scored.rewards else None)
    if why or any(bool(scores.present.any()) for scores in scored.scores.values()):
        return why
    reasons = dict.fromkeys(why for scores in scored.scores.values() for why in scores.reasons[0].values())
    return "no score at all: " + "; ".join(reasons)


def row_of(scored: Scored, listed: ListedClip) -> dict[str, Any]:
    """Return what a table says about a scored clip, besides its path, its group and the columns of its manifest."""
    row: dict[str, Any] = {"prompt": listed.prompt, "seed": seed_of(listed)}
    reasons: dict[str, str] = {}
    for rater, scores in scored.scores.items():
        row |= {f"{rater}.{name}": value for name, value in as_row(scores, 0).items()}
        # in the order of the dimensions, whether rated now or known to the store
        reasons |= {f"{rater}.{name}": scores.reasons[0][name] for name in scores.names if name in scores.reasons[0]}
        for covariate in ("loudness", "motion"):  # of the rater that measures it
            if f"{rater}.{covariate}" in row:
                row[covariate] = row[f"{rater}.{covariate}"]
    if scored.error is not None:
        reasons = {"clip": scored.error}
    if scored.rewards is not None:
        row["reward"] = float(scored.rewards.values[0])
        row["sigma"] = None if scored.rewards.sigma is None else float(scored.rewards.sigma[0])
    if scored.clip is not None:
        try:
            row |= covariates(scored.clip)
        except MediaError as error:
            reasons["clip"] = str(error)
    return row | {"reasons": reasons}
