"""Clips as bytes: tensors as they are, files as they lie on the disk, in one safetensors body; nothing is pickled."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from torch import Tensor

from avreward._extras import extra
from avreward.clip import Clip
from avreward.errors import ArgumentError, Described, MediaError
from avreward.media._file_tracks import FileAudio, FileVideo, SharedTrack
from avreward.media._tracks import AudioTrack, TensorAudio, TensorVideo, VideoTrack
from avreward.raters.remote._bodies import ClipBody, ScoreBody

with extra("server"):
    import msgspec

_CLIPS = "clips"  # the part with the JSON
_FILE = "file"  # begins the names of parts that are media files
Track = VideoTrack | AudioTrack | FileVideo | FileAudio | None


class Packer:
    """The clips of one request; files and tensors that several of them share are sent once.

    Args:
        clips: what to send.

    Raises:
        MediaError: if a file can't be read, or has changed since it was opened.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._bodies: list[ClipBody] = []
        self._parts: dict[str, Tensor] = {}
        self._names: dict[Hashable, str] = {}
        for clip in clips:
            self._add(clip)

    def _add(self, clip: Clip) -> None:
        video, audio = _inner(clip._picture), _inner(clip._sound)
        name = str(clip.path) if clip.path is not None else clip.name
        body = ClipBody(name=name, prompt=clip.prompt, texts=dict(clip.texts))
        whole = whole_file(video, audio)
        if whole is not None:
            body.whole = self._file(whole)
        elif isinstance(video, FileVideo):
            body.video = self._file(video)
        elif isinstance(video, TensorVideo):
            body.video = self._tensor(video.video)
            body.times, body.lasting = self._tensor(video.times), video.lasting
        if whole is None and isinstance(audio, FileAudio):
            body.audio = self._file(audio)
        elif isinstance(audio, TensorAudio):
            body.audio, body.sample_rate = self._tensor(audio.audio), audio.rate
        self._bodies.append(body)

    def body(self) -> bytes:
        """Return the body of the request."""
        from safetensors.torch import save

        text = msgspec.json.encode(ScoreBody(self._bodies))
        return save({**self._parts, _CLIPS: torch.frombuffer(bytearray(text), dtype=torch.uint8)})

    def _tensor(self, tensor: Tensor) -> str:
        key = (id(tensor), tensor._version)
        return self._named(key, "tensor", lambda: tensor.detach().cpu().contiguous())

    def _file(self, track: FileVideo | FileAudio) -> str:
        stamp = track.index.stamp

        def read() -> Tensor:
            stamp.check()
            return torch.frombuffer(bytearray(stamp.path.read_bytes()), dtype=torch.uint8)

        return self._named(stamp, f"{_FILE}{stamp.path.suffix.lower()}", read)

    def _named(self, key: Hashable, kind: str, made: Callable[[], Tensor]) -> str:
        if key not in self._names:
            name = f"{len(self._names)}.{kind}"
            self._parts[name] = made()
            self._names[key] = name
        return self._names[key]


def whole_file(video: Track, audio: Track) -> FileVideo | FileAudio | None:
    """Return a track of the file that holds all tracks of a clip, and no others; `None` if there is no such file."""
    given = [track for track in (video, audio) if track is not None]
    tracks = [track for track in given if isinstance(track, FileVideo | FileAudio)]
    if not tracks or len(tracks) < len(given):
        return None
    first, index = tracks[0], tracks[0].index
    same = all(track.index is index for track in tracks)
    complete = (index.picture is not None) == (video is not None) and (index.sound is not None) == (audio is not None)
    return first if same and complete else None


def path_body(clip: Clip) -> ClipBody | None:
    """Return a body that names the clip's file; `None` unless one file holds all of the clip."""
    found = whole_file(_inner(clip._picture), _inner(clip._sound))
    if found is None:
        return None
    path = found.index.stamp.path.absolute()
    return ClipBody(name=str(clip.path), prompt=clip.prompt, texts=dict(clip.texts), path=str(path))


def unpacked(body: bytes) -> tuple[list[ClipBody], dict[str, Tensor]]:
    """Return the clips of a safetensors body, and its parts.

    Raises:
        ArgumentError: if it is not such a body.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        parts = load(body)
        text = parts.pop(_CLIPS).contiguous().numpy().tobytes()
        clips = msgspec.json.decode(text, type=ScoreBody).clips
    except (SafetensorError, msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        got = Described(f"something else ({' '.join(str(error).split())[:200]})")
        remedy = "send what avreward.raters.RemoteRater sends, see docs/guides/scale.md"
        raise ArgumentError("body", f"safetensors with a JSON text in the part {_CLIPS!r}", got, remedy) from error
    return clips, parts


def clip_from(body: ClipBody, parts: Mapping[str, Tensor], folder: Path) -> Clip:
    """Return the clip of a body; media files in it are written to `folder`, which must stay as long as the clip.

    Its keys are made at once, so that later bodies share work with it when its files and tensors are gone.

    Raises:
        ArgumentError, MediaError: if it is none.
    """
    clip = _clip_from(body, parts, folder)
    with suppress(MediaError):  # what reads the damaged track gets the error
        dict(clip.keys)
    return clip


def _clip_from(body: ClipBody, parts: Mapping[str, Tensor], folder: Path) -> Clip:
    if body.whole is not None:
        return Clip.open(_written(body.whole, parts, folder), prompt=body.prompt, texts=body.texts)
    clip = Clip(prompt="")
    if body.video is not None:
        clip = _with_video(body, parts, folder)
    if body.audio is not None:
        if _is_file(body.audio):
            clip = clip.with_audio(Clip.open(_written(body.audio, parts, folder)))
        else:
            clip = clip.with_audio(_part(body.audio, parts), body.sample_rate)
    return clip.with_prompt(body.prompt, body.texts)


def _with_video(body: ClipBody, parts: Mapping[str, Tensor], folder: Path) -> Clip:
    assert body.video is not None
    if _is_file(body.video):
        return Clip.open(_written(body.video, parts, folder))
    if body.times is None:
        raise ArgumentError("times", "the part with the display times of the frames", None)
    clip = Clip(video=_part(body.video, parts), times=_part(body.times, parts))
    track = clip._picture
    if body.lasting is None or not isinstance(track, TensorVideo):
        return clip
    if not 0 <= body.lasting < 3600:
        raise ArgumentError("lasting", "seconds, from 0 to 3600", body.lasting)
    return clip._derived(_picture=replace(track, lasting=body.lasting))


def _part(name: str, parts: Mapping[str, Tensor]) -> Tensor:
    if name not in parts:
        raise ArgumentError("part", f"one of the {len(parts)} parts of the body", name)
    return parts[name]


def _is_file(name: str) -> bool:
    return f".{_FILE}" in name


def _written(name: str, parts: Mapping[str, Tensor], folder: Path) -> Path:
    """Return the file with the bytes of a part; clips that share it share the file."""
    names = list(parts)
    part = _part(name, parts)
    if part.dtype != torch.uint8 or part.ndim != 1:
        raise ArgumentError("part", "the bytes of a media file", part)
    suffix = "".join(one for one in Path(name).suffix[:8] if one.isascii() and (one.isalnum() or one == "."))
    path = folder / f"{names.index(name)}{suffix}"
    if not path.exists():  # clips of one request are opened side by side: the file appears whole, and stays the same
        with NamedTemporaryFile(dir=folder, suffix=".part") as begun:
            begun.write(part.numpy().tobytes())
            begun.flush()
            with suppress(FileExistsError):
                os.link(begun.name, path)
    return path


def _inner(track: object) -> Track:
    """Return the track of a file behind one that several readers share."""
    return track._track if isinstance(track, SharedTrack) else track  # type: ignore[return-value]


def split(clips: Sequence[Clip], most_clips: int, most_bytes: int) -> list[list[Clip]]:
    """Return the clips in as few requests as the server's limits allow, in order.

    Raises:
        ArgumentError: if one clip alone is larger than a request may be.
    """
    found: list[list[Clip]] = []
    held = 0
    for clip in clips:
        size = _bytes_of(clip)
        if size > most_bytes:
            got, remedy = Described(f"{size} bytes"), "name files by paths=True, or serve with --max-megabytes"
            raise ArgumentError(clip.name, f"at most {most_bytes} bytes, which the server takes", got, remedy)
        if not found or len(found[-1]) == most_clips or held + size > most_bytes:
            found.append([])
            held = 0
        found[-1].append(clip)
        held += size
    return found


def _bytes_of(clip: Clip) -> int:
    """Return what a clip takes in a body by itself, with a kilobyte for its texts' JSON."""
    video, audio = _inner(clip._picture), _inner(clip._sound)
    sizes = {track.index.stamp: track.index.stamp.size for track in (video, audio)
             if isinstance(track, FileVideo | FileAudio)}  # fmt: skip
    tensors = [track.video if isinstance(track, TensorVideo) else track.audio for track in (video, audio)
               if isinstance(track, TensorVideo | TensorAudio)]  # fmt: skip
    texts = sum(len(text.encode()) for text in (clip.prompt or "", *clip.texts.values()))
    return sum(sizes.values()) + sum(t.numel() * t.element_size() for t in tensors) + 6 * texts + 1000
