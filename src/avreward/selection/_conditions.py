"""Conditions on the columns of a table, such as ``overall > 60 and signals.clipping < 0.1``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avreward.errors import ArgumentError, Described, unknown_name
from avreward.scoring.table_reader import ScoredTable

Numbers = NDArray[np.float64]
Texts = NDArray[np.object_]
_ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide,
}  # fmt: skip
_COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal,
    ast.Eq: np.equal, ast.NotEq: np.not_equal,
}  # fmt: skip
_REMEDY = "write comparisons of columns, such as \"overall > 60 and not (system == 'wan')\""
_LONGEST = 5000  # characters, far below Python's own limits


@dataclass(frozen=True)
class Clause:
    """One part of a condition; all parts must hold.

    Attributes:
        text: as written.
        holds: bool (rows,).
        unknown: bool (rows,), whether a value is missing that decides it.
        columns: the columns that it reads.
    """

    text: str
    holds: NDArray[np.bool_]
    unknown: NDArray[np.bool_]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class _Truth:
    """True, false or unknown for each row, as in SQL: ``unknown or true`` is true."""

    true: NDArray[np.bool_]
    unknown: NDArray[np.bool_]

    def __and__(self, other: _Truth) -> _Truth:
        false = self._false | other._false
        return _Truth(self.true & other.true, (self.unknown | other.unknown) & ~false)

    def __or__(self, other: _Truth) -> _Truth:
        true = self.true | other.true
        return _Truth(true, (self.unknown | other.unknown) & ~true)

    def __invert__(self) -> _Truth:
        return _Truth(self._false, self.unknown)

    @property
    def _false(self) -> NDArray[np.bool_]:
        return ~self.true & ~self.unknown


def clauses(table: ScoredTable, condition: str) -> list[Clause]:
    """Return the parts of a condition that are joined by ``and``, evaluated for each row.

    A condition compares (``< <= > >= == !=``, ``in``) columns, numbers, texts in quotes and sums, differences, products
    and quotients of columns, and joins comparisons by ``and``, ``or``, ``not``. A column may be named without its rater
    where only one has it. Nothing else of Python is allowed, and nothing is executed.

    Raises:
        ArgumentError: if it is something else, or names no column.
    """
    if len(condition) > _LONGEST:
        got = Described(f"{len(condition)} characters")
        raise ArgumentError("keep", f"a condition of up to {_LONGEST} characters", got, "use --keep several times")
    try:
        tree = ast.parse(condition.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArgumentError("keep", "a condition", condition, _REMEDY) from error
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    found = []
    for part in parts:
        reader = _Reader(table, condition)
        try:
            truth = reader.truth(part)
        except RecursionError as error:
            raise ArgumentError(
                "keep", "a condition with less nesting", Described("one that is nested too deeply"), _REMEDY
            ) from error
        found.append(Clause(ast.unparse(part), truth.true, truth.unknown, tuple(reader.columns)))
    return found


class _Reader:
    """Evaluate the syntax tree of one clause over the rows of a table."""

    def __init__(self, table: ScoredTable, condition: str) -> None:
        self.table, self.condition = table, condition
        self.columns: dict[str, None] = {}

    def truth(self, node: ast.expr) -> _Truth:
        if isinstance(node, ast.BoolOp):
            join = _Truth.__and__ if isinstance(node.op, ast.And) else _Truth.__or__
            return reduce(join, map(self.truth, node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.truth(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(node.ops, sides, sides[1:], strict=False)
            return reduce(_Truth.__and__, (self.compared(op, left, right) for op, left, right in pairs))
        raise self.wrong(node, "a comparison")

    def compared(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> _Truth:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
                raise self.wrong(right, "a list, such as ['wan', 'ltx']")
            equal = [self.compared(ast.Eq(), left, element) for element in right.elts]
            among = reduce(_Truth.__or__, equal)
            return among if isinstance(op, ast.In) else ~among
        if type(op) not in _COMPARISONS:
            raise self.wrong(left, "a comparison by < <= > >= == != or in")
        one, other = self.value(left), self.value(right)
        if (one.dtype == object) != (other.dtype == object):
            got = Described(f"a text and a number in {ast.unparse(left)!r} and {ast.unparse(right)!r}")
            raise ArgumentError("keep", "two numbers or two texts to compare", got, "put texts in quotes")
        if one.dtype == object and not isinstance(op, ast.Eq | ast.NotEq):
            raise self.wrong(left, "numbers to compare by < or >")
        unknown = _missing(one) | _missing(other)
        with np.errstate(invalid="ignore"):
            true = np.asarray(_COMPARISONS[type(op)](one, other), dtype=np.bool_)
        unknown = np.broadcast_to(unknown, len(self.table))
        return _Truth(np.broadcast_to(true, len(self.table)) & ~unknown, unknown)

    def value(self, node: ast.expr) -> Numbers | Texts:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return np.array(node.value, dtype=object)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return np.array(float(node.value))
        if isinstance(node, ast.Name | ast.Attribute):
            return self.column(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self.number(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            with np.errstate(all="ignore"):  # a quotient by 0 is not finite, so it is unknown
                return _ARITHMETIC[type(node.op)](self.number(node.left), self.number(node.right))
        raise self.wrong(node, "a column, a number or a text in quotes")

    def number(self, node: ast.expr) -> Numbers:
        found = self.value(node)
        if found.dtype == object:
            raise self.wrong(node, "a number")
        return found.astype(np.float64, copy=False)

    def column(self, node: ast.expr) -> Numbers | Texts:
        from pyarrow import types

        written = ast.unparse(node)
        names = [name for name in self.table.rows.column_names if written in (name, name.rpartition(".")[2])]
        exact = [name for name in names if name == written] or names
        if not exact:
            raise unknown_name(f"column of {self.table.path}", written, self.table.rows.column_names)
        if len(exact) > 1:
            got = Described(f"{written}, which {' and '.join(exact)} have")
            raise ArgumentError("keep", "a column that only one rater has", got, "write the rater's name before it")
        self.columns[exact[0]] = None
        values = self.table.column(exact[0])
        if types.is_string(values.type) or types.is_large_string(values.type):
            return np.array([value or None for value in values.to_pylist()], dtype=object)
        return self.table.numbers(exact[0])

    def wrong(self, node: ast.expr, expected: str) -> ArgumentError:
        return ArgumentError("keep", expected, Described(f"{ast.unparse(node)!r} in {self.condition!r}"), _REMEDY)


def _missing(values: Numbers | Texts) -> NDArray[np.bool_]:
    if values.dtype == object:
        return np.asarray([value is None for value in values.ravel()], dtype=np.bool_).reshape(values.shape)
    return ~np.isfinite(values)
