"""Features: the vectors of embedding models as the models give them, measurements, and scores of other raters."""

import pytest
import torch
from tiny.assessor import tiny_assessor
from tiny.embedding import tiny_clap, tiny_siglip
from torch.nn.functional import cosine_similarity

from avreward import Clip, load_rater
from avreward.raters.listener import ListenerRater, PreferenceHead
from avreward.raters.listener._encoders import encoder_of, feature_names, is_vector


def both(seed):
    generator = torch.Generator().manual_seed(seed)
    return Clip(
        video=torch.rand(6, 3, 40, 40, generator=generator),
        fps=6,
        audio=torch.rand(1, 24000, generator=generator) - 0.5,
        sample_rate=48000,
        prompt="a good sound",
    )


@pytest.mark.parametrize(("make", "side"), [(tiny_clap, "audio"), (tiny_siglip, "video")])
def test_vectors_of_embedding_models(make, side):
    rater = make()
    features = encoder_of(rater)
    names = feature_names(features)
    assert names[-1] == f"{side}_text"
    assert all(is_vector(name) == name.startswith(f"{side}_") for name in names[:-1])
    first, second = both(0), both(1)
    found = features([first, second])
    vectors = found.values[:, :-1]
    pair = f"{side}_text"
    own = [rater.embed(side, rater.load_track(one, side))[pair] for one in (first, second)]
    for vector, parts in zip(vectors, own, strict=True):
        assert cosine_similarity(vector, torch.nn.functional.normalize(parts, dim=-1).mean(0), dim=0) > 0.99999
    assert torch.allclose(found[pair], rater([first, second])[pair], atol=1e-6)
    alone = features(
        [Clip(audio=first.audio, sample_rate=48000) if side == "video" else Clip(video=first.video, fps=6)]
    )
    assert not alone.present.any()


def test_of_signals_only_measurements_count():
    assert "overall" not in feature_names(load_rater("signals"))
    assert "loudness" in feature_names(load_rater("signals"))


def test_a_head_on_vectors_is_differentiable_and_names_its_needs():
    features = encoder_of(tiny_clap())
    columns = [(features.name, name) for name in feature_names(features) if is_vector(name)]
    head = PreferenceHead(len(columns), 1)
    head.projection[0] = torch.randn(len(columns), generator=torch.Generator().manual_seed(2))
    head.weight[0] = 1.0
    rater = ListenerRater({features.name: features}, columns, head)
    assert rater.dimension("preference").needs == {"audio"}
    wave = both(3).sound().requires_grad_()
    rater["preference"]([Clip(audio=wave, sample_rate=48000)]).sum().backward()
    assert wave.grad.abs().sum() > 0


def test_hidden_states_of_a_language_model(tmp_path):
    folder = tiny_assessor().save_pretrained(tmp_path / "assessor")
    rater = load_rater(folder)
    features = encoder_of(rater)
    names = feature_names(features)
    hidden = [name for name in names if is_vector(name)]
    assert len(hidden) == rater.backbone.language.config.hidden_size
    assert set(names) - set(hidden) == {d.name for d in rater.dimensions}
    clips = [Clip(video=both(seed).video, fps=6) for seed in range(2)]
    deaf = Clip(audio=both(0).audio, sample_rate=48000)
    with torch.no_grad():
        found = features([*clips, deaf])
        columns = [found.column(name) for name in hidden]
        torch.testing.assert_close(found.values[:2, columns], rater.features(clips), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found["static_quality"][:2], rater(clips)["static_quality"])
        alone = features(clips[1:])
    torch.testing.assert_close(alone.values[0, columns], found.values[1, columns], rtol=1e-4, atol=1e-5)
    assert not found.present[2].any()
    assert found.reasons[2]["feature_0"] == "no video was given"
    pairs = [(features.name, name) for name in hidden]
    head = PreferenceHead(len(pairs), 1)
    head.projection[0] = torch.randn(len(pairs), generator=torch.Generator().manual_seed(2))
    head.weight[0] = 1.0
    taught = ListenerRater({features.name: features}, pairs, head)
    again = load_rater(taught.save_pretrained(tmp_path / "taught"))
    assert again.fingerprint == taught.fingerprint
    video = clips[0].video.clone().requires_grad_()
    again["preference"]([Clip(video=video, fps=6)]).sum().backward()
    assert video.grad.abs().sum() > 0
