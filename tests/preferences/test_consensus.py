"""What candidates are worth by how much they agree with each other."""

import pytest
import torch
from tiny.embedding import tiny_clap
from torch.nn.functional import cosine_similarity

from avreward import Clip, load_rater
from avreward.errors import ArgumentError
from avreward.preferences import Consensus
from avreward.preferences.group_rewards import ALONE

POINTS = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-2.0, 0.5]], dtype=torch.float64)


def clips(count=3):
    return [Clip(audio=torch.full((1, 800), 0.1 * (i + 1)), sample_rate=8000) for i in range(count)]


def test_by_hand_and_by_parts():
    asked = []

    def features(some):
        asked.append(len(some))
        return POINTS[[round(float(one.audio[0, 0]) * 10) - 1 for one in some]]

    def cosine(i, j):
        return float(cosine_similarity(POINTS[i], POINTS[j], dim=0))

    found = Consensus(features)(clips(), batch_size=2)
    assert asked == [2, 1]
    for i, (j, k) in enumerate([(1, 2), (0, 2), (0, 1)]):
        assert float(found[i]) == pytest.approx((cosine(i, j) + cosine(i, k)) / 2)
    assert found.argmax() == 1
    assert Consensus(features)(clips()[::-1]).tolist() == pytest.approx(found.flip(0).tolist())


def test_gradients_reach_the_features_and_match_finite_differences():
    points = POINTS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: Consensus(lambda some: p)(clips()), points)


def test_vectors_of_an_embedding_rater():
    rater, generator = tiny_clap(), torch.Generator().manual_seed(0)
    waves = [0.2 * torch.randn(1, 24000, generator=generator) for _ in range(3)]
    group = [Clip(audio=wave, sample_rate=48000) for wave in waves]
    own = [rater.embed("audio", rater.load_track(one, "audio"))["audio_text"] for one in group]
    points = torch.stack([torch.nn.functional.normalize(parts, dim=-1).mean(0) for parts in own])
    table = torch.stack([cosine_similarity(points, one[None]) for one in points])
    silent = Clip(video=torch.rand(4, 3, 32, 32), fps=8)
    found = Consensus(rater).evaluate([*group, silent])
    torch.testing.assert_close(found.values[:3], (table.sum(1) - 1) / 2, rtol=0, atol=1e-5)
    assert found.present.tolist() == [True, True, True, False]
    assert found.reasons[3] == "no audio was given"
    assert Consensus(rater).evaluate([group[0], silent]).reasons == [ALONE, "no audio was given"]


def test_what_has_no_features():
    found = Consensus(lambda some: torch.tensor([[1.0], [float("nan")], [2.0]])).evaluate(clips())
    assert found.reasons == [None, "its features are not finite", None]
    with pytest.raises(ArgumentError, match="expected a rater that gives vectors, or a function, got signals"):
        Consensus(load_rater("signals"))
    with pytest.raises(ArgumentError, match=r"a function that returns \(3, width\) for 3 clips"):
        Consensus(lambda some: torch.ones(2, 2))(clips())
    with pytest.raises(ArgumentError, match="at least two candidates"):
        Consensus(lambda some: torch.ones(1, 2))(clips(1))
