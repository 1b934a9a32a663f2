"""Load raters by name: built in, from a folder, or from a repository on the Hugging Face hub."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward._extras import extra
from avreward._parsing import parsed_json
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters import registry
from avreward.raters._user_file import names_code
from avreward.raters.card import Layout, RaterCard

if TYPE_CHECKING:
    from avreward.raters.base import Rater

_LOG = logging.getLogger(__name__)
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
_OLD_WEIGHTS = ("*.bin", "*.bin.index.json", "*.pth", "*_weights.pt")
_REST = ("*.json", "*.txt", "*.model", "*.jinja")


class UnknownRater(AvrewardError, KeyError):
    """An unknown name of a rater."""

    def __str__(self) -> str:  # KeyError would show the repr of its argument
        return str(self.args[0])


_SECRET = ("token",)  # options that never stand in a file
PATH_OPTIONS = ("adapter", "base", "audio_video", "video_text", "audio_text", "slowfast", "tokenizer")
"""Options of raters that name a folder."""


def load_rater(name: str | PathLike[str] = "signals", /, **options: Any) -> Rater:
    """Load the rater called `name`: built in, from a folder, or from the Hugging Face hub.

    What takes long is logged when it begins, at the level INFO of ``avreward.raters.hub``.

    Args:
        name: ``"signals"`` (the embedded default, no download); a folder with a checkpoint, in its published layout or
            as `save_pretrained` writes it; a repository on the hub, such as ``"caoyuqin/AGAV-Rater"``; or the address
            of a server that ``avreward serve`` runs, such as ``"http://127.0.0.1:8000"``, see `RemoteRater`.
        **options: options of loading, see `avreward.raters.Loading` (`device`, `dtype`, `attention`, `rounding`,
            `checkpointing`, …), and options of the rater, see its page in the docs.

    Raises:
        UnknownRater: for an unknown name; the message lists the built-in ones.
        ArgumentError: for an unknown option, or a `name` that is neither a string nor a path.
        AvrewardError: for a folder that does not hold a rater.

    Example:
        >>> load_rater().name
        'signals'
    """
    if not isinstance(name, str | PathLike):
        raise ArgumentError("name", "the name or the folder of a rater", name)
    card = registry.card_of(name) if isinstance(name, str) else None
    if isinstance(name, str) and (served := registry.card_for(name)) is not None:
        rater = _at_address(name, served, options)
    elif card is not None and card.make is not None:
        rater = registry.make_rater(card.name, card.make, options)
        if rater.name != card.name:
            rater.name = card.name
    elif card is not None and not Path(name).is_dir():
        raise UnknownRater(f"rater {card.name!r}: needs a checkpoint; pass its folder, or {card.checkpoint}")
    else:
        rater = _from_folder(name, options)
    rater.source = {"rater": _findable(name), **_kept(options)}
    return rater


def _at_address(address: str, card: RaterCard, options: Mapping[str, Any]) -> Rater:
    """Return the rater at an address; its name is what it says there."""
    from avreward.raters.base import Rater

    assert card.make_from is not None
    known = [p.name for p in inspect.signature(card.make_from).parameters.values() if p.kind is p.KEYWORD_ONLY]
    registry.check_options(address, options, known)
    rater = card.make_from(address, **options)
    if not isinstance(rater, Rater):
        raise ArgumentError(card.name, "an object that makes a rater", rater, "return an instance of Rater")
    return rater


def _from_folder(name: str | PathLike[str], options: Mapping[str, Any]) -> Rater:
    from torch import OutOfMemoryError

    from avreward.raters.checkpoints.loading import Loading

    common = {field.name for field in fields(Loading)}
    loading = Loading(**{key: value for key, value in options.items() if key in common})
    folder = folder_of(name, loading.revision)
    config = read_config(folder)
    loader = layout_of(folder, config).loader()
    own = {key: value for key, value in options.items() if key not in common}
    known = [p.name for p in inspect.signature(loader).parameters.values() if p.kind is p.KEYWORD_ONLY]
    registry.check_options(name, own, [*known, *sorted(common)])
    _LOG.info("%s: reading the weights in %s", name, folder)
    try:
        rater: Rater = loader(folder, config, loading, **own)
    except (AvrewardError, OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # a configuration may be wrong in any way, and transformers raises what it likes
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise AvrewardError(
            f"{folder}: it cannot be loaded ({reason}); check its configuration and the options"
        ) from error
    if not own:
        _compare_settings(folder, config.get("settings", {}), rater.settings)
    if "trained" in config:
        from avreward.raters.wrappers._trained import trained_rater

        return trained_rater(rater, config["trained"], folder)
    return rater


def _compare_settings(folder: Path, saved: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Warn where a saved rater now has other settings; dtype and attention may differ between machines."""
    for label, value in saved.items():
        if label not in ("dtype", "attention", "rounding") and now.get(label) != value:
            warnings.warn(
                f"{folder}: saved with {label} {value!r}, which is {now.get(label)!r} in this version of avreward; "
                "scores may differ",
                UserWarning,
                stacklevel=4,
            )


def _kept(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that scores depend on, as plain values; those of the machine are left out."""
    kept = {
        key: value for key, value in options.items() if key not in ("device", "device_map", "checkpointing", *_SECRET)
    }
    return {key: _findable(value) if key in PATH_OPTIONS and value else _plain(value) for key, value in kept.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if is_dataclass(value):
        from avreward.raters.lmm._preprocessing import plain

        return plain(value)
    if isinstance(value, str | int | float | None):
        return value
    return [*value] if isinstance(value, list | tuple) else str(value).removeprefix("torch.")


def _findable(name: Any) -> str:
    """Return the absolute path of a folder or file, so that it is found from elsewhere; any other name unchanged."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if name not in registry.names() and folder.exists() else str(name)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of a folder, empty if there is none; raise `AvrewardError` unless it is JSON."""
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        config = parsed_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AvrewardError(f"{path}: expected JSON, got another format ({error}); download it again") from error
    if not isinstance(config, dict):
        raise AvrewardError(f"{path}: expected a JSON object, got a {type(config).__name__}; download it again")
    return config


def layout_of(folder: Path, config: Mapping[str, Any]) -> Layout:
    """Return the layout that reads the folder; raise `AvrewardError` with the known layouts if none does."""
    from avreward.raters.checkpoints._folder import FORMAT

    if config.get("format") == FORMAT["format"]:
        return _saved_layout(folder, config)
    layouts: list[Layout] = []
    for card in registry.cards():  # those of installed packages last, since this imports them
        if card.layout is not None:
            layouts.append(card.layout)
            if card.layout.recognises(folder, config):
                return card.layout
    if (folder / "adapter_config.json").is_file():
        raise AvrewardError(
            f"{folder}: expected a checkpoint, got an adapter; load its base model with adapter={str(folder)!r}"
        )
    there = (folder / "config.json").is_file()
    what = f"its config.json says model_type {config.get('model_type')!r}" if there else "it has no config.json"
    known = ", or ".join(["a folder that avreward wrote", *(layout.description for layout in layouts)])
    raise AvrewardError(f"{folder}: no rater that avreward knows: expected {known}; {what}")


def _saved_layout(folder: Path, config: Mapping[str, Any]) -> Layout:
    """Return the layout of a folder written by `save_pretrained`, which names the kind of its rater."""
    from avreward.raters.checkpoints._folder import FORMAT

    for name in ("options", "settings"):
        if not isinstance(config.get(name, {}), Mapping):
            raise AvrewardError(f"{folder}: {name} in its config.json is not an object; download it again")
    kind = str(config.get("rater"))
    card = registry.card_of(kind)
    if card is None or card.layout is None:
        raise AvrewardError(f"{folder}: a rater of kind {kind!r}, unknown to this version; update avreward")
    if config.get("format_version") != FORMAT["format_version"]:
        version = config.get("format_version")
        raise AvrewardError(f"{folder}: version {version!r} of the format, unknown to this version; update avreward")
    if not isinstance(config.get("network"), dict):
        raise AvrewardError(f"{folder}: its config.json has no object 'network'; download it again")
    return card.layout


def folder_of(name: str | PathLike[str], revision: str | None = None) -> Path:
    """Return the folder called `name`, or the hub's repository after downloading it.

    Raises:
        UnknownRater: if it is neither.
        ArgumentError: if it is a file.
    """
    if not str(name):
        raise UnknownRater("rater '': expected a name or a folder, got an empty text; there are: " + _known())
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file() and path.suffix == ".py":
        remedy = f"write {name}:NAME, the rater in it, after --rater; in Python, import it and pass the rater"
        raise ArgumentError("rater", "a folder with a checkpoint", str(path), remedy)
    if path.is_file():
        raise ArgumentError("rater", "a folder with a checkpoint", str(path), "name the folder of this file")
    text = str(name)
    if names_code(text):
        raise UnknownRater(
            f"rater {text!r}: Python code, which only --rater imports; import it yourself and pass the rater"
        )
    if "://" in text:
        schemes = sorted({scheme for card in registry.cards() for scheme in card.schemes})
        raise UnknownRater(f"rater {text!r}: expected an address of {', '.join(schemes)}, got another one; correct it")
    looks_like_repository = text.count("/") == 1 and not text.startswith((".", "/", "~")) and " " not in text
    if not looks_like_repository:
        if "/" in text or text.startswith((".", "~")):
            raise UnknownRater(f"rater {text!r}: no such folder; name one that holds a checkpoint")
        near = get_close_matches(text, registry.names(), 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        own = "; import the module that registers your own rater first" if text.isidentifier() else ""
        raise UnknownRater(f"rater {text!r}: unknown; {hint}there are: {_known()}{own}")
    return _downloaded(text, revision)


def _known() -> str:
    return f"{', '.join(registry.names())}, folders, and hub names such as caoyuqin/AGAV-Rater"


def _downloaded(name: str, revision: str | None) -> Path:
    with extra("lmm"):
        from huggingface_hub import snapshot_download

    _LOG.info("%s: looking on the Hugging Face hub, and downloading what is not here yet", name)
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*_WEIGHTS, *_REST]))
        if not any(folder.rglob("*.safetensors")):
            folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*_OLD_WEIGHTS, *_REST]))
    except Exception as error:  # network, permissions, an unknown name: whatever the hub's client raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UnknownRater(
            f"rater {name!r}: no such folder, and it could not be downloaded from the Hugging Face hub ({reason}); "
            "check the name and the network, or pass a folder"
        ) from error
    return folder
