"""How the rewards of a rater order real dubs of which something is known.

    python benchmarks/ranking.py ../shared/media
    python benchmarks/ranking.py ../shared/media --sites v2a v2a_frieren

Two labels, neither a listening test. In ``v2a`` each folder holds a real video with its own sound (`ground_truth`) and
five generated dubs: how often does the original beat each dub, and `stav2a` (the page's own method, said to be the
best) each of the other four? With `--sites`, only how often the originals of each site beat their dubs, as the clips
are and in one common format (mono, 16 kHz, as long as the shortest of the group), with intervals over groups: what only
the format explains does not count. In ``elevenlabs`` the file names hold the rank that AGAV-Rater's authors give (rank1
is best): the order that the reward gives, and Kendall's τ between the two.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avreward import Clip, Rater, load_rater
from avreward.evaluation import krcc, wilson
from avreward.evaluation._cluster_bootstrap import clustered_intervals
from avreward.media.resampling import resample

REWARDS = ("overall", "audio_quality", "av_consistency")
GENERATED = ("stav2a", "im2wav", "diff_foley", "vta_ldm", "foleycrafter")


def scores_of(rater: Rater, paths: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Dimension → file stem → score."""
    scores = rater([Clip.open(path) for path in paths])
    return {d: dict(zip([p.stem for p in paths], scores[d].tolist(), strict=True)) for d in REWARDS}


def common(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips with sound in mono at 16 kHz, as long as the shortest one."""
    seconds = min(clip.ends["audio"] for clip in clips)
    made = []
    for clip in clips:
        sound = resample(clip.sound().mean(0, keepdim=True), clip.sample_rate, 16_000)
        made.append(clip.with_audio(sound[:, : round(seconds * 16_000)], 16_000))
    return made


def originals(rater: Rater, folder: Path) -> None:
    """Print how often the originals of a site beat their dubs, in both formats."""
    wins: dict[str, list[list[list[bool]]]] = {"as they are": [], "common format": []}
    for group in sorted(f for f in folder.iterdir() if f.is_dir()):
        paths = sorted(group.glob("*.mp4"), key=lambda p: p.stem != "ground_truth")
        clips = [Clip.open(p) for p in paths]
        for form, some in (("as they are", clips), ("common format", common(clips))):
            scores = rater(some)
            wins[form].append([[bool(scores[d][0] > x) for x in scores[d][1:]] for d in REWARDS])
    for form, groups in wins.items():
        table = np.array(groups, dtype=float)  # (groups, rewards, dubs)
        low, high = clustered_intervals(
            lambda rows, table=table: table[rows].mean((0, 2)), np.arange(len(table)), 0.95, 2000, 0
        )
        cells = [f"{m:.2f} ({a:.2f}–{b:.2f})" for m, a, b in zip(table.mean((0, 2)), low, high, strict=True)]
        print(f"| {folder.name} | {form} | {len(table)} | " + " | ".join(cells) + " |")


def share(wins: Sequence[bool]) -> str:
    """Return a share with its Wilson interval."""
    low, high = wilson(sum(wins), len(wins))
    return f"{sum(wins)}/{len(wins)} = {sum(wins) / len(wins):.2f} ({low:.2f}–{high:.2f})"


def video_to_audio(rater: Rater, folder: Path) -> None:
    """Return the table of `v2a`."""
    groups = [scores_of(rater, sorted(f.glob("*.mp4"))) for f in sorted(folder.iterdir()) if f.is_dir()]
    print("| pair | " + " | ".join(REWARDS) + " |")
    print("|---|" + "---|" * len(REWARDS))
    pairs = [("ground_truth", dub) for dub in GENERATED] + [("stav2a", dub) for dub in GENERATED[1:]]
    pooled: dict[str, dict[str, list[bool]]] = {}
    for first, second in pairs:
        wins = {d: [g[d][first] > g[d][second] for g in groups] for d in REWARDS}
        print(f"| {first} > {second} | " + " | ".join(share(wins[d]) for d in REWARDS) + " |")
        for d in REWARDS:
            pooled.setdefault(first, {}).setdefault(d, []).extend(wins[d])
    for first, each in pooled.items():
        print(f"| **{first} > all others** | " + " | ".join(share(each[d]) for d in REWARDS) + " |")


def elevenlabs(rater: Rater, folder: Path) -> None:
    """Return the table of `elevenlabs`."""
    paths = sorted(folder.glob("*.mp4"))
    scores = scores_of(rater, paths)
    published = {p.stem: int(re.search(r"rank(\d+)", p.stem)[1]) for p in paths}  # type: ignore[index]
    print("| reward | order (published ranks, ours best first) | Kendall's τ | best agrees |")
    print("|---|---|---|---|")
    for d in REWARDS:
        order = sorted(published, key=lambda stem: -scores[d][stem])
        tau = float(krcc([-published[s] for s in published], [scores[d][s] for s in published]))
        print(f"| {d} | {' '.join(str(published[s]) for s in order)} | {tau:.2f} | {published[order[0]] == 1} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path, help="a folder with v2a/ and elevenlabs/")
    parser.add_argument("--rater", default="signals")
    parser.add_argument("--sites", nargs="+", help="folders of groups with a `ground_truth`")
    arguments = parser.parse_args()
    rater = load_rater(arguments.rater)
    if arguments.sites:
        print("| site | format | groups | " + " | ".join(REWARDS) + " |\n|---|---|---|" + "---|" * len(REWARDS))
        for site in arguments.sites:
            originals(rater, arguments.media / site)
        print(f"\nrater {rater.fingerprint}")
        return
    video_to_audio(rater, arguments.media / "v2a")
    print()
    elevenlabs(rater, arguments.media / "elevenlabs")
    print(f"\nrater {rater.fingerprint}")


if __name__ == "__main__":
    main()
