"""TRL: preference (DPO, Reward) and unpaired preference (KTO), in the standard format of its page "Dataset formats"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from avreward.selection.pairs.formats.base import MediaKind, Pair, PairFormat, text_of

_PAGE = "https://huggingface.co/docs/trl/dataset_formats"
_LOST = "clips are given by their paths, as text; scores, margins, conflicts, covariates, seeds and groups are left out"


def _preference(pair: Pair, media: MediaKind) -> Iterator[Mapping[str, Any]]:
    yield {"prompt": text_of(pair), "chosen": str(pair["chosen"]), "rejected": str(pair["rejected"])}


def _unpaired(pair: Pair, media: MediaKind) -> Iterator[Mapping[str, Any]]:
    for side in ("chosen", "rejected"):
        yield {"prompt": text_of(pair), "completion": str(pair[side]), "label": side == "chosen"}


TRL = PairFormat(
    "trl", ".jsonl", {"prompt": "string", "chosen": "string", "rejected": "string"}, _preference, _PAGE, _LOST
)
KTO = PairFormat(
    "kto",
    ".jsonl",
    {"prompt": "string", "completion": "string", "label": "bool"},
    _unpaired,
    _PAGE,
    f"{_LOST}; which two rows were a pair",
    per_pair=2,
)
