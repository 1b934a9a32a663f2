"""Expressions: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_raters import Reading, Toy, both

from avreward.errors import AvrewardError
from avreward.rewards.base import Reward
from avreward.rewards.expression import ExpressionError, parse_reward

TOY, READING = Toy("toy"), Reading("reading")
RATERS = {"toy": TOY, "reading": READING}
A, B = TOY["brightness"], TOY["overall"]


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("brightness", A),
        ("toy.brightness", A),
        ("0.4*brightness + 0.6*overall - 2*toy.power", 0.4 * A + 0.6 * B - 2 * TOY["power"]),
        ("(brightness + overall) / 2", (A + B) / 2),
        ("2*3*brightness", 6 * A),
        ("1 - 2 - brightness", -1 - A),
        ("8/4/2*brightness", A),
        ("brightness*.5e1", 5 * A),
        ("1.*brightness - -overall", A + B),
        ("-(brightness - 1)", 1 - A),
        ("--+brightness", A),
        (" brightness\n\t+ overall ", A + B),
        ("reading.power + toy.power", READING["power"] + TOY["power"]),
        ("toy.peak", TOY["peak"]),
    ],
)
def test_what_expressions_mean(text: str, reward: Reward) -> None:
    assert parse_reward(text, RATERS)([both(0.5, 0.25)]).item() == pytest.approx(reward([both(0.5, 0.25)]).item())
    assert parse_reward(text, RATERS).terms[0].rater in (TOY, READING)


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("", 1, "is empty; write the name of a score"),
        ("  ", 3, "is empty"),
        ("0.4*brightnes", 5, "unknown score 'brightnes'; did you mean toy.brightness?"),
        ("toy.powr", 1, "unknown score 'toy.powr'; did you mean toy.power"),
        ("zzzzz", 1, "use one of toy.power, toy.brightness, toy.overall, reading.faithful, reading.power"),
        ("brightness + power", 14, "'power' is a score of several raters; write toy.power or reading.power"),
        ("brightness +", 13, "ends where a number or the name of a score should be"),
        ("brightness + * 2", 14, "'*' where a number or the name of a score should be"),
        ("brightness overall", 12, "'overall' where + - * / or the end should be"),
        ("2brightness", 2, "'brightness' where + - * / or the end should be"),
        ("brightness ** 2", 13, "'*' where a number"),
        ("brightness ^ 2", 12, "'^' where + - * / or the end should be"),
        ("0,4*brightness", 2, "',' where + - * / or the end should be"),
        ("(brightness", 1, "this parenthesis is never closed; write the missing )"),
        ("2*(brightness overall)", 15, "'overall' where + - * / or ) should be"),
        ("brightness)", 11, "')' where + - * / or the end should be"),
        ("brightness*overall", 11, "a score times a score"),
        ("1/brightness", 2, "only a number other than zero can stand under a division"),
        ("brightness/0", 11, "only a number other than zero can stand under a division"),
        ("1 + 2", 1, "names no score"),
        ("1e999*brightness", 1, "too large a number"),
        ("1e308*10*brightness", 6, "too large a number"),
        ("1e308*brightness*10", 17, "finite number"),
        ("(" * 60 + "brightness" + ")" * 60, 51, "nested more than 50 deep"),
        ("-" * 9999 + "brightness", 51, "nested more than 50 deep"),
        ("__import__('os').system('true')", 1, "unknown score '__import__'"),
        ("brightness.__class__", 1, "unknown score 'brightness.__class__'"),
    ],
)
def test_what_is_said_of_a_bad_expression(text: str, place: int, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_reward(text, RATERS)
    message = str(caught.value)
    assert f"at character {place}: " in message
    assert says in message
    assert message.startswith(f"reward {text!r}: ")
    assert "\n" not in message
    assert isinstance(caught.value, AvrewardError | ValueError)


def test_details_are_found_but_not_listed() -> None:
    with pytest.raises(ExpressionError, match=re.escape("did you mean toy.peak?")):
        parse_reward("peek", {"toy": TOY})
    with pytest.raises(ExpressionError, match=r"use one of toy.power, toy.brightness, toy.overall$"):
        parse_reward("zzzzz", {"toy": TOY})
    with pytest.raises(ExpressionError, match="no rater was given"):
        parse_reward("power", {})


def test_an_alias_may_differ_from_the_name() -> None:
    reward = parse_reward("first.power - second.brightness", {"first": TOY, "second": TOY})
    assert reward == TOY["power"] - TOY["brightness"]
    assert parse_reward("overall", {"first": TOY, "second": TOY}) == TOY["overall"]  # one rater: not ambiguous
    other = Toy("toy")
    other.fingerprint = "toy 2"
    with pytest.raises(ExpressionError, match="two different raters are called 'toy'"):
        parse_reward("first.power - second.power", {"first": TOY, "second": other})


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)
SCORES = st.sampled_from([rater[d.name] for rater in RATERS.values() for d in rater.dimensions])
REWARDS = st.builds(
    lambda first, rest, constant: sum((w * s for w, s in rest), first) + constant,
    SCORES,
    st.lists(st.tuples(NUMBERS, SCORES), max_size=6),
    NUMBERS,
)


@given(REWARDS, NUMBERS)
def test_the_expression_shown_reads_back(reward: Reward, scale: float) -> None:
    assert parse_reward(repr(reward), RATERS) == reward
    assert parse_reward(repr(reward * scale), RATERS) == reward * scale


def test_many_parentheses_side_by_side() -> None:
    assert parse_reward("+".join(["(-(brightness))"] * 200), RATERS) == -200 * A


@given(st.text(alphabet="brightness.toypwe 0123456789e+-*/()^\n", max_size=30))
def test_any_text_is_a_reward_or_one_line(text: str) -> None:
    try:
        reward = parse_reward(text, RATERS)
    except ExpressionError as error:
        said = str(error)
    else:
        said = repr(reward)
        assert parse_reward(said, RATERS) == reward
    assert "\n" not in said
