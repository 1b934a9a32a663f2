"""Diffusion-DPO: the columns of Pick-a-Pic that its training script reads (arXiv:2311.12908)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from avreward.selection.pairs.formats._media import Pair, PairMedia
from avreward.selection.pairs.formats.base import Keep, PairFormat, has, in_order, text_of
from avreward.selection.pairs.make import PreferencePairs


def _row(pair: Pair, media: PairMedia) -> Iterator[Mapping[str, Any]]:
    first, second = in_order(pair)
    yield {
        "jpg_0": media.picture(pair, first),
        "jpg_1": media.picture(pair, second),
        "label_0": float(first == "chosen"),
        "caption": text_of(pair),
    }


def _keep(pairs: PreferencePairs, labels: Mapping[str, str]) -> Sequence[Keep]:
    return [("no video (diffusion-dpo needs images)", has(pairs, "width"))]


DIFFUSION_DPO = PairFormat(
    "diffusion-dpo",
    ".parquet",
    {"jpg_0": "binary", "jpg_1": "binary", "label_0": "double", "caption": "string"},
    _row,
    "https://github.com/SalesforceAIResearch/DiffusionDPO",
    "a video is represented by its middle frame (PNG; an image file is stored unchanged); audio, paths, scores, "
    "margins, conflicts, covariates, seeds and groups are left out",
    _keep,
    use="accelerate launch train.py --dataset_name=FOLDER --caption_column=caption (not --train_data_dir, which wants "
    "image files); SalesforceAIResearch/DiffusionDPO at 8d3ee5c (not checked against the original)",
)
