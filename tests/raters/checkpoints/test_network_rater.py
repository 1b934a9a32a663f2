"""The base of raters with weights: frozen, fingerprinted, in batches that fit, checkpointed; without a tokenizer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from avreward import Clip, load_rater
from avreward.errors import AvrewardError
from avreward.raters import Dimension, NetworkRater
from avreward.raters.checkpoints import OutOfMemory


class Block(nn.Module):
    worth_checkpointing = True

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 64), nn.GELU(), nn.Linear(64, 6), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class WarmthRater(NetworkRater):
    """One score of each frame's mean colours, averaged."""

    dimensions = (Dimension("warmth", -10, 10, frozenset({"video"})),)
    tracks = ("video",)

    def __init__(self, gain: float = 1.0, most: int = 99, checkpointing: bool = False) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = nn.Sequential(nn.Linear(3, 6), Block(), Block(), nn.Dropout(), nn.Linear(6, 1))
        super().__init__("warmth", module, checkpointing=checkpointing)
        self.gain, self.most, self.sizes = gain, most, []

    @property
    def settings(self):
        return {"gain": str(self.gain)}

    def load_track(self, clip, track) -> Tensor:
        return clip.video.mean((2, 3))

    def _rows(self, samples, work):
        self.sizes.append(len(samples))
        if len(samples) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super()._rows(samples, work)

    def _row(self, sample, work):
        if "video" not in sample.tracks:
            return {}, {"warmth": sample.missing["video"]}, {}
        return {"warmth": self.gain * self.module(sample.tracks["video"]).mean()}, {}, {}


def clips(count: int = 5, **options) -> list[Clip]:
    return [Clip(video=torch.rand(3 + i, 3, 4, 6, **options), fps=4) for i in range(count)]


def test_each_clip_gets_its_own_score_from_a_frozen_network_in_evaluation_mode() -> None:
    rater, given = WarmthRater(), [*clips(2), Clip(audio=torch.zeros(800), sample_rate=8000)]
    scores = rater(given)
    assert scores.present.flatten().tolist() == [True, True, False]
    assert "no video" in scores.reasons[2]["warmth"]
    assert float(scores["warmth"][1]) == pytest.approx(float(rater(given[1:2])["warmth"]), rel=1e-6)
    assert not rater.module.training
    assert not any(weight.requires_grad for weight in rater.module.parameters())


def test_the_fingerprint_names_weights_and_settings() -> None:
    rater = WarmthRater()
    assert rater.fingerprint == WarmthRater(checkpointing=True).fingerprint
    assert rater.fingerprint != WarmthRater(2.0).fingerprint
    assert rater.decoding == rater.decoding != WarmthRater().decoding
    before = rater.fingerprint
    with torch.no_grad():
        rater.module[0].weight[0, 0] += 1
    assert rater.fingerprint != before


def test_a_batch_that_does_not_fit_is_halved() -> None:
    given = clips()
    rater = WarmthRater(most=2)
    with torch.no_grad(), pytest.warns(RuntimeWarning, match="out of memory with 5"):
        scores = rater(given)
    assert rater.sizes == [5, 2, 2, 1]
    torch.testing.assert_close(scores.values, WarmthRater()(given).values)


def test_with_gradients_nothing_is_halved() -> None:
    with pytest.raises(OutOfMemory, match="with gradients"):
        WarmthRater(most=2)(clips(requires_grad=True))


def test_checkpointing_keeps_less_and_changes_nothing() -> None:
    found = []
    for checkpointing in (False, True):
        kept: list[int] = []
        video = torch.rand(16, 3, 4, 6, generator=torch.Generator().manual_seed(3)).requires_grad_()
        with saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x):
            score = WarmthRater(checkpointing=checkpointing)["warmth"]([Clip(video=video, fps=8)])
        (gradient,) = torch.autograd.grad(score.sum(), video)
        found.append((score.detach(), gradient, sum(kept)))
    torch.testing.assert_close(found[0][:2], found[1][:2])
    assert found[0][1].any()
    assert found[1][2] < found[0][2] / 2


def test_what_no_loader_knows_cannot_be_saved(tmp_path) -> None:
    with pytest.raises(AvrewardError, match="warmth: put together by hand"):
        WarmthRater().save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_rater_of_another_class() -> None:
    assert load_rater().name == "signals"
    with pytest.raises(AvrewardError, match="holds a SignalsRater, not a WarmthRater; use load_rater"):
        WarmthRater.from_pretrained("signals")
