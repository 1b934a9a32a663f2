"""What a language-model trainer hands over, as clips: completions, prompts, and the columns of its dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError

Render = Callable[..., Clip]
"""``render(text, /, **columns)``: what a text-to-audio or text-to-video pipeline makes of a completion."""


@dataclass(frozen=True)
class Completions:
    """How a completion becomes a clip.

    A completion is a `Clip`, a path, or a text that `render` turns into a clip; in a conversation, the text of its last
    message.

    Args:
        render: called as ``render(text, prompt=…, **columns)`` with the row's columns (*optional*; without it, a text
            is a path). Write its first parameter as ``text, /``: the dataset may have a column of that name. A
            `MediaError` that it raises means that this text has no clip.
        video_column: names the column with each row's video, a path or a `Clip` (*optional*): the picture that the
            completion's sound goes with. Rows may leave it `None`.
        prompt_column: names the column with what the clip was asked to show (*optional*; without it the clip's own
            prompt counts, and where it has none, the trainer's).
    """

    render: Render | None = None
    video_column: str | None = None
    prompt_column: str | None = None

    @property
    def asks_by_prompt(self) -> bool:
        """Whether prompts say what a clip should show; where sound is made for given videos, those say it."""
        return self.prompt_column is not None or self.video_column is None

    def clips(self, prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]) -> list[Clip | str]:
        """For each completion its clip, or why there is none.

        Raises `AvrewardError` that names the column and the remedy where the dataset isn't as was said, and where no
        completion at all is a file that opens.
        """
        for argument in ("video_column", "prompt_column"):
            self._check(argument, columns)
        own = {name: values for name, values in columns.items() if _by_row(values, len(completions))}
        found: list[Clip | str] = []
        for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            row = {name: values[i] for name, values in own.items()}
            try:
                found.append(self._clip(text_of(prompt), completion, row))
            except MediaError as error:
                found.append(str(error))
        if found and self.render is None and all(isinstance(clip, str) for clip in found):
            got = Described(f"none that opens ({found[0]})")
            raise ArgumentError("completions", "media files", got, "pass render= if they are texts")
        return found

    def _clip(self, prompt: str, completion: Any, row: Mapping[str, Any]) -> Clip:
        clip = self._sounded(prompt, completion, row)
        if self.video_column is not None and row[self.video_column] is not None:
            clip = self._video(row[self.video_column]).with_audio(clip).with_prompt(clip.prompt, clip.texts)
        if self.prompt_column is not None:
            wanted = row[self.prompt_column]
            if not isinstance(wanted, str):
                raise ArgumentError("prompt_column", f"a text in each row of {self.prompt_column!r}", wanted)
            return clip.with_prompt(wanted)
        return clip if clip.prompt is not None else clip.with_prompt(prompt)

    def _sounded(self, prompt: str, completion: Any, row: Mapping[str, Any]) -> Clip:
        if isinstance(completion, Clip):
            return completion
        if isinstance(completion, PathLike):
            return Clip.open(completion)
        text = text_of(completion)
        if self.render is None:
            return Clip.open(text.strip())
        clip = self.render(text, **{"prompt": prompt, **row})
        if not isinstance(clip, Clip):
            got = Described(f"a {type(clip).__name__} for {text!r}")
            raise ArgumentError("render", "a function that returns a Clip", got)
        return clip

    def _video(self, value: Any) -> Clip:
        if isinstance(value, Clip):
            return value
        path = value.get("path") if isinstance(value, Mapping) else value  # `datasets.Video(decode=False)` gives both
        if not isinstance(path, str | PathLike):
            kind = "bytes without a path" if isinstance(value, Mapping) else f"an object of type {type(value).__name__}"
            wanted = f"a path or a Clip in each row of {self.video_column!r}"
            raise ArgumentError("video_column", wanted, Described(kind))
        return Clip.open(path)

    def _check(self, argument: str, columns: Mapping[str, Any]) -> None:
        column = getattr(self, argument)
        if column is not None and column not in columns:
            known = ", ".join(sorted(columns)) or "none besides the prompt"
            remedy = "name one of them, and set remove_unused_columns=False in the trainer's config"
            raise ArgumentError(argument, f"a column of the dataset ({known})", column, remedy)


def text_of(content: Any) -> str:
    """Return the text of a prompt or completion: itself, or that of the last message of a conversation.

    >>> text_of([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "rain on a roof"}])
    'rain on a roof'
    """
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence) and content and isinstance(content[-1], Mapping):
        message = content[-1]
        inner = message.get("content", message.get("text", ""))
        if isinstance(inner, str):
            return inner
        if isinstance(inner, Sequence):  # parts: text, images, …
            return "".join(part.get("text") or "" for part in inner if isinstance(part, Mapping))
    got = Described(f"an object of type {type(content).__name__}")
    raise ArgumentError("completions", "texts, paths, clips or lists of messages", got)


def _by_row(values: Any, rows: int) -> bool:
    """Whether this is a dataset's column; trainers add other things under names of their own."""
    return isinstance(values, Sequence) and not isinstance(values, str) and len(values) == rows
