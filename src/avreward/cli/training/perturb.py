"""`avreward perturb`: preference pairs made from real clips by controlled defects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avreward.cli._common import NOTHING, SOME_FAILED, Complaints, complain, print_json_text, progress, stderr, stdout
from avreward.cli._inputs import Inputs, Isolate, PromptsFile, decode_apart, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avreward.datasets.synthetic import PairKind, PairSource, RenderedPairs

EACH = 4  # pairs of a clip, unless the user says how many
SHOWN = 8  # reasons
NO_OTHER = "no other clip fits (other content, another category, or no noun in common in the prompts)"


def perturb(
    clips: Inputs,
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write; one of an earlier run continues.", show_default=False),
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option("--pairs", "-n", min=1, help="How many. Default: four of each clip.", show_default=False),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help="Which defects, and how often: avbench or agav_rater, as these papers train, or all."),
    ] = "all",
    kind: Annotated[list[str] | None, typer.Option("--kind", "-k", help="Only this defect; once for each.")] = None,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length of the clips; longer ones are cut.")] = 5.0,
    side: Annotated[int, typer.Option(min=32, help="Longer side of the frames in pixels, at most.")] = 480,
    workers: Annotated[
        int, typer.Option(min=1, help="Pairs made at the same time; the files are the same for any number.")
    ] = 1,
    prompts: PromptsFile = None,
    isolate: Isolate = None,
    rewriter: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="A function rewrite(prompt, count) -> str that changes so many attributes of a prompt, such as a call "
            "of a language model. Default: word lists.",
            show_default=False,
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only count what would be made.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Make preference pairs from real clips: each with the same clip after one controlled defect.

    OUT gets clips/, pairs.csv (a row a pair, with its defect, severity, seed and sources), labels.csv (a row a clip,
    excellent or bad) and skipped.csv. Both clips of a pair are encoded alike. A stopped run continues.

    Some defects need more: another voice the extra `voice`; words dropped or replaced a transcript with times
    (NAME.words.json beside the clip, or the column texts.words of a manifest); other lips a face and the extra `faces`;
    changed attributes and other captions prompts.
    """
    from avreward.datasets.synthetic import pair_recipe, pair_sources, plan_pairs, render_pairs

    if out is None and not plan:
        raise typer.BadParameter("name the folder to write, or give --plan", param_hint="--out")
    if not seconds > 0:
        raise typer.BadParameter(f"{seconds:g}: expected a positive number", param_hint="--seconds")
    kinds = pair_recipe(recipe, kind or (), _rewrite(rewriter))
    _say_missing(recipe, kinds, kind)
    told, tell = listed(clips, prompts), Complaints()
    decode_apart(told, isolate)
    with progress("Reading headers", len(told)) as step:
        sources = pair_sources(told, tell, step)
    tell.end("")
    _say_unfit(sources, kinds)
    count = pairs or EACH * len(sources)
    if plan or out is None:
        _print_plan(plan_pairs(sources, kinds, count, seed, seconds), sources, kinds, count, as_json)
        return
    with progress("Making pairs", count) as step:
        done = render_pairs(
            sources, kinds, out, count, seed=seed, seconds=seconds, side=side, workers=workers, step=step
        )
    _print(done, as_json)
    for problem in list(done.failed.values())[:SHOWN]:
        complain(problem)
    if not done.pairs:
        raise typer.Exit(NOTHING)
    if done.failed or tell.count:
        raise typer.Exit(SOME_FAILED)


def _rewrite(text: str | None) -> Any:
    if text is None:
        return None
    from avreward.raters._user_file import object_in_file

    found = object_in_file(text)
    if not callable(found):
        raise typer.BadParameter(f"{text}: expected a function rewrite(prompt, count)", param_hint="--rewriter")
    return found


def _say_missing(recipe: str, kinds: tuple[PairKind, ...], asked: list[str] | None) -> None:
    """Say which kinds of the recipe are left out, since they take a package that is not installed."""
    from avreward.datasets.synthetic import PAIR_RECIPES

    names = {kind.name for kind in kinds}
    gone = [] if asked else [kind for kind in PAIR_RECIPES[recipe] if kind.name not in names]
    if gone:
        packages = sorted({kind.perturbation.package for kind in gone})
        left = ", ".join(kind.name for kind in gone)
        complain(f"left out: {left}; they take {' and '.join(packages)}: pip install 'avreward[faces,voice]'")


def _say_unfit(sources: list[PairSource], kinds: tuple[PairKind, ...]) -> None:
    """Say which kinds are left out, since no clip has what they take, or no two clips fit together."""
    from avreward.datasets.synthetic.av_pairs import fitting_kinds

    fit = {kind.name for kind, _ in fitting_kinds(sources, kinds)}
    gone = [kind for kind in kinds if kind.name not in fit]
    if not gone or not fit:
        return
    alone = [kind.name for kind in gone if kind.perturbation.needs_other]
    lacking = [kind.name for kind in gone if not kind.perturbation.needs_other]
    if lacking:
        complain(f"left out: {', '.join(lacking)}; no clip has what they take")
    if alone:
        complain(f"left out: {', '.join(alone)}; {NO_OTHER}")


def _print_plan(plan: Any, sources: list[PairSource], kinds: tuple[PairKind, ...], count: int, as_json: bool) -> None:
    from collections import Counter

    found = Counter((spec.kind.name, spec.subset) for spec in plan)
    rows = {kind.name: {name: found[kind.name, name] for name in ("easy", "hard")} for kind in kinds}
    if as_json:
        numbers = {"clips": len(sources), "pairs": found.total(), "unpaired": count - found.total()}
        print_json_text({**numbers, "kinds": rows})
        return
    stdout().print(_table({name: [row["easy"], row["hard"]] for name, row in rows.items()}, ("easy", "hard")))
    stderr().print(f"{found.total()} pairs of {len(sources)} clips", markup=False)
    _say_unpaired(count - found.total())


def _say_unpaired(count: int) -> None:
    if count:
        stderr().print(f"  {count} left out: {NO_OTHER}", markup=False, soft_wrap=True)


def _print(done: RenderedPairs, as_json: bool) -> None:
    if as_json:
        found = {
            "folder": str(done.folder), "pairs": done.pairs, "known": done.known, "kinds": dict(done.kinds),
            "skipped": dict(done.skipped), "failed": done.failed, "unpaired": done.unpaired,
        }  # fmt: skip
        print_json_text(found)
        return
    stdout().print(_table({name: [count] for name, count in done.kinds.items()}, ("pairs",)))
    known = f" ({done.known} known from an earlier run)" if done.known else ""
    stderr().print(f"{done.pairs} pairs{known}, in {done.folder / 'pairs.csv'}", markup=False, soft_wrap=True)
    for reason, count in done.skipped.most_common(SHOWN):
        stderr().print(f"  {count} skipped: {reason}", markup=False, soft_wrap=True)
    _say_unpaired(done.unpaired)
    if len(done.skipped) > SHOWN:
        stderr().print(f"  more in {done.folder / 'skipped.csv'}", markup=False, soft_wrap=True)


def _table(rows: Mapping[str, list[int]], columns: tuple[str, ...]) -> Any:
    from rich.table import Table

    table = Table("defect", *columns, box=None)
    for name, numbers in rows.items():
        table.add_row(name, *map(str, numbers))
    return table
