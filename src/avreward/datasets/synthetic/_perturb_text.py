"""Prompts that no longer describe the clip: attributes replaced by rule or by a language model, or another caption."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._perturbations import NotPerturbable, Perturbation
from avreward.errors import ArgumentError

Rewrite = Callable[[str, int], str]
"""Takes a prompt and how many attributes to change, and returns the changed prompt."""

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")


class _Lists(NamedTuple):
    """The word lists: word → all that exclude each other with it; words without a meaning of their own; pronouns."""

    groups: Mapping[str, Sequence[str]]
    empty: frozenset[str]
    women: frozenset[str]
    men: frozenset[str]
    of_women: Mapping[str, str]
    of_men: Mapping[str, str]


@cache
def _lists() -> _Lists:
    found = json.loads(Path(__file__).with_name("word_lists.json").read_text(encoding="utf-8"))
    groups = {word: words for words in found["attributes"].values() for word in words}
    empty, women, men = (frozenset(found[name]) for name in ("function words", "women", "men"))
    return _Lists(groups, empty, women, men, found["of women"], found["of men"])


def attributes_of(text: str) -> list[re.Match[str]]:
    """Return where `text` holds an attribute that can be replaced."""
    groups = _lists().groups
    return [match for match in _WORD.finditer(text) if match[0].lower() in groups]


def replace_attributes(text: str, count: int, generator: torch.Generator) -> str:
    """Return `text` with `count` attributes replaced by others of their kind, or all of them where there are fewer.

    An attribute that occurs twice is replaced everywhere by the same one, and a new one never occurs in the text
    before. Pronouns follow the persons. Raises `ArgumentError` if it holds none.

    Example:
        >>> replace_attributes("A young woman in a red coat", 3, torch.Generator().manual_seed(1))
        'A young girl in a green jacket'
    """
    lists = _lists()
    there = list(dict.fromkeys(match[0].lower() for match in attributes_of(text)))
    if not there:
        raise ArgumentError("text", "a text with an attribute of the word lists", text)
    new: dict[str, str] = {}
    for i in torch.randperm(len(there), generator=generator)[:count].tolist():
        left = [word for word in lists.groups[there[i]] if word not in there and word not in new.values()]
        if left:
            new[there[i]] = left[int(torch.randint(len(left), (), generator=generator))]
    new |= _pronouns(new)
    changed = _WORD.sub(lambda match: _cased(new.get(match[0].lower(), match[0]), match[0]), text)
    return _with_articles(changed, set(new.values()))


def meaningful(text: str) -> frozenset[str]:
    """Return the words of a caption that mean something, without endings of plurals: its nouns are among them.

    Example:
        >>> sorted(meaningful("The dogs are barking at a bus"))
        ['bark', 'bus', 'dog']
    """
    empty = _lists().empty
    return frozenset(_stem(word) for match in _WORD.finditer(text) if (word := match[0].lower()) not in empty)


def change_attributes(clip: Clip, count: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Replace `count` attributes in the prompt.

    Raises:
        NotPerturbable: if the prompt holds none.
    """
    prompt = clip.prompt or ""
    if not attributes_of(prompt):
        remedy = "write colours, numbers, persons or places into prompts, or pass a rewriter"
        raise NotPerturbable(f"{clip.name}: the prompt holds no attribute of the word lists; {remedy}")
    return clip.with_prompt(replace_attributes(prompt, max(1, round(count)), generator))


def other_caption(clip: Clip, severity: float, generator: torch.Generator, other: Clip | None) -> Clip:
    """Take the other clip's prompt."""
    assert other is not None  # checked by `Perturbation.apply`
    if other.prompt == clip.prompt:
        raise NotPerturbable(f"{clip.name}: the other clip has the same prompt; give clips of several prompts")
    return clip.with_prompt(other.prompt)


def rewritten_by(rewrite: Rewrite) -> Perturbation:
    """Return the perturbation "attribute" by a function, such as a call of a language model, instead of word lists.

    Args:
        rewrite: takes a prompt and a number of attributes, and returns the prompt with as many of them changed.

    Example:
        >>> by_model = rewritten_by(lambda prompt, count: prompt.replace("dog", "cat"))
        >>> by_model.apply(Clip(prompt="a dog runs"), severity=1.0).prompt
        'a cat runs'
    """

    def work(clip: Clip, count: float, generator: torch.Generator, other: Clip | None) -> Clip:
        new = rewrite(clip.prompt or "", max(1, round(count)))
        if not isinstance(new, str) or not new.strip():
            raise ArgumentError("rewrite", "a function that returns a text", new)
        if " ".join(new.split()) == " ".join((clip.prompt or "").split()):
            raise NotPerturbable(f"{clip.name}: the rewriter left the prompt as it was; check what it is asked for")
        return clip.with_prompt(new)

    return Perturbation("attribute", "prompt", "video_text", (1.0, 2.0, 3.0), "attributes", work)


def _pronouns(new: Mapping[str, str]) -> dict[str, str]:
    """Return the pronouns to replace, where persons became persons of the other gender and no other way round."""
    lists = _lists()
    to_women = any(old in lists.men and word in lists.women for old, word in new.items())
    to_men = any(old in lists.women and word in lists.men for old, word in new.items())
    if to_women == to_men:
        return {}
    return dict(lists.of_women if to_women else lists.of_men)


def _stem(word: str) -> str:
    for ending, new in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: len(word) - len(ending)] + new
    return word


def _cased(new: str, old: str) -> str:
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _with_articles(text: str, new: set[str]) -> str:
    """Return the text with "a" or "an" as the replaced words need it."""

    def fixed(match: re.Match[str]) -> str:
        article, space, word = match.groups()
        if word.lower() not in new:
            return match[0]
        right = "an" if word[0].lower() in "aeiou" and not word.lower().startswith(("uni", "one")) else "a"
        return _cased(right, article) + space + word

    return re.sub(r"\b([Aa]n?)(\s+)([^\W\d_]+(?:-[^\W\d_]+)*)", fixed, text)
