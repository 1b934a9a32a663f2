"""Examples as batches: clips decoded by the rater, with ratings, outcomes and groups as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from avreward.errors import AvrewardError, describe
from avreward.raters.base import Rater, Sample
from avreward.training.rater._judged_rows import ClipSource, JudgedRow

Batch = dict[str, Any]
"""``ratings`` (clips, dimensions), ``group`` (clips,), ``outcome``, ``margin`` (examples, dimensions), ``samples``."""


class DecodedExamples(Dataset[tuple[int, list[Sample]]]):
    """The examples, decoded when they are asked for: in the loader's processes where it has any.

    Args:
        examples: what to decode.
        rater: decodes them.
    """

    def __init__(self, examples: Sequence[JudgedRow], rater: Rater) -> None:
        self.examples, self.rater = examples, rater

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[int, list[Sample]]:
        with torch.no_grad():
            return index, [self._decoded(one) for one in self.examples[index].clips]

    def _decoded(self, source: ClipSource) -> Sample:
        try:
            sample = self.rater.load(source.open())
        except AvrewardError:
            raise
        except Exception as error:
            raise AvrewardError(f"{source.name}: it can't be decoded ({describe(error)}); remove its row") from error
        if sample.failure is not None:
            raise AvrewardError(f"{source.name}: it can't be decoded ({sample.failure}); remove its row")
        return sample

    def collated(self, loaded: Sequence[tuple[int, list[Sample]]]) -> Batch:
        """Return one batch; clips of an example stay together, and groups have the same number in every process."""
        examples = [self.examples[index] for index, _ in loaded]
        group = [index for index, samples in loaded for _ in samples]
        return {
            "ratings": torch.cat([example.ratings for example in examples]),
            "group": torch.tensor(group),
            "outcome": torch.stack([example.outcome for example in examples]),
            "margin": torch.stack([example.margin for example in examples]),
            "samples": [sample for _, samples in loaded for sample in samples],
        }
