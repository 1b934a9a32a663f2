"""What a taught rater picks on sites that it has never heard, beside `signals`, with each encoder.

    python benchmarks/teach.py ../shared/media --encoder aisfx

Each site is a folder of groups; in a group the original and generated dubs of one video. A rater is taught on the
groups of one site and judged on the other: all groups of a site have the same systems, so the site is the unit. Two
sites are few: the interval over groups is about these sites, not about others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avreward import Rater, load_rater
from avreward.raters.listener._encoders import ALWAYS, encoder_of
from avreward.training import Judgment
from avreward.training.rater._conditional_logit import ChoiceSets
from avreward.training.rater._teach_checks import HeldOutAgreement, held_out, together
from avreward.training.rater._teach_features import BASELINES, Table, table_of
from avreward.training.rater._teach_parts import Form, fit_head

ORIGINAL = "ground_truth"


def judgments(site: Path) -> list[Judgment]:
    """Return the groups of a site, in which the original is to be chosen."""
    from avreward import Clip

    found = []
    for folder in sorted(path for path in site.iterdir() if path.is_dir()):
        files = sorted(folder.glob("*.mp4"))
        names = tuple(file.stem for file in files)
        if ORIGINAL in names:
            clips = tuple(Clip.open(file) for file in files)
            found.append(Judgment(clips, names.index(ORIGINAL), f"{site.name}/{folder.name}", names))
    return found


def rows(table: Table, sites: Sequence[str], encoders: Sequence[str]) -> list[tuple[str, HeldOutAgreement, str]]:
    """Return (site that is judged, agreement, form) a line: `signals`, and a rater taught on the other sites."""
    site = np.array([group.split("/")[0] for group in table.groups])[table.sets.group]
    found = []
    for name in sites:
        own: ChoiceSets = table.sets.only(site == name)
        for score in BASELINES:
            utility = np.append(table.baselines[score], np.nan)
            found.append((name, held_out(f"signals.{score}", utility, own), ""))
        train = table.sets.only(site != name)
        copies = None if table.degraded is None else table.degraded.only(site != name)
        for used in ((ALWAYS,), *((ALWAYS, one) for one in encoders), *((one,) for one in encoders)):
            head = fit_head(
                table.features,
                table.columns,
                together(train, copies),
                [Form(used, False), *([Form(used, True)] if used == (ALWAYS,) else [])],
            )
            label = f"teach, {' + '.join(used)}"
            utility = head.utility(table.features)
            found.append((name, held_out(label, utility, own), f"ridge {head.ridge:g}"))
            if table.degraded is not None:
                degraded = table.degraded.only(site == name)
                found.append((name, held_out(f"{label}, degraded", utility, degraded), ""))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path, help="a folder with the sites")
    parser.add_argument("--sites", nargs="+", default=["v2a", "v2a_frieren"])
    parser.add_argument("--encoder", action="append", default=[], help="beside signals; repeatable")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    encoders: dict[str, Rater] = {ALWAYS: load_rater(ALWAYS)}
    encoders |= {rater.name: rater for rater in map(encoder_of, options.encoder)}
    given = [one for site in options.sites for one in judgments(options.media / site)]
    table = table_of(given, encoders, True, 0, lambda name: None)
    measured = time.monotonic() - started
    print("| judged site | score | original beats a dub | 95 % over groups | original is the best of its group | |")
    print("|---|---|---|---|---|---|")
    for site, found, note in rows(table, options.sites, [name for name in encoders if name != ALWAYS]):
        row = found.row
        print(f"| {site} | {row['by']} | {row['pairs']} | {row['interval']} | {row['best']} | {note} |")
    print(f"\n{len(given)} groups; {measured:.0f} s to measure, {time.monotonic() - started - measured:.0f} s to fit")


if __name__ == "__main__":
    main()
