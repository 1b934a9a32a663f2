import json

import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic import _perturb_words as pw
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._perturbations import NotPerturbable
from avreward.errors import ArgumentError

RATE = 8000
WORDS = [["one", 0.0, 0.4], ["two", 0.5, 0.9], ["three", 1.0, 1.4], ["four", 1.5, 1.9]]
PITCHES = (200.0, 400.0, 800.0, 1600.0)


@pytest.fixture
def clip() -> Clip:
    """Four words, each a tone of its own."""
    audio = torch.zeros(2 * RATE)
    for (_, start, stop), pitch in zip(WORDS, PITCHES, strict=True):
        place = torch.arange(round(start * RATE), round(stop * RATE))
        audio[place] = 0.4 * torch.sin(2 * torch.pi * pitch * place / RATE)
    return Clip(audio=audio, sample_rate=RATE, texts={"words": json.dumps(WORDS), "speech": "one two three four"})


def pitches(clip: Clip) -> list[float | None]:
    """The pitch heard at each word's place; None for silence."""
    found: list[float | None] = []
    for _, start, stop in WORDS:
        part = clip.sound()[0, round(start * RATE) + 200 : round(stop * RATE) - 200]
        spectrum = torch.fft.rfft(part).abs()
        found.append(None if part.abs().max() < 1e-4 else round(float(spectrum.argmax()) * RATE / len(part), -2))
    return found


@pytest.mark.parametrize(("share", "count"), [(0.1, 1), (0.5, 2), (1.0, 4)])
def test_words_are_dropped(clip: Clip, share: float, count: int) -> None:
    bad = ALL_PERTURBATIONS["words_dropped"].apply(clip, share, seed=3)
    heard = pitches(bad)
    assert heard.count(None) == count
    assert all(h is None or h == p for h, p in zip(heard, PITCHES, strict=True))
    assert bad.texts["speech"] == "one two three four"
    assert torch.equal(bad.sound(), ALL_PERTURBATIONS["words_dropped"].apply(clip, share, seed=3).sound())


def test_a_dropped_word_leaves_ambience() -> None:
    """Its level, its colour and the relation of its channels are those of the pauses."""
    dice = torch.Generator().manual_seed(0)
    room = torch.randn(1, 2 * RATE, generator=dice)
    room = 0.004 * torch.cat((room, 0.5 * room))
    room = (room + room.roll(1, -1)) / 2  # dull
    speech = torch.zeros(2 * RATE)
    for _, start, stop in WORDS:
        place = torch.arange(round(start * RATE), round(stop * RATE))
        speech[place] = 0.4 * torch.sin(2 * torch.pi * 400 * place / RATE)
    clip = Clip(audio=room + speech, sample_rate=RATE, texts={"words": json.dumps(WORDS)})
    bad = ALL_PERTURBATIONS["words_dropped"].apply(clip, 1.0, seed=3).sound()
    gone, pause = bad[:, round(0.55 * RATE) : round(0.85 * RATE)], room[:, round(0.55 * RATE) : round(0.85 * RATE)]
    for ear in (0, 1):
        assert float(gone[ear].square().mean() / pause[ear].square().mean()) == pytest.approx(1.0, abs=0.4)
    assert float(torch.corrcoef(gone)[0, 1]) > 0.95
    high, low = (torch.fft.rfft(gone[0]).abs().square().chunk(2)[half].mean() for half in (1, 0))
    assert high < 0.35 * low
    parts = gone[0].unfold(0, 320, 320)
    assert torch.corrcoef(parts).triu(1).abs().max() < 0.5  # nothing repeats


def test_words_are_replaced_by_others_of_the_clip(clip: Clip) -> None:
    bad = ALL_PERTURBATIONS["words_replaced"].apply(clip, 0.5, seed=1)
    wrong = [(h, p) for h, p in zip(pitches(bad), PITCHES, strict=True) if h != p]
    assert len(wrong) == 2
    assert all(h in PITCHES for h, _ in wrong)
    changed = (bad.sound() - clip.sound()).abs()[0]
    assert changed[round(0.42 * RATE) : round(0.48 * RATE)].max() == 0  # between words


@pytest.mark.parametrize(
    "text",
    [
        '[["a", 0.5, 1]]',
        '{"words": [{"word": " a", "start": 0.5, "end": 1.0}]}',
        '{"segments": [{"words": [{"word": "a ", "start": 0.5, "end": 1}, {"word": "2024"}]}]}',
    ],
)
def test_layouts(text: str) -> None:
    assert pw.words_of(text) == [pw.Word("a", 0.5, 1.0)]
    assert pw.words_of(pw.words_json(pw.words_of(text))) == pw.words_of(text)


@pytest.mark.parametrize("text", ["nothing", "3", '{"text": "a"}', '[["a", 1]]', '[["a", "x", 2]]', "[3]", "[null]"])
def test_other_layouts_are_told(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"texts\.words: expected a JSON list of words with times"):
        pw.words_of(text)


def test_bad_times_and_too_few_words(clip: Clip) -> None:
    with pytest.raises(ArgumentError, match="expected words that end after they start"):
        pw.words_of('[["a", 1, 0.5]]')
    for words, problem in (
        ('[["a", 9, 10]]', "no word is said"),
        ('[["a", 0, 0.2], ["A.", 0.3, 0.5]]', "only one word"),
    ):
        with pytest.raises(NotPerturbable, match=problem):
            ALL_PERTURBATIONS["words_replaced"].apply(clip.with_prompt(None, {"words": words}))
