"""Expressions: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

import operator
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from toy_raters import Reading, Toy, both, sound

from avreward.errors import AvrewardError
from avreward.rewards.algebra import same_for_all
from avreward.rewards.base import Reward
from avreward.rewards.expression import ExpressionError, parse_reward
from avreward.rewards.functions import above, below, clamp, maximum, minimum, softmin
from avreward.rewards.per_prompt import PerPrompt

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
        ("brightness*overall*2 - overall*3*brightness/4", 2 * A * B - 0.75 * (B * A)),
        ("(brightness + overall)*(overall - 1)", (A + B) * (B - 1)),
        ("min(brightness, overall, 0.3)", minimum(A, B, 0.3)),
        ("max( brightness,overall ) - 1", maximum(A, B) - 1),
        ("softmin(brightness, overall, temperature=1/10)", softmin(A, B, temperature=0.1)),
        ("clamp(brightness, -1, 0.2) + clamp(overall, low = 0.4)", clamp(A, -1, 0.2) + clamp(B, 0.4)),
        ("clamp(brightness, high=2*0.1)", clamp(A, high=0.2)),
        (
            "overall + 10*above(brightness, 0.5) + below(overall - brightness, 0)",
            B + 10 * above(A, 0.5) + below(B - A, 0),
        ),
        ("min(clamp(brightness*overall, 0, 1), (2))", minimum(clamp(A * B, 0, 1), 2)),
    ],
)
def test_what_expressions_mean(text: str, reward: Reward) -> None:
    assert parse_reward(text, RATERS)([both(0.5, 0.25)]).item() == pytest.approx(reward([both(0.5, 0.25)]).item())
    assert parse_reward(repr(reward), RATERS) == reward
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
        ("brightness +", 13, "expected a number or the name of a score, got the end"),
        ("brightness + * 2", 14, "expected a number or the name of a score, got '*'"),
        ("brightness overall", 12, "expected + - * / or the end, got 'overall'"),
        ("2brightness", 2, "expected + - * / or the end, got 'brightness'"),
        ("brightness ** 2", 13, "expected a number or the name of a score, got '*'"),
        ("brightness ^ 2", 12, "expected + - * / or the end, got '^'"),
        ("0,4*brightness", 2, "expected + - * / or the end, got ','"),
        ("(brightness", 1, "this parenthesis is never closed; write the missing )"),
        ("2*(brightness overall)", 15, "expected + - * / or ), got 'overall'"),
        ("brightness)", 11, "expected + - * / or the end, got ')'"),
        ("1/brightness", 2, "expected a number other than zero after /; divide by such a number"),
        ("brightness/0", 11, "expected a number other than zero after /"),
        ("1 + 2", 1, "it has no score, so it is the same for every clip; add the name of a score"),
        ("1e999*brightness", 1, "expected a finite number, got one that is too large"),
        ("1e308*10*brightness", 6, "expected a finite number, got one that is too large"),
        ("1e308*brightness*10", 17, "finite number"),
        ("(" * 60 + "brightness" + ")" * 60, 51, "nested more than 50 deep"),
        ("-" * 9999 + "brightness", 51, "nested more than 50 deep"),
        (
            "__import__('os').system('true')",
            1,
            "unknown function '__import__'; there are above, below, clamp, max, min",
        ),
        ("mn(brightness, 1)", 1, "unknown function 'mn'; did you mean min"),
        ("2*softmn(brightness, 1)", 3, "unknown function 'softmn'; did you mean softmin"),
        ("brightness(2)", 1, "'brightness' is a score, not a function; write * before the parenthesis"),
        ("min brightness", 1, "unknown score 'min'"),
        ("min()", 1, "min: expected at least one reward, got no arguments; write the name of a score"),
        ("min(1, 2)", 1, "min: expected at least one reward, got only numbers"),
        ("1 + min(brightness", 8, "this parenthesis is never closed"),
        ("min(brightness overall)", 16, "expected + - * / , or ), got 'overall'"),
        ("min(brightness,)", 16, "expected a number or the name of a score, got ')'"),
        ("min(,brightness)", 5, "expected a number or the name of a score, got ','"),
        ("clamp(brightness)", 1, "clamp: expected low, high or both, got neither"),
        (
            "clamp(brightness, 0, 1, 2)",
            1,
            "clamp: expected the arguments of clamp(reward, low=None, high=None), got 4 arguments",
        ),
        ("clamp(brightness, 1, 0)", 1, "clamp: expected a low that is at most high, got low 1 and high 0; swap them"),
        ("clamp(brightness, lo=1)", 1, "of clamp(reward, low=None, high=None), got 1 argument, lo=…"),
        ("clamp(2, 0, 1)", 1, "clamp: expected at least one reward"),
        ("clamp(brightness, overall)", 1, "clamp low: expected a finite number, got the reward toy.overall"),
        ("above(brightness)", 1, "expected the arguments of above(reward, threshold), got 1 argument"),
        ("above(brightness, overall)", 1, "above threshold: expected a finite number, got the reward toy.overall"),
        ("softmin(brightness, overall)", 1, "expected the arguments of softmin(*rewards, temperature=…)"),
        ("softmin(brightness, temperature=0)", 1, "softmin temperature: expected a positive number, got 0"),
        (
            "softmin(brightness, temperature=overall)",
            21,
            "temperature: expected one number; write it as in temperature=0.5",
        ),
        (
            "softmin(brightness, temperature=1, temperature=2)",
            36,
            "temperature: expected one number; write it as in temperature=0.5",
        ),
        ("softmin(temperature=1, brightness)", 24, "got 'brightness' after an argument with a name"),
        ("brightness = 2", 1, "expected a number or the name of a score, got 'brightness ='"),
        ("per_prompt(state=0123abcd)", 12, "the fitted state 0123abcd was not found; load the folder"),
        ("per_prompt(state=nothing)", 18, "unknown score 'nothing'"),
        ("per_prompt(state=3)", 1, "expected the arguments of per_prompt(state=…)"),
        ("min(" * 60 + "brightness" + ")" * 60, 204, "nested more than 50 deep"),
        ("0*brightness", 1, "its weights are zero or cancel, so it is the same for every clip; change a weight"),
        ("5 + 0*(brightness - overall)", 1, "zero or cancel"),
        ("brightness - overall - (brightness - overall)", 1, "zero or cancel"),
        ("0.1*brightness + 0.2*brightness - 0.3*brightness", 1, "zero or cancel"),
        ("min(0*brightness, 3)", 1, "zero or cancel"),
        ("(brightness - brightness + overall - overall)*toy.power", 1, "zero or cancel"),
        ("toy.power*above(0*brightness, 0)*(0*brightness + 0*overall)", 1, "zero or cancel"),
        ("1 + brightness + 1e308*overall + 1e308*overall - brightness", 32, "finite number"),
        ("brightness.__class__", 1, "unknown score 'brightness.__class__'"),
    ],
)
def test_what_is_said_of_a_bad_expression(text: str, place: int, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_reward(text, RATERS)
    message = str(caught.value)
    assert f"at character {place}: " in message
    assert says in message
    assert len(text) > 120 or message.startswith(f"reward {text!r}: ")
    assert "\n" not in message
    assert len(message) < 400
    assert isinstance(caught.value, AvrewardError | ValueError)


def test_details_are_found_but_not_listed() -> None:
    with pytest.raises(ExpressionError, match=re.escape("did you mean toy.peak?")):
        parse_reward("peek", {"toy": TOY})
    with pytest.raises(ExpressionError, match=r"did you mean toy.power\?$"):  # and no other dimension
        parse_reward("tor.power", {"toy": TOY})
    with pytest.raises(ExpressionError, match=r"did you mean toys.power or other.power\?$"):
        parse_reward("toy.power", {"other": TOY, "toys": TOY})
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
    with pytest.raises(ExpressionError, match="expected one rater named 'toy', got two different ones"):
        parse_reward("first.power - second.power", {"first": TOY, "second": other})


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)
SCORES = st.sampled_from([rater[d.name] for rater in RATERS.values() for d in rater.dimensions])
REWARDS = st.builds(
    lambda first, rest, constant: sum((w * s for w, s in rest), first) + constant,
    SCORES,
    st.lists(st.tuples(NUMBERS, SCORES), max_size=6),
    NUMBERS,
)


SMALL = st.floats(-4, 4, allow_subnormal=False)
SPEECH = PerPrompt({"hello": 2.0, "Grüße \n \U0001f600": -0.5}, otherwise=1.0)
STATES = {SPEECH.state_hash: SPEECH.state}


def grown(parts: st.SearchStrategy[Reward]) -> st.SearchStrategy[Reward]:
    """Everything that the algebra makes of `parts`."""
    either = parts | SMALL
    several = st.tuples(parts, st.lists(either, max_size=3)).map(lambda pair: [pair[0], *pair[1]])
    return st.one_of(
        st.builds(operator.mul, parts, parts),
        st.builds(operator.mul, parts, SMALL),
        st.builds(operator.add, parts, either),
        st.builds(operator.sub, either, parts),
        several.map(lambda given: minimum(*given)),
        several.map(lambda given: maximum(*given)),
        st.builds(lambda given, t: softmin(*given, temperature=t), several, st.floats(0.01, 10)),
        st.builds(lambda part, low, more: clamp(part, low, low + more), parts, SMALL, st.floats(0, 4)),
        st.builds(lambda part, low: clamp(part, low), parts, SMALL),
        st.builds(above, parts, SMALL),
        st.builds(below, parts, SMALL),
    )


def test_a_long_expression_is_cut_to_the_place() -> None:
    left, right = ("+".join(f"{i}*brightness" for i in range(200)) for _ in range(2))
    with pytest.raises(ExpressionError) as caught:
        parse_reward(f"{left}+oops+{right}", RATERS)
    place = len(left) + 1
    around = f"{left}+oops+{right}"[place - 40 : place + 40]
    assert str(caught.value).startswith(f"reward '…{around}…': at character {place + 1}: unknown score 'oops'")


def test_what_cancels_in_part_is_kept() -> None:
    for text in ("0*brightness + overall", "1e-12*brightness", "(brightness - brightness + 1)*overall"):
        assert "brightness" in repr(parse_reward(text, RATERS))


def test_a_sum_is_put_together_once(monkeypatch) -> None:
    """One by one, each of them would be hashed again with every other: the square of the time."""
    hashed = []
    plain = Reward.__hash__
    monkeypatch.setattr(Reward, "__hash__", lambda self: (hashed.append(self), plain(self))[1])
    parse_reward(" + ".join(f"min(brightness, {i})" for i in range(60)), RATERS)
    assert len(hashed) < 10 * 60


TREES = st.recursive(SCORES | st.just(SPEECH), grown, max_leaves=8)


@given(TREES)
def test_every_reward_reads_back_with_its_values(reward: Reward) -> None:
    assume(not same_for_all(reward))
    again = parse_reward(repr(reward), RATERS, STATES)
    assert again == reward
    assert again.terms == reward.terms
    clips = [both(0.5, 0.25), sound(0.5, prompt="hello"), both(0.125, 0.75)]
    clips = [clamp.with_prompt("hello") if i else clamp for i, clamp in enumerate(clips)]
    first, second = reward.evaluate(clips), again.evaluate(clips)
    assert torch.equal(first.present, second.present)
    assert torch.equal(first.values[first.present], second.values[second.present])
    assert first.reasons == second.reasons


@given(REWARDS, NUMBERS)
def test_the_expression_shown_reads_back(reward: Reward, scale: float) -> None:
    for one in (reward, reward * scale):
        if same_for_all(one):
            with pytest.raises(ExpressionError, match="zero or cancel"):
                parse_reward(repr(one), RATERS)
        else:
            assert parse_reward(repr(one), RATERS) == one


WORDS = [
    "min(",
    "clamp(",
    "softmin(",
    "above(",
    ")",
    ",",
    "brightness",
    "overall",
    "2",
    "-",
    "*",
    "+",
    "temperature=",
    "low=",
    " ",
]


@given(st.lists(st.sampled_from(WORDS), max_size=14).map("".join))
def test_any_words_are_a_reward_or_one_line(text: str) -> None:
    try:
        reward = parse_reward(text, RATERS)
    except ExpressionError as error:
        said = str(error)
    else:
        said = repr(reward)
        assert parse_reward(said, RATERS) == reward
    assert "\n" not in said


def test_many_parentheses_side_by_side() -> None:
    assert parse_reward("+".join(["(-(brightness))"] * 200), RATERS) == -200 * A
    assert parse_reward("+".join(["min(brightness, 1)"] * 200), RATERS) == 200 * minimum(A, 1)


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


def test_functions_are_known_in_a_fresh_process() -> None:
    """Whatever was imported before: names that an expression may use don't depend on it."""
    code = """
from avreward import load_reward
from avreward.rewards.function_base import FUNCTIONS
load_reward("min(audio_quality, static_quality)")
print(*sorted(FUNCTIONS))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    expected = "above below clamp max min minmax mos per_prompt percentile softmin zscore"
    assert done.stdout.split() == expected.split()
