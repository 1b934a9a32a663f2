"""LoRA adapters on one network: each gives the scores of its merged model, and the base is held once."""

from __future__ import annotations

import pytest
import torch
from lmm_checks import dubs, film
from toy_backbone import ToyBackbone, toy_rater

from avreward.errors import AvrewardError
from avreward.raters.checkpoints._networks import with_adapter
from avreward.raters.wrappers.adapters import adapted
from avreward.raters.wrappers.ensemble import EnsembleRater

DECODER = r".*language.*\.(q|v)_proj"


def lora(folder, seed, targets=DECODER, **options):
    """An adapter as `peft` saves it, with random weights."""
    from peft import LoraConfig, get_peft_model

    options = {"r": 2, "lora_alpha": 6, "target_modules": targets, **options}
    network = get_peft_model(ToyBackbone().module, LoraConfig(**options))
    generator = torch.Generator().manual_seed(seed)
    for name, weight in network.named_parameters():
        if "lora_" in name:
            weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    return {"a": lora(root / "one", 1), "layers": lora(root / "two", 2, r=3)}  # the second name is in the network, too


CLIPS = [film(prompt="x"), film(seed=3)]


def test_each_gives_the_scores_of_its_merged_model(folders):
    rater = toy_rater()
    before = rater(CLIPS).values
    raters = adapted(rater, folders)
    assert [r.name for r in raters] == ["toy_a", "toy_layers"]
    for r, folder in zip(raters, folders.values(), strict=True):
        merged = toy_rater()
        with_adapter(merged.module, folder)
        found = r(CLIPS).values
        torch.testing.assert_close(found, merged(CLIPS).values, equal_nan=True, rtol=1e-4, atol=1e-4)
        assert (found[0] - before[0]).abs().min() > 1e-3
        assert not found.requires_grad  # while it works its weights stay frozen
    assert torch.equal(rater(CLIPS).values.nan_to_num(), before.nan_to_num())  # the bare base still is what it was
    assert torch.equal(raters[0](CLIPS).values.nan_to_num(), raters[0](CLIPS).values.nan_to_num())


def test_the_base_is_held_once(folders):
    rater = toy_rater()
    held = {p.data_ptr() for p in rater.module.parameters()}
    size = sum(p.numel() for p in rater.module.parameters())
    raters = adapted(rater, folders)
    ensemble = EnsembleRater([rater, *raters])
    now = {p.data_ptr(): p for p in ensemble.module.parameters()}
    assert held <= set(now)
    extra = sum(p.numel() for p in now.values()) - size
    assert extra == sum(p.numel() for name, p in rater.module.named_parameters() if "lora_" in name)
    assert all(r.module is rater.module for r in raters)
    assert not any(p.requires_grad for p in now.values())
    ensemble(CLIPS)
    assert not any(p.requires_grad for p in now.values())
    assert not any(part.training for part in ensemble.module.modules())


def test_an_ensemble_of_them_encodes_once_where_only_the_decoder_is_adapted(folders):
    rater = toy_rater()
    raters = adapted(rater, folders)
    clips = dubs(2, prompt="x")
    expected = torch.stack([r(clips).values for r in (rater, *raters)])
    rater.backbone.calls.update(video=0, audio=0)
    found = EnsembleRater([rater, *raters])(clips, batch_size=1)
    assert rater.backbone.calls == {"video": 1, "audio": 2}
    torch.testing.assert_close(found.values, expected.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.sigma, expected.std(0), rtol=1e-3, atol=1e-3)


def test_where_an_encoder_is_adapted_each_encodes_for_itself(tmp_path):
    rater = toy_rater()
    raters = adapted(rater, {"a": lora(tmp_path / "a", 1, "see"), "b": lora(tmp_path / "b", 2, DECODER)})
    expected = torch.stack([r(CLIPS).values for r in raters])
    assert (expected[0, 0, 1] - rater(CLIPS).values[0, 1]).abs() > 1e-4
    rater.backbone.calls.update(video=0, audio=0)
    found = EnsembleRater(raters)(CLIPS)
    assert rater.backbone.calls == {"video": 4, "audio": 4}
    torch.testing.assert_close(found.values, expected.mean(0), equal_nan=True, rtol=1e-4, atol=1e-4)


def test_each_has_a_fingerprint_of_its_own(folders):
    rater = toy_rater()
    base = rater.fingerprint
    both = adapted(rater, folders)
    again = adapted(toy_rater(), {"a": folders["a"]})
    assert len({base, *(r.fingerprint for r in both)}) == 3
    assert again[0].fingerprint == both[0].fingerprint  # whatever stands beside it
    assert adapted(toy_rater(1), {"a": folders["a"]})[0].fingerprint != both[0].fingerprint
    before = both[0].fingerprint
    for name, weight in rater.module.named_parameters():
        if "lora_B.avreward_a" in name:
            weight.data += 0.1
    assert both[0].fingerprint != before


def test_gradients_pass_the_adapter_that_was_at_work(folders):
    rater = toy_rater()
    first, second = adapted(rater, folders)
    clip = film()

    def gradient(of):
        audio = clip.sound().clone().requires_grad_()
        score = of([clip.with_audio(audio, 16000)])["audio_quality"]
        second([clip])  # another adapter works, before the gradient is asked for
        return torch.autograd.grad(score.sum(), audio)[0]

    merged = toy_rater()
    with_adapter(merged.module, folders["a"])
    torch.testing.assert_close(gradient(first), gradient(merged), rtol=1e-3, atol=1e-5)
    assert (gradient(first) - gradient(rater)).abs().max() > 1e-4


def test_what_can_not_be_switched_is_an_error_and_leaves_the_rater_as_it_was(folders, tmp_path):
    from peft import IA3Config, get_peft_model

    rater = toy_rater()
    before, fingerprint = rater(CLIPS).values, rater.fingerprint
    get_peft_model(
        ToyBackbone().module, IA3Config(target_modules=DECODER, feedforward_modules=[])
    ).save_pretrained(tmp_path / "ia3")  # fmt: skip
    lora(tmp_path / "head", 1, "lm_head")
    lora(tmp_path / "bias", 1, bias="lora_only")
    from safetensors.torch import load_file, save_file

    weights = load_file(lora(tmp_path / "cut", 1) / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[1:]), tmp_path / "cut" / "adapter_model.safetensors")
    for name, adapters, text in (
        ("ia3", {"x": tmp_path / "ia3"}, "expected LoRA, got .*IA3"),
        ("head", {"a": folders["a"], "x": tmp_path / "head"}, "changes the layer from which scores are read; merge"),
        ("bias", {"x": tmp_path / "bias"}, "it changes biases"),
        ("cut", {"a": folders["a"], "x": tmp_path / "cut"}, "cut: 1 missing: .*; was it made for another model"),
        ("none", {}, "adapters: expected at least one, .*, got {}"),
        ("name", {"a-b": folders["a"]}, "adapters: expected names of letters, digits and _, .*, got 'a-b'"),
        ("nowhere", {"x": tmp_path / "nowhere"}, r"nowhere \(not a local folder\): it cannot be added"),
    ):
        with pytest.raises(AvrewardError, match=text):
            adapted(rater, adapters)
        assert rater.fingerprint == fingerprint, name
    assert torch.equal(rater(CLIPS).values.nan_to_num(), before.nan_to_num())
    with pytest.raises(AvrewardError, match=r"rater: expected one without checkpointing, got toy, .*; load it with"):
        adapted(toy_rater(checkpointing=True), folders)
    adapted(rater, folders)
    with pytest.raises(AvrewardError, match="rater: expected one without adapters, got toy, which has some; pass all"):
        adapted(rater, folders)
