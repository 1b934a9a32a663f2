"""Checkpoints of a tuning run: whole folders, of which the last two can be resumed from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from avreward._parsing import parsed_json
from avreward._whole_files import whole_folder
from avreward.errors import AvrewardError
from avreward.training.generator.checkpoints import load_tuning, save_tuning
from avreward.training.generator.lora_files import save_lora
from avreward.training.tuning._record import RUN, RunRecord

FOLDER, STATE, LORA = "checkpoints", "state.pt", "lora.safetensors"
KEPT = 2  # with the optimizer's state; the LoRA of every checkpoint is kept
_NAME = re.compile(r"update-(\d+)")


def save_checkpoint(record: RunRecord, loop: Any) -> Path:
    """Write a checkpoint of a loop between two updates; it appears whole, and only then older states are removed.

    Raises:
        OSError: if it can't be written; the earlier checkpoints are still there.
    """
    place = record.folder / FOLDER / f"update-{loop.updates:06d}"
    if not place.is_dir():
        with whole_folder(place) as part:
            save_tuning(loop, part / STATE)
            save_lora(loop.generator.network, part / LORA)
            record.write(part)
    for old in checkpoints(record.folder)[:-KEPT]:
        (old / STATE).unlink(missing_ok=True)
    return place


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a run that can be resumed from, in their order."""
    found = [path for path in (folder / FOLDER).glob("update-*") if _NAME.fullmatch(path.name)]
    return sorted(path for path in found if (path / STATE).is_file() and (path / RUN).is_file())


def resume_run(record: RunRecord, loop: Any) -> int:
    """Set a loop and a record to the last checkpoint, if there is one; return the number of updates made.

    Raises:
        AvrewardError: if the checkpoint can't be read.
    """
    found = checkpoints(record.folder)
    if not found:
        return 0
    load_tuning(loop, found[-1] / STATE)
    try:
        record.go_on_from(parsed_json((found[-1] / RUN).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AvrewardError(f"{found[-1]}: this checkpoint can't be read ({error}); remove it") from error
    return int(loop.updates)
