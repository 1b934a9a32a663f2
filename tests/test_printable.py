"""Text from data as it is shown: nothing in it reaches a terminal as a command, and nothing of it is lost in JSON."""

import json
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avreward._display import text_table
from avreward._printable import LONGEST, json_text, message, printable
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError, unknown_name

HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202egpj\u2066\x9b31m\udcff\n.mp4"
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_the_text_nothing_controls_a_terminal(text):
    shown = printable(text)
    assert not DANGEROUS.search(shown)
    assert "\n" not in shown
    assert not any(unicodedata.bidirectional(one) in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI") for one in shown)


def test_what_is_harmless_stays():
    for text in ("übung 音 [red] 👩‍🚀.mp4", "prompt: a dog; 'two' \\ backslashes", "שלום"):
        assert printable(text) == text
    assert printable("two\nlines", keep="\n") == "two\nlines"


@settings(max_examples=30)
@given(st.recursive(st.text(st.characters(exclude_categories=[])) | st.floats() | st.none() | st.booleans(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_json_is_read_back_unchanged(value):
    text = json_text(value)
    assert not DANGEROUS.search(text)
    assert json.loads(text) == json.loads(json.dumps(value), parse_constant=lambda _: None)


@pytest.mark.parametrize(
    "error",
    [
        AvrewardError(f"{HOSTILE}: expected a table"),
        MediaError(HOSTILE, f"odd {HOSTILE}", "leave it out"),
        ArgumentError(HOSTILE, "a name", Described(HOSTILE)),
        unknown_name("rater", HOSTILE, [HOSTILE, "signals"]),
    ],
)
def test_an_error_shows_names_escaped(error):
    assert not DANGEROUS.search(str(error))
    assert r"a\x1b[2J\x1b]0;owned\x07\u202egpj" in str(error)


def test_a_long_message_is_cut_and_keeps_its_ends():
    text = str(AvrewardError("begin: " + "x" * 1_000_000 + "; do this"))
    assert len(text) <= LONGEST
    assert text.startswith("begin: xx")
    assert text.endswith("xx; do this")
    assert len(message("\x00" * 1_000_000)) <= 2 * LONGEST


def test_a_value_that_holds_itself_or_very_much_is_described():
    loop: list[object] = []
    loop.append(loop)
    wide: object = "x"
    for _ in range(60):  # written out, 2 ** 60 letters
        wide = [wide, wide]
    for value in (loop, wide, "y" * 10_000_000, {"a": loop}):
        assert len(str(ArgumentError("members", "raters", value))) < 200


def test_a_table_of_results_shows_names_escaped():
    assert not DANGEROUS.search(text_table(f"clips of {HOSTILE}", ["clip"], [(HOSTILE,)], 1))
