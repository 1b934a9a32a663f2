"""A folder of ready candidates as a generator: the provider that needs no network."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from avreward.clip import Clip
from avreward.errors import MediaError

# Endings by which a candidate is known in a folder that holds other files, too.
ENDINGS = frozenset({
    ".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi",
})  # fmt: skip


class FolderGenerator:
    """``generate(clip, seed)``: the clip's picture with the sound of candidate number `seed` of a folder.

    The candidates of ``NAME.mp4`` are the files in ``FOLDER/NAME/``, or those whose names begin with ``NAME_`` or
    ``NAME-`` (``NAME_1.wav``, ``NAME_elevenlabs_0_rank2.mp4``), in the order of their names, numbers counting as
    numbers. Of a candidate with a picture the sound alone is used.

    Args:
        folder: where the candidates are.
        names: of all videos, without endings (*optional*), so that what belongs to ``33_sora`` isn't taken for a
            candidate of ``33``.

    Raises `MediaError` where the folder isn't there; when called, where a clip has no candidate of that number.

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
            raise MediaError(folder, "there is no such folder", "name the folder that holds the candidates")

    @property
    def identity(self) -> str:
        """Tells a run that is taken up again of which folder it is; not what the files hold."""
        return repr((str(self.folder.resolve()), self.names))

    def __call__(self, condition: Clip, seed: int) -> Clip:
        """Candidate number `seed`, from 0 on."""
        name = _stem(condition)
        paths = self.candidates(name)
        if not 0 <= seed < len(paths):
            many = f"{len(paths)} candidate{'' if len(paths) == 1 else 's'}"
            had = f"it has {many} for {name}, none with the number {seed}"
            raise MediaError(self.folder, had, f"put more there, named {name}_1.wav and so on, or ask for fewer")
        return condition.with_audio(Clip.open(paths[seed]))

    def count(self, condition: Clip) -> int:
        """How many candidates a clip has."""
        return len(self.candidates(_stem(condition)))

    def candidates(self, name: str) -> list[Path]:
        """The candidates of the video called `name`, in their order."""
        own = self.folder / name
        if name and own.is_dir():
            found = [path for path in own.iterdir() if _media(path)]
        else:
            found = [path for path in self.folder.iterdir() if _media(path) and self._owner(path.stem, name) == name]
        return sorted(found, key=lambda path: _natural(path.name))

    def _owner(self, stem: str, name: str) -> str | None:
        """The longest name that a candidate's name begins with."""
        begins = [n for n in {*self.names, name} if n and re.match(f"{re.escape(n)}[-_]", stem)]
        return max(begins, key=len, default=None)


def _stem(clip: Clip) -> str:
    if clip.path is None:
        raise MediaError("condition", "a clip of tensors has no name", "open the silent video from a file")
    return clip.path.stem


def _media(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sorts ``b2`` before ``b10``."""
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"([0-9]+)", name) if part)
