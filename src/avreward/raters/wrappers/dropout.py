"""Monte-Carlo dropout: one network with some of its units dropped, as members of an ensemble."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from avreward.errors import AvrewardError
from avreward.raters.base import Rater, Sample, Work
from avreward.raters.scores import Scores
from avreward.raters.wrappers.base import WrapperRater


class DropoutPass(WrapperRater):
    """A rater with one choice of dropped units; see `dropout_passes`."""

    per_clip = False  # it is, but threads would meet in one network
    source = None  # no file can name a single pass

    def __init__(self, rater: Rater, seed: int, p: float | None = None) -> None:
        if rater.module is None:
            raise AvrewardError(f"{rater.name}: has no network, so nothing can be dropped; use other ensembles")
        if getattr(rater, "checkpointing", False):
            problem = "checkpointing would compute it again without the dropped units"
            raise AvrewardError(f"{rater.name}: {problem}; load it with checkpointing=False")
        if p is not None and not 0 < p < 1:
            raise AvrewardError(f"p: {p} is no share of units to drop; give one between 0 and 1")
        found = {name: m for name, m in rater.module.named_modules() if isinstance(m, nn.Dropout)}
        self.dropped = {name: m.p if p is None else p for name, m in found.items() if p is not None or m.p > 0}
        if not self.dropped:
            why = f"its {len(found)} nn.Dropout modules drop nothing; give p" if found else "no nn.Dropout modules"
            raise AvrewardError(f"{rater.name}: {why}, or use other ensembles")
        super().__init__([rater], f"{rater.name}_dropout{seed}")
        self.seed = seed

    @property
    def fingerprint(self) -> str:  # type: ignore[override]  # computed when asked for
        """Names the rater, the seed, and what is dropped how often."""
        text = f"{self.rater.fingerprint} {self.seed} {sorted(self.dropped.items())}"
        return f"dropout:{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def settings(self) -> Mapping[str, str]:
        """Those of the rater, and the dropout."""
        shares = ", ".join(f"{p:g}" for p in sorted(set(self.dropped.values())))
        return {**self.rater.settings, "dropout": f"{len(self.dropped)} modules, p = {shares}, seed {self.seed}"}

    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the rater's scores, clip by clip."""
        # Each clip from the seed on, and nothing shared: what a neighbour draws, or has computed already, must not
        # decide which of this clip's units are dropped.
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
    """Puts the input, some of it zero and the rest scaled up, in place of a module's output."""

    def __init__(self, p: float, generator: torch.Generator) -> None:
        self.p, self.generator = p, generator

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], __: Tensor) -> Tensor:
        kept = torch.empty(inputs[0].shape).bernoulli_(1 - self.p, generator=self.generator)
        return inputs[0] * (kept / (1 - self.p)).to(inputs[0])


def dropout_passes(rater: Rater, passes: int = 8, *, seed: int = 0, p: float | None = None) -> list[DropoutPass]:
    """`rater` `passes` times, each time with other units dropped: members for an `EnsembleRater`.

    Gal and Ghahramani, "Dropout as a Bayesian approximation" (2016): the spread of such passes tells how sure a network
    is that was trained with dropout. What is dropped: elements of the inputs of its `torch.nn.Dropout` modules, in
    evaluation mode, at their own rates; `members[0].dropped` lists them. Dropout that a network does without such a
    module (attention weights in `transformers`) stays off. Most language models come with rates of 0, or none; with a
    `p` of your own the spread measures how brittle the network is, not what it doesn't know.

    A pass is a function of the clip and its seed (`seed`, `seed` + 1, …): whole clips are judged one by one, without
    sharing, so an ensemble costs `passes` times the rater alone. Each drops the same units on every device, and in
    clips of one size.

    Args:
        rater: with a network, and without checkpointing.
        passes: at least 2.
        seed: of the first pass.
        p: the share of elements to drop (*optional*, the modules' own), in all `torch.nn.Dropout` modules.

    Raises `AvrewardError` for a network that drops nothing.

    >>> from avreward.raters import EnsembleRater
    >>> from tiny.embedding import tiny_clap
    >>> members = dropout_passes(tiny_clap(), passes=4, p=0.1)
    >>> EnsembleRater(members, value="lower")([clip]).sigma.shape
    torch.Size([1, 1])
    """
    if passes < 2:
        raise AvrewardError(f"passes: {passes} show no spread; give two or more")
    return [DropoutPass(rater, seed + i, p) for i in range(passes)]
