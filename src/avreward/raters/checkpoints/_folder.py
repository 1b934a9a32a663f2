"""The folder of a saved rater: safetensors, one config.json, a model card, and the tokenizer if there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avreward._extras import extra
from avreward._parsing import parsed_json
from avreward._whole_files import private_folder
from avreward.errors import ArgumentError, AvrewardError, Described
from avreward.raters.checkpoints._upload import upload

if TYPE_CHECKING:
    from avreward.raters.checkpoints.network_rater import NetworkRater

FORMAT = {"format": "avreward", "format_version": 1}
SHARD = "5GB"


def save(
    rater: NetworkRater, folder: str | PathLike[str], more: Mapping[str, Any] | None = None, text: str | None = None
) -> Path:
    """Save `rater` to `folder`, so that `load_rater` can read it, and return the folder.

    It gets ``model.safetensors`` (in shards of 5 GB), ``config.json`` with all other settings, the tokenizer if there
    is one, and a model card ``README.md``. A rater that was saved there before is replaced.

    Args:
        rater: any rater that a loader made.
        folder: to write.
        more: further entries of ``config.json`` (*optional*).
        text: of the model card (*optional*, that of `card`).

    Raises:
        ArgumentError: if `folder` is a file or holds files other than a saved rater.
        AvrewardError: if the rater was not made by a loader, or has adapters of `peft` in it.
    """
    with extra("lmm"):
        from huggingface_hub import save_torch_state_dict

    out = Path(folder)
    _check_merged(rater)
    # first, because not every rater can be saved
    config = {**FORMAT, **rater.origin, "settings": dict(rater.settings), "fingerprint": rater.fingerprint}
    config |= more or {}
    _check_replaceable(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with private_folder(out) as place:
        new = place / "new"
        new.mkdir()
        if rater.tokenizer is not None:
            rater.tokenizer.save_pretrained(new)
        save_torch_state_dict(rater.module.state_dict(), str(new), max_shard_size=SHARD, metadata={"format": "pt"})
        (new / "README.md").write_text(card(rater) if text is None else text, encoding="utf-8")
        (new / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8")
        if out.exists():
            out.rename(place / "old")
        new.rename(out)
    return out


def push(
    rater: NetworkRater,
    repository: str,
    private: bool = True,
    more: Mapping[str, Any] | None = None,
    text: str | None = None,
) -> str:
    """Upload `rater` to the Hugging Face hub and return the repository's address.

    Args:
        rater: any rater that a loader made.
        repository: ``NAME`` or ``OWNER/NAME``; created if necessary.
        private: whether a new repository is private.
        more: see `save`.
        text: see `save`.

    Raises:
        ArgumentError: for a name that is none.
        AvrewardError: if the rater cannot be saved, the hub refuses, or it cannot be reached.
    """
    return upload(lambda folder: save(rater, folder, more, text), repository, private)


def card(rater: NetworkRater) -> str:
    """Return the text of the model card: dimensions, their needs, how to load the rater, preprocessing."""
    rows = [
        f"| `{d.name}` | {', '.join(f'`{need}`' for need in sorted(d.needs))} | {d.description} |"
        for d in rater.dimensions
    ]
    settings = [f"- {label}: {value}" for label, value in rater.settings.items()]
    return "\n".join([
        "---", "library_name: avreward", "tags:", "- reward-model", "- video", "- audio", "---",
        f"# {rater.name}",
        "",
        f"A rater of generated video and audio for [avreward](https://pypi.org/project/avreward/), of the kind "
        f"`{rater.origin['rater']}`. The licence is that of the weights it was made from.",
        "",
        "```python",
        "from avreward import Clip, load_rater",
        "",
        'rater = load_rater("THIS FOLDER OR REPOSITORY")',
        'scores = rater([Clip.open("clip.mp4")])',
        "```",
        "",
        "| dimension | needs | description |", "|---|---|---|", *rows,
        "",
        "Preprocessing and precision:",
        "", *settings,
        "",
        f"Fingerprint when it was saved: `{rater.fingerprint}`.",
        "",
    ])  # fmt: skip


def refuse_for_saved(folder: Path, **given: object) -> None:
    """Raise `ArgumentError` for options that are given, but say nothing of a folder that `save` wrote."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentError(name, f"nothing for {folder}, which avreward saved", value, "leave it out")


def _check_merged(rater: NetworkRater) -> None:
    marks = (".lora_", ".base_layer.", ".modules_to_save.", "base_model.model.")
    if name := next((name for name in rater.module.state_dict() if any(mark in name for mark in marks)), None):
        raise AvrewardError(
            f"{rater.name}: expected weights alone, got an adapter of peft ({name}), which a saved folder cannot hold; "
            "merge it with merge_and_unload() of the peft model, or save it by itself with its save_pretrained"
        )


def _check_replaceable(folder: Path) -> None:
    if folder.is_file():
        raise ArgumentError("folder", "a folder to write to", Described(f"the file {folder}"))
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        ours = parsed_json((folder / "config.json").read_text()).get("format") == FORMAT["format"]
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise ArgumentError(
            "folder", "a new folder, or one with a saved rater", Described(f"{folder}, which holds other files")
        )
