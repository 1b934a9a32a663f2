"""Monte-Carlo dropout: passes of one network with some units dropped, as members of an ensemble."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from avreward.errors import ArgumentError, Described
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.scores import Scores
from avreward.raters.wrappers.base import WrapperRater


class DropoutPass(WrapperRater):
    """A rater with one choice of dropped units, made by `dropout_passes`."""

    per_clip = False  # threads would change one network at the same time
    source = None  # a file cannot name a single pass

    def __init__(self, rater: Rater, seed: int, p: float | None = None) -> None:
        if rater.module is None:
            raise ArgumentError("rater", "one with a network", Described(rater.name), "use another kind of ensemble")
        if getattr(rater, "checkpointing", False) in (True, "selective"):
            got = Described(f"{rater.name}, which would recompute activations without the dropped units")
            raise ArgumentError("rater", "one without checkpointing", got, "load it with checkpointing=False")
        if p is not None and not 0 < p < 1:
            raise ArgumentError("p", "a number between 0 and 1", p)
        found = {name: m for name, m in rater.module.named_modules() if isinstance(m, nn.Dropout)}
        self.dropped = {name: m.p if p is None else p for name, m in found.items() if p is not None or m.p > 0}
        if not self.dropped:
            got = Described(rater.name + (f", whose {len(found)} nn.Dropout modules have a rate of 0" if found else ""))
            remedy = "pass p" if found else "use another kind of ensemble"
            raise ArgumentError("rater", "one with nn.Dropout modules", got, remedy)
        super().__init__([rater], f"{rater.name}_dropout{seed}")
        self.seed = seed

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Fingerprint of the rater, the seed and the dropout rates."""
        text = f"{self.rater.fingerprint} {self.seed} {sorted(self.dropped.items())}"
        return f"dropout:{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of the rater, and the dropout."""
        shares = ", ".join(f"{p:g}" for p in sorted(set(self.dropped.values())))
        return {**self.rater.settings, "dropout": f"{len(self.dropped)} modules, p = {shares}, seed {self.seed}"}

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the rater's scores, clip by clip."""
        # Each clip starts from the seed and shares nothing: other clips must not decide which units are dropped.
        parts = []
        for sample in samples:
            with self._dropping():
                parts.append(self.rater.rate([sample], Work()))
        return Scores.concatenate(parts) if parts else self.rater.rate([], Work())

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        assert self.module is not None
        generator = torch.Generator().manual_seed(self.seed)  # on the CPU, so that every device drops the same
        hooks = [
            self.module.get_submodule(name).register_forward_hook(_Drop(p, generator))
            for name, p in self.dropped.items()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


class _Drop:
    """Replaces a module's output by its input, with some elements zero and the others scaled up."""

    def __init__(self, p: float, generator: torch.Generator) -> None:
        self.p, self.generator = p, generator

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], __: Tensor) -> Tensor:
        kept = torch.empty(inputs[0].shape).bernoulli_(1 - self.p, generator=self.generator)
        return inputs[0] * (kept / (1 - self.p)).to(inputs[0])


def dropout_passes(rater: Rater, passes: int = 8, *, seed: int = 0, p: float | None = None) -> list[DropoutPass]:
    """Return `passes` copies of `rater`, each with other units dropped: members for an `EnsembleRater`.

    Gal and Ghahramani, "Dropout as a Bayesian approximation" (2016): the spread of such passes estimates the
    uncertainty of a network that was trained with dropout. Elements of the inputs of its `torch.nn.Dropout` modules are
    dropped in evaluation mode, at the modules' rates; `members[0].dropped` lists them. Dropout without such a module
    (attention weights in `transformers`) stays off. Most language models have rates of 0, or no such modules; with a
    `p` of your own the spread measures how sensitive the network is, not what it does not know.

    A pass is a function of the clip and its seed (`seed`, `seed` + 1, …): clips are rated one by one, without sharing,
    so an ensemble costs `passes` times as much as the rater alone. Each pass drops the same units on every device, and
    in clips of the same size.

    Args:
        rater: with a network, and without checkpointing.
        passes: at least 2.
        seed: of the first pass.
        p: the share of elements to drop in all `torch.nn.Dropout` modules (*optional*, the modules' own).

    Raises:
        ArgumentError: for fewer than two passes, a `p` outside 0 … 1, or a network that drops nothing.

    Example:
        >>> from avreward.raters import EnsembleRater
        >>> from tiny.embedding import tiny_clap
        >>> members = dropout_passes(tiny_clap(), passes=4, p=0.1)
        >>> EnsembleRater(members, value="lower")([clip]).sigma.shape
        torch.Size([1, 1])
    """
    if passes < 2:
        raise ArgumentError("passes", "an integer of at least 2", passes)
    return [DropoutPass(rater, seed + i, p) for i in range(passes)]
