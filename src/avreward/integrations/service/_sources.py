"""Open the clips of a request: files under the served folders, uploads, tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError, describe
from avreward.raters.remote._bodies import ClipBody
from avreward.raters.remote._parts import clip_from


@dataclass(frozen=True)
class OpenedClip:
    """A clip that was opened, or why it can't be.

    Attributes:
        clip: `None` where there is an `error`.
        error: one line.
        hidden: paths that only the server knows → what messages call them.
    """

    clip: Clip | None
    error: str | None = None
    hidden: tuple[tuple[str, str], ...] = ()

    def told(self, text: str) -> str:
        """Return a message as the client may read it."""
        for path, name in self.hidden:
            text = text.replace(path, name)
        return text


class NotServed(AvrewardError):
    """A path that is not under a folder that is served."""


def open_clip(body: ClipBody, parts: Mapping[str, Tensor], folder: Path | None, roots: Sequence[Path]) -> OpenedClip:
    """Open one clip of a request; what is wrong with it is its own error.

    Args:
        body: what the request says of it.
        parts: tensors and files of the request.
        folder: where files are written that were sent (*optional* where there are none).
        roots: folders whose files may be named.
    """
    hidden = ((str(folder) + os.sep, ""),) if folder is not None else ()
    try:
        if body.path is not None:
            path = served(body.path, roots)
            hidden = ((str(path), body.name or body.path),)
            return OpenedClip(Clip.open(path, prompt=body.prompt, texts=body.texts), None, hidden)
        if folder is None:
            problem = f"{body.name or 'clip'}: expected a path, got none"
            return OpenedClip(None, f"{problem}; send media and tensors as safetensors")
        clip = clip_from(body, parts, folder)
        name = body.name or "upload"
        hidden = ((str(clip.path), name), *hidden) if clip.path is not None else hidden
        return OpenedClip(clip, None, hidden)
    except AvrewardError as error:
        text = OpenedClip(None, None, hidden).told(str(error))
        if body.whole is not None and body.name:
            text = f"{body.name}:{text.partition(':')[2]}"
        return OpenedClip(None, text)
    except Exception as error:  # of a tensor that no check foresaw: it costs its own clip
        return OpenedClip(None, f"{body.name or 'clip'}: it can't be opened ({describe(error)})")


def served(text: str, roots: Sequence[Path]) -> Path:
    """Return the file that a request names, absolute or from one of the roots; links are followed first.

    Raises:
        NotServed: if it is not under a root. Whether such a file exists is not told.
    """
    if roots and "\0" not in text:
        for root in roots:
            real = Path(os.path.realpath(root / text))
            if real.is_relative_to(root):
                return real
    where = "one of the folders that this server reads" if roots else "sent as bytes: this server reads no folder"
    raise NotServed(f"{text}: expected a file in {where}; send it, or serve with --root FOLDER")
