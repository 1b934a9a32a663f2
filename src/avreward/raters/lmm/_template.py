"""Render a prompt with slots for a language model: token ids, feature tokens, and where answers are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.raters.lmm.prompt import Encoded, Prompt, Read, Slot, Text, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FIELD = re.compile(r"\{(prompt|texts\.\w+)\}")

Encode = Callable[[Slot], tuple[Hashable, Encoded]]
"""A slot → a key for its content, and the content."""


@dataclass(frozen=True)
class Rendered:
    """One sequence for the language model.

    Attributes:
        parts: in order.
        keys: one for each part; parts with equal keys have equal content.
    """

    parts: tuple[Text | Tokens, ...]
    keys: tuple[Hashable, ...]

    @property
    def reads(self) -> list[int]:
        """The positions where answers are read: those that the text marks, else the last one."""
        found, start = [], 0
        for part in self.parts:
            found += [start + at for at in part.reads] if isinstance(part, Text) else []
            start += part.length
        return found or [start - 1]


def fields(prompt: Prompt) -> frozenset[str]:
    """Return the clip's texts that a prompt quotes: ``"prompt"``, ``"texts.NAME"``.

    Example:
        >>> sorted(fields(["Does it match {prompt}?"]))
        ['prompt']
    """
    texts = (part.text if isinstance(part, Read) else part for part in prompt if isinstance(part, Read | str))
    return frozenset(name for text in texts for name in _FIELD.findall(text))


def render(prompt: Prompt, clip: Clip, encode: Encode, tokenizer: PreTrainedTokenizerBase) -> Rendered:
    """Insert the clip's texts and encoded tracks into a prompt, and tokenize its text.

    Text between two slots is tokenized together, without the special tokens that a tokenizer adds by default. Control
    tokens in a clip's text are broken up by a space, so that no prompt can end its turn and write the answer.

    Args:
        prompt: text with slots.
        clip: supplies the texts.
        encode: returns a slot's content and a key for it.
        tokenizer: of the language model.

    Raises:
        AvrewardError: if the clip lacks a text that the prompt quotes.
    """
    parts: list[Text | Tokens] = []
    keys: list[Hashable] = []
    pending = ""
    control = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    for piece, key in _expanded(prompt, encode):
        if isinstance(piece, Tokens | Text):
            _add_text(pending, False, parts, keys, tokenizer)
            parts.append(piece)
            keys.append(piece.ids if isinstance(piece, Text) else key)
            pending = ""
        else:
            pending += _filled(piece.text if isinstance(piece, Read) else piece, clip, control)
            if isinstance(piece, Read):
                _add_text(pending, True, parts, keys, tokenizer)
                pending = ""
    _add_text(pending, False, parts, keys, tokenizer)
    return Rendered(tuple(parts), tuple(keys))


def _expanded(prompt: Prompt, encode: Encode) -> Iterator[tuple[str | Read | Text | Tokens, Hashable]]:
    for part in prompt:
        if isinstance(part, Slot):
            name, encoded = encode(part)
            for i, piece in enumerate(encoded):
                yield piece, (name, i)
        else:
            yield part, None


def _add_text(
    text: str, read: bool, parts: list[Text | Tokens], keys: list[Hashable], tokenizer: PreTrainedTokenizerBase
) -> None:
    ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else ()
    if ids:
        parts.append(Text(ids, (len(ids) - 1,) if read else ()))
        keys.append(ids)


def _filled(text: str, clip: Clip, control: Sequence[str]) -> str:
    def own(field: re.Match[str]) -> str:
        # tokenizers fail on lone surrogates, which file names that are not valid text contain
        found = text_of(clip, field[1]).encode("utf-8", "replace").decode()
        for token in control:
            found = found.replace(token, f"{token[0]} {token[1:]}")
        return found

    return _FIELD.sub(own, text)


def text_of(clip: Clip, name: str) -> str:
    """Return the clip's text called ``"prompt"`` or ``"texts.NAME"``.

    Raises:
        AvrewardError: if the clip doesn't have it.
    """
    if not has_text(clip, name):
        raise AvrewardError(f"{clip.name}: {why_no_text(name)}")
    return str(clip.prompt if name == "prompt" else clip.texts[name.removeprefix("texts.")])


def has_text(clip: Clip, name: str) -> bool:
    """Return whether the clip has the text called ``"prompt"`` or ``"texts.NAME"``; a blank one is none.

    >>> has_text(Clip(audio=torch.rand(16), sample_rate=16000, prompt=" "), "prompt")
    False
    """
    text = clip.prompt if name == "prompt" else clip.texts.get(name.removeprefix("texts."))
    return bool(text and text.strip())


def why_no_text(name: str) -> str:
    """Return why a score is missing that needs the text called `name`."""
    if name == "prompt":
        return "no prompt was given; pass prompt=… with the clip, or --prompt"
    short = name.removeprefix("texts.")
    return f"no {name} was given; pass texts={{{short!r}: …}}, or a manifest with the column texts.{short}"
