"""How a backbone looks at clips, as plain values: what a saved rater remembers, and what `load_rater` takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from avreward.errors import AvrewardError
from avreward.media import sampling, sampling_rules
from avreward.raters.lmm.backbone import Backbone

_NOT_OPTIONS = ("self", "module", "tokenizer", "rounding")


def preprocessing_of(backbone: Backbone) -> dict[str, Any]:
    """The arguments that `backbone` was made with, as JSON.

    A rule that chooses frames becomes its name and its fields. Raises `AvrewardError` for a rule of one's own, which
    another process wouldn't know.

    >>> from avreward.media import Spread
    >>> plain(Spread(4))
    {'rule': 'Spread', 'count': 4}
    """
    return {name: plain(getattr(backbone, name)) for name in options_of(type(backbone))}


def options_of(family: type[Backbone]) -> list[str]:
    """The names of what can be chosen when a backbone of this class is made."""
    return [name for name in inspect.signature(family).parameters if name not in _NOT_OPTIONS]


def chosen(family: type[Backbone], options: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `family` from plain values; raises `AvrewardError` for a name or a rule that isn't known."""
    if not isinstance(options, Mapping):
        raise AvrewardError(f"preprocessing: {options!r} isn't a mapping; pass such as {{'max_pixels': 200704}}")
    known = options_of(family)
    if unknown := [name for name in options if name not in known]:
        names = f"it has {', '.join(known)}" if known else "it has none"
        raise AvrewardError(f"preprocessing: {family.__name__} has no option {unknown[0]!r}; {names}")
    found = {name: _rule(value) if isinstance(value, Mapping) else value for name, value in options.items()}
    for name, value in found.items():
        wrong = not callable(value) if name == "frames" else value is not None and not isinstance(value, int | float)
        if wrong or (name.endswith(("pixels", "seconds")) and value is not None and value <= 0):
            wanted = "a rule, such as QwenFrames(1.0)" if name == "frames" else "a positive number, or leave it out"
            raise AvrewardError(f"preprocessing: {name} is {value!r}; give {wanted}")
    return found


def plain(value: Any) -> Any:
    """A value, or a rule that chooses frames, as JSON."""
    if not is_dataclass(value) or isinstance(value, type):
        return value
    name = type(value).__name__
    if type(value) is not frame_rules().get(name):
        raise AvrewardError(f"frames: {value!r} is a rule of your own, which a saved rater can't name; use a known one")
    return {"rule": name, **asdict(value)}


def _rule(written: Mapping[str, Any]) -> Any:
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in written.items()}
    rule = frame_rules().get(str(fields.pop("rule", None)))
    try:
        return rule(**fields)  # type: ignore[misc]
    except TypeError as error:
        raise AvrewardError(f"preprocessing: {dict(written)} names no rule that chooses frames ({error})") from error


def frame_rules() -> dict[str, type]:
    """Return the rules that choose frames, by name: those that a saved rater may name."""
    from avreward.raters.lmm.backbones.video_llama3 import VideoLlama3Frames  # which imports the engine

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
