"""Scores that a rater's authors published, from a CSV file, and results of papers on corpora."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from avreward.errors import AvrewardError


def read_published(path: str | PathLike[str]) -> Mapping[str, Mapping[str, float]]:
    """Read published scores from a CSV file: a column ``clip`` (start of a file's name) and one for each dimension.

    Args:
        path: the CSV file.

    Raises:
        AvrewardError: if the file can't be read, or a row is wrong; it names the file and the line.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte-order mark
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AvrewardError(f"{path}: can't be read as CSV ({error}); check the file") from error
    if not rows or "clip" not in rows[0] or len(rows[0]) < 2:
        problem = "expected rows under a first line with `clip` and dimensions"
        raise AvrewardError(f"{path}: {problem}, got {len(rows)} rows; write CSV such as clip,overall")
    found: dict[str, dict[str, float]] = {}
    for line, row in enumerate(rows, 2):
        name = row.pop("clip")
        if not name or name in found:
            got = f"{name!r} a second time" if name else "no name"
            raise AvrewardError(
                f"{path}, line {line}: clip: expected the start of a file's name, got {got}; name each clip once"
            )
        try:
            found[name] = {dimension: _number(value) for dimension, value in row.items() if value}
        except (TypeError, ValueError) as error:
            problem = f"expected a number for each score ({error}); correct or remove the others"
            raise AvrewardError(f"{path}, line {line}: {problem}") from error
    return found


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


@dataclass(frozen=True)
class PublishedResult:
    """What a paper reports for a method on a corpus.

    Attributes:
        corpus: a name in `CORPORA`.
        dimension: of the judgments.
        method: as the paper calls it.
        metrics: metric → value, with the names of `avreward.evaluation.evaluate_judgments`.
        note: the table.
    """

    corpus: str
    dimension: str
    method: str
    metrics: Mapping[str, float]
    note: str


def published_results(corpus: str) -> list[PublishedResult]:
    """Return what papers report on a corpus; empty where nothing is known.

    They are means over folds or the published split, and the methods were often trained on the rest of the corpus: a
    rater that was not is at a disadvantage beside them.

    Args:
        corpus: a name in `CORPORA`.

    Example:
        >>> [one.method for one in published_results("text_to_audio") if one.dimension == "audio_quality"]
        ['PAM', 'CLAP', 'AGAV-Rater']
    """
    with Path(__file__).with_name("published_results.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["corpus"] == corpus]
    texts = ("corpus", "dimension", "method", "note")
    return [
        PublishedResult(
            row["corpus"],
            row["dimension"],
            row["method"],
            {name: float(value) for name, value in row.items() if name not in texts and value},
            row["note"],
        )
        for row in rows
    ]
