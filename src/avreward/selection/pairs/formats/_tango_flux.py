"""TangoFlux: the JSON that its training by CRPO reads (arXiv:2412.21037): captions, chosen, reject, duration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from avreward.selection.pairs.formats._media import Pair, PairMedia
from avreward.selection.pairs.formats.base import Keep, PairFormat, has, text_of
from avreward.selection.pairs.make import PreferencePairs


def _row(pair: Pair, media: PairMedia) -> Iterator[Mapping[str, Any]]:
    chosen, rejected = media.sound(pair, "chosen"), media.sound(pair, "rejected")
    yield {"captions": text_of(pair), "chosen": chosen, "reject": rejected, "duration": float(pair["chosen_seconds"])}


def _keep(pairs: PreferencePairs, labels: Mapping[str, str]) -> Sequence[Keep]:
    return [("no audio (tango-flux needs audio)", has(pairs, "sample_rate") & has(pairs, "seconds"))]


TANGO_FLUX = PairFormat(
    "tango-flux",
    ".json",
    {"captions": "string", "chosen": "string", "reject": "string", "duration": "double"},
    _row,
    "https://github.com/declare-lab/TangoFlux",
    "video is left out (its audio is a WAV file beside the rows); the duration is that of the chosen clip; "
    "scores, margins, conflicts, covariates, seeds and groups are left out",
    _keep,
    naming="absolute",
    use="accelerate launch tangoflux/train_dpo.py with train_file: FOLDER/train.json in its configuration; "
    "declare-lab/TangoFlux (not checked against the original)",
)
