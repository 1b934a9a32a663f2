"""Parse rewards written as text: ``0.4*audio_quality + min(0.6*av_consistency, 30) - 2*signals.clipping``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NoReturn

from avreward.errors import AvrewardError
from avreward.raters.base import Rater
from avreward.rewards.algebra import same_for_all, weighted_sum
from avreward.rewards.base import Reward, Term
from avreward.rewards.function_base import FUNCTIONS, State

TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
            |(?P<state>state\s*=\s*[0-9a-f]{8}\b)
            |(?P<option>[^\W\d]\w*\s*=(?!=))
            |(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
            |(?P<sign>[-+*/(),])
            |(?P<end>\Z)
            |(?P<unknown>.))""",
    re.VERBOSE | re.DOTALL,
)
APPLY: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
DEEPEST = 50  # parentheses, calls and signs inside each other: far below Python's own limit
SHOWN = 40  # characters of a long expression that an error shows before and after the position
LISTED_AT_MOST = 12  # known names that an error shows


class ExpressionError(AvrewardError, ValueError):
    """An expression that can't be parsed as a reward; the message says where, why, and what to write."""


def parse_reward(
    expression: str, raters: Mapping[str, Rater], states: Mapping[str, State] = MappingProxyType({})
) -> Reward:
    """Return the reward that `expression` describes.

    Args:
        expression: numbers, names, ``+ - * /``, parentheses, and functions: ``min(a, b)``, ``max(a, b)``,
            ``softmin(a, b, temperature=5)``, ``clamp(a, 0, 80)``, ``above(a, 50)``, ``below(a, 50)`` and others. A name
            is ``RATER.DIMENSION`` (``signals.clipping``), or the dimension alone if only one rater has it.
        raters: the raters that the expression may use: name → rater.
        states: fitted states by their hash, for fitted functions (*optional*; `load_reward` reads them from a folder).

    Raises:
        ExpressionError: if the expression is wrong; one line says where, and what to write instead.

    Example:
        >>> parse_reward("(audio_quality + 3*signals.clipping) / 2", {"signals": load_rater("signals")})
        0.5*signals.audio_quality + 1.5*signals.clipping
    """
    from avreward.rewards import calibration, functions, normalize, per_prompt  # noqa: F401  # they register functions

    return _Parser(expression, raters, states).parse()


def named_raters(expression: str) -> list[str]:
    """Return the names before a dot in `expression`, in order, each once; in a valid one these are raters' names."""
    names = [token.text.partition(".") for token in _tokens(expression) if token.kind == "name"]
    return list(dict.fromkeys(rater for rater, dot, _ in names if dot))


@dataclass(frozen=True)
class _Token:
    kind: str  # number, state, option, name, sign, end, unknown
    text: str
    start: int


class _Parser:
    """Recursive-descent parser: a sum of products of atoms; the reward is built while parsing."""

    def __init__(self, expression: str, raters: Mapping[str, Rater], states: Mapping[str, State]) -> None:
        self.expression, self.raters, self.states = expression, raters, states
        self.tokens = _tokens(expression)
        self.token = next(self.tokens)
        self.depth = 0

    def parse(self) -> Reward:
        if self.token.kind == "end":
            self.fail("it is empty; write the name of a score", self.token)
        first = self.token
        value = self.sum()
        if self.token.kind != "end":
            self.fail(f"expected + - * / or the end, got {self.token.text!r}", self.token)
        if not isinstance(value, Reward):
            self.fail("it has no score, so it is the same for every clip; add the name of a score", first)
        if same_for_all(value):
            self.fail("its weights are zero or cancel, so it is the same for every clip; change a weight", first)
        return value

    def sum(self) -> Reward | float:
        value = self.product()
        pairs: list[tuple[float, Reward | float]] = [(1.0, value)]
        signs: list[_Token] = []
        while self.token.text in ("+", "-"):
            sign = self.advance()
            value = self.product()
            if isinstance(pairs[0][1], Reward) or isinstance(value, Reward):
                pairs.append((-1.0 if sign.text == "-" else 1.0, value))
                signs.append(sign)
            else:
                pairs = [(1.0, self.applied(pairs[0][1], sign, value))]
        return self.summed(pairs, signs) if signs else pairs[0][1]

    def summed(self, pairs: list[tuple[float, Reward | float]], signs: list[_Token]) -> Reward:
        """Return the sum, built in one go: adding the parts one by one would take quadratic time."""
        try:
            return weighted_sum(pairs)
        except ValueError:  # find the first sign at which it fails
            for count, sign in enumerate(signs, 2):
                try:
                    weighted_sum(pairs[:count])
                except ValueError as error:
                    self.fail(str(error), sign)
            raise

    def product(self) -> Reward | float:
        value = self.atom()
        while self.token.text in ("*", "/"):
            value = self.applied(value, self.advance(), self.atom())
        return value

    def applied(self, left: Reward | float, sign: _Token, right: Reward | float) -> Reward | float:
        if sign.text == "/" and (isinstance(right, Reward) or right == 0):
            self.fail("expected a number other than zero after /; divide by such a number", sign)
        try:
            value = APPLY[sign.text](left, right)
        except ValueError as error:  # a weight that overflows, two raters of one name
            self.fail(str(error), sign)
        return self.finite(value, sign)

    def finite(self, value: Reward | float, token: _Token) -> Reward | float:
        if isinstance(value, float) and not math.isfinite(value):
            self.fail("expected a finite number, got one that is too large; use a smaller one", token)
        return value

    def atom(self) -> Reward | float:
        token = self.advance()
        if token.kind == "number":
            return self.finite(float(token.text), token)
        if token.kind == "name":
            return self.call(token) if self.token.text == "(" else self.term(token)
        if token.text not in ("(", "-", "+"):
            got = "the end" if token.kind == "end" else f"{token.text!r}"
            self.fail(f"expected a number or the name of a score, got {got}", token)
        self.deeper(token)
        value = self.sum() if token.text == "(" else self.atom()
        if token.text == "(":
            self.close(token)
        self.depth -= 1
        return -value if token.text == "-" else value

    def deeper(self, token: _Token) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"nested more than {DEEPEST} deep; write it flatter", token)

    def close(self, opening: _Token, or_else: str = "") -> None:
        token = self.advance()
        if token.kind == "end":
            self.fail("this parenthesis is never closed; write the missing )", opening)
        if token.text != ")":
            self.fail(f"expected + - * / {or_else}or ), got {token.text!r}", token)

    def call(self, token: _Token) -> Reward:
        function = FUNCTIONS.get(token.text)
        if function is None:
            self.fail(self.no_function(token.text), token)
        opening = self.advance()
        self.deeper(opening)
        given: list[Reward | float] = []
        options: dict[str, float] = {}
        states: list[State] = []
        while self.token.text != ")" or given or options or states:
            self.argument(given, options, states)
            if self.token.text != ",":
                break
            self.advance()
        self.close(opening, ", ")
        self.depth -= 1
        try:
            return function(token.text, [*given, *states], options)
        except (TypeError, ValueError) as error:
            self.fail(str(error), token)

    def argument(self, given: list[Reward | float], options: dict[str, float], states: list[State]) -> None:
        token = self.token
        if token.kind == "state":
            wanted = self.advance().text[-8:]
            if wanted not in self.states:
                self.fail(
                    f"the fitted state {wanted} was not found; load the folder that the reward was saved to", token
                )
            states.append(self.states[wanted])
        elif token.kind == "option":
            name, value = self.advance().text.rstrip("= \t\n"), self.sum()
            if isinstance(value, Reward) or name in options:
                self.fail(f"{name}: expected one number; write it as in {name}=0.5", token)
            options[name] = value
        elif options or states:
            self.fail(f"got {token.text!r} after an argument with a name; write it before", token)
        else:
            given.append(self.sum())

    def no_function(self, name: str) -> str:
        if any(name in (d.name, f"{alias}.{d.name}") for alias, rater in self.raters.items() for d in rater.dimensions):
            return f"{name!r} is a score, not a function; write * before the parenthesis"
        near = get_close_matches(name, FUNCTIONS, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(FUNCTIONS))}"
        return f"unknown function {name!r}; {hint}"

    def term(self, token: _Token) -> Reward:
        known = [(alias, d.name) for alias, rater in self.raters.items() for d in rater.dimensions]
        found = [(alias, name) for alias, name in known if token.text in (name, f"{alias}.{name}")]
        if not found:
            self.fail(f"unknown score {token.text!r}; {_advice(token.text, self.raters)}", token)
        if len({self.raters[alias].fingerprint for alias, _ in found}) > 1:
            names = " or ".join(f"{alias}.{name}" for alias, name in found)
            self.fail(f"{token.text!r} is a score of several raters; write {names}", token)
        alias, name = found[0]
        return Term(self.raters[alias], name)

    def advance(self) -> _Token:
        """Return the current token and move to the next one."""
        token, self.token = self.token, next(self.tokens, self.token)
        return token

    def fail(self, problem: str, token: _Token) -> NoReturn:
        around = _around(self.expression, token.start)
        raise ExpressionError(f"reward {around!r}: at character {token.start + 1}: {problem}") from None


def _around(expression: str, place: int) -> str:
    """Return the expression; of a long one, the part around the position."""
    if len(expression) <= 3 * SHOWN:
        return expression
    start, end = max(0, place - SHOWN), place + SHOWN
    return f"{'…' * (start > 0)}{expression[start:end]}{'…' * (end < len(expression))}"


def _tokens(expression: str) -> Iterator[_Token]:
    position, kind = 0, ""
    while kind != "end":
        match = TOKEN.match(expression, position)
        assert match is not None  # the pattern ends with "anything else"
        position, kind = match.end(), str(match.lastgroup)
        yield _Token(kind, match[kind], match.start(kind))


def _advice(name: str, raters: Mapping[str, Rater]) -> str:
    """Return what to write instead of `name`: the closest names, or else all names except details."""
    spelled: dict[str, str] = {}  # each spelling → the full name
    for alias, rater in raters.items():
        for dimension in rater.dimensions:
            spelled[dimension.name] = spelled[f"{alias}.{dimension.name}"] = f"{alias}.{dimension.name}"
    same = {full for full in spelled.values() if full.partition(".")[2] == name.partition(".")[2]}
    if same:  # the rater's name is wrong, not the dimension's
        near = get_close_matches(name, sorted(same), 3, 0)
    else:
        near = list(dict.fromkeys(spelled[found] for found in get_close_matches(name, spelled, 6)))
    if near:
        return f"did you mean {' or '.join(near[:3])}?"
    listed = [f"{alias}.{d.name}" for alias, rater in raters.items() for d in rater.dimensions if not d.detail]
    more = f" and {len(listed) - LISTED_AT_MOST} more" if len(listed) > LISTED_AT_MOST else ""
    return f"use one of {', '.join(listed[:LISTED_AT_MOST])}{more}" if listed else "no rater was given; pass raters"
