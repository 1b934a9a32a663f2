"""Tiny diffusers pipelines of every class that makes video or audio, with random weights, and how each is called.

What they make shows nothing, and takes no time. `BUILDERS` names the function of each class; `build` calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from tiny_diffusers._parts import Tiny

FILES = ("wan", "cogvideox", "hunyuan", "ltx", "cosmos", "transformers_3d", "unets", "audio")


def _builders() -> dict[str, Callable[[], Tiny]]:
    found: dict[str, Callable[[], Tiny]] = {}
    for file in FILES:
        found |= import_module(f"tiny_diffusers.{file}").BUILDERS
    return found


BUILDERS: Mapping[str, Callable[[], Tiny]] = _builders()


def build(name: str) -> Tiny:
    """Return a tiny pipeline of a class, such as ``WanPipeline``, and the arguments of its call for one candidate."""
    return BUILDERS[name]()
