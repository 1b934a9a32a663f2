"""Read folders written by VideoReward's training code: settings, base model, and the weights as one state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avreward._extras import extra
from avreward._parsing import parsed_json
from avreward.errors import AvrewardError
from avreward.raters.checkpoints._weights import read_weights, weight_files
from avreward.raters.video_reward._keys import adapter_scale, merged

Norms = Mapping[str, tuple[float, float]]

_ADAPTER, _OTHERS = "adapter_model.safetensors", "non_lora_state_dict.pth"
_EXPECTED = f"model.pth, or {_ADAPTER} with {_OTHERS}, or model.safetensors (in the folder or in checkpoint-N/)"
# Settings that the rater requires: the instruction, its three tokens, and frames from the first to the last.
_REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "data_config": {
        "prompt_template_type": "detailed_special",
        "sample_type": "uniform",
        "eval_dim": ["VQ", "MQ", "TA"],
    },
    "model_config": {"reward_token": "special", "use_special_tokens": True},
}


@dataclass(frozen=True)
class Published:
    """The content of a folder with ``model_config.json``.

    Attributes:
        settings: ``model_config.json``.
        checkpoint: the folder of the weights: the last ``checkpoint-N``, or the folder itself.
        base: the folder of the base model, Qwen2-VL.
    """

    settings: Mapping[str, Any]
    checkpoint: Path
    base: Path

    @classmethod
    def find(cls, folder: Path, base: str | Path | None = None) -> Published:
        """Read `folder`; the base model is `base`, else one in the folder, else the one in ``model_config.json``.

        A base model that is not a folder is downloaded from the Hugging Face hub; its weights only where the checkpoint
        lacks them.

        Raises:
            AvrewardError: if something is missing in the folder.
        """
        settings = _settings(folder)
        steps = sorted(folder.glob("checkpoint-*"), key=_step)
        checkpoint = next((place for place in [*steps[::-1], folder] if _files(place)), None)
        if checkpoint is None:
            raise AvrewardError(f"{folder}: expected {_EXPECTED}, got no weights; download it again")
        return cls(settings, checkpoint, _base(folder, settings, base, weights=_is_split(checkpoint)))

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer: the checkpoint's, else the base model's."""
        own = self.checkpoint / "tokenizer"
        return own if own.is_dir() else self.base

    @property
    def norms(self) -> Norms | None:
        """Mean and standard deviation of each raw reward, if the checkpoint has them."""
        found = self.settings.get("inference_config")
        if not found:
            return None
        try:
            return {name: (float(found[f"{name}_mean"]), float(found[f"{name}_std"])) for name in ("VQ", "MQ", "TA")}
        except KeyError as error:
            raise AvrewardError(
                f"model_config.json: expected {error} under inference_config, got none; add it"
            ) from error

    @property
    def preprocessing(self) -> dict[str, Any]:
        """Frames a second and pixels of a frame, as arguments of `backbone_options`."""
        data = self.settings.get("data_config", {})
        names = {"fps": "fps", "max_frame_pixels": "max_pixels"}
        return {ours: data[theirs] for theirs, ours in names.items() if data.get(theirs) is not None}

    def state(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the weights by our names in `dtype`, with adapters merged; the base model adds missing ones."""
        files = _files(self.checkpoint)
        weights = read_weights([*weight_files(self.base), *files] if _is_split(self.checkpoint) else files)
        if not any(".lora_A." in name for name in weights):
            return merged(weights, 0.0, False, dtype)
        adapter = self.checkpoint / "adapter_config.json"
        alpha, rslora = adapter_scale(self.settings, parsed_json(adapter.read_text()) if adapter.is_file() else {})
        return merged(weights, alpha, rslora, dtype)


def _settings(folder: Path) -> Mapping[str, Any]:
    path = folder / "model_config.json"
    try:
        settings = parsed_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AvrewardError(
            f"{folder}: expected a folder of VideoReward, got one without model_config.json; download it again"
        ) from error
    except ValueError as error:
        raise AvrewardError(f"{path}: expected JSON, got another format ({error}); download it again") from error
    for section, required in _REQUIRED.items():
        for name, value in required.items():
            found = settings.get(section, {}).get(name, value)
            if found != value:
                raise AvrewardError(f"{path}: expected {value!r} for {name}, got {found!r}; use another checkpoint")
    return settings


def _files(place: Path) -> list[Path]:
    """Return the files with weights in `place`, adapters last; an empty list if there are none."""
    if (place / "model.pth").is_file():
        return [place / "model.pth"]
    if _is_split(place):
        return [place / _OTHERS, place / _ADAPTER]
    whole = any((place / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json"))
    return weight_files(place) if whole else []


def _is_split(place: Path) -> bool:
    parts = [(place / name).is_file() for name in (_ADAPTER, _OTHERS)]
    if any(parts) and not all(parts) and not (place / "model.pth").is_file():
        raise AvrewardError(f"{place}: expected both {_ADAPTER} and {_OTHERS}, got one; download it again")
    return all(parts) and not (place / "model.pth").is_file()


def _step(place: Path) -> int:
    number = place.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def _base(folder: Path, settings: Mapping[str, Any], given: str | Path | None, weights: bool) -> Path:
    places = [Path(given).expanduser()] if given is not None else [folder / "base_model", folder]
    for place in places:
        if (place / "config.json").is_file():
            return place
    named = given if given is not None else settings.get("model_config", {}).get("model_name_or_path")
    if named is None:
        raise AvrewardError(f"{folder}: no base model; pass base= with the folder or hub name of Qwen2-VL-2B-Instruct")
    if (Path(named) / "config.json").is_file():
        return Path(named)
    with extra("lmm"):
        from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", *(["*.safetensors"] if weights else [])]
    try:
        return Path(snapshot_download(str(named), allow_patterns=patterns))
    except Exception as error:  # network, permissions, an unknown name: whatever the hub's client raises
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise AvrewardError(
            f"{folder}: its base model {named} is not a folder and could not be downloaded from the hub ({reason}); "
            "pass base= with a folder of Qwen2-VL-2B-Instruct (config.json, tokenizer, and weights for an adapter)"
        ) from error
