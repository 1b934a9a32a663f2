"""Words dropped or replaced in speech, from a transcript with times in ``clip.texts["words"]``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from avreward._parsing import parsed_json
from avreward.clip import Clip
from avreward.datasets.synthetic._perturbations import NotPerturbable
from avreward.errors import ArgumentError, Described

FADE = 0.01  # s; edges of a word
GRAIN = 0.04  # s; stretches of ambience that are put together
WORDS = "words"
LAYOUT = (
    'a JSON list of words with times in s, such as [["hello", 0.1, 0.4]], or the JSON of Whisper with word_timestamps'
)


class Word(NamedTuple):
    """A word and when it is said, in s."""

    text: str
    start: float
    stop: float

    @property
    def plain(self) -> str:
        """Its letters and digits in lower case."""
        return "".join(letter for letter in self.text.lower() if letter.isalnum())


def words_of(text: str) -> list[Word]:
    """Return the words in a transcript with times, in order of their starts.

    Args:
        text: a JSON list of ``[word, start, stop]`` or of ``{"word": …, "start": …, "end": …}``, or an object that
            holds such a list under ``words`` or in the ``words`` of its ``segments``, as Whisper and WhisperX write it.
            A word without times, which WhisperX could not place, is left out.

    Raises:
        ArgumentError: for another layout.

    Example:
        >>> words_of('{"segments": [{"words": [{"word": " Hello", "start": 0.1, "end": 0.4}]}]}')
        [Word(text='Hello', start=0.1, stop=0.4)]
    """
    try:
        found = parsed_json(text)
        if isinstance(found, Mapping):
            found = found["words"] if "words" in found else [w for part in found["segments"] for w in part["words"]]
        words = [word for entry in found if (word := _word(entry)) is not None]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ArgumentError("texts.words", LAYOUT, text) from error
    wrong = next((word for word in words if not 0 <= word.start < word.stop), None)
    if wrong is not None:
        raise ArgumentError("texts.words", "words that end after they start", Described(str(tuple(wrong))))
    return sorted(words, key=lambda word: word.start)


def _word(entry: Any) -> Word | None:
    if isinstance(entry, Mapping):
        if "start" not in entry or "end" not in entry:
            return None
        entry = (entry["word"], entry["start"], entry["end"])
    text, start, stop = entry
    return Word(text.strip(), float(start), float(stop))


def words_json(words: Sequence[Word]) -> str:
    """Return words as `words_of` reads them."""
    return json.dumps([[word.text, round(word.start, 4), round(word.stop, 4)] for word in words], ensure_ascii=False)


def drop_words(clip: Clip, share: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Replace a `share` (0..1) of the words, at least one, by ambience from the clip; the texts keep the words.

    Digital silence would tell where a word is missing.
    """
    words, audio = _spoken(clip), clip.sound().clone()
    quiet = _quiet(audio, clip.sample_rate, words)
    for word in _chosen(words, share, generator):
        _put(audio, clip.sample_rate, word, torch.zeros_like(audio[:, :0]), quiet, generator)
    return clip.with_audio(audio, clip.sample_rate)


def replace_words(clip: Clip, share: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Replace a `share` (0..1) of the words, at least one, by another word that the same person says in the clip.

    It is the word of the most similar length, as loud as the one that it replaces.
    """
    words, audio = _spoken(clip), clip.sound()
    changed, quiet = audio.clone(), _quiet(audio, clip.sample_rate, words)
    for word in _chosen(words, share, generator):
        others = [one for one in words if one.plain != word.plain]
        if not others:
            raise NotPerturbable(f"{clip.name}: only one word is said in it; give clips with more words")
        length = word.stop - word.start
        take = min(others, key=lambda one: (abs(one.stop - one.start - length), one.start))
        # As long as the place, with what surrounds a shorter word: no gap of silence tells.
        start = max(0.0, min(take.start + (take.stop - take.start - length) / 2, clip.ends["audio"] - length))
        new = _slice(audio, clip.sample_rate, Word(take.text, start, start + length))
        _put(changed, clip.sample_rate, word, new, quiet, generator)
    return clip.with_audio(changed, clip.sample_rate)


def _spoken(clip: Clip) -> list[Word]:
    """Return the words within the audio."""
    end = clip.ends["audio"]
    words = [word for word in words_of(clip.texts[WORDS]) if word.start < end and word.plain]
    if not words:
        raise NotPerturbable(f"{clip.name}: no word is said in it; give clips with words")
    return words


def _chosen(words: Sequence[Word], share: float, generator: torch.Generator) -> list[Word]:
    count = max(1, min(len(words), round(share * len(words))))
    return [words[i] for i in torch.randperm(len(words), generator=generator)[:count].tolist()]


def _slice(audio: Tensor, rate: int, word: Word) -> Tensor:
    return audio[:, round(word.start * rate) : round(word.stop * rate)]


def _quiet(audio: Tensor, rate: int, words: Sequence[Word]) -> Tensor:
    """Return the stretches of a clip that hold its ambience: (stretches, channels, samples of one).

    They are the quieter half of what lies between the words, or the quietest tenth of everything where that is short.
    """
    size = max(2, round(GRAIN * rate))
    if audio.shape[-1] < size:
        return audio.new_zeros(1, len(audio), size)
    grains = audio.unfold(-1, size, size // 2).transpose(0, 1)  # (stretches, channels, size)
    starts = torch.arange(len(grains)) * (size // 2) / rate
    between = torch.ones(len(grains), dtype=torch.bool)
    for word in words:
        between &= (starts + size / rate <= word.start) | (starts >= word.stop)
    found, share = (grains[between], 2) if int(between.sum()) >= 4 else (grains, 10)
    return found[found.square().mean((1, 2)).argsort()[: max(1, len(found) // share)]]


def _ambience(quiet: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Return `length` samples that sound like the quiet stretches, without repeating them: (channels, length).

    Stretches in random order, with random phases that all channels share, overlap by half.
    """
    size = quiet.shape[-1]
    step, window = size // 2, torch.hann_window(size, dtype=quiet.dtype)
    count = length // step + 2
    chosen = quiet[torch.randint(len(quiet), (count,), generator=generator)]
    phases = 2 * torch.pi * torch.rand(count, 1, size // 2 + 1, generator=generator)
    turned = torch.fft.rfft(chosen * window) * torch.polar(torch.ones_like(phases), phases)
    # The window keeps 3/8 of the power, and a root of it lets overlapping stretches add up to the power of one.
    grains = torch.fft.irfft(turned, size) * (window.sqrt() / 0.375**0.5)
    tone = quiet.new_zeros(quiet.shape[1], (count + 1) * step + size)
    for place, grain in enumerate(grains):
        tone[:, place * step : place * step + size] += grain
    return tone[:, step : step + length]


def _put(audio: Tensor, rate: int, word: Word, take: Tensor, quiet: Tensor, generator: torch.Generator) -> None:
    """Put `take` in the middle of the word's place, in ambience, cut to its length and as loud as the word."""
    place = _slice(audio, rate, word)
    length = place.shape[-1]
    take = take[:, :length]
    start = (length - take.shape[-1]) // 2
    level = 1.0
    if take.shape[-1]:
        level = float((place.square().mean() / take.square().mean().clamp_min(1e-12)).sqrt())
    new = _ambience(quiet, length, generator)
    inner = new[:, start : start + take.shape[-1]]
    fade = _window(take.shape[-1], rate).to(take)
    inner.copy_(inner * (1 - fade) + take * min(level, 4.0) * fade)
    outer = _window(length, rate).to(audio)
    place.copy_(place * (1 - outer) + new * outer)


def _window(samples: int, rate: int) -> Tensor:
    """Return 1 with a linear rise and fall of a fade at the ends: (samples,)."""
    fade = max(1.0, min(FADE * rate, samples / 2))
    place = torch.arange(samples) + 0.5
    return (torch.minimum(place, samples - place) / fade).clamp(max=1.0)
