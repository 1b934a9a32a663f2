"""A sequence gives the same result alone, in any batch, and continued from a cache."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import nullcontext

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lmm_checks import alone, check_alone, counted, dubs, film, noise, picture, plainly, sound
from torch import nn
from toy_backbone import ThreeAxes, ToyBackbone, toy_rater
from toy_deep import DeepBackbone

from avreward import Clip
from avreward.errors import AvrewardError
from avreward.raters.base import Work
from avreward.raters.lmm import _decoding as decoding
from avreward.raters.lmm._decoding import PREFIXES, read
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.prompt import Read, Slot, Text, Tokens
from avreward.raters.lmm.rater import LmmRater, Question
from avreward.raters.lmm.readout import Regression
from avreward.raters.scores import Dimension

BACKBONES = {"toy": ToyBackbone, "positions": ThreeAxes, "deep": DeepBackbone}


@pytest.fixture(scope="module", params=list(BACKBONES))
def rater(request) -> LmmRater:
    return toy_rater(backbone=BACKBONES[request.param]())


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


# ---- mixes of clips

TRACKS = st.tuples(
    st.none() | st.tuples(st.integers(1, 6), st.integers(0, 1)),  # frames, content
    st.none() | st.tuples(st.sampled_from([400, 799, 1200, 4000, 12_000]), st.integers(0, 1)),
    st.sampled_from([None, "", "a dog", "a dog barks at a very long train that passes by"]),
).filter(lambda drawn: drawn[0] or drawn[1])


def made(drawn) -> Clip:
    seen, heard, prompt = drawn
    return Clip(**(picture(*seen) if seen else {}), **(sound(*heard) if heard else {}), prompt=prompt)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mix=st.lists(TRACKS, min_size=1, max_size=7),
    batch=st.integers(1, 7),
    worth=st.sampled_from([1, 6, 64, 10**9]),
)
def test_neighbours_padding_and_batches_make_no_difference(rater, mix, batch, worth) -> None:
    clips = [made(drawn) for drawn in mix]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "WORTH", worth)
        check_alone(rater, clips, rater(clips, batch_size=batch))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_sequences_side_by_side_and_one_after_the_other(rater, data) -> None:
    """Sequences over a few parts, so that many begin alike, end within each other, or are the same."""
    backbone = rater.backbone
    tracks = [("video", picture(frames, seed)) for frames, seed in ((1, 0), (2, 1))] + [("audio", sound(1200))]
    encoded = [backbone.encode(t, backbone.load(Clip(**given), t))[1] for t, given in tracks]
    texts = [((5,), ()), ((5, 6, 7), (0, 2)), ((5, 6, 7, 8), ()), ((9,), (0,))]
    parts = [(Text(*text), text[0]) for text in texts] + [(tokens, ("track", i)) for i, tokens in enumerate(encoded)]
    choice = st.lists(st.sampled_from(parts), min_size=1, max_size=5)
    sequences = [
        Rendered(tuple(part for part, _ in drawn), tuple(key for _, key in drawn))
        for drawn in data.draw(st.lists(choice, min_size=1, max_size=8))
    ]
    expected = [plainly(backbone, sequence) for sequence in sequences]
    prefixes = OrderedDict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "WORTH", data.draw(st.sampled_from([1, 2, 5, 10**9])))
        for start in range(0, len(sequences), step := data.draw(st.integers(1, 8))):
            found = read(backbone, sequences[start : start + step], prefixes)
            for hidden, wanted in zip(found, expected[start : start + step], strict=True):
                torch.testing.assert_close(hidden, wanted, rtol=1e-4, atol=1e-5)
            assert len(prefixes) <= PREFIXES


def test_order_makes_no_difference(rater) -> None:
    clips = [*dubs(3, frames=18), film(3), Clip(**sound()), Clip(**picture())]
    forth, back = rater(clips).values, rater(clips[::-1]).values.flip(0)
    torch.testing.assert_close(forth, back, rtol=1e-4, atol=0, equal_nan=True)


def test_a_common_beginning_shows_in_no_score(rater) -> None:
    """Eight dubs of one video, with shared work done once, in batches that end within the group."""
    clips = dubs(8, prompt="a dog") + dubs(3, frames=24)
    for batch in (None, 1, 3):
        check_alone(rater, clips, rater(clips, batch_size=batch))


# ---- reads


def reader(backbone) -> LmmRater:
    """Scores read in the text before the video, right after it, between the tracks, and at the end."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = nn.Linear(32, 1, bias=False)
    long = "a rather long beginning that all of the sequences have in common, prompt or not: " * 2
    prompt = [Read(long), Slot("video"), Read("picture"), Slot("audio"), Read("sound"), Read("all")]
    cut = prompt[:3]
    names = ("text", "picture", "sound", "all")
    questions = [
        Question(names, tuple(prompt), Regression(head)),
        Question(names[:2], tuple(cut), Regression(head)),  # a beginning of the other
    ]
    dimensions = [Dimension(name, float("-inf"), float("inf"), frozenset({"video"})) for name in names]
    module = nn.ModuleDict({"base": backbone.module, "head": head})
    return LmmRater("reader", backbone, questions, dimensions, module=module)


@pytest.mark.parametrize("kind", list(BACKBONES))
@pytest.mark.parametrize("worth", [1, 64, 10**9])
def test_answers_in_what_is_shared(kind: str, worth: int, monkeypatch) -> None:
    monkeypatch.setattr(decoding, "WORTH", worth)
    rater = reader(BACKBONES[kind]())
    silent = Clip(**picture(20))
    clips = [*dubs(3), silent, *dubs(2), silent, Clip(**picture(3)), film(3)]  # some twice, some without audio
    for batch in (None, 2):
        scores = rater(clips, batch_size=batch)
        check_alone(rater, clips, scores)
    assert scores.present.sum(dim=1).tolist() == [4, 4, 4, 2, 4, 4, 2, 2, 4]
    values = scores.values
    torch.testing.assert_close(values[:7, :2], values[:1, :2].expand(7, 2), rtol=1e-5, atol=0)
    assert len({round(float(v), 3) for v in values[0]}) == 4


# ---- work


def test_a_picture_is_encoded_and_read_once() -> None:
    rater, clips = toy_rater(), dubs(6, frames=40)
    [question] = [q for q in rater.questions if q.dimensions == ("av_consistency",)]
    rater = LmmRater("toy", rater.backbone, [question], [rater.dimension("av_consistency")])
    alone_each = []
    for clip in clips:
        with counted(rater.backbone) as calls:
            rater([clip])
        alone_each.append(sum(calls))
    rater.backbone.calls.update(video=0, audio=0)
    with counted(rater.backbone) as calls:
        rater(clips)
    assert rater.backbone.calls == {"video": 1, "audio": 6}
    assert len(calls) == 2
    shared = calls[0]
    assert shared >= 160  # a beginning with the video's tokens
    assert calls[1] == 6 * (max(alone_each) - shared)

    rater.backbone.calls.update(video=0, audio=0)
    with counted(rater.backbone) as calls:
        rater(clips, batch_size=3)  # the second batch continues the beginning that the first has read
    assert rater.backbone.calls == {"video": 1, "audio": 6}
    assert len(calls) == 3
    assert calls[0] == shared


def test_a_picture_is_read_once_though_its_dubs_end_in_the_next_batch() -> None:
    """Three videos under one long text, five dubs each, in batches of eight: 5 + 3, then 2 + 5."""
    backbone = ToyBackbone()
    text = "A long text that all of these sequences begin with, before anything is seen: "
    with torch.random.fork_rng():
        torch.manual_seed(7)  # whose scores are not near 0, where rounding is large beside them
        regression = Regression(nn.Linear(32, 1, bias=False))
    question = Question(("fit",), (text, Slot("video"), Slot("audio"), "Do they fit?"), regression)
    rater = LmmRater("toy", backbone, [question], [Dimension("fit", 0, 1, frozenset({"video", "audio"}))])
    clips = [
        Clip(**picture(40, video)).with_audio(sound(800, dub)["audio"], 16000) for video in range(3) for dub in range(5)
    ]
    with counted(backbone) as calls:
        scores = rater(clips)
    beginning = len(backbone.tokenizer(text).input_ids)
    seen, rest = 7 + 160, 15 * 13  # with the text around it; the audio and the question
    assert beginning + 3 * seen + rest <= sum(calls) < beginning + 3.5 * seen + rest
    assert backbone.calls == {"video": 3, "audio": 5}
    check_alone(rater, clips, scores)


def test_dubs_judged_one_at_a_time_share_the_picture() -> None:
    rater, clips = toy_rater(), dubs(4, frames=40)
    rater = LmmRater("toy", rater.backbone, rater.questions[1:2], rater.dimensions[1:2])  # one sequence a clip
    with counted(rater.backbone) as whole, torch.no_grad():
        expected = rater(clips[:1])
    assert len(whole) == 2  # the video, and the rest
    with counted(rater.backbone) as calls, torch.no_grad():
        scores = rater(clips, batch_size=1)
    assert len(calls) == 5
    assert max(calls[1:]) < whole[0] / 2
    torch.testing.assert_close(scores.values[:1], expected.values)
    check_alone(rater, clips, scores)
    wave = clips[0].audio.clone().requires_grad_()
    with counted(rater.backbone) as calls, torch.enable_grad():
        rater([clips[0].with_audio(wave, 16000)])
    assert len(calls) == 1  # a graph would keep the cache alive


def test_questions_about_one_clip_share_it(monkeypatch) -> None:
    rater, clip = toy_rater(), film(30, 8000, prompt="a dog")
    with counted(rater.backbone) as calls:
        scores = rater([clip])
    assert rater.backbone.calls == {"video": 1, "audio": 1}
    assert len(calls) == 2  # first the common beginning of two questions, and the third question
    assert calls[1] <= 2 * 20  # then the rest of the two
    monkeypatch.setattr(decoding, "WORTH", 10**9)
    with counted(rater.backbone) as whole:
        rater([clip])
    assert sum(calls) < 0.75 * sum(whole)
    check_alone(rater, [clip], scores)


def test_videos_of_one_prompt_share_a_long_text() -> None:
    backbone = ToyBackbone()
    text = "The prompt was: {prompt} Now look at the clip. "
    prompt = tuple(backbone.chat([text, Slot("video"), "Does it match?"]))
    regression = Regression(nn.Linear(32, 1, bias=False))
    question = Question(("match",), prompt, regression)
    dimension = Dimension("match", 0, 1, frozenset({"video", "prompt"}))
    rater = LmmRater("toy", backbone, [question], [dimension])
    clips = [Clip(**picture(3, seed), prompt="a dog barks " * 20) for seed in range(4)]
    others = [clip.with_prompt(f"{i} a cat") for i, clip in enumerate(clips)]
    for group, runs in ((clips, 2), (others, 1)):
        with counted(backbone) as calls:
            scores = rater(group)
        assert len(calls) == runs
        check_alone(rater, group, scores)
    assert backbone.calls["video"] > 4  # alone() encodes, too


def test_beginnings_are_kept_only_within_a_call() -> None:
    rater, clips = toy_rater(), dubs(3)
    for _ in range(2):
        rater.backbone.calls.update(video=0)
        with counted(rater.backbone) as calls:
            rater(clips)
        assert rater.backbone.calls["video"] == 1
        assert len(calls) > 1


def test_few_beginnings_are_kept() -> None:
    rater, work = toy_rater(), Work()
    for seed in range(4):
        silent = Clip(**picture(20, seed))
        clips = [silent.with_audio(sound(800, i)["audio"], 16000) for i in range(2)]
        rater.rate([rater.load(clip, work) for clip in clips], work)
        assert len(work.prefixes) <= PREFIXES


# ---- modes


@pytest.mark.parametrize("first", [torch.inference_mode, torch.no_grad, nullcontext])
def test_what_one_mode_leaves_behind_does_not_harm_another(rater, first) -> None:
    clips = dubs(3)
    with first():
        before = rater(clips).values.clone()
    with torch.enable_grad():
        sounds = [clip.audio.clone().requires_grad_() for clip in clips]
        after = rater([clips[0].with_audio(s, 16000) for s in sounds])
        gradients = torch.autograd.grad(after["audio_quality"].sum(), sounds)
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)
    torch.testing.assert_close(after.values.detach(), before, rtol=1e-5, atol=0, equal_nan=True)


def test_half_precision_on_the_fly(rater) -> None:
    clips = dubs(3, prompt="a dog")
    with torch.autocast("cpu", torch.bfloat16):
        rough = rater(clips).values
    torch.testing.assert_close(rough.float(), rater(clips).values, rtol=0.1, atol=0.02)
    assert rough.isfinite().all()


def test_half_precision_weights() -> None:
    rater = toy_rater()
    clips = dubs(3, prompt="a dog")
    full = rater(clips).values
    rater.module.bfloat16()
    half = rater(clips).values
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.1, atol=0.02)
    one_by_one = torch.cat([rater([clip]).values for clip in clips])
    torch.testing.assert_close(half, one_by_one, rtol=0.05, atol=0.01)


def test_eager_attention_agrees(rater) -> None:
    clips = [*dubs(4), film(2)]
    found = rater(clips).values
    rater.backbone.language.set_attn_implementation("eager")
    try:
        torch.testing.assert_close(rater(clips).values, found, rtol=1e-4, atol=0, equal_nan=True)
    finally:
        rater.backbone.language.set_attn_implementation("sdpa")


def test_a_foreign_tokenizer_is_named() -> None:
    backbone = ToyBackbone()
    size = backbone.language.config.vocab_size
    with pytest.raises(
        AvrewardError, match=f"tokenizer: expected tokens below {size} .*, got {size}; use the model's own"
    ):
        read(backbone, [Rendered((Text((1, size)),), ((1, size),))])


def test_tokens_of_a_track_are_never_cut() -> None:
    backbone = ToyBackbone()
    track = Tokens(noise(70, 32))
    one, two = (Rendered((Text((1,)), track, Text((last,))), ((1,), "track", (last,))) for last in (2, 3))
    found = read(backbone, [one, two])
    for hidden, sequence in zip(found, (one, two), strict=True):
        torch.testing.assert_close(hidden, plainly(backbone, sequence), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("longest", "rows"), [(0, [1] * 5), (2.5, [2, 2, 1]), (5, [5])])
def test_long_rows_are_computed_a_few_at_a_time(longest: float, rows: list[int], monkeypatch) -> None:
    rater, clips = toy_rater(), dubs(5, samples=1200)
    rater = LmmRater("toy", rater.backbone, rater.questions[1:2], rater.dimensions[1:2])  # one sequence a clip
    shapes: list[tuple[int, int]] = []
    layer = rater.backbone.language.layers[0]
    layer.register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape[:2])))
    together = rater(clips)
    assert [count for count, _ in shapes] == [1, 5]  # the video, then the dubs
    monkeypatch.setattr(decoding, "AT_ONCE", int(longest * shapes.pop()[1]))
    shapes.clear()
    scores = rater(clips)
    assert [count for count, _ in shapes] == [1, *rows]
    torch.testing.assert_close(scores.values, together.values, rtol=1e-5, atol=0)
    check_alone(rater, clips, scores)
    shapes.clear()
    with torch.enable_grad():
        rater([clip.with_audio(clip.audio.clone().requires_grad_(), 16000) for clip in clips])
    assert [count for count, _ in shapes] == [1, 5]


def test_no_sequences() -> None:
    assert read(ToyBackbone(), []) == []


def test_the_reference_itself_is_sensible(rater) -> None:
    """The plain reading depends on video, audio and prompt, and on the order of frames."""
    clip = film(4, prompt="a dog")
    still = {name: float(value) for name, value in alone(rater, clip).items()}
    others = {
        "picture": Clip(video=clip.video.flip(0), fps=4, audio=clip.audio, sample_rate=16000, prompt="a dog"),
        "prompt": clip.with_prompt("a cat"),
        "sound": clip.with_audio(clip.audio.flip(1), 16000),
    }
    touched = {"picture": {"av_consistency", "match"}, "prompt": {"match"}, "sound": set(still)}
    for name, other in others.items():
        changed = {key for key, value in alone(rater, other).items() if abs(float(value) - still[key]) > 1e-3}
        assert changed == touched[name]
