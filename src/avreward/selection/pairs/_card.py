"""The data card of a set of pairs: how it was made, in words and numbers, for whoever trains on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from avreward.selection.pairs.formats.base import PairFormat
from avreward.selection.pairs.make import PairRule, PreferencePairs

REASONS = 20


def card(pairs: PreferencePairs, form: PairFormat | None, embed: bool = False) -> str:
    """Markdown with the head that the Hugging Face hub and `datasets` read."""
    return (
        "\n".join([*_head(pairs, form), *_how(pairs), *_numbers(pairs), *_matching(pairs), *_columns(form, embed)])
        + "\n"
    )


def rule_in_words(pairs: PreferencePairs) -> list[str]:
    """The rule by which pairs were made, a sentence each."""
    rule, pool = pairs.rule, pairs.pool
    kept = "the best against the worst of each group" if rule.which == "best_worst" else "every two clips of a group"
    told = [
        f"Groups: clips that share {pool.rule}.",
        f"Pairs: {kept}, where the {pool.reward} of one is higher by more than {rule.margin:g}.",
    ]
    if rule.sigmas is not None:
        told.append(f"The difference also exceeds {rule.sigmas:g} of its standard errors.")
    if rule.match:
        told.append(f"Both are alike in {_tolerances(rule)}, and balanced in what is left of the differences.")
    if rule.dimensions:
        done = "is left out" if rule.conflicts == "drop" else "names it under conflicts"
        told.append(f"A pair whose chosen clip is worse in {' or '.join(rule.dimensions)} {done}.")
    if rule.test:
        told.append(
            f"About {100 * rule.test:g} % of the groups are for testing (seed {rule.seed}); none is on both sides."
        )
    return told


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


def _head(pairs: PreferencePairs, form: PairFormat | None) -> Iterator[str]:
    yield from ("---", "tags:", "- preference", "- avreward", "configs:", "- config_name: default", "  data_files:")
    for split in _splits(pairs):
        path = f"data/{split}-*.parquet" if form is None else f"{split}{form.ending}"
        yield from (f"  - split: {split}", f"    path: {path}")
    yield from ("---", "", "# Preference pairs", "")


def _how(pairs: PreferencePairs) -> Iterator[str]:
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
    yield "- Preferences are a model's, not people's."
    yield "- Media paths are as the table has them; relative ones start where it was made."


def _numbers(pairs: PreferencePairs) -> Iterator[str]:
    yield from (
        "",
        "## What is in it",
        "",
        "| split | pairs | groups | median margin | pairs with conflicts | pairs without a common prompt |",
    )
    yield "|---|---|---|---|---|---|"
    prompts = share_a_prompt(pairs)
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


def share_a_prompt(pairs: PreferencePairs) -> np.ndarray:
    """Bool (pairs,), whether both clips have the same prompt."""
    table = pairs.pool.table
    if not table.has("prompt"):
        return np.zeros(len(pairs), dtype=bool)
    column = table.column("prompt").combine_chunks().dictionary_encode()
    code = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return (code[pairs.chosen] == code[pairs.rejected]) & (code[pairs.chosen] >= 0)


def _matching(pairs: PreferencePairs) -> Iterator[str]:
    if not pairs.leaks:
        return
    yield from ("", "## What else tells chosen from rejected", "")
    yield "The share of pairs in which the chosen clip has more of it; `together`: of those that a model of all of them"
    yield "tells apart. 0.5 is chance."
    yield from ("", "| | without matching | here |", "|---|---|---|")
    for name, (before, after) in pairs.leaks.items():
        yield f"| {name} | {_share(before)} | {_share(after)} |"


def _share(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "no pair differs"


def _columns(form: PairFormat | None, embed: bool) -> Iterator[str]:
    yield from ("", "## Columns", "")
    if form is not None:
        yield f"{', '.join(f'`{name}`' for name in form.columns)}: as in {form.where}."
        yield f"Not held: {form.lost}. All of it is in `sidecar/`, a row a pair by the key `pair`; `row` is the number"
        yield f"of the pair's first row{f' (of {form.per_pair})' if form.per_pair > 1 else ''} here, counted from 0."
        yield ""
    place = "In `data/`" if form is None else "In `sidecar/`"
    yield f"{place}: `pair` (key), `group`, `prompt`, `chosen` and `rejected` (paths), `margin`, `conflicts`, and each"
    yield "column of the scored table as `chosen_…` and `rejected_…`."
    yield "`avreward.selection.pairs.export.read_pairs(folder)` reads it back."
    if embed:
        yield "`chosen_media` and `rejected_media` hold the files' `bytes` and `path`; nothing decodes them by itself."


def _plain(text: object) -> str:
    """Text that stays in its place in Markdown: a prompt or a reason may hold anything."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("`", "'").replace("<", "&lt;")
