"""TRL: preference (DPO, Reward) and unpaired preference (KTO), in the standard format of its page "Dataset formats"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from avreward.selection.pairs.formats._media import Pair, PairMedia
from avreward.selection.pairs.formats.base import Keep, PairFormat, text_of
from avreward.selection.pairs.make import PreferencePairs

_PAGE = "https://huggingface.co/docs/trl/dataset_formats"
_LOST = (
    "without a column of completions, clips are given by their paths, as text; scores, margins, conflicts, covariates, "
    "seeds and groups are left out"
)


def _text(pair: Pair, side: str, media: PairMedia) -> str:
    """Return the text that made a clip, or its path where no column has such texts."""
    column = media.labels.get("completion")
    return media.clip(pair, side) if column is None else str(pair[f"{side}_{column}"])


def _preference(pair: Pair, media: PairMedia) -> Iterator[Mapping[str, Any]]:
    yield {"prompt": text_of(pair)} | {side: _text(pair, side, media) for side in ("chosen", "rejected")}


def _unpaired(pair: Pair, media: PairMedia) -> Iterator[Mapping[str, Any]]:
    for side in ("chosen", "rejected"):
        yield {"prompt": text_of(pair), "completion": _text(pair, side, media), "label": side == "chosen"}


def _keep(pairs: PreferencePairs, labels: Mapping[str, str]) -> Sequence[Keep]:
    if "completion" not in labels:
        return []
    column = labels["completion"]
    found = pairs.pool.table.column(column).cast("string").to_pylist()
    texts = np.array([text or "" for text in found], dtype=object)
    chosen, rejected = texts[pairs.chosen], texts[pairs.rejected]
    written = ((chosen != "") & (rejected != "")).astype(bool)
    return [(f"no text under {column}", written), (f"the same text under {column}", (chosen != rejected).astype(bool))]


TRL = PairFormat(
    "trl", ".jsonl", {"prompt": "string", "chosen": "string", "rejected": "string"}, _preference, _PAGE, _LOST, _keep,
    use="DPOTrainer(train_dataset=load_dataset('FOLDER', split='train')), RewardTrainer; trl 1.16 (run)",
)  # fmt: skip
KTO = PairFormat(
    "kto",
    ".jsonl",
    {"prompt": "string", "completion": "string", "label": "bool"},
    _unpaired,
    _PAGE,
    f"{_LOST}; which two rows were a pair",
    _keep,
    per_pair=2,
    use="KTOTrainer(train_dataset=load_dataset('FOLDER', split='train')); trl 1.16 (run)",
)
