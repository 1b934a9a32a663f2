"""Dimensions and scores: the results of raters, with the reasons for missing values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from avreward._display import counted, html_table, number, text_table
from avreward.errors import ArgumentError, Described, unknown_name

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

TRACKS = ("video", "audio")
LEVELS = ("bad", "poor", "fair", "good", "excellent")


@dataclass(frozen=True)
class Dimension:
    """One named property that a rater judges.

    Args:
        name: as in ``rater["audio_quality"]``.
        low: lower end of the score's range, may be infinite.
        high: upper end of the score's range, may be infinite.
        needs: what a clip must have: ``"video"``, ``"audio"``, ``"prompt"``, ``"texts.NAME"``.
        unit: of the score, empty for a plain number.
        higher_is_better: `None` where neither end is better (loudness).
        calibrated: whether the score is on a quality scale whose fifths are bad … excellent.
        detail: whether it is a measurement behind the main dimensions, shown on request only.
        description: one line of text.
        streams: the tracks, among those that it needs, that a gradient of this score may move; an empty tuple for none
            (*optional*, all that it needs, and both where it needs neither). Enforced for every rater: an audio score
            of a joint generator can't push the video.

    Raises:
        ArgumentError: if `streams` names something else.

    Example:
        >>> sorted(Dimension("sync", 0, 1, frozenset({"video", "audio"})).streams)
        ['audio', 'video']
        >>> Dimension("audio_quality", 0, 1, frozenset({"video", "audio"}), streams=("audio",)).streams
        frozenset({'audio'})
    """

    name: str
    low: float
    high: float
    needs: frozenset[str]
    unit: str = ""
    higher_is_better: bool | None = True
    calibrated: bool = False
    detail: bool = False
    description: str = ""
    streams: Collection[str] = None  # type: ignore[assignment]  # a frozenset once it is made

    def __post_init__(self) -> None:
        given = self.tracks if self.streams is None else self.streams
        chosen = frozenset((given,) if isinstance(given, str) else given)
        if not chosen <= self.tracks:
            expected = f"some of the tracks that {self.name} needs ({', '.join(sorted(self.tracks))})"
            raise ArgumentError("streams", expected, Described(", ".join(sorted(map(str, chosen)))))
        object.__setattr__(self, "streams", chosen)

    @property
    def tracks(self) -> frozenset[str]:
        """The tracks among its needs; both where it names neither, since it is made of what there is."""
        return self.needs & set(TRACKS) or frozenset(TRACKS)

    def as_row(self) -> tuple[str, str, str, str, str]:
        """Return name, range, which end is better, needs and description, as texts for a table."""
        better = {True: "higher", False: "lower", None: ""}[self.higher_is_better]
        extent = f"{number(self.low)} … {number(self.high)} {self.unit}".strip()
        return self.name, extent, better, ", ".join(sorted(self.needs)), self.description


@dataclass
class Scores:
    """The scores of some clips on a rater's dimensions.

    Attributes:
        values: (clips, dimensions). A missing entry is NaN, a constant that was never computed: index with `present`.
        present: bool (clips, dimensions).
        reasons: for each clip, dimension name → why it is missing.
        dimensions: what the columns are.
        basis: for each clip, name of a fused dimension → the dimensions that it was made of.
        sigma: (clips, dimensions), the standard deviation of each score where the rater knows it, else NaN; `None`
            where it knows none (*optional*).

    >>> d = Dimension("sharpness", 0, 100, frozenset({"video"}), calibrated=True)
    >>> values, present = torch.tensor([[81.0], [float("nan")]]), torch.tensor([[True], [False]])
    >>> s = Scores(values, present, [{}, {"sharpness": "no picture track"}], (d,))
    >>> s["sharpness"], s.levels("sharpness")
    (tensor([81., nan]), ['excellent', None])
    """

    values: Tensor
    present: Tensor
    reasons: list[dict[str, str]]
    dimensions: tuple[Dimension, ...]
    basis: list[dict[str, tuple[str, ...]]] = field(default_factory=list)
    sigma: Tensor | None = None

    def __post_init__(self) -> None:
        self.basis = self.basis or [{} for _ in self.reasons]
        if self.sigma is not None and self.sigma.shape != self.values.shape:
            expected = f"one for each value, shape {tuple(self.values.shape)}"
            raise ArgumentError(
                "sigma", expected, Described(f"shape {tuple(self.sigma.shape)}"), "use NaN where unknown"
            )

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def names(self) -> tuple[str, ...]:
        """The dimensions' names, in the order of the columns."""
        return tuple(d.name for d in self.dimensions)

    def column(self, name: str) -> int:
        """Return the column of dimension `name`.

        Raises:
            UnknownNameError: if there is none; it suggests the closest ones.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise unknown_name("dimension", name, self.names) from None

    def __getitem__(self, name: str) -> Tensor:
        """Return the scores (clips,) of one dimension, NaN where missing."""
        return self.values[:, self.column(name)]

    def levels(self, name: str) -> list[str | None]:
        """Return the level of each clip's score: bad, poor, fair, good or excellent, the fifths of the range.

        A missing score has the level `None`.

        Raises:
            ArgumentError: for a dimension that is not calibrated: the range of a raw score does not measure quality.
        """
        column = self.column(name)
        dimension = self.dimensions[column]
        if not dimension.calibrated:
            raise ArgumentError(
                "dimension", "a calibrated one, which has levels", name, "use its value, or calibrate it"
            )
        return [
            level_of(float(value), dimension) if there else None
            for value, there in zip(self.values[:, column].detach(), self.present[:, column], strict=True)
        ]

    def __repr__(self) -> str:
        return text_table(*self._shown())

    def _repr_html_(self) -> str:
        return html_table(*self._shown())

    def _shown(self) -> tuple[str, list[str], Iterator[tuple[object, ...]], int]:
        """Return title, columns, rows and number of rows of the table; measurements (details) are left out."""
        shown = [i for i, d in enumerate(self.dimensions) if not d.detail] or [*range(len(self.dimensions))]
        left = len(self.dimensions) - len(shown)
        title = f"Scores of {counted(len(self), 'clip')}" + (
            f"; {counted(left, 'measurement')} not shown" if left else ""
        )
        names = [self.names[i] for i in shown]
        rows = (
            (clip, *row, "; ".join(dict.fromkeys(self.reasons[clip][n] for n in names if n in self.reasons[clip])))
            for clip, row in enumerate(self.values.detach()[:, shown].tolist())
        )
        return title, ["clip", *names, "missing because"], rows, len(self)

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas table, one row a clip and one column a dimension, NaN where missing."""
        import pandas

        return pandas.DataFrame(self.values.detach().double().cpu().numpy(), columns=list(self.names))

    @classmethod
    def concatenate(cls, parts: Sequence[Scores]) -> Scores:
        """Return one `Scores` from several of the same dimensions, in order.

        Raises:
            ArgumentError: if `parts` is empty.
        """
        import torch  # here, so that raters can be listed without it

        if not parts:
            raise ArgumentError("parts", "at least one Scores", parts)
        like = next((p.values for p in parts if p.present.any()), parts[0].values)
        # a part without any score does not know the rater's device and type
        parts = [replace(p, values=p.values.to(like), present=p.present.to(like.device)) for p in parts]
        sigmas = [torch.full_like(p.values, float("nan")) if p.sigma is None else p.sigma for p in parts]
        return cls(
            torch.cat([p.values for p in parts]),
            torch.cat([p.present for p in parts]),
            [reason for p in parts for reason in p.reasons],
            parts[0].dimensions,
            [basis for p in parts for basis in p.basis],
            torch.cat(sigmas) if any(p.sigma is not None for p in parts) else None,
        )

    def split(self) -> list[Scores]:
        """Return one `Scores` for each clip, in order; `concatenate` is the inverse."""
        return [
            Scores(
                self.values[i : i + 1],
                self.present[i : i + 1],
                [self.reasons[i]],
                self.dimensions,
                [self.basis[i]],
                None if self.sigma is None else self.sigma[i : i + 1],
            )
            for i in range(len(self))
        ]

    @classmethod
    def collect(
        cls,
        rows: Iterable[tuple[dict[str, Tensor], dict[str, str], dict[str, tuple[str, ...]]]],
        dimensions: tuple[Dimension, ...],
    ) -> Scores:
        """Return the scores of one (values, reasons, basis) a clip; `values` maps a dimension to a scalar tensor."""
        import torch

        rows = list(rows)
        known: list[Tensor] = [v for values, _, _ in rows for v in values.values()]
        like = known[0] if known else torch.zeros(())
        nan = torch.full((), float("nan"), dtype=like.dtype, device=like.device)
        table = [torch.stack([values.get(d.name, nan).to(nan) for d in dimensions]) for values, _, _ in rows]
        values = torch.stack(table) if table else torch.zeros(0, len(dimensions))
        given = torch.tensor([[d.name in found for d in dimensions] for found, _, _ in rows], dtype=torch.bool)
        given = given.reshape(len(rows), len(dimensions))
        present = given & values.detach().isfinite().cpu()
        reasons = [dict(why) for _, why, _ in rows]
        for row, column in (given & ~present).nonzero().tolist():
            # of a damaged weight, say, or of float16 that is too narrow
            reason = f"the score is {float(values[row, column].detach())}, not a finite number"
            reasons[row][dimensions[column].name] = reason
        values = torch.where(given.to(values.device) & ~present.to(values.device), nan, values)
        return cls(values, present, reasons, dimensions, [basis for _, _, basis in rows])


def level_of(value: float, dimension: Dimension) -> str:
    """Return the level of one score: its fifth of the dimension's range (values outside count as the nearest end)."""
    share = (value - dimension.low) / (dimension.high - dimension.low)
    if dimension.higher_is_better is False:
        share = 1 - share
    return LEVELS[min(4, max(0, int(share * 5)))]


def as_row(scores: Scores, clip: int) -> dict[str, Any]:
    """Return one clip's present scores as plain floats, for tables and JSON."""
    pairs = zip(scores.names, scores.values[clip].detach().tolist(), scores.present[clip].tolist(), strict=True)
    return {name: value for name, value, there in pairs if there}
