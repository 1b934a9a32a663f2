"""InternVL against transformers' own image processor, template and model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tiny.checks import check_gradient, ids_of, parts_of, read
from tiny.internvl import tiny_internvl
from torch import Tensor

from avreward import Clip
from avreward.media.sampling import AllFrames
from avreward.media.sampling_rules import AigvAssessorFrames
from avreward.raters.lmm.prompt import Slot, Tokens

QUESTION = "Is it good?"
# chat_template.jinja of OpenGVLab/InternVL3-78B-hf
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<image>\n' }}{% elif content['type'] == 'video' %}{{ '<video>\n' }}{% elif content['type'] == 'text' %}"
    "{{ content['text'] }}{% endif %}{% endfor %}{% endif %}{{'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def backbone():
    return tiny_internvl()


def pictures(count: int, height: int, width: int, levels: bool = True) -> Tensor:
    """Frames in steps of 1/255, smooth with some noise."""
    generator = torch.Generator().manual_seed(count * height + width)
    small = torch.rand(count, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    frames = (smooth + 0.05 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1)
    return (frames * 255).round() / 255 if levels else frames


def seen(frames: Tensor) -> Clip:
    return Clip(video=frames, fps=8)


def told_by_the_library(backbone, turns: list[dict], frames: int, **options: object) -> str:
    from transformers import InternVLProcessor

    text = backbone.tokenizer.apply_chat_template(turns, chat_template=TEMPLATE, tokenize=False, **options)
    marks = SimpleNamespace(
        start_image_token="<img>", end_image_token="</img>", image_token="<IMG_CONTEXT>", image_seq_length=4
    )
    video = {"pixel_values_videos": torch.zeros(1, frames, 3, 28, 28)}
    return text.replace("<video>", InternVLProcessor.replace_video_token(marks, video, 0))


@pytest.mark.parametrize(("count", "height", "width"), [(1, 28, 28), (3, 45, 31), (20, 30, 57)])
def test_a_chat_is_read_as_by_the_library(backbone, count: int, height: int, width: int) -> None:
    clip = seen(pictures(count, height, width))
    turns = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": QUESTION}]}]
    text = told_by_the_library(backbone, turns, 8, add_generation_prompt=True)
    ids = backbone.tokenizer(text, return_tensors="pt")["input_ids"]

    parts = parts_of(backbone, backbone.chat([Slot("video"), QUESTION]), clip)
    assert torch.equal(ids_of(parts, backbone.module.config.image_token_id), ids)
    expected = backbone.module(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=backbone.load(clip, "video")
    ).logits[0]
    torch.testing.assert_close(backbone.head(read(backbone, parts)), expected, rtol=0, atol=1e-5)


def test_a_chat_without_pictures_and_one_with_an_answer(backbone) -> None:
    turns = [{"role": "user", "content": QUESTION}]
    asked = told_by_the_library(backbone, turns, 8, add_generation_prompt=True)
    assert "".join(backbone.chat([QUESTION])) == asked
    assert "".join(backbone.chat([QUESTION], ["Yes"])) == asked + "Yes"
    turns.append({"role": "assistant", "content": "Yes"})
    assert "".join(backbone.chat([QUESTION], ["Yes"], closed=True)) == told_by_the_library(backbone, turns, 8)


def test_a_tokenizer_that_begins_every_text_with_a_token() -> None:
    from tokenizers.processors import TemplateProcessing

    backbone = tiny_internvl()
    first = backbone.tokenizer.eos_token
    backbone.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A", special_tokens=[(first, backbone.tokenizer.eos_token_id)]
    )
    ours = "".join(backbone.chat([QUESTION]))
    ids = backbone.tokenizer(ours, add_special_tokens=False)["input_ids"]
    assert ids == backbone.tokenizer(ours.removeprefix(first))["input_ids"]
    assert ids[0] == backbone.tokenizer.eos_token_id


@pytest.mark.parametrize(("height", "width"), [(28, 28), (45, 31), (97, 171), (20, 11)])
def test_frames_are_those_of_the_image_processor(height: int, width: int) -> None:
    from transformers import GotOcr2ImageProcessorPil

    frames = pictures(4, height, width)
    processor = GotOcr2ImageProcessorPil(
        size={"height": 28, "width": 28}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    images = [(frame * 255).round().byte().permute(1, 2, 0).numpy() for frame in frames]
    theirs = processor(images, crop_to_patches=False, return_tensors="pt")["pixel_values"]
    ours = tiny_internvl("exact", frames=AllFrames()).load(seen(frames), "video")
    off = (ours - theirs).abs() * 0.225 * 255
    assert float(off.max()) < 1.2
    assert float((off > 0.5).float().mean()) <= 1e-3


def test_a_clip_of_half_precision_keeps_its_levels(backbone) -> None:
    frames = pictures(3, 28, 28).bfloat16()
    assert torch.equal(backbone.load(seen(frames), "video"), backbone.load(seen(frames.float()), "video"))


def test_eight_frames_whatever_the_length() -> None:
    backbone = tiny_internvl()
    frames = pictures(480, 8, 8)
    chosen = AigvAssessorFrames(8)(torch.arange(480, dtype=torch.float64) / 8)
    few = tiny_internvl(frames=AllFrames()).load(seen(frames[chosen]), "video")
    assert torch.equal(backbone.load(seen(frames), "video"), few)
    encoded = backbone.encode("video", backbone.load(seen(frames[:1]), "video"))
    tokens = [part.values for part in encoded if isinstance(part, Tokens)]
    assert len(tokens) == 8
    assert all(torch.equal(values, tokens[0]) for values in tokens)


def test_gradients_agree_with_finite_differences() -> None:
    backbone = tiny_internvl("none", frames=AigvAssessorFrames(2))
    backbone.module.double()

    def tokens(frames: Tensor) -> Tensor:
        encoded = backbone.encode("video", backbone.load(seen(frames), "video"))
        return torch.cat([part.values for part in encoded if isinstance(part, Tokens)])

    check_gradient(tokens, pictures(3, 41, 23, levels=False))


def test_the_straight_through_gradient_is_that_of_no_rounding() -> None:
    frames = pictures(2, 40, 30).requires_grad_()
    slopes = []
    for rounding in ("straight_through", "none"):
        out = tiny_internvl(rounding).load(seen(frames), "video")
        slopes.append(torch.autograd.grad((out * torch.arange(out.numel()).reshape(out.shape).sin()).sum(), frames)[0])
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-4)


def test_settings_name_what_the_scores_depend_on(backbone) -> None:
    assert backbone.settings["frames"] == "AigvAssessorFrames(count=8, bound=None), fast conversion"
    assert backbone.settings["size"] == "28x28 squashed, bicubic"
