"""Fingerprints depend on everything that a score depends on."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
import torch
from lmm_checks import film
from tiny_tokenizer import tiny_tokenizer
from torch import nn
from toy_backbone import ToyBackbone, toy_rater

from avreward.raters.checkpoints import _fingerprint as room
from avreward.raters.checkpoints._fingerprint import Fingerprint, fingerprint, weights_hash
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import FiveLevels


def test_every_tensor_counts_by_name_type_shape_and_value() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    seen = {weights_hash(module)}
    module[0].weight.data[1, 1] += 1e-3
    seen.add(weights_hash(module))
    module[1].running_mean += 1
    seen.add(weights_hash(module))
    seen.add(weights_hash(module.bfloat16()))
    seen.add(weights_hash(nn.Sequential(module[0])))
    module[0].weight.data = module[0].weight.data.reshape(2, 3)
    seen.add(weights_hash(module))
    seen.add(weights_hash(nn.ModuleDict({"other": module})))
    assert len(seen) == 7


def test_equal_bytes_of_another_type_are_another_weight() -> None:
    one, other = (nn.Linear(2, 2).to(kind) for kind in (torch.float16, torch.bfloat16))
    for module in (one, other):
        for weight in module.parameters():
            weight.data.zero_()
    assert weights_hash(one) != weights_hash(other)


def test_place_and_layout_make_no_difference() -> None:
    module = nn.Linear(3, 3, bias=False)
    expected = weights_hash(module)
    module.weight.data = module.weight.data.T.contiguous().T  # the same numbers, stored column by column
    assert weights_hash(module) == expected
    assert weights_hash(nn.Linear(3, 3, device="meta")) == weights_hash(nn.Linear(3, 3, device="meta"))


def asked(rater: LmmRater, **changes) -> LmmRater:
    """The rater with its first question changed."""
    first, *rest = rater.questions
    return LmmRater(rater.name, rater.backbone, [replace(first, **changes), *rest], rater.dimensions)


CHANGES = {
    "weights": lambda: toy_rater(seed=1),
    "rounding": lambda: toy_rater(backbone=ToyBackbone(rounding="none")),
    "question": lambda: asked(toy_rater(), prompt=("What?",)),
    "dimension": lambda: asked(toy_rater(), dimensions=("match",)),
    "range": lambda: asked(
        toy_rater(), readout=FiveLevels(nn.Identity(), toy_rater().questions[0].readout.ids, high=5)
    ),
    "words": lambda: asked(toy_rater(), readout=FiveLevels(nn.Identity(), (1, 2, 3, 4, 5))),
    "fewer questions": lambda: LmmRater(
        "toy", toy_rater().backbone, toy_rater().questions[:1], toy_rater().dimensions[:1]
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_score_depends_on_changes_it(change: str) -> None:
    assert CHANGES[change]().fingerprint != toy_rater().fingerprint


def test_tokens_count_too() -> None:
    """Another tokenizer makes other tokens of the same words."""
    backbone = ToyBackbone()
    backbone.tokenizer = tiny_tokenizer(
        ["<user>", "<answer>"], words=["excellent", "good", "fair", "poor", "bad", "is"]
    )
    assert backbone.tokenizer("The quality is") != ToyBackbone().tokenizer("The quality is")
    rater = toy_rater()
    other = LmmRater("toy", backbone, rater.questions, rater.dimensions)
    assert other.fingerprint != rater.fingerprint


def test_the_versions_of_the_code_count(monkeypatch) -> None:
    seen = {toy_rater().fingerprint}
    assert toy_rater().versions.keys() == {"media", "lmm"}
    monkeypatch.setattr(ToyBackbone, "versions", {"encoders": 1})
    seen.add(toy_rater().fingerprint)
    monkeypatch.setattr(LmmRater, "versions", {**LmmRater.versions, "lmm": 99})
    seen.add(toy_rater().fingerprint)
    assert len(seen) == 3


def test_settings_change_it(monkeypatch) -> None:
    rater = toy_rater()
    before = rater.fingerprint
    monkeypatch.setattr(ToyBackbone, "settings", {"frames": "fewer"})
    assert rater.fingerprint != before


def test_what_no_score_depends_on_makes_no_difference() -> None:
    rater = toy_rater()
    before = rater.fingerprint
    assert before.startswith("toy:")
    assert len(before) == len("toy:") + 16
    rater([film()], batch_size=1)
    rater.checkpointing = True
    assert rater.fingerprint == before == toy_rater().fingerprint == toy_rater(checkpointing=True).fingerprint


def test_a_change_in_the_weights_is_seen() -> None:
    rater = toy_rater()
    seen = [rater.fingerprint]
    weight = rater.module.see.weight
    with torch.no_grad():
        weight[0, 0] += 1
    seen.append(rater.fingerprint)
    weight.data = weight.data * 2
    seen.append(rater.fingerprint)
    rater.module.load_state_dict({**rater.module.state_dict(), "see.bias": torch.ones(32)})
    seen.append(rater.fingerprint)
    rater.module.see.bfloat16()
    seen.append(rater.fingerprint)
    rater.module.bfloat16()
    seen.append(rater.fingerprint)
    assert len(set(seen)) == 6


def test_weights_are_hashed_once(monkeypatch) -> None:
    calls = []

    def slowly(module: nn.Module) -> str:
        calls.append(1)
        time.sleep(0.02)
        return weights_hash(module)

    monkeypatch.setattr(room, "weights_hash", slowly)
    of = Fingerprint("n", nn.Linear(2, 2), {"media": 1})
    found, barrier = [], threading.Barrier(4)

    def ask() -> None:
        barrier.wait()
        found.append(of.of({"a": "1"}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(calls) == 1
    assert of.of({"a": "2"}) != found[0]


def test_a_network_made_in_inference_mode() -> None:
    with torch.inference_mode():
        rater = toy_rater()
        values = rater([film()]).values.clone()
    assert rater.fingerprint == toy_rater().fingerprint
    assert torch.equal(rater([film()]).values, values) or values.isnan().any()


def test_settings_are_named_not_numbered() -> None:
    module = nn.Linear(1, 1)
    found = {
        fingerprint("n", module, settings, versions)
        for settings in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "2", "b": "1"}, {"a": "1\nb=2"})
        for versions in ({"media": 1, "lmm": 2}, {"lmm": 2, "media": 1}, {"media": 2, "lmm": 1})
    }
    assert len(found) == 6  # the order makes no difference


def test_identity_of_a_question_is_stable() -> None:
    one, other = toy_rater(), toy_rater()
    for first, second in zip(one.questions, other.questions, strict=True):
        assert isinstance(first, Question)
        assert first.identity(one.backbone.tokenizer) == second.identity(other.backbone.tokenizer)
        assert " at 0x" not in first.identity(one.backbone.tokenizer)
