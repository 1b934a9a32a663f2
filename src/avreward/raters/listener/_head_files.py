"""Folders of raters that are a head on features: written whole, read back with their encoders."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from avreward._whole_files import private_folder
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.base import Rater
from avreward.raters.listener._encoders import encoder_from
from avreward.raters.listener._version import VERSION
from avreward.raters.listener.head import FeatureHead

if TYPE_CHECKING:
    from avreward.raters.checkpoints.loading import Loading

CONFIG, WEIGHTS, PAGE = "config.json", "model.safetensors", "README.md"


def save_head(head: FeatureHead, folder: str | PathLike[str], config: Mapping[str, Any], card: str) -> Path:
    """Write weights, settings and card to a folder that `load_rater` reads, in place of what it held, and return it.

    Raises:
        ArgumentError: if `folder` is a file, or holds other files than such a rater.
    """
    from safetensors.torch import save_file

    out = Path(folder)
    check_replaceable(out)
    with private_folder(out) as place:
        new = place / "new"
        new.mkdir()
        save_file({k: v.contiguous() for k, v in head.state_dict().items()}, new / WEIGHTS, {"format": "pt"})
        (new / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        (new / PAGE).write_text(card, encoding="utf-8")
        if out.exists():
            out.rename(place / "old")
        new.rename(out)
    return out


def saved_head(
    folder: Path, config: Mapping[str, Any]
) -> tuple[dict[str, Rater], list[tuple[str, str]], dict[str, Tensor]]:
    """Return the encoders, the columns and the weights that `save_head` wrote.

    Raises:
        AvrewardError: for damaged files, an encoder that is not there, or one with other weights or of another version.
    """
    from safetensors.torch import load_file

    if config.get("version") != VERSION:
        raise AvrewardError(f"{folder}: taught by version {config.get('version')} of the listener; teach it again")
    encoders = {key: encoder_from(record) for key, record in config["encoders"].items()}
    for key, rater in encoders.items():
        if rater.fingerprint != config["encoders"][key]["fingerprint"]:
            raise AvrewardError(
                f"{folder}: the encoder {key} has changed since it was taught; teach it again, or use the same version"
            )
    return encoders, [(str(key), str(own)) for key, own in config["columns"]], load_file(folder / WEIGHTS)


def check_replaceable(out: Path) -> None:
    """Raise `ArgumentError` unless a rater can be saved to `out`."""
    if out.is_dir() and any(out.iterdir()):
        others = {path.name for path in out.iterdir()} - {CONFIG, WEIGHTS, PAGE}
        if others or not (out / CONFIG).is_file():
            got = Described(f"{out} with {min(others) if others else 'other files'}")
            raise ArgumentError("folder", "a new or empty folder, or one with a rater that was taught", got)
    elif out.exists() and not out.is_dir():
        raise ArgumentError("folder", "a folder", Described(f"the file {out}"))


def card_of(
    title: str, intro: str, about: Mapping[str, Any], encoders: Mapping[str, Rater], table: Sequence[str] = ()
) -> str:
    """Return the text of a model card.

    Args:
        title: its heading.
        intro: how to load the rater, and what it gives.
        about: what there is to say, as plain values; `warnings` stand at the end, other lists and tables are left out.
        encoders: whose features it reads.
        table: Markdown lines (*optional*).
    """
    lines = ["---", "library_name: avreward", "tags:", "- reward-model", "- video", "- audio", "---", ""]
    lines += [f"# {title}", "", intro, ""]
    lines += [f"- {label}: {value}" for label, value in about.items() if not isinstance(value, list | dict | None)]
    lines += ["", *table, ""] if table else [""]
    lines += [*(f"**{warning}**" for warning in about.get("warnings", [])), ""]
    lines += ["Encoders: " + ", ".join(f"{key} ({one.fingerprint})" for key, one in encoders.items()) + "."]
    return "\n".join([*lines, *attribution(encoders)]) + "\n"


def usable_options(loading: Loading, usable: Collection[str] = ()) -> dict[str, Any]:
    """Return the given options of `load_rater` among `usable`.

    Raises:
        ArgumentError: for another option, which a rater on features can't use: it computes where its clips are.
    """
    given = {one.name: getattr(loading, one.name) for one in fields(loading)}
    given = {one.name: given[one.name] for one in fields(loading) if given[one.name] != one.default}
    given.pop("revision", None)  # of the folder itself
    for name, value in given.items():
        if name not in usable:
            expected = "no such option (a head on features computes where its clips are)"
            raise ArgumentError(name, expected, value, "leave it out")
    return given


def attribution(encoders: Mapping[str, Rater]) -> list[str]:
    """Return the lines of a card that name whose features a rater reads, where their licence asks for it."""
    if "aisfx" not in encoders:
        return []
    return ["Features of aiSFX (A. B. Ma and A. Lerch, ISMIR 2022), CC BY 4.0; its weights are not in this folder."]
