"""What people rate: dimensions with the criteria that stand beside their sliders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._parsing import parsed_json, parsed_yaml
from avreward.errors import ArgumentError, AvrewardError, Described, unknown_name

LEVELS = ("Excellent", "Good", "Fair", "Poor", "Bad")
RANGES = ("4–5", "3–4", "2–3", "1–2", "0–1")
LOW, HIGH, STEP = 0.0, 5.0, 0.1


@dataclass(frozen=True)
class RatedDimension:
    """A dimension that people rate from 0 to 5.

    Attributes:
        name: the column of the tables: ``"audio_quality"``.
        title: the heading beside the slider: ``"Audio quality"``.
        about: what to judge, in a sentence.
        criteria: what 4–5, 3–4, 2–3, 1–2 and 0–1 stand for, best first; or empty.
    """

    name: str
    title: str
    about: str = ""
    criteria: tuple[str, ...] = ()

    @property
    def levels(self) -> list[tuple[str, str, str]]:
        """Range, word and criterion of each level, best first."""
        return list(zip(RANGES, LEVELS, self.criteria, strict=True)) if self.criteria else []


_OWN = (
    RatedDimension(
        "audio_quality",
        "Audio quality",
        "How natural and clear the sound is, whatever the video shows.",
        (
            "The audio is natural, clear and free of distortion.",
            "The audio is generally clear, with slight distortion or noise.",
            "The audio is somewhat muffled, with noticeable distortion or noise.",
            "The audio is quite muffled; distortion and noise disturb listening.",
            "The audio is completely distorted.",
        ),
    ),
    RatedDimension(
        "av_consistency",
        "Audio-video consistency",
        "How well what you hear fits what you see, whatever the quality of the audio.",
        (
            "What is heard is highly consistent with the video.",
            "What is heard is generally consistent with the video.",
            "What is heard has a limited relation to the video.",
            "What is heard is mostly inconsistent with the video.",
            "What is heard has nothing to do with the video, or is too distorted to tell.",
        ),
    ),
    RatedDimension(
        "overall",
        "Overall quality",
        "The whole impression: quality of the audio, fit of content, and timing.",
        (
            "The overall quality of audio and video is excellent.",
            "The overall quality is good, with slight distortion.",
            "The overall quality is average, with noticeable distortion.",
            "The overall quality is poor: severe distortion, or the contents mostly don't fit.",
            "The overall quality is very poor: nothing fits, and audio or video is severely distorted.",
        ),
    ),
    RatedDimension(
        "video_quality",
        "Video quality",
        "How natural and clear the video is, whatever you hear.",
        (
            "The video is natural, clear and free of visible defects.",
            "The video is generally clear, with slight defects.",
            "The video is somewhat blurred or unstable, with noticeable defects.",
            "The video is quite blurred or unstable; defects disturb watching.",
            "Hardly anything can be recognized.",
        ),
    ),
    RatedDimension(
        "text_alignment",
        "Fit to the text",
        "How much of what the text asks for is there.",
        (
            "Everything that the text asks for is there.",
            "Nearly everything that the text asks for is there.",
            "Some of what the text asks for is missing or wrong.",
            "Most of what the text asks for is missing or wrong.",
            "The clip has nothing to do with the text.",
        ),
    ),
)
BUILT_IN: Mapping[str, RatedDimension] = {one.name: one for one in _OWN}
DEFAULT = ("audio_quality", "av_consistency", "overall")


def rated_dimensions(
    names: Sequence[str] | None = None, criteria: str | PathLike[str] | None = None
) -> list[RatedDimension]:
    """Return dimensions by name: built-in ones, and those of a file.

    Built in are ``audio_quality``, ``av_consistency`` and ``overall``, with the criteria of AGAV-Rater (Cao et al.,
    2025), appendix B.1, ``video_quality`` and ``text_alignment``. A file in YAML or JSON maps the name of a dimension
    to ``title``, ``about`` and ``criteria`` (five texts, best first), all optional; it may replace built-in ones.

    Args:
        names: which, in the order of the sliders. Default: those of the file, or the first three.
        criteria: the file (*optional*).

    Raises:
        ArgumentError: for an unknown name, or one twice.
        AvrewardError: if the file can't be read, or holds something else.

    Example:
        >>> [one.title for one in rated_dimensions(["overall"])]
        ['Overall quality']
    """
    own = {} if criteria is None else _read(Path(criteria))
    known = {**BUILT_IN, **own}
    names = list(own or DEFAULT) if names is None else names
    for name in names:
        if name not in known:
            raise unknown_name("dimension", name, known, "describe it in a file of criteria")
    if not names or len(set(names)) < len(names):
        raise ArgumentError("dimension", "at least one name, each once", Described(", ".join(names) or "none"))
    return [known[name] for name in names]


def as_settings(dimensions: Sequence[RatedDimension]) -> list[dict[str, Any]]:
    """Return dimensions as plain values for JSON."""
    return [asdict(one) | {"criteria": list(one.criteria)} for one in dimensions]


def of_settings(settings: Sequence[Mapping[str, Any]]) -> list[RatedDimension]:
    """Return the dimensions that `as_settings` wrote."""
    return [RatedDimension(**{**one, "criteria": tuple(one["criteria"])}) for one in settings]


def _read(path: Path) -> dict[str, RatedDimension]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        found = parsed_json(text) if path.suffix.lower() == ".json" else parsed_yaml(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise AvrewardError(f"{path}: can't be read as criteria ({why}); write YAML or JSON") from error
    if not isinstance(found, dict) or not found:
        raise AvrewardError(f"{path}: expected names of dimensions with their criteria, got something else")
    return {str(name): _dimension(path, str(name), told) for name, told in found.items()}


def _dimension(path: Path, name: str, told: Any) -> RatedDimension:
    told = {} if told is None else told
    fields = ("title", "about", "criteria")
    if not name.isidentifier():
        raise AvrewardError(f"{path}: {name}: expected a name of letters, digits and _, such as audio_quality")
    if not isinstance(told, dict) or not set(told) <= set(fields):
        raise AvrewardError(f"{path}: {name}: expected {', '.join(fields)}, got {_fields(told)}; write only these")
    criteria = told.get("criteria") or []
    if not isinstance(criteria, list) or len(criteria) not in (0, len(LEVELS)):
        got = len(criteria) if isinstance(criteria, list) else "something else"
        raise AvrewardError(f"{path}: {name}.criteria: expected {len(LEVELS)} texts, best first, got {got}")
    title = str(told.get("title") or name.replace("_", " ").capitalize())
    return RatedDimension(name, title, str(told.get("about") or ""), tuple(str(one) for one in criteria))


def _fields(told: Any) -> str:
    return ", ".join(map(str, told)) if isinstance(told, dict) else type(told).__name__
