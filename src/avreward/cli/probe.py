"""`avreward probe`: what can be done to a reward, as a card."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avreward.cli._common import (
    SOME_FAILED,
    RaterNames,
    cell,
    complain,
    progress,
    raters_of,
    reward_of,
    shown,
    stderr,
    stdout,
    writable,
)
from avreward.cli._inputs import Inputs, Isolate, PromptsFile, decode_apart, keep_inputs, listed
from avreward.cli._store import NoStore, StorePath, check_store, store_of

FEW = 5  # clips; below there are no intervals

if TYPE_CHECKING:
    from avreward.clip import Clip
    from avreward.report.card_data import RewardCard


def probe(
    reward: Annotated[
        str,
        typer.Argument(
            help='What is probed: an expression, such as "0.4 * audio_quality + 0.6 * av_consistency", or the YAML '
            "file or folder of a reward.",
            show_default=False,
        ),
    ],
    clips: Inputs,
    rater: RaterNames = None,
    against: Annotated[
        str | None,
        typer.Option(help="A held-out reward, as REWARD: does it agree with what the probed one gains?"),
    ] = None,
    prompts: PromptsFile = None,
    out: Annotated[Path | None, typer.Option(help="Write the reward card here: .html, or .json.")] = None,
    isolate: Isolate = None,
    store: StorePath = None,
    no_store: NoStore = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the card as JSON to standard output.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
) -> None:
    """Probe a reward: which degenerate inputs beat real clips, and by how much.

    Give about ten real clips or more. Silence, black, noise, flicker and the like are made of them and judged with
    them. A card also shows the reward along best-of-N and along gradient steps, beside a held-out one (`--against`),
    and what a clip costs.
    """
    writable(out, "--out", (".html", ".htm", ".json"))
    keep_inputs(out, [*clips, prompts])
    check_store(store, no_store)
    raters = raters_of(rater)
    chosen = reward_of(reward, raters, "REWARD")
    other = None if against is None else reward_of(against, raters, "--against")

    from avreward.errors import AvrewardError
    from avreward.report.card import pieces, reward_card, write_card
    from avreward.scoring._torch_threads import one_core

    opened, failed = _opened(clips, prompts, isolate)
    judges = [*chosen.raters, *(other.raters if other else ())]
    cores = one_core() if all(judge.per_clip for judge in judges) else nullcontext()
    kept = store_of(store, no_store, judges)
    with progress("Probing", pieces(len(opened))) as step, cores, nullcontext() if kept is None else kept:
        card = reward_card(
            chosen, list(opened.values()), held_out=other, names=list(opened), seed=seed, store=kept, step=step,
            failed=failed,
        )  # fmt: skip
    for name, why in card.failed.items():
        if name not in failed:
            complain(f"{name}: {why}")
    if as_json:
        sys.stdout.write(card.to_json())
    else:
        _print(card)
    if out is not None:  # last: what took minutes to measure is on the screen even if the disk is full
        try:
            write_card(card, out)
        except OSError as error:
            raise AvrewardError(f"{out}: can't be written ({error.strerror or error}); choose another place") from error
        stderr().print(f"wrote {out}", style="dim", markup=False, soft_wrap=True)
    if card.failed:
        raise typer.Exit(SOME_FAILED)


def _opened(paths: list[Path], prompts: Path | None, isolate: bool | None) -> tuple[dict[str, Clip], dict[str, str]]:
    """Return the clips that open, by name, and the reasons of the others, which are also printed on standard error."""
    from avreward.clip import Clip
    from avreward.errors import AvrewardError

    clips = listed(paths, prompts)
    decode_apart(clips, isolate)
    opened: dict[str, Clip] = {}
    failed: dict[str, str] = {}
    for clip in clips:
        name = shown(clip.path)
        try:
            opened[name] = Clip.open(clip.path, prompt=clip.prompt, texts=clip.texts)
        except AvrewardError as error:
            failed[name] = str(error).removeprefix(f"{clip.path}: ")
            complain(f"{name}: {failed[name]}")
    if not opened:
        problem = "the file cannot" if len(clips) == 1 else f"none of the {len(clips)} files can"
        raise AvrewardError(f"{problem} be opened; give at least one that can")
    return opened, failed


def _print(card: RewardCard) -> None:
    """Print the card's figures."""
    from rich import box
    from rich.table import Table

    from avreward.audit._statistics import median
    from avreward.report._card_page import SAID, interval, signed
    from avreward.report.page import ABSENT, number

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Degenerate input", overflow="fold")
    for title in ("Median", "Against real", "95 % interval", "sd", "Above real", "Above own"):
        table.add_column(title, justify="right")
    table.add_column("Beats the median real clip")
    for row in sorted(card.probes, key=lambda row: -row.to_median.value if row.to_median else float("inf")):
        found = row.to_median
        cells = [number(row.median) if row.median is not None else ABSENT, signed(found.value if found else None)]
        cells += [interval(found), signed(found.sds if found else None)]
        cells += [f"{above} of {len(row.there)}" for above in (row.above_median, row.above_own)]
        style = {"beats": "bold red", "sometimes": "yellow", "missing": "dim"}.get(row.verdict)
        table.add_row(cell(row.name), *cells, SAID[row.verdict], style=style)
    console = stdout()
    console.print(table)
    middle = median(card.real)
    console.print(
        f"Reward: {cell(card.expression)}; real clips: {len(card.clips)}, median {number(middle or 0.0)}",
        soft_wrap=True,
    )
    for line in _summary(card):
        console.print(cell(line), soft_wrap=True)
    if len(card.clips) < FEW:
        console.print(f"Few clips: {len(card.clips)}. No interval below {FEW}, and little to compare with; take ten.",
                      style="yellow", soft_wrap=True)  # fmt: skip
    for note in card.notes:
        console.print(cell(note), style="yellow", soft_wrap=True)


def _summary(card: RewardCard) -> list[str]:
    """Gradient ascent and cost, a line each."""
    from avreward.report._card_page import interval, signed
    from avreward.report.page import milliseconds, number

    lines = []
    climbed = card.climbed
    if climbed.gain is not None:
        text = f"Gradient ascent, {climbed.gain.clips} clips: {signed(climbed.gain.value)} ({interval(climbed.gain)})"
        if climbed.held_out_gain is not None:
            text += f"; held out {signed(climbed.held_out_gain.value)} ({interval(climbed.held_out_gain)})"
        if climbed.disagreement is not None:
            text += f"; they disagree by {signed(climbed.disagreement)} sd"
        lines.append(text)
    lines += [f"No gradient ascent of {name}: {why}" for name, why in climbed.reasons.items()]
    for track, snr in card.gradient_snr.items():
        lines.append(f"Gradient to the {track}: signal to noise {number(snr.median)}")
    cost = card.cost
    lines.append(f"Cost a clip: {milliseconds(1000 * cost.seconds)} on this machine ({cost.machine})")
    return lines
