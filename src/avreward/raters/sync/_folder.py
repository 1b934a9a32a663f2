"""Read the published file of the sync evaluator, and the base model that it was trained from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.checkpoints._weights import read_weights, weight_files
from avreward.raters.hub import read_config
from avreward.raters.sync._card import WEIGHTS

BASE = "Qwen/Qwen2.5-Omni-3B"
# Names in the published file, and in transformers before towers and language model were under one `model.`
_NAMES = {
    "regression_head.fc_1.": "head.",
    "audio_tower.": "base.model.audio_tower.",
    "visual.": "base.model.visual.",
    "model.": "base.model.language_model.",
    "lm_head.": "base.lm_head.",
}
_PARTS = ("model.audio_tower.", "model.visual.", "model.language_model.")


@dataclass(frozen=True)
class SyncFolder:
    """The content of a folder with ``avsync_eval_weights.pt``.

    Attributes:
        own: the weights in it, by our names.
        base: the folder of the base model.
    """

    own: Mapping[str, Tensor]
    base: Path

    @classmethod
    def find(cls, folder: Path, base: str | Path | None = None) -> SyncFolder:
        """Read `folder`; the base model's weights are downloaded only where the checkpoint lacks them.

        Raises:
            AvrewardError: if something is missing in the folder.
        """
        own = {our_name(name): weight for name, weight in read_weights([folder / WEIGHTS]).items()}
        return cls(own, _base(folder, base, weights=not _is_whole(own)))

    @property
    def sizes(self) -> Mapping[str, Any]:
        """The configuration of the thinker."""
        config = read_config(self.base)
        sizes: Mapping[str, Any] = config.get("thinker_config", config)
        if "text_config" not in sizes:
            raise AvrewardError(f"{self.base}: expected {BASE}, got another model; pass base= with its folder")
        return sizes

    def state(self) -> dict[str, Tensor]:
        """Return the weights by our names; those that the checkpoint lacks are the base model's."""
        if _is_whole(self.own):
            return dict(self.own)
        base = read_weights(weight_files(self.base))
        theirs = {our_name(name): base[name] for name in base if not name.startswith(("talker.", "token2wav."))}
        return {**theirs, **self.own}


def our_name(name: str) -> str:
    """Return the name in `SyncRater.module` of an entry of the published file or of the base model's.

    Other names stay as they are.

    >>> our_name("regression_head.fc_1.weight"), our_name("transformer.model.norm.weight")
    ('head.weight', 'base.model.language_model.norm.weight')
    """
    bare = name.removeprefix("transformer.").removeprefix("thinker.")
    if bare.startswith(_PARTS):
        return f"base.{bare}"
    for theirs, ours in _NAMES.items():
        if bare.startswith(theirs):
            return ours + bare.removeprefix(theirs)
    return bare


def held_name(name: str, known: Collection[str]) -> str:
    """Return our `name` as the installed transformers spells it, whose names are `known`.

    >>> held_name("base.model.visual.a", ["base.visual.a"])
    'base.visual.a'
    """
    if name in known:
        return name
    old = next((old for old, ours in _NAMES.items() if ours != "head." and name.startswith(ours)), None)
    return name if old is None else f"base.{old}{name.removeprefix(_NAMES[old])}"


def _is_whole(state: Mapping[str, Tensor]) -> bool:
    """Return whether `state` has weights of both towers, and the embedding of the language model."""
    towers = all(any(name.startswith(f"base.{part}") for name in state) for part in _PARTS)
    return towers and "base.model.language_model.embed_tokens.weight" in state


def _base(folder: Path, given: str | Path | None, weights: bool) -> Path:
    places = [Path(given).expanduser()] if given is not None else [folder / "base_model", folder]
    for place in places:
        if (place / "config.json").is_file():
            return place
    with extra("lmm"):
        from huggingface_hub import snapshot_download

    named = BASE if given is None else str(given)
    patterns = ["*.json", "*.txt", *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(named, allow_patterns=patterns))
    except Exception as error:  # network, permissions, an unknown name: whatever the hub's client raises
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise AvrewardError(
            f"{folder}: its base model {named} is not a folder and could not be downloaded from the hub ({reason}); "
            f"pass base= with a folder of {BASE}"
        ) from error
