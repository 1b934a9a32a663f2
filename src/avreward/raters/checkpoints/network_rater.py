"""What every rater with weights shares: a frozen network, its fingerprint, memory back-off, saving and loading."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn

from avreward.errors import AvrewardError
from avreward.media._precision import no_autocast
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.checkpoints._activation_checkpointing import Checkpointing, checked, checkpointed
from avreward.raters.checkpoints._fingerprint import Fingerprint
from avreward.raters.checkpoints._folder import push, save
from avreward.raters.checkpoints._oom import Batches, Item, Result, builds_graph
from avreward.raters.scores import Scores

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Row = tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]
"""What `Scores.collect` reads of one clip: values, reasons for what is missing, and what fused scores were made of."""


class NetworkRater(Rater):
    """A rater whose scores come from a frozen network in evaluation mode.

    A subclass sets `dimensions`, gives `load_track` and `_row` (the scores of one decoded clip), and names in
    `settings` every choice that a score depends on. One that can be saved gives `origin`, too.

    Args:
        name: as used in expressions.
        module: the network; put into evaluation mode and frozen.
        checkpointing: what is kept for the backward pass, see `Loading`; scores and gradients stay the same.
        versions: of subpackages that the scores depend on, beside those that the class names (*optional*).
    """

    module: nn.Module
    tokenizer: PreTrainedTokenizerBase | None = None
    """Saved beside the weights, where there is one."""

    def __init__(
        self,
        name: str,
        module: nn.Module,
        *,
        checkpointing: Checkpointing = False,
        versions: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.versions = {**type(self).versions, **versions}
        self.module = module.eval().requires_grad_(False)
        self.checkpointing = checked(checkpointing)
        self._fingerprint = Fingerprint(name, self.module, self.versions)
        self._batches = Batches()

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Names the weights, every setting and the versions of the code."""
        return self._fingerprint.of(self.settings)

    @property
    def decoding(self) -> Hashable:
        """Raters on one network that look at clips alike share what they made of them."""
        return type(self), self.module, tuple(sorted(self.settings.items()))

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON: ``rater`` (its card's name), ``network``, ``options``.

        Raises:
            AvrewardError: for a rater that cannot be saved.
        """
        raise AvrewardError(f"{self.name}: put together by hand, so no loader knows it; save its module yourself")

    def save_pretrained(self, folder: str | PathLike[str]) -> Path:
        """Write the rater to a folder that `load_rater` reads, and return the folder.

        ``model.safetensors`` (in shards of 5 GB), ``config.json``, the tokenizer if there is one, and a model card.

        Raises:
            AvrewardError: for a folder that holds something else already, or a rater that cannot be saved.
        """
        return save(self, folder)

    def push_to_hub(self, repository: str, private: bool = True) -> str:
        """Save the rater to a repository on the Hugging Face hub and return its address."""
        return push(self, repository, private)

    @classmethod
    def from_pretrained(cls, name: str | PathLike[str], /, **options: Any) -> Self:
        """Return ``load_rater(name, **options)``.

        Raises:
            AvrewardError: if what is loaded is a rater of another class.
        """
        from avreward.raters.hub import load_rater

        rater = load_rater(name, **options)
        if not isinstance(rater, cls):
            raise AvrewardError(f"{name}: holds a {type(rater).__name__}, not a {cls.__name__}; use load_rater")
        return rater

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded; a batch that does not fit into memory is halved.

        Where a graph is kept nothing is halved: `OutOfMemory` says what to lower.
        """
        rows = self.run(partial(self._rows, work=work or Work()), samples, samples)
        return Scores.collect(rows, self.dimensions)

    def run(
        self, step: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], samples: Sequence[Sample]
    ) -> list[Result]:
        """Return `step(items)` about `samples`, in smaller batches where memory runs out, checkpointed if asked for.

        Raises:
            OutOfMemory: where smaller batches do not help.
        """
        graph = builds_graph(self.module, [loaded for sample in samples for loaded in sample.tracks.values()])
        with no_autocast(), checkpointed(self.module, self.checkpointing if graph else False):
            return self._batches.run(step, items, graph)

    def _rows(self, samples: Sequence[Sample], work: Work) -> list[Row]:
        """Return what `Scores.collect` reads of each sample; a rater that computes clips together overrides it."""
        return [self._row(sample, work) for sample in samples]

    def _row(self, sample: Sample, work: Work) -> Row:
        """Return what `Scores.collect` reads of one sample."""
        raise NotImplementedError(f"{type(self).__name__} has neither _row nor _rows")


class TransformersNetwork(NetworkRater):
    """The part of a rater whose network is a model of `transformers` in a folder that `load_rater` reads directly."""

    saved_by: tuple[str, ...] = ("rater.module.save_pretrained",)
    """What saves it."""

    @property
    def network(self) -> Any:
        """`module`, with the methods that models of `transformers` have."""
        return self.module

    @property
    def origin(self) -> dict[str, Any]:
        """Raise `AvrewardError`: the rater is saved as a checkpoint of `transformers`."""
        raise AvrewardError(
            f"{self.name}: a model of transformers, which load_rater reads directly; save it with "
            f"{' and '.join(self.saved_by)}"
        )
