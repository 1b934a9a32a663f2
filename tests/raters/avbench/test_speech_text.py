"""Text scores of speech: AVBench's against the original, and words."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from avreward.raters.avbench import speech_match, word_accuracy
from avreward.raters.avbench._speech_text import STOP_CHARACTERS, normalized, words


@pytest.mark.golden(case="speech_text")
def test_the_original(golden) -> None:
    limit = golden.numbers("values")[0]
    pairs = next(rows for rows in golden.data.values() if isinstance(rows, list) and isinstance(rows[0], dict))
    assert len(pairs) > 40
    for row in pairs:
        golden.same(normalized(row["reference"]), row["reference_normalized"])
        golden.same(normalized(row["transcript"]), row["transcript_normalized"])
        found = asdict(speech_match(row["reference"], row["transcript"]))
        golden.close([found[name] for name in sorted(found)], [row[name] for name in sorted(found)], atol=limit)
    assert frozenset(golden.data["rules"]["stop_characters"]) == STOP_CHARACTERS


@pytest.mark.parametrize(
    ("reference", "transcript", "expected"),
    [
        ("please say this line", "please say this line", 100),
        ("please say this line", "line this say please", 0),  # four substitutions
        ("please say this line", "please say that line", 75),
        ("please say this line", "please say this line now", 75),
        ("please say this line", "", 0),
        ("please say this line", "one two three four five six", 0),
        ("Don't stop, it's well-known.", "don’t stop its well known", 100),
        ("café", "cafe\u0301", 100),
        ("ＡＢＣ", "abc", 100),
        ("नमस्ते दुनिया", "नमस्ते दुनियाँ", 50),  # a mark makes another word
        ("今天天气很好。", "今天天气不好", 100 * 5 / 6),
        ("สวัสดี", "สวัสดี", 100),
        ("say 你好 now", "say 你好now", 100),
    ],
)
def test_word_accuracy(reference, transcript, expected) -> None:
    assert word_accuracy(reference, transcript) == pytest.approx(expected)


def test_words_differ_where_avbenchs_characters_do_not() -> None:
    anagram = ("the cat sat on the mat", "that neat scent hat mote shoot")
    assert speech_match(*anagram).total > 60
    assert word_accuracy(*anagram) == 0


def test_marks_stay_with_their_letters() -> None:
    assert words("नमस्ते") == ["नमस्ते"]
    assert words("ที่นี่ one") == ["ที่", "นี่", "one"]
    assert words("... !?") == []
