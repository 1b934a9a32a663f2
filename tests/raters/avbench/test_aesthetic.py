"""The aesthetic predictor v2.5 against the original, and as a rater."""

from __future__ import annotations

import pytest
import torch
from golden_weights import golden_state
from tiny.avbench_video import tiny_aesthetic, write_tiny_aesthetic
from torch import Tensor

from avreward import Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import list_raters
from avreward.raters.avbench import AestheticConfig, AestheticNetwork, AestheticRater
from avreward.raters.avbench._aesthetic_network import HEAD, head_widths

pytest.importorskip("transformers")


def clip(frames: int = 20, seed: int = 0, **more) -> Clip:
    video = torch.rand(frames, 3, 30, 44, generator=torch.Generator().manual_seed(seed))
    return Clip(video=video * torch.linspace(0.3, 1, frames)[:, None, None, None], fps=8, **more)


@pytest.mark.golden("published_head.score_of_zero_vector")
def test_the_original(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    sizes = dict(case["config"])
    widths, _ = tuple(sizes.pop("head_widths")), sizes.pop("head_dropout_train_only")
    state = golden_state(case)
    assert head_widths({n.removeprefix("layers."): tuple(t.shape) for n, t in state.items()}, "") == widths
    network = AestheticNetwork(AestheticConfig(sizes, widths)).eval()
    network.load_state_dict(state)
    side = sizes["image_size"]

    def drawn(seed: int, *shape: int) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    pixels = drawn(1450, 4, 3, side, side) + 1.5 * drawn(1451, 4, 3, 1, 1) + drawn(1452, 4, 3, side, 1)
    pixels = pixels.tanh().requires_grad_()
    seen = network.vision_model(pixel_values=pixels)
    golden.near(seen.last_hidden_state, tensors["last_hidden_state"], 2e-5)
    golden.near(seen.pooler_output, tensors["pooler_output"], 2e-5)
    out = seen.pooler_output / seen.pooler_output.norm(dim=-1, keepdim=True)
    golden.near(out, tensors["normalized"], 2e-5)
    for place, layer in enumerate(m for m in network.layers["scoring_head"] if isinstance(m, torch.nn.Linear)):
        out = layer(out)
        if (name := f"linear{place}") in tensors:
            golden.near(out, tensors[name], 2e-5)
    scores = network(pixels)
    golden.near(scores, tensors["score"], 2e-5)
    scores.sum().backward()
    step = case["samples"]["grad_pixel_values.sample"]["flatten_step"]
    golden.near(pixels.grad.flatten()[::step], tensors["grad_pixel_values.sample"], 1e-3)


@torch.no_grad()
def test_scores_are_the_mean_over_one_frame_a_second() -> None:
    from transformers import SiglipImageProcessor

    rater, one = tiny_aesthetic(), clip()
    frames = [(one.video[i] * 255).round().byte() for i in (0, 8)]
    processor = SiglipImageProcessor(size={"height": 24, "width": 24}, resample=3)
    pixels = processor(images=frames, return_tensors="pt")["pixel_values"]
    each = rater.module(pixels)
    scores = rater([one])
    torch.testing.assert_close(scores["video_aesthetic"][0], each.mean(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(scores["spread"][0], each.std(correction=0), atol=1e-3, rtol=1e-2)


@torch.no_grad()
def test_neighbours_do_not_matter_and_dubs_share_the_work() -> None:
    rater, given = tiny_aesthetic(), [clip(), clip(160, 1), clip(3, 2)]
    together = rater(given).values
    assert together[:, 0].std() > 1e-4
    for one, expected in zip(given, together, strict=True):
        torch.testing.assert_close(rater([one]).values[0], expected)
    calls: list[int] = []
    rater.module.vision_model.register_forward_hook(lambda *_: calls.append(1))
    rater([given[0].with_audio(torch.rand(800) - 0.5, 8000) for _ in range(3)])
    assert len(calls) == 1
    scores = rater([Clip(audio=torch.zeros(800), sample_rate=8000)])
    assert "no video was given" in scores.reasons[0]["video_aesthetic"]


def test_gradients_agree_with_finite_differences(check_gradient) -> None:
    rater = tiny_aesthetic(rounding="none")
    rater.module.double()
    check_gradient(lambda v: rater([Clip(video=v, fps=2)]).values[0], clip(5).video.double())


def test_frames_that_are_alike_have_a_gradient() -> None:
    video = torch.full((2, 3, 24, 24), 0.5).requires_grad_()
    tiny_aesthetic()([Clip(video=video, fps=1)]).values.sum().backward()
    assert video.grad.isfinite().all()
    assert video.grad.any()


@torch.no_grad()
@pytest.mark.parametrize("apart", [False, True])
def test_the_published_head_beside_siglip_or_apart(tmp_path, apart) -> None:
    siglip = tmp_path / "siglip" if apart else None
    folder = write_tiny_aesthetic(tmp_path / "head", siglip)
    rater = load_rater(folder, **({"siglip": siglip} if apart else {}))
    assert isinstance(rater, AestheticRater)
    torch.testing.assert_close(rater([clip()]).values, tiny_aesthetic()([clip()]).values)
    if apart:
        with pytest.raises(AvrewardError, match="expected the files of SigLIP beside"):
            load_rater(folder)


@torch.no_grad()
def test_saving_and_loading(tmp_path) -> None:
    first = tiny_aesthetic()
    again = AestheticRater.from_pretrained(first.save_pretrained(tmp_path / "rater"))
    assert (again.fingerprint, again.settings) == (first.fingerprint, first.settings)
    torch.testing.assert_close(again([clip()]).values, first([clip()]).values)


def test_wrong_arguments_and_files(tmp_path) -> None:
    folder = write_tiny_aesthetic(tmp_path / "head")
    with pytest.raises(ArgumentError, match="adapter: expected no such option for the aesthetic predictor"):
        load_rater(folder, adapter="somewhere")
    torch.save({f"{HEAD}0.weight": torch.zeros(3, 2)}, folder / "aesthetic_predictor_v2_5.pth")
    with pytest.raises(AvrewardError, match=r"expected the head of the aesthetic predictor v2.5 .*, got another"):
        load_rater(folder)


def test_it_is_listed_with_its_licence() -> None:
    (card,) = list_raters("siglip_aesthetic")
    assert "AGPL-3.0" in card.licence
