"""What is found out about a trained rater's scores, and its model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from avreward._display import counted
from avreward.errors import ArgumentError
from avreward.raters.base import Rater
from avreward.rewards.calibration import fit_linear

if TYPE_CHECKING:
    from avreward.training.rater._batches import DecodedExamples
    from avreward.training.rater._objective import Objective
    from avreward.training.rater.arguments import RaterTrainingArguments

REFERENCES = 256  # scores that are kept of a dimension
SHOWN = (
    *("stage", "loss", "num_train_epochs", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "weight_decay", "seed", "train_weights", "lora"),
    *("lora_r", "lora_alpha", "lora_dropout", "ties", "use_margins"),
)
Table = NDArray[np.float64]


def judged(
    rater: Rater, dimensions: Sequence[str], scores: Table, ratings: Table, ranges: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Return calibration, sigma and reference scores of each dimension, from scores and ratings of the same clips.

    A line to the ratings' scale is fitted where scores rise with quality as the dimension says. Sigma is the root mean
    square of what remains.

    Args:
        rater: whose dimensions say whether higher is better.
        dimensions: names of the columns.
        scores: raw, (clips, dimensions).
        ratings: (clips, dimensions) NaN where unknown; NaN everywhere for pairs.
        ranges: lowest and highest rating of each dimension.
    """
    found: dict[str, Any] = {"calibration": {}, "sigma": {}, "reference": {}}
    for column, name in enumerate(dimensions):
        own, (low, high) = scores[:, column], ranges[column]
        known = ~np.isnan(ratings[:, column])
        scaled = own
        if known.sum() >= 3:
            better = rater.dimension(name).higher_is_better is not False
            try:
                curve = fit_linear(own[known].tolist(), ratings[known, column].tolist(), low, high)
            except ArgumentError:  # all scores equal
                curve = None
            if curve is not None and curve.rising == better:
                found["calibration"][name] = {kind: numbers.tolist() for kind, numbers in curve.state.items()}
                scaled = curve(torch.from_numpy(own)).numpy()
                found["sigma"][name] = float(np.sqrt(np.mean((scaled[known] - ratings[known, column]) ** 2)))
        at = np.linspace(0, 1, min(REFERENCES, len(own)))
        found["reference"][name] = np.quantile(scaled, at).tolist() if len(own) > 1 else []
    return found


def stage_record(
    arguments: RaterTrainingArguments,
    data: DecodedExamples,
    dimensions: Sequence[str],
    objective: Objective,
    history: Sequence[Mapping[str, Any]],
    where: Mapping[str, str],
) -> dict[str, Any]:
    """Return data, settings and curves of a stage in plain values; `where` names the data."""
    groups = counted(len({example.group for example in data.examples}), "group")
    about = {"trained on": f"{where['trained on']}, {counted(len(data), 'row')} of {groups}"}
    about["evaluated on"] = where["evaluated on"]
    if arguments.stage != "pairs":
        named = zip(dimensions, objective.ranges, strict=True)
        about |= {f"ratings of `{name}`": f"{low:g} to {high:g}" for name, (low, high) in named}
    settings = {name: getattr(arguments, name) for name in SHOWN}
    plain = {name: value if isinstance(value, int | float | list) else str(value) for name, value in settings.items()}
    curves = [{k: v for k, v in one.items() if _worth(k)} for one in history if "loss" in one or _evaluated(one)]
    return {"data": about, "settings": plain, "curves": curves, "temperature": objective.temperature}


def training_card(stages: Sequence[Mapping[str, Any]], measured: Mapping[str, Any]) -> str:
    """Return the part of the model card about training: data, settings, curves, limits."""
    lines = ["## Training", ""]
    for number, stage in enumerate(stages, 1):
        data, settings = stage["data"], stage["settings"]
        lines += [f"### Stage {number}: {settings['stage']}", ""]
        lines += [f"- {label}: {value}" for label, value in data.items()]
        lines += ["", "| setting | value |", "|---|---|"]
        lines += [f"| `{name}` | {value} |" for name, value in settings.items() if value not in ("None", "", [])]
        lines += ["", *_curves(stage["curves"]), ""]
    lines += ["## Limits", "", *_limits(stages[-1], measured), ""]
    return "\n".join(lines)


def _curves(curves: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the metrics of each evaluation and the training loss before it as a table."""
    rows: dict[float, dict[str, Any]] = {}
    loss = None
    for one in curves:
        loss = one.get("loss", loss)
        if _evaluated(one):
            rows[one.get("epoch", 0)] = {
                "loss": loss,
                **{k.removeprefix("eval_"): v for k, v in one.items() if _evaluated([k])},
            }
    if not rows:
        return ["Not evaluated during training."]
    names = [name for name in dict.fromkeys(n for row in rows.values() for n in row) if "/" not in name]
    table = [f"| epoch | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    return table + [
        f"| {epoch:g} | {' | '.join('–' if row.get(n) is None else f'{float(row[n]):.4f}' for n in names)} |"
        for epoch, row in rows.items()
    ]


def _limits(stage: Mapping[str, Any], measured: Mapping[str, Any]) -> list[str]:
    data = stage["data"]
    lines = [
        "- The scores say what the people behind the training data would say of clips like theirs; on clips of other "
        "generators, lengths or languages they were not measured.",
        f"- Calibration and uncertainty come from {data.get('evaluated on', 'the training clips')}; a score further "
        "from those clips' is less certain than its sigma says.",
    ]
    lines += [
        f"- `{name}`: held-out ratings are {size:.3g} (root mean square) from the score."
        for name, size in measured["sigma"].items()
    ]
    raw = [name for name in measured["reference"] if name not in measured["calibration"]]
    if raw:
        lines.append(
            f"- No scale was fitted for {', '.join(f'`{name}`' for name in raw)}: only the order means something."
        )
    return lines


def _evaluated(one: Any) -> bool:
    return any(name.startswith("eval_") and _worth(name) for name in one)


def _worth(name: str) -> bool:
    return not name.endswith(("_runtime", "_per_second")) and name not in ("total_flos", "eval_loss")


def raw_scores(rater: Rater, dimensions: Sequence[str], data: DecodedExamples) -> tuple[Table, Table]:
    """Return the rater's own scores and the ratings of all clips of `data`, (clips, dimensions) each."""
    columns = [rater.dimensions.index(rater.dimension(name)) for name in dimensions]
    scores = []
    for example in data.examples:
        with torch.no_grad():
            found = rater.rate([rater.load(one.open()) for one in example.clips])
        scores.append(found.values[:, columns].double().cpu())
    ratings = torch.cat([example.ratings for example in data.examples]).double()
    return torch.cat(scores).numpy(), ratings.numpy()
