"""The preprocessing options of a backbone as plain values, for saved raters and for `load_rater`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from avreward.errors import ArgumentError, unknown_name
from avreward.media import sampling, sampling_rules
from avreward.media.resampling import check_resampler
from avreward.raters.lmm.backbone import Backbone

_NOT_OPTIONS = ("self", "module", "tokenizer", "rounding")


def preprocessing_of(backbone: Backbone) -> dict[str, Any]:
    """Return the preprocessing options of `backbone` as plain values for JSON.

    A rule that chooses frames becomes its name and its fields.

    Raises:
        ArgumentError: for a custom rule, which could not be loaded in another process.

    Example:
        >>> from avreward.media import Spread
        >>> plain(Spread(4))
        {'rule': 'Spread', 'count': 4}
    """
    return {name: plain(getattr(backbone, name)) for name in options_of(type(backbone))}


def options_of(family: type[Backbone]) -> list[str]:
    """Return the names of the preprocessing options of a backbone class."""
    return [name for name in inspect.signature(family).parameters if name not in _NOT_OPTIONS]


def chosen(family: type[Backbone], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `family` from plain values.

    Args:
        family: a backbone class.
        options: option → value; a frame rule may be given by its name and fields, as `preprocessing_of` writes it.

    Raises:
        ArgumentError: for an unknown option or rule, or a value of the wrong type.
    """
    if not isinstance(options, Mapping):
        raise ArgumentError("preprocessing", "a mapping such as {'max_pixels': 200704}", options)
    known = options_of(family)
    if unknown := [name for name in options if name not in known]:
        raise unknown_name(f"preprocessing of {family.__name__}", unknown[0], known)
    found = {name: _rule(value) if isinstance(value, Mapping) else value for name, value in options.items()}
    for name, value in found.items():
        if name == "resampler":
            check_resampler(value)
            continue
        wrong = not callable(value) if name == "frames" else value is not None and not isinstance(value, int | float)
        if wrong or (name.endswith(("pixels", "seconds")) and value is not None and value <= 0):
            wanted = "a frame rule such as QwenFrames(1.0)" if name == "frames" else "a positive number"
            raise ArgumentError(f"preprocessing[{name!r}]", wanted, value)
    return found


def plain(value: Any) -> Any:
    """Return a value, or a rule that chooses frames, as a plain value for JSON."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    name = type(value).__name__
    if type(value) is not frame_rules().get(name):
        raise ArgumentError("frames", "a frame rule of avreward", value, "a rater with a custom rule can't be saved")
    return {"rule": name, **asdict(value)}


def _rule(written: Mapping[str, Any]) -> Any:
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in written.items()}
    name, rules = str(fields.pop("rule", None)), frame_rules()
    if name not in rules:
        raise unknown_name("preprocessing (frame rule)", name, rules)
    try:
        return rules[name](**fields)
    except TypeError as error:
        raise ArgumentError(f"preprocessing ({name})", f"arguments of {name}", fields, str(error)) from error


def frame_rules() -> dict[str, type]:
    """Return the rules that choose frames and that a saved rater may use: name → class."""
    from avreward.raters.lmm.backbones.video_llama3 import VideoLlama3Frames  # it imports the engine

    rules = (
        sampling.AllFrames,
        sampling.Windows,
        sampling.Spread,
        sampling_rules.PerSecond,
        sampling_rules.QwenFrames,
        sampling_rules.AgavRaterFrames,
        sampling_rules.AigvAssessorFrames,
        sampling_rules.UniformFrames,
        sampling_rules.CentredClip,
        sampling_rules.SlowPathway,
        sampling_rules.DoverFrames,
        VideoLlama3Frames,
    )
    return {rule.__name__: rule for rule in rules}
