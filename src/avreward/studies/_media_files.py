"""The media of an experiment: files that browsers play, in its own folder, under names that tell nothing."""

from __future__ import annotations

from pathlib import Path

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.media.sampling import FramePlan, Spread
from avreward.report._media import file_for

PAGE = "clips.html"  # never written: the media lie in the folder that such a page would have
FOLDER = f"{Path(PAGE).stem}_files"
LENGTH = 0.25  # s: a container may round or pad
LOOKS = 5  # frames that are compared
ALIKE = 0.2  # of the contrast of a frame: encoding anew changes less, another take more


def shown_file(clip: Clip, folder: Path, name: str) -> str:
    """Write what a browser plays for a clip; return its path relative to the experiment's folder.

    Args:
        clip: what is shown.
        folder: of the experiment.
        name: of the file, without ending.

    Raises:
        AvrewardError: if the clip can't be read or written.
        OSError: if the disk is full, say.
    """
    written = file_for(clip, folder / PAGE, name, copy=True)
    return f"{written.parent.name}/{written.name}"


def same_video(first: Clip, second: Clip) -> bool:
    """Return whether two clips show one video, maybe encoded anew: equal packets, or frames that look the same."""
    if first.keys["video"] == second.keys["video"]:
        return True
    if abs(first.ends["video"] - second.ends["video"]) > LENGTH:
        return False
    plan = FramePlan(Spread(LOOKS), size=(32, 32))
    shown = [clip.frames(plan).float() for clip in (first, second)]
    if shown[0].shape != shown[1].shape:
        return False
    apart = (shown[0] - shown[1]).abs().mean(dim=(1, 2, 3))
    moving = (shown[0] - shown[0].mean(dim=(2, 3), keepdim=True)).abs().mean()  # flat frames all look alike
    return bool((apart < ALIKE * max(float(moving), 0.02)).all())


def check_one_kind(first: Clip, second: Clip) -> None:
    """Raise `MediaError` if only one of two clips has a video."""
    if first.has_video != second.has_video:
        raise MediaError(second.name, "of the two clips only one has a video", "compare clips of one kind")
