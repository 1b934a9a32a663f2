"""Tables of a comparison of systems as CSV and LaTeX."""

from __future__ import annotations

import math
import re

from avreward._csv_cells import csv_of
from avreward.evaluation._system_words import amount
from avreward.evaluation.systems import SystemComparison

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def systems_csv(found: SystemComparison) -> str:
    """Return a row a system and dimension: mean, strength, their intervals; with categories, rows for each."""
    import pandas

    overall = found.to_frame("scores")
    if not found.categories:
        return csv_of(overall)
    overall.insert(0, "category", "")
    whole = pandas.concat([overall, found.to_frame("categories")])
    return csv_of(whole)


def differences_csv(found: SystemComparison) -> str:
    """Return a row a pair and dimension."""
    return csv_of(found.to_frame("differences"))


def systems_latex(found: SystemComparison) -> str:
    """Return a table of means for a paper, with `booktabs`; the best is bold, with a dagger if ahead of all others."""
    lines = [
        rf"% Means over {found.groups} groups, half-widths of {100 * found.level:g}\% intervals; package booktabs.",
        r"% Bold: best mean. \dagger: ahead of every other system (p corrected for all pairs and scores).",
        rf"\begin{{tabular}}{{l{'r' * len(found.dimensions)}}}",
        r"\toprule",
        " & ".join(["System", *(escaped(name) + _arrow(name, found) for name in found.dimensions)]) + r" \\",
        r"\midrule",
    ]
    for system in found.systems:
        cells = [_cell(found, dimension, system) for dimension in found.dimensions]
        lines.append(" & ".join([escaped(system), *cells]) + r" \\")
    if found.categories:
        category = None
        for row in found.category_rows():
            if row[0].category != category:
                category = row[0].category
                lines += [r"\midrule", rf"\multicolumn{{{1 + len(row)}}}{{l}}{{\emph{{{escaped(category)}}}}} \\"]
            lines.append(" & ".join([escaped(row[0].system), *(_number(one.mean) for one in row)]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _cell(found: SystemComparison, dimension: str, system: str) -> str:
    one = found.score(dimension, system)
    if not one.groups:
        return "--"
    half = (one.high - one.low) / 2
    text = _number(one.mean) if math.isinf(half) else rf"{_number(one.mean)} $\pm$ {_number(half)}"
    if system != found.best(dimension):
        return text
    alone = found.verdicts[found.dimensions.index(dimension)].startswith(f"{dimension}: {system} is best")
    return rf"\textbf{{{text}}}" + (r"$^\dagger$" if alone else "")


def _number(value: float) -> str:
    return "--" if math.isnan(value) else amount(value).replace("−", "$-$")


def _arrow(name: str, found: SystemComparison) -> str:
    return r" $\downarrow$" if name in found.lower else ""


def escaped(text: str) -> str:
    """Return text in which LaTeX's special characters stand for themselves."""
    return re.sub(r"[\\{}$&#%_~^]", lambda found: _SPECIAL[found[0]], text)
