"""Which of several dubs fits best."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
import torch
from lmm_checks import counted, dubs, film, noise, picture, plainly, small_memory, sound, widen
from toy_backbone import ToyBackbone, toy_rater

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.group import Group
from avreward.raters.base import Work
from avreward.raters.checkpoints._oom import OutOfMemory
from avreward.raters.lmm._template import render
from avreward.raters.lmm.prompt import Slot
from avreward.raters.lmm.rater import LmmRater


@pytest.fixture(scope="module")
def rater():
    return toy_rater()


def test_pairs_of_one_video_encode_it_once() -> None:
    rater, clips, work = toy_rater(), dubs(4, frames=20), Work()
    with torch.no_grad():
        shared = [rater.compare([one, other], work=work) for one, other in combinations(clips, 2)]
        assert rater.backbone.calls == {"video": 1, "audio": 4}
        apart = [rater.compare([one, other]) for one, other in combinations(clips, 2)]
    torch.testing.assert_close(torch.stack(shared), torch.stack(apart), rtol=1e-4, atol=0)


def test_memory_that_runs_out_halves_the_orders() -> None:
    rater, clips = toy_rater(), dubs(4, frames=4)
    expected = rater.compare(clips)
    with small_memory(rater, 2), pytest.warns(RuntimeWarning, match="out of memory with 4"):
        found = rater.compare(clips)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    wave = clips[0].audio.clone().requires_grad_()
    with small_memory(rater, 1), pytest.raises(OutOfMemory, match="with gradients"):
        rater.compare([clips[0].with_audio(wave, 16000), clips[1]])


def test_checkpointing_changes_no_gradient() -> None:
    plain = toy_rater()
    lean = LmmRater("toy", plain.backbone, plain.questions, plain.dimensions, checkpointing=True)
    gradients = []
    for rater in (plain, lean):
        waves = [clip.audio.clone().requires_grad_() for clip in dubs(3, frames=4)]
        clips = [clip.with_audio(wave, 16000) for clip, wave in zip(dubs(3, frames=4), waves, strict=True)]
        saved: list[int] = []

        def note(tensor: torch.Tensor, saved: list[int] = saved) -> torch.Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept):
            chosen = rater.compare(clips)
        gradients.append((torch.autograd.grad(chosen[0], waves), sum(saved)))
    (expected, much), (found, little) = gradients
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-9)
    assert little < 0.7 * much


@pytest.mark.parametrize("count", [2, 3, 9])
def test_probabilities_add_up_to_one(rater, count: int) -> None:
    chosen = rater.compare(dubs(count, frames=4))
    assert chosen.shape == (count,)
    assert float(chosen.sum()) == pytest.approx(1, rel=1e-5)
    assert (chosen > 0).all()
    assert chosen.max() > 1.02 * chosen.min()  # not uniform


def test_every_sound_stands_in_every_place_once(rater) -> None:
    """The definition, prompt by prompt."""
    clips, expected = dubs(3, frames=4), torch.zeros(3)
    backbone = rater.backbone
    numbers = torch.tensor([backbone.tokenizer.convert_tokens_to_ids(str(number)) for number in (1, 2, 3)])

    def encode(slot: Slot):
        clip = clips[slot.of]
        return (slot.track, slot.of), backbone.encode(slot.track, backbone.load(clip, slot.track))

    ring = sorted(range(3), key=lambda i: clips[i].keys["audio"])
    for a, b, c in (ring, [*ring[1:], ring[0]], [ring[2], *ring[:2]]):
        text = ["<user>The video is ", Slot("video")]
        for place, one in enumerate((a, b, c), 1):
            text += [f", Audio {place} is ", Slot("audio", one)]
        text += [". Which audio best matches this video in terms of audio content, quality, and rhythm?<answer>Audio "]
        hidden = plainly(backbone, render(text, clips[0], encode, backbone.tokenizer))
        expected[[a, b, c]] += backbone.head(hidden[0])[numbers].softmax(0).detach() / 3
    torch.testing.assert_close(rater.compare(clips), expected, rtol=1e-4, atol=0)


def test_the_order_makes_no_difference(rater) -> None:
    clips = dubs(4, frames=4)
    expected = rater.compare(clips)
    for order in list(permutations(range(4)))[::5]:
        found = rater.compare([clips[i] for i in order])
        torch.testing.assert_close(found, expected[list(order)], rtol=1e-4, atol=0)


def test_equal_sounds_have_equal_shares(rater) -> None:
    one, other, *_ = dubs(2, frames=4)
    again = other.with_audio(other.audio.clone(), 16000)
    chosen = rater.compare([other, one, again])
    assert float(chosen[0]) == pytest.approx(float(chosen[2]), rel=1e-5)
    swapped = rater.compare([one, again, other])
    torch.testing.assert_close(swapped, chosen[[1, 2, 0]], rtol=1e-4, atol=0)


def test_a_group_is_compared_as_its_candidates(rater) -> None:
    clips = dubs(3, frames=4)
    group = Group(Clip(**picture(4)), clips)
    torch.testing.assert_close(rater.compare(group), rater.compare(clips))


def test_the_tracks_are_encoded_once_and_the_picture_read_once() -> None:
    rater = toy_rater()
    with counted(rater.backbone) as calls, torch.no_grad():
        rater.compare(dubs(3, frames=20))
    assert rater.backbone.calls == {"video": 1, "audio": 3}
    assert calls[0] > 20 * 4  # once, for all orders
    assert len(calls) > 1


def test_the_published_instruction(rater, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr("avreward.raters.lmm._comparison.render", lambda prompt, *_: seen.append(prompt) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rater.compare(dubs(2, frames=2))
    text = "".join(part if isinstance(part, str) else f"[{part.track} {part.of}]" for part in seen[0])
    assert text == (
        "<user>The video is [video 0], Audio 1 is [audio 0], Audio 2 is [audio 1]. Which audio best matches this video "
        "in terms of audio content, quality, and rhythm?<answer>Audio "
    )


def test_gradients_reach_picture_and_sounds(check_gradient) -> None:
    rater = toy_rater()
    widen(rater.module)
    seen, heard = picture(2)["video"], [sound(800, seed=i)["audio"].double() for i in range(2)]

    def of_picture(at):
        silent = Clip(video=at, fps=4)
        return rater.compare([silent.with_audio(each, 16000) for each in heard])

    def of_sound(at):
        silent = Clip(video=seen.double(), fps=4)
        return rater.compare([silent.with_audio(each, 16000) for each in (at, heard[1])])

    check_gradient(of_picture, seen)
    check_gradient(of_sound, heard[0])


@pytest.mark.parametrize(("count", "said"), [(1, "got 1 clips"), (10, "got 10 clips")])
def test_how_many(rater, count: int, said: str) -> None:
    with pytest.raises(ArgumentError, match=f"clips: expected 2 to 9 dubs of one video, {said}"):
        rater.compare(dubs(count, frames=1))


def test_different_pictures(rater) -> None:
    with pytest.raises(ArgumentError, match="expected dubs of one video, got clips of different videos; make them"):
        rater.compare([film(2), film(3)])


def test_what_lacks_a_track(rater) -> None:
    silent = Clip(**picture(2))
    with pytest.raises(ArgumentError, match=r"dubs with .*, got <tensor> without audio \(no audio was given"):
        rater.compare([silent.with_audio(noise(1, 800), 16000), silent])
    with pytest.raises(ArgumentError, match="no video was given"):
        rater.compare([Clip(**sound(800)), Clip(**sound(900))])


class Deaf(ToyBackbone):
    tracks = ("video",)


def test_a_model_that_cannot_hear() -> None:
    with pytest.raises(ArgumentError, match=r"rater: expected .* video and audio, got toy, which takes video only"):
        toy_rater(backbone=Deaf()).compare(dubs(2))
