"""A folder of finished candidates as a generator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError
from avreward.scoring._manifest import MEDIA
from avreward.scoring.inputs import natural


class FolderGenerator:
    """Use the files of a folder as candidates: ``generate(clip, seed)`` adds the audio of file number `seed` to `clip`.

    The candidates of ``NAME.mp4`` are the files in ``FOLDER/NAME/``, or those whose names begin with ``NAME_`` or
    ``NAME-`` (``NAME_1.wav``, ``NAME_elevenlabs_0_rank2.mp4``), in the order of their names, numbers counting as
    numbers. Only the audio of a candidate is used, also if it has a video track.

    Args:
        folder: contains the candidates.
        names: of all videos, without endings (*optional*), so that a candidate of ``33_sora`` is not mistaken for one
            of ``33``.

    Raises:
        MediaError: if the folder does not exist; on a call, if the clip has no candidate of that number.

    Example:
        >>> folder = Path("dubs")
        >>> folder.mkdir()
        >>> for number, dub in enumerate(clips):
        ...     dub.save(folder / f"dub1_{number}.mp4")
        >>> generate = FolderGenerator(folder)
        >>> [path.name for path in generate.candidates("dub1")]
        ['dub1_0.mp4', 'dub1_1.mp4', 'dub1_2.mp4']
        >>> generate(Clip.open("dub1.mp4"), 2).has_audio
        True
    """

    def __init__(self, folder: str | PathLike[str], names: Sequence[str] = ()) -> None:
        self.folder, self.names = Path(folder), tuple(names)
        if not self.folder.is_dir():
            raise MediaError(folder, "the folder does not exist", "pass the folder that contains the candidates")

    @property
    def identity(self) -> str:
        """Identifies the folder when a run is resumed; the contents of the files do not count."""
        return repr((str(self.folder.resolve()), self.names))

    def __call__(self, condition: Clip, seed: int) -> Clip:
        """Return `condition` with the audio of its candidate number `seed`, counted from 0.

        Raises:
            MediaError: if there is no candidate of that number, or its file cannot be read.
            ArgumentError: if `condition` was not opened from a file.
        """
        name = _stem(condition)
        paths = self.candidates(name)
        if not 0 <= seed < len(paths):
            many = f"{len(paths)} candidate{'' if len(paths) == 1 else 's'}"
            had = f"it has {many} for {name}, but number {seed} was asked for (counted from 0)"
            raise MediaError(self.folder, had, f"add files named {name}_1.wav and so on, or ask for fewer")
        return condition.with_audio(Clip.open(paths[seed]))

    def count(self, condition: Clip) -> int:
        """Return the number of candidates of a clip."""
        return len(self.candidates(_stem(condition)))

    def candidates(self, name: str) -> list[Path]:
        """Return the candidates of the video called `name`, in their order."""
        own = self.folder / name
        if name and own.is_dir():
            found = [path for path in own.iterdir() if _media(path)]
        else:
            found = [path for path in self.folder.iterdir() if _media(path) and self._owner(path.stem, name) == name]
        return sorted(found, key=lambda path: natural(path.name))

    def _owner(self, stem: str, name: str) -> str | None:
        """Return the longest video name that a file's stem begins with."""
        begins = [n for n in {*self.names, name} if n and re.match(f"{re.escape(n)}[-_]", stem)]
        return max(begins, key=len, default=None)


def _stem(clip: Clip) -> str:
    if clip.path is None:
        raise ArgumentError(
            "condition",
            "a clip with a file name",
            Described("a clip of tensors"),
            "open the silent video with Clip.open",
        )
    return clip.path.stem


def _media(path: Path) -> bool:
    return path.suffix.lower() in MEDIA and path.is_file() and not path.name.startswith(".")
