"""How far scores move when the original's rounding steps are left out.

    python benchmarks/rounding.py CLIPS…

AGAV-Rater resizes to 8 bits, hears 16-bit sound and casts its spectrogram to bfloat16. The scores of a random
AGAV-Rater of 145 million weights with those steps (`rounding="exact"`, which the default `"straight_through"` equals
bit for bit) and without (`"none"`), beside the spread of the scores between the clips. With trained weights the gap
may differ; `load_rater(folder, rounding="none")` shows it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from medium_agav import machine, medium_rater

from avreward import Clip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    clips = [Clip.open(path) for path in parser.parse_args().clips]
    rater = medium_rater()
    found = {}
    with torch.no_grad():
        for mode in ("exact", "straight_through", "none"):
            rater.backbone.rounding = mode
            found[mode] = rater(clips).values.double()
    assert torch.equal(found["exact"], found["straight_through"])
    print(f"{len(clips)} clips; {machine()}\n")
    print("| dimension | mean gap | largest gap | standard deviation between clips |")
    print("|---|---:|---:|---:|")
    gap = (found["none"] - found["exact"]).abs()
    spread = found["exact"].std(dim=0)
    for i, dimension in enumerate(rater.dimensions):
        print(f"| {dimension.name} | {gap[:, i].mean():.4f} | {gap[:, i].max():.4f} | {spread[i]:.4f} |")


if __name__ == "__main__":
    main()
