"""How well a transcript matches the words to be said: AVBench's score, and a share of words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher

from avreward._extras import extra

STOP_CHARACTERS = frozenset("的了在是我你他她它们这那有个和与或但啊呀吗呢吧嘛")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
_APOSTROPHES = re.compile(r"(?<=\w)['’](?=\w)")


@dataclass(frozen=True)
class SpeechMatch:
    """AVBench's comparison of a transcript with the words to be said; all values from 0 to 100.

    It works on characters, in every language: unrelated English words that use most letters score high.

    Attributes:
        total: 0.4 completeness + 0.4 accuracy + 0.2 no_hallucination.
        completeness: share of the reference's characters that occur anywhere in the transcript.
        accuracy: 0.5 sequence_similarity + 0.3 word_overlap + 0.2 char_overlap.
        no_hallucination: share of the transcript's characters that occur anywhere in the reference.
        sequence_similarity: of Ratcliff and Obershelp (`difflib`, with its autojunk rule).
        word_overlap: share of the reference's different words that the transcript has.
        char_overlap: the same of characters, the space included.
    """

    total: float
    completeness: float
    accuracy: float
    no_hallucination: float
    sequence_similarity: float
    word_overlap: float
    char_overlap: float


def speech_match(reference: str, transcript: str) -> SpeechMatch:
    """Return AVBench's comparison, which is also defined for empty texts.

    >>> speech_match("please say this line", "").total, speech_match("", "something").total
    (20.0, 60.0)
    """
    reference, transcript = normalized(reference), normalized(transcript)
    wanted, said = _keywords(reference), _keywords(transcript)
    completeness = _percent(sum(letter in transcript for letter in wanted), len(wanted))
    no_hallucination = 100 - 100 * sum(letter not in reference for letter in said) / len(said) if said else 100.0
    similarity = 100 * SequenceMatcher(None, reference, transcript).ratio()
    words, letters = set(reference.split()), set(reference)
    word_overlap = _percent(len(words & set(transcript.split())), len(words))
    char_overlap = _percent(len(letters & set(transcript)), len(letters))
    accuracy = 0.5 * similarity + 0.3 * word_overlap + 0.2 * char_overlap
    total = 0.4 * completeness + 0.4 * accuracy + 0.2 * no_hallucination
    return SpeechMatch(total, completeness, accuracy, no_hallucination, similarity, word_overlap, char_overlap)


def normalized(text: str) -> str:
    """Return `text` in lower case without punctuation, which is deleted and not replaced, as AVBench does.

    >>> normalized("Well-known,  isn't it?")
    'wellknown isnt it'
    """
    return " ".join(re.sub(r"[^\w\s]", "", text.lower()).split())


def words(text: str) -> list[str]:
    """Return the words of `text`, without case, punctuation and forms of one character that look alike.

    Where a script puts no spaces between words (Chinese, Japanese, Thai, …), each character counts as one.

    >>> words("Well-known, isn't it? 你好")
    ['well', 'known', 'isnt', 'it', '你', '好']
    """
    found: list[str] = []
    open_word = False
    for letter in _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold()):
        kind = unicodedata.category(letter)[0]
        if kind == "M" and found and open_word:  # a mark belongs to the letter before it
            found[-1] += letter
        elif kind in "LN":
            alone = unicodedata.name(letter, "").startswith(_UNSPACED)
            if open_word and not alone and not unicodedata.name(found[-1][0], "").startswith(_UNSPACED):
                found[-1] += letter
            else:
                found.append(letter)
            open_word = True
        else:
            open_word = False
    return found


def word_accuracy(reference: str, transcript: str) -> float:
    """Return 100·(1 − word error rate), at least 0: wrong, absent and added words over the words of `reference`.

    `reference` must hold a word; see `words` for what counts as one.

    >>> word_accuracy("a red ball rolls", "a blue ball rolls")
    75.0
    """
    with extra("speech"):
        from jiwer import wer

    return 100 * max(0.0, 1 - wer(" ".join(words(reference)), " ".join(words(transcript))))


def _keywords(text: str) -> list[str]:
    return [letter for letter in text if not letter.isspace() and letter not in STOP_CHARACTERS]


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0
