"""DOVER as a rater: scores, gradients, checkpoints, and everything that raters are used in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tiny.dover import VIEWS, tiny_dover, write_tiny_dover

from avreward import Clip, load_rater
from avreward.errors import ArgumentError
from avreward.raters import DoverRater, EnsembleRater, Scores, list_raters
from avreward.raters.dover._card import dimensions_of
from avreward.raters.dover._network import fused

NAMES = ("technical", "aesthetic", "overall")


def clip(frames: int = 12, seed: int = 0, height: int = 40, width: int = 64, **more) -> Clip:
    video = torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return Clip(video=video, fps=8, **more)


def clips(count: int = 3) -> list[Clip]:
    return [clip(5 + 4 * i, i, 40 - 9 * i, 30 + 20 * i) for i in range(count)]


@pytest.fixture
def folder(tmp_path):
    return write_tiny_dover(tmp_path / "published")


@pytest.mark.golden(case="dover_plus_plus")
def test_the_original_scores_and_grades(golden) -> None:
    limit = golden.numbers("values")[-1]
    rater, rows = tiny_dover("dover++"), golden.data["rows"]
    raw = [torch.tensor([row[f"{view}_raw"] for row in rows], dtype=torch.float64) for view in NAMES[:2]]
    values = fused(*raw) * rater.dimension("overall").high
    for column, name in enumerate(NAMES):
        golden.close(values[:, column], [row[name] for row in rows], atol=limit)
    scores = Scores(values, torch.ones(values.shape, dtype=torch.bool), [{} for _ in rows], dimensions_of("dover++"))
    for name in NAMES:
        golden.same(rater.grades(scores, name), [row[f"{name}_grade"] for row in rows])
    as_shares = replace(scores, values=values / 100, dimensions=dimensions_of("dover"))
    golden.same(tiny_dover().grades(as_shares), [row["overall_grade"] for row in rows])


def test_scores_are_those_of_the_network(check_gradient) -> None:
    rater, one = tiny_dover(), clip()
    views = VIEWS(one, "straight_through")
    with torch.no_grad():
        raw = rater.module.technical(views.technical), rater.module.aesthetic(views.aesthetic)
        torch.testing.assert_close(rater([one]).values[0], fused(*raw))
        torch.testing.assert_close(tiny_dover("dover++")([one]).values[0], 100 * fused(*raw))
    assert [(d.low, d.high, set(d.needs)) for d in tiny_dover("dover++").dimensions] == [(0, 100, {"video"})] * 3


@torch.no_grad()
def test_neighbours_do_not_matter_and_dubs_share_the_work() -> None:
    rater, given = tiny_dover(), clips()
    together = rater(given).values
    assert together.isfinite().all()
    assert together.std(0).min() > 1e-3
    for one, expected in zip(given, together, strict=True):
        torch.testing.assert_close(rater([one]).values[0], expected)
    calls: list[int] = []
    rater.module.technical_backbone.register_forward_hook(lambda *_: calls.append(1))
    rater([given[0].with_audio(torch.rand(800) - 0.5, 8000) for _ in range(4)])
    assert len(calls) == 1


@torch.no_grad()
def test_short_small_and_plain_videos_have_scores_and_no_video_has_a_reason() -> None:
    rater = tiny_dover()
    odd = [
        clip(1, height=1, width=1),
        clip(2, height=3, width=700),
        clip(1),
        Clip(video=torch.zeros(4, 3, 9, 9), fps=1),
    ]
    scores = rater([*odd, Clip(audio=torch.zeros(800), sample_rate=8000)])
    assert scores.values[:4].isfinite().all()
    assert not scores.present[4].any()
    assert scores.reasons[4].keys() == set(NAMES)
    assert "no video" in scores.reasons[4]["overall"]
    assert rater.grades(scores)[4] is None


@pytest.mark.parametrize(("height", "width"), [(29, 41), (11, 50)])
@pytest.mark.parametrize("antialias", [True, False])
def test_gradients_agree_with_finite_differences(check_gradient, height, width, antialias) -> None:
    rater = tiny_dover(views=replace(VIEWS, antialias=antialias), rounding="none")
    rater.module.double()
    video = clip(7, height=height, width=width).video.double() * 0.8 + 0.1
    check_gradient(lambda v: rater([Clip(video=v, fps=8)]).values[0], video)


def test_checkpointing_changes_no_gradient() -> None:
    found = []
    for checkpointing in (False, True):
        video = clip().video.requires_grad_()
        tiny_dover(checkpointing=checkpointing)["overall"]([Clip(video=video, fps=8)]).sum().backward()
        found.append(video.grad)
    assert found[0].any()
    torch.testing.assert_close(*found)


def test_the_steps_to_8_bits() -> None:
    given = [clip()]
    exact, through, none = (tiny_dover(rounding=mode) for mode in ("exact", "straight_through", "none"))
    with torch.no_grad():
        torch.testing.assert_close(exact(given).values, through(given).values, rtol=0, atol=0)
        assert not torch.equal(none(given).values, through(given).values)
    assert not exact.differentiable
    assert through.differentiable


@torch.no_grad()
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(("name", "variant"), [("DOVER.pth", "dover"), ("DOVER_plus_plus.pth", "dover++")])
def test_a_published_file(tmp_path, name, variant, wrapped) -> None:
    rater = load_rater(write_tiny_dover(tmp_path / "folder", name, wrapped))
    assert isinstance(rater, DoverRater)
    assert (rater.variant, rater.name) == (variant, {"dover": "dover", "dover++": "dover_plus_plus"}[variant])
    seen = [Clip(video=torch.rand(3, 3, 30, 30), fps=8)]
    rater.views = VIEWS  # the published ones are slow
    torch.testing.assert_close(rater(seen).values, tiny_dover(variant)(seen).values)
    other = load_rater(tmp_path / "folder", variant="dover++", seed=3, antialias=False, dtype="bfloat16")
    assert (other.variant, other.views.seed, other.views.antialias) == ("dover++", 3, False)
    assert next(other.module.parameters()).dtype == torch.bfloat16


@torch.no_grad()
def test_saving_and_loading(tmp_path) -> None:
    first = tiny_dover("dover++", replace(VIEWS, seed=7))
    again = DoverRater.from_pretrained(first.save_pretrained(tmp_path / "rater"))
    assert again.fingerprint == first.fingerprint
    assert again.views == first.views
    assert again.settings == first.settings
    assert again.dimensions == first.dimensions
    given = clips()
    torch.testing.assert_close(again(given).values, first(given).values)
    assert again.fingerprint != load_rater(tmp_path / "rater", seed=8).fingerprint
    config = json.loads((tmp_path / "rater" / "config.json").read_text())
    assert config["rater"] == "dover"
    assert not list((tmp_path / "rater").glob("tokenizer*"))


def test_bfloat16_scores_are_close_and_in_float32() -> None:
    wide, narrow = tiny_dover(), tiny_dover()
    narrow.module.bfloat16()
    with torch.no_grad():
        found = narrow(clips())
        assert found.values.dtype == torch.float32
        torch.testing.assert_close(found.values, wide(clips()).values, atol=0.1, rtol=0)


def test_wrong_arguments(folder) -> None:
    with pytest.raises(ArgumentError, match=r"variant: expected one of dover, dover\+\+, got 'dover3'"):
        tiny_dover("dover3")
    with pytest.raises(ArgumentError, match="attention: expected no such option for DOVER, got 'eager'"):
        load_rater(folder, attention="eager")
    with pytest.raises(ArgumentError, match="adapter: expected no such option"):
        load_rater(folder, adapter="somewhere")


def test_it_is_listed() -> None:
    (card,) = list_raters("dover")
    assert [d.name for d in card.dimensions] == list(NAMES)
    assert card.needs == {"video"}


@torch.no_grad()
def test_in_an_ensemble() -> None:
    members = [tiny_dover(), tiny_dover(views=replace(VIEWS, seed=1))]
    scores = EnsembleRater(members)(clips())
    assert scores.present.all()


@torch.no_grad()
def test_a_missing_weight_is_zero_at_each_load(folder) -> None:
    state = torch.load(folder / "DOVER.pth")
    del state["technical_head.fc_last.weight"]
    torch.save(state, folder / "DOVER.pth")
    allow = ["technical_head.fc_last.weight"]
    first, second = (load_rater(folder, device="cpu", allow=allow) for _ in range(2))
    assert not first.module.technical_head.fc_last.weight.any()
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != load_rater(write_tiny_dover(folder), device="cpu", allow=["*"]).fingerprint


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("height", "width"), [(3, 300), (20, 36), (40, 64)])
def test_a_clip_in_half_precision_scores_as_the_same_pixels(dtype, height, width) -> None:
    half = clip(height=height, width=width).video.to(dtype)
    scores = [tiny_dover()([Clip(video=video, fps=8)]).values for video in (half, half.float())]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_names_of_files_and_entries(tmp_path) -> None:
    expected = load_rater(write_tiny_dover(tmp_path / "usual")).fingerprint
    folder = write_tiny_dover(tmp_path / "lower", "dover.pth")
    (folder / "config.json").write_text('{"anything": 1}')
    assert load_rater(folder).fingerprint == expected
    state = torch.load(folder / "dover.pth")
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, folder / "dover.pth")
    assert load_rater(folder).fingerprint == expected


def test_a_file_of_a_saved_folder_is_refused(tmp_path) -> None:
    folder = tiny_dover().save_pretrained(tmp_path / "saved")
    with pytest.raises(ArgumentError, match=r"^file: expected nothing for .*saved, which avreward saved, got 'nothing"):
        load_rater(folder, file="nothing.pth")
