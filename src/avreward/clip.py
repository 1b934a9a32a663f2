"""Clip: a picture track, a sound track, texts, or some of them. Group: clips that answer one condition."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from avreward.errors import MediaError
from avreward.media.checks import check_audio, check_times, check_video
from avreward.media.container import FileStamp, Limits
from avreward.media.encode import save
from avreward.media.index import read_index
from avreward.media.keys import text_key
from avreward.media.sampling import AllFrames, FramePlan
from avreward.media.tracks import FilePicture, FileSound, Picture, Sound, TensorSound, tensor_picture

_NO_VIDEO = "no picture track", "give a clip with a picture"
_NO_AUDIO = "no sound track", "give a clip with sound, or add one with with_audio"


class Clip:
    """A picture track, a sound track, texts, or some of them, on one clock that starts at 0.

    Made from tensors, a clip keeps them: dtype, device and graph, so that gradients flow through `frames` and `sound`.
    `Clip.open` makes one of a file, which is decoded when something is asked for. Clips don't change; several threads
    may use one.

    Args:
        video (`Tensor`, *optional*): float (frames, 3, height, width), RGB in [0, 1]. Values from -0.5 to 1.5 are
            taken as they are, since decoders overshoot; NaN, or a scale of 0 to 255, is a `MediaError`.
        fps (`float`, *optional*): frames per second; frame i is shown at i/fps. Give this or `times` with `video`.
        times (`Tensor`, *optional*): ascending display times of the frames, (frames,) in seconds, from 0 or later.
        audio (`Tensor`, *optional*): float (channels, samples) or (samples,) in [-1, 1]; it begins at 0. Peaks up to 8
            are taken as they are.
        sample_rate (`int`, *optional*): of `audio`, in Hz.
        prompt (`str`, *optional*): what the clip was asked to show.
        texts (`Mapping[str, str]`, *optional*): other texts by name, such as the prompt of the sound.

    Example:
        >>> clip = Clip(video=torch.rand(8, 3, 32, 48), fps=8, audio=torch.zeros(16000), sample_rate=16000)
        >>> clip.seconds, clip.height, clip.width, clip.channels
        (1.0, 32, 48, 1)
    """

    _picture: Picture | None
    _sound: Sound | None

    def __init__(
        self,
        video: Tensor | None = None,
        fps: float | None = None,
        times: Tensor | None = None,
        audio: Tensor | None = None,
        sample_rate: int | None = None,
        prompt: str | None = None,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        picture = sound = None
        if video is not None:
            check_video(video)
            picture = tensor_picture(video, check_times(video, fps, times), fps)
        elif fps is not None or times is not None:
            raise MediaError("fps" if fps is not None else "times", "it is given without video", "give video, too")
        if audio is not None:
            waveform = check_audio(audio, sample_rate)
            sound = TensorSound(waveform, int(sample_rate or 0))
        elif sample_rate is not None:
            raise MediaError("sample_rate", "it is given without audio", "give audio, too")
        if picture is None and sound is None and prompt is None and not texts:
            raise MediaError("Clip", "nothing is given", "give video, audio or a text; for a file use Clip.open(path)")
        missing = {}
        if picture is None:
            missing["video"] = "no video was given"
        if sound is None:
            missing["audio"] = "no audio was given"
        self._set(picture, sound, missing, None, prompt, texts)

    def _set(
        self,
        picture: Picture | None,
        sound: Sound | None,
        missing: Mapping[str, str],
        path: Path | None,
        prompt: str | None,
        texts: Mapping[str, str] | None,
    ) -> None:
        self._picture, self._sound = picture, sound
        self._missing, self._path = dict(missing), path
        self._prompt, self._texts = _checked_texts(prompt, texts)

    def _derived(self, **changes: object) -> Clip:
        clip = object.__new__(Clip)
        clip.__dict__.update(self.__dict__)
        clip.__dict__.update(changes)
        return clip

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        prompt: str | None = None,
        texts: Mapping[str, str] | None = None,
        max_seconds: float = 7200.0,
        max_side: int = 16384,
        max_pixels: int = 2**26,
    ) -> Clip:
        """Open a media file: its header and time stamps are read now, pictures and sound when they are asked for.

        Whatever FFmpeg decodes can be opened, with a picture, sound or both; cover art is no picture. Clip time 0 is
        where the first track of the file begins.

        Args:
            path (`str` or `PathLike`): the file. Addresses and playlists aren't followed.
            prompt (`str`, *optional*), texts (`Mapping[str, str]`, *optional*): as for `Clip`.
            max_seconds (`float`), max_side (`int`), max_pixels (`int`): a longer or larger clip is an error. They are
                part of the clip's keys.

        Raises:
            MediaError: if the file isn't there, isn't media, is damaged, cut short or beyond a limit, or has neither
                picture nor sound. A file is never used in part: one that breaks off in the middle is an error here,
                and a frame that doesn't decode is one when it is asked for.
        """
        limits = Limits(float(max_seconds), int(max_side), int(max_pixels))
        index = read_index(FileStamp.of(_checked_path(path)), limits)
        clip = object.__new__(cls)
        picture = FilePicture(index) if index.picture is not None else None
        sound = FileSound(index) if index.sound is not None else None
        clip._set(picture, sound, index.missing, index.stamp.path, prompt, texts)
        return clip

    @property
    def path(self) -> Path | None:
        """The file that the clip was opened from; None for one made from tensors."""
        return self._path

    @property
    def name(self) -> str:
        """The file's name, or ``<tensor>``."""
        return self._path.name if self._path is not None else "<tensor>"

    @property
    def prompt(self) -> str | None:
        """What the clip was asked to show."""
        return self._prompt

    @property
    def texts(self) -> Mapping[str, str]:
        """Other texts by name."""
        return MappingProxyType(self._texts)

    @property
    def has_video(self) -> bool:
        """Whether there is a picture track."""
        return self._picture is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track."""
        return self._sound is not None

    @property
    def missing(self) -> Mapping[str, str]:
        """Why a track ("video", "audio") is missing, for those that are."""
        return MappingProxyType(self._missing)

    @property
    def seconds(self) -> float:
        """The time at which the longer track ends; the last frame is held for the median interval unless a file says."""
        return max((track.end for track in (self._picture, self._sound) if track is not None), default=0.0)

    @property
    def times(self) -> Tensor:
        """Display times of the frames in seconds, float64 (n,), ascending."""
        return self._with_picture().times

    @property
    def fps(self) -> float | None:
        """One over the median time between frames; None without a picture, or if a single frame has no known length."""
        if self._picture is None:
            return None
        times = self._picture.times
        step = float(times.diff().median()) if len(times) > 1 else self._picture.end - float(times[-1])
        return 1 / step if step > 0 else None

    @property
    def height(self) -> int:
        """Height of the frames in pixels, as displayed."""
        return self._with_picture().size[0]

    @property
    def width(self) -> int:
        """Width of the frames in pixels, as displayed. Pixels that aren't square are counted as they are stored."""
        return self._with_picture().size[1]

    @property
    def sample_rate(self) -> int:
        """Of the sound, in Hz."""
        return self._with_sound().rate

    @property
    def channels(self) -> int:
        """Of the sound."""
        return self._with_sound().channels

    @property
    def video(self) -> Tensor:
        """All frames at their native size, float (n, 3, height, width): decodes everything, and five seconds are 740 MB."""
        return self.frames(FramePlan(AllFrames()))

    @property
    def audio(self) -> Tensor:
        """The sound at its native rate, float (channels, samples)."""
        return self.sound()

    def frames(self, plan: FramePlan) -> Tensor:
        """Return the frames that `plan` chooses, at its size: float (k, 3, height, width), RGB in [0, 1].

        From a file they are float32 in steps of 1/255, scaled by area averaging; from a tensor they keep its dtype,
        device and graph. Raise `MediaError` if there is no picture, or if a chosen frame of a file doesn't decode.

        Example:
            >>> clip = Clip(video=torch.rand(20, 3, 64, 96), fps=10)
            >>> clip.frames(FramePlan(Spread(4), max_side=48)).shape
            torch.Size([4, 3, 32, 48])
        """
        return self.views([plan])[0]

    def views(self, plans: Sequence[FramePlan]) -> list[Tensor]:
        """Return what `frames` gives for each of `plans`; a file is decoded once for all of them."""
        return self._with_picture().views(plans) if plans else []

    def sound(self, rate: int | None = None, channels: int | None = None) -> Tensor:
        """Return the sound, float (channels, samples), at `rate` Hz and with 1 or 2 `channels` (None: native).

        Sample 0 is clip time 0: sound that starts late is preceded by zeros. Differentiable for tensors; from a file it
        is float32. Raise `MediaError` if there is no sound or it doesn't decode.

        Example:
            >>> Clip(audio=torch.zeros(2, 48000), sample_rate=48000).sound(16000, channels=1).shape
            torch.Size([1, 16000])
        """
        return self._with_sound().samples(rate, channels)

    @property
    def keys(self) -> Mapping[str, str]:
        """What identifies the content of "video", "audio" and "prompt", those that there are, computed when looked up.

        Equal keys mean equal content. For a file a key is a hash of the track's packets, without decoding, so that the
        dubs of one video share the key of their picture; for a tensor it is a hash of its values and rate.
        """
        return _Keys(self)

    def work_key(self, track: str) -> Hashable:
        """Return what the work on a track ("video", "audio", "prompt") may be shared by.

        It is `keys[track]`, but for a tensor with a gradient the tensor itself: if clips of equal values shared one
        computation, all but one would lose their gradients.
        """
        source = {"video": self._picture, "audio": self._sound}.get(track)
        return source.work_key if source is not None else self.keys[track]

    def with_audio(self, audio: Clip | Tensor, sample_rate: int | None = None) -> Clip:
        """Return this clip with another sound: that of a clip, or a tensor and its `sample_rate`; the rest is kept.

        Raise `MediaError` if the other clip has no sound.
        """
        if isinstance(audio, Clip):
            if sample_rate is not None:
                raise MediaError("sample_rate", "it is given with a clip, which knows its own", "leave it out")
            sound: Sound = audio._with_sound()
        else:
            sound = TensorSound(check_audio(audio, sample_rate), int(sample_rate or 0))
        missing = {track: why for track, why in self._missing.items() if track != "audio"}
        return self._derived(_sound=sound, _missing=missing)

    def with_prompt(self, prompt: str | None, texts: Mapping[str, str] | None = None) -> Clip:
        """Return this clip with another prompt, and other texts if they are given; the rest is kept."""
        new_prompt, new_texts = _checked_texts(prompt, self._texts if texts is None else texts)
        return self._derived(_prompt=new_prompt, _texts=new_texts)

    def save(self, path: str | PathLike[str], *, crf: float = 18.0) -> None:
        """Write."""
        save(self._picture, self._sound, _checked_path(path), crf)

    def __repr__(self) -> str:
        parts = []
        if self._picture is not None:
            parts.append(f"{len(self._picture.times)} frames")
        if self._sound is not None:
            parts.append(f"{self._sound.channels} channels at {self._sound.rate} Hz")
        return f"<Clip {self.name}: {self.seconds:.2f} s, {', '.join(parts) or 'texts only'}>"

    def _with_picture(self) -> Picture:
        if self._picture is None:
            raise MediaError(self._path or "clip", self._missing["video"], "give a clip with a picture")
        return self._picture

    def _with_sound(self) -> Sound:
        if self._sound is None:
            raise MediaError(
                self._path or "clip", self._missing["audio"], "give one with sound, or add it by with_audio"
            )
        return self._sound


class _Keys(Mapping[str, str]):
    """The keys of a clip, each computed when it is looked up."""

    def __init__(self, clip: Clip) -> None:
        self._tracks = {"video": clip._picture, "audio": clip._sound}
        self._prompt = clip.prompt

    def __getitem__(self, name: str) -> str:
        if name == "prompt" and self._prompt is not None:
            return text_key(self._prompt)
        track = self._tracks.get(name)
        if track is None:
            raise KeyError(name)
        return track.key

    def __iter__(self) -> Iterator[str]:
        yield from (name for name, track in self._tracks.items() if track is not None)
        if self._prompt is not None:
            yield "prompt"

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


class Group:
    """Candidates that answer one condition: what the condition gives, each of them has.

    The condition is a clip of what they were asked for: a silent video, a prompt, or both. Each of its keys must be equal
    in every candidate, else `MediaError` names the first that differs.

    Example:
        >>> video = torch.rand(8, 3, 32, 32)
        >>> silent = Clip(video=video, fps=8)
        >>> dubs = [silent.with_audio(torch.rand(1, 16000) - 0.5, 16000) for _ in range(4)]
        >>> len(Group(silent, dubs).candidates)
        4
    """

    def __init__(self, condition: Clip, candidates: Sequence[Clip]) -> None:
        if not candidates:
            raise MediaError("candidates", "there are none", "give at least one clip")
        keys = dict(condition.keys)
        for number, candidate in enumerate(candidates):
            for name, key in keys.items():
                if candidate.keys.get(name) != key:
                    what = "another" if name in candidate.keys else "no"
                    raise MediaError(
                        f"candidate {number} ({candidate.name})",
                        f"it has {what} {name} than the condition" if what == "another" else f"it has no {name}",
                        "group only candidates that answer the same condition",
                    )
        self.condition, self.candidates = condition, tuple(candidates)

    def __repr__(self) -> str:
        return f"Group({self.condition!r}, {len(self.candidates)} candidates)"


def _checked_path(path: str | PathLike[str]) -> Path:
    text = fspath(path)
    if "://" in text and not Path(text).exists():
        raise MediaError(text, "addresses aren't opened, only files", "download it and give the path")
    return Path(text)


def _checked_texts(prompt: str | None, texts: Mapping[str, str] | None) -> tuple[str | None, dict[str, str]]:
    if prompt is not None and not isinstance(prompt, str):
        raise MediaError("prompt", f"a {type(prompt).__name__} instead of a text", "give a str")
    for name, text in (texts or {}).items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise MediaError("texts", f"{name!r} isn't a text with a name", "give a mapping of str to str")
    return prompt, dict(texts or {})
