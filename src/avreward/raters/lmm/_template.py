"""From a prompt with slots to what a language model reads: token ids, feature tokens, and where answers are read."""

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
"""A slot → what names its content, and what stands in it."""


@dataclass(frozen=True)
class Rendered:
    """One sequence for the language model.

    Attributes:
        parts: in order.
        keys: one a part; equal keys of parts mean equal content.
    """

    parts: tuple[Text | Tokens, ...]
    keys: tuple[Hashable, ...]

    @property
    def reads(self) -> list[int]:
        """The positions where answers are read: those that the text names, else the last one."""
        found, start = [], 0
        for part in self.parts:
            found += [start + at for at in part.reads] if isinstance(part, Text) else []
            start += part.length
        return found or [start - 1]


def fields(prompt: Prompt) -> frozenset[str]:
    """The clip's texts that a prompt asks for: ``"prompt"``, ``"texts.NAME"``.

    >>> sorted(fields(["Does it match {prompt}?"]))
    ['prompt']
    """
    texts = (part.text if isinstance(part, Read) else part for part in prompt if not isinstance(part, Slot))
    return frozenset(name for text in texts for name in _FIELD.findall(text))


def render(prompt: Prompt, clip: Clip, encode: Encode, tokenizer: PreTrainedTokenizerBase) -> Rendered:
    """Fills in the clip's texts, puts what `encode` gives into the slots, and turns text into token ids.

    Text between two slots is tokenized as one, without the special tokens that a tokenizer would add by itself. A
    control token in a clip's text is broken up by a space, so that no prompt can end its turn and write the answer.
    Raises `AvrewardError` where the clip lacks a text.
    """
    parts: list[Text | Tokens] = []
    keys: list[Hashable] = []
    pending = ""
    control = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    for piece, key in _expanded(prompt, encode):
        if isinstance(piece, Tokens):
            _add_text(pending, False, parts, keys, tokenizer)
            parts.append(piece)
            keys.append(key)
            pending = ""
        else:
            pending += _filled(piece.text if isinstance(piece, Read) else piece, clip, control)
            if isinstance(piece, Read):
                _add_text(pending, True, parts, keys, tokenizer)
                pending = ""
    _add_text(pending, False, parts, keys, tokenizer)
    return Rendered(tuple(parts), tuple(keys))


def _expanded(prompt: Prompt, encode: Encode) -> Iterator[tuple[str | Read | Tokens, Hashable]]:
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
        # half a character, as of a file name that is no text, would be an error of the tokenizer
        found = text_of(clip, field[1]).encode("utf-8", "replace").decode()
        for token in control:
            found = found.replace(token, f"{token[0]} {token[1:]}")
        return found

    return _FIELD.sub(own, text)


def text_of(clip: Clip, name: str) -> str:
    """The clip's text called ``"prompt"`` or ``"texts.NAME"``; raises `AvrewardError` if it has none."""
    text = clip.prompt if name == "prompt" else clip.texts.get(name.removeprefix("texts."))
    if not text:
        raise AvrewardError(f"{clip.name}: {why_no_text(name)}")
    return text


def why_no_text(name: str) -> str:
    """The reason for a missing score where the text called `name` is missing."""
    how = "prompt=… with the clip, or --prompt" if name == "prompt" else f"texts={{{name.removeprefix('texts.')!r}: …}}"
    return f"no {name} was given; pass {how}"
