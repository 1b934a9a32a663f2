"""Tables of an evaluation against people as CSV and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from avreward._csv_cells import csv_of
from avreward.evaluation.judgments import RaterEvaluation
from avreward.report._compare_files import escaped

HEADS = {
    "srcc": "SRCC", "krcc": "KRCC", "plcc": "PLCC", "plcc_fitted": "PLCC (fitted)", "rmse_fitted": "RMSE (fitted)",
    "pair_accuracy": "Pairs", "best_of_group": "Best", "accuracy_with_ties": "With ties",
    "accuracy_without_ties": "Without ties",
}  # fmt: skip
ERRORS = ("rmse", "rmse_fitted")  # of which less is better

Published = Sequence[tuple[str, str, Mapping[str, float]]]
"""Dimension, method, metric → value."""


def evaluation_csv(found: RaterEvaluation, published: Published, rater: str) -> str:
    """Return a row a number: of the rater with its interval, then the published ones."""
    import pandas

    frame = found.to_frame()
    frame.insert(0, "method", rater)
    rows = [
        {"method": method, "dimension": dimension, "metric": metric, "value": value, "category": ""}
        for dimension, method, metrics in published
        for metric, value in metrics.items()
    ]
    whole = pandas.concat([frame, pandas.DataFrame(rows)] if rows else [frame])
    return csv_of(whole)


def evaluation_latex(found: RaterEvaluation, published: Published, rater: str) -> str:
    """Return a table for a paper, with `booktabs`: a block a dimension, published results above ours, the best bold."""
    used = [name for name in HEADS if any(one.metric == name and not one.category for one in found.metrics)]
    lines = [
        rf"% Half-widths of {100 * found.level:g}\% intervals, bootstrapped by prompt or video; package booktabs.",
        rf"\begin{{tabular}}{{l{'r' * len(used)}}}",
        r"\toprule",
        " & ".join(["Method", *(HEADS[name] + (r" $\downarrow$" if name in ERRORS else "") for name in used)]) + r" \\",
    ]
    for dimension in dict.fromkeys(one.dimension for one in found.metrics):
        ours = {one.metric: one for one in found.metrics if one.dimension == dimension and not one.category}
        rows = [(method, metrics) for name, method, metrics in published if name == dimension]
        rows.append((rater, {name: one.value for name, one in ours.items()}))
        lines += [r"\midrule", rf"\multicolumn{{{1 + len(used)}}}{{l}}{{\emph{{{escaped(dimension)}}}}} \\"]
        for method, metrics in rows:
            cells = []
            for name in used:
                value = metrics.get(name, math.nan)
                known = [other[name] for _, other in rows if math.isfinite(other.get(name, math.nan))]
                text = "--" if math.isnan(value) else f"{value:.3f}".replace("-", "$-$")
                if method == rater and name in ours and math.isfinite(ours[name].low):
                    text += rf" $\pm$ {(ours[name].high - ours[name].low) / 2:.3f}"
                best = bool(known) and value == (min if name in ERRORS else max)(known)
                cells.append(rf"\textbf{{{text}}}" if best and len(rows) > 1 else text)
            lines.append(" & ".join([escaped(method), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
