"""The data card of a set of pairs: how they were made, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from avreward.selection.pairs._hub import LOCAL_PATHS, media_feature
from avreward.selection.pairs._rule import PairRule
from avreward.selection.pairs.formats.base import PairFormat, prompted
from avreward.selection.pairs.make import PreferencePairs

REASONS = 20


def card(
    pairs: PreferencePairs,
    form: PairFormat | None,
    *,
    movable: bool = False,
    embed: bool = False,
    copy: bool = False,
    licence: str | None = None,
) -> str:
    """Return the data card: Markdown with the metadata that the Hugging Face hub and `datasets` read."""
    parts = (
        _head(pairs, form, licence), _how(pairs, movable=movable), _numbers(pairs), _matching(pairs),
        _columns(form, embed=embed, copy=copy),
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part) + "\n"


def rule_in_words(pairs: PreferencePairs) -> list[str]:
    """Return the rule by which pairs were made, one sentence per condition."""
    rule, pool = pairs.rule, pairs.pool
    kept = "the best against the worst of each group" if rule.which == "best_worst" else "every two clips of a group"
    sentences = [
        f"Groups: clips that share {pool.rule}.",
        f"Pairs: {kept}, where the {pool.reward} of one is higher by more than {rule.margin:g}.",
    ]
    if rule.sigmas is not None:
        sentences.append(f"The difference also exceeds {rule.sigmas:g} of its standard errors.")
    if rule.match:
        sentences.append(f"Both are similar in {_tolerances(rule)}, and the remaining differences are balanced.")
    if rule.dimensions:
        done = "is left out" if rule.conflicts == "drop" else "lists it under conflicts"
        sentences.append(f"A pair whose chosen clip is worse in {' or '.join(rule.dimensions)} {done}.")
    if rule.test:
        sentences.append(
            f"About {100 * rule.test:g} % of the groups are for testing (seed {rule.seed}); no group is in both splits."
        )
    return sentences


def _tolerances(rule: PairRule) -> str:
    from avreward.selection.pairs.matching import TOLERANCES

    parts = []
    for name, wanted in rule.match.items():
        value = TOLERANCES[name] if wanted is None else wanted
        parts.append(f"{name} (± {value:g} LU)" if name == "loudness" else f"{name} (± {100 * value:g} %)")
    return ", ".join(parts)


def _splits(pairs: PreferencePairs) -> dict[str, np.ndarray]:
    found = {"train": ~pairs.test, "test": pairs.test}
    return {name: mask for name, mask in found.items() if mask.any()}


def _head(pairs: PreferencePairs, form: PairFormat | None, licence: str | None) -> Iterator[str]:
    yield from ("---", f"license: {_plain(licence or 'unknown')}", f"pretty_name: Preference pairs ({len(pairs)})")
    yield from ("task_categories:", f"- {_task(pairs)}", "size_categories:", f"- {_size(len(pairs))}")
    yield from ("tags:", "- preference", "- avreward", "configs:", "- config_name: default", "  data_files:")
    for split in _splits(pairs):
        path = f"data/{split}-*.parquet" if form is None else f"{split}{form.ending}"
        yield from (f"  - split: {split}", f"    path: {path}")
    yield from ("---", "", "# Preference pairs", "")


def _task(pairs: PreferencePairs) -> str:
    """Return the hub's name of the task whose results are compared."""
    kind = media_feature(pairs)
    return {"Audio": "text-to-audio", "Image": "text-to-image"}.get(kind or "", "text-to-video")


def _size(count: int) -> str:
    """Return the hub's class of sizes."""
    for limit, name in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M")):
        if count < limit:
            return name
    return "1M<n<10M"


def _how(pairs: PreferencePairs, *, movable: bool) -> Iterator[str]:
    pool = pairs.pool
    yield f"Made by avreward from `{_plain(pool.table.path)}`, {len(pool.table)} scored clips."
    yield ""
    yield from (f"- {_plain(sentence)}" for sentence in rule_in_words(pairs))
    metadata = pool.table.metadata
    if metadata.get("reward"):
        yield f"- The table's reward: `{_plain(metadata['reward'])}`."
    raters = metadata.get("raters")
    if isinstance(raters, Mapping):
        yield from (
            f"- Rater {_plain(name)}: fingerprint `{_plain(fingerprint)}`." for name, fingerprint in raters.items()
        )
    yield "- The preferences are those of a model, not of people."
    if not movable:
        yield LOCAL_PATHS


def _numbers(pairs: PreferencePairs) -> Iterator[str]:
    yield from (
        "",
        "## Contents",
        "",
        "| split | pairs | groups | median margin | pairs with conflicts | pairs without a common prompt |",
    )
    yield "|---|---|---|---|---|---|"
    prompts = prompted(pairs)
    for split, mask in _splits(pairs).items():
        groups, margin = len(np.unique(pairs.group[mask])), float(np.median(pairs.margin[mask]))
        lone = int((~prompts[mask]).sum())
        torn = int(pairs.worse[mask].any(axis=1).sum())
        yield f"| {split} | {int(mask.sum())} | {groups} | {margin:.4g} | {torn} | {lone} |"
    out = [*((why, count, "clips") for why, count in pairs.pool.missing.items())]
    out += [(why, count, "pairs") for why, count in pairs.dropped.items()]
    if out:
        yield from ("", "Left out:", "", "| why | how many |", "|---|---|")
        yield from (f"| {_plain(why)} | {count} {what} |" for why, count, what in out[:REASONS])
        if len(out) > REASONS:
            yield f"| {len(out) - REASONS} other reasons | {sum(count for _, count, _ in out[REASONS:])} |"


def _matching(pairs: PreferencePairs) -> Iterator[str]:
    if not pairs.leaks:
        return
    yield from ("", "## What else separates chosen from rejected", "")
    yield "The share of pairs in which the chosen clip has the larger value; `together`: the share that a model of all"
    yield "of them predicts correctly. 0.5 is chance."
    yield from ("", "| | without matching | here |", "|---|---|---|")
    for name, (before, after) in pairs.leaks.items():
        yield f"| {name} | {_share(before)} | {_share(after)} |"


def _share(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "no pair differs"


def _columns(form: PairFormat | None, *, embed: bool, copy: bool) -> Iterator[str]:
    yield from ("", "## Columns", "")
    if form is not None:
        yield f"{', '.join(f'`{name}`' for name in form.columns)}: as in {form.where}."
        if form.use:
            yield f"Read by: {form.use}."
        yield f"Not included: {form.lost}. All of it is in `sidecar/`, one row per pair, with the key `pair`;"
        several = f" (of {form.per_pair})" if form.per_pair > 1 else ""
        yield f"`row` is the number of the pair's first row{several} here, counted from 0."
        yield ""
    place = "In `data/`" if form is None else "In `sidecar/`"
    yield f"{place}: `pair` (key), `group`, `prompt`, `chosen` and `rejected` (paths), `margin`, `conflicts`, and each"
    yield "column of the scored table as `chosen_…` and `rejected_…`."
    yield "`avreward.selection.read_pairs(folder)` reads it back."
    if embed:
        yield "`chosen_media` and `rejected_media` contain the files' `bytes` and `path`;"
        yield "`dataset.cast_column(name, Video())` of `datasets` decodes them."
    if copy:
        yield "The clips are in `media/`; `chosen_source` and `rejected_source` are the paths in the table."


def _plain(text: object) -> str:
    """Return text without Markdown and HTML syntax; a prompt or a reason may contain anything."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
