"""Clips: a video track, an audio track, texts, or some of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from avreward._display import counted
from avreward.errors import ArgumentError, Described, MediaError
from avreward.media._audio.windowed_sinc import Resampler
from avreward.media._checks import check_alone, check_audio_format, check_path, check_texts
from avreward.media._container import FileStamp, Limits
from avreward.media._encode import save
from avreward.media._file_tracks import FileAudio, FileVideo, SharedAudio
from avreward.media._index import MediaIndex
from avreward.media._isolated.decoding import read_index
from avreward.media._keys.tensors import LazyKeys, text_key
from avreward.media._tracks import AudioTrack, VideoTrack, tensor_audio, tensor_video
from avreward.media._video.shared import SharedVideo
from avreward.media._video.to_rgb import Planes
from avreward.media.resampling import check_resampler
from avreward.media.sampling import AllFrames, FramePlan


class Clip:
    """A video track, an audio track, texts, or some of them, on one clock that starts at 0.

    A clip made from tensors keeps them with dtype, device and graph, so that gradients flow through `frames` and
    `sound`. `Clip.open` makes one from a file, which is decoded on demand. Clips are immutable; several threads may use
    one. A tensor that torch changes in place gets new keys and scores; make a new tensor after a change that torch does
    not see (through ``tensor.data``, or a NumPy array that shares the memory).

    Args:
        video (`Tensor`, *optional*): float (frames, 3, height, width), RGB in [0, 1]. Values from -0.5 to 1.5 are
            accepted, since decoders overshoot; NaN, or a scale of 0 to 255, is a `MediaError`.
        fps (`float`, *optional*): frames per second; frame i is shown at i/fps. Give this or `times` with `video`.
        times (`Tensor`, *optional*): ascending display times of the frames, (frames,) in seconds, from 0 or later.
        audio (`Tensor`, *optional*): float (channels, samples) or (samples,) in [-1, 1]; it begins at 0. Peaks up to 8
            are accepted.
        sample_rate (`int`, *optional*): of `audio`, in Hz.
        prompt (`str`, *optional*): the prompt that the clip was generated from.
        texts (`Mapping[str, str]`, *optional*): other texts by name, such as the prompt of the audio.

    Raises:
        ArgumentError: if an argument has the wrong type or value, or nothing is given.
        MediaError: if a tensor cannot be used as video or audio.

    Example:
        >>> import torch
        >>> clip = Clip(video=torch.rand(8, 3, 32, 48), fps=8, audio=torch.zeros(16000), sample_rate=16000)
        >>> clip.seconds, clip.height, clip.width, clip.channels
        (1.0, 32, 48, 1)
    """

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
        check_alone(video, "video", fps=fps, times=times)
        check_alone(audio, "audio", sample_rate=sample_rate)
        if video is None and audio is None and prompt is None and not texts:
            got = Described("nothing")
            raise ArgumentError("Clip", "video, audio or a text", got, "for a file use Clip.open(path)")
        self._picture: VideoTrack | None = tensor_video(video, fps, times) if video is not None else None
        self._sound: AudioTrack | None = tensor_audio(audio, sample_rate) if audio is not None else None
        absent = {"video": video, "audio": audio}
        self._missing = {name: f"no {name} was given" for name, tensor in absent.items() if tensor is None}
        self._path: Path | None = None
        self._prompt, self._texts = check_texts(prompt, texts)

    def _derived(self, **changes: object) -> Clip:
        clip = object.__new__(type(self))
        clip.__dict__.update(self.__dict__ | changes)
        return clip

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        prompt: str | None = None,
        texts: Mapping[str, str] | None = None,
        max_seconds: float = 7200.0,
        max_side: float = 16384,
        max_pixels: float = 2**26,
    ) -> Clip:
        """Open a media file: read its header and time stamps now, decode video and audio on demand.

        Anything that FFmpeg decodes can be opened, with video, audio or both; cover art does not count as video. Clip
        time 0 is where the first track of the file begins. The limits are part of the clip's keys.

        Frames are read as a player shows them: upright, PQ and HLG mapped to standard dynamic range
        (`avreward.media.tone_map`), interlaced ones deinterlaced, transparent ones over black.

        Args:
            path (`str` or `PathLike`): the file. Addresses and playlists are not followed.
            prompt (`str`, *optional*): as for `Clip`.
            texts (`Mapping[str, str]`, *optional*): as for `Clip`.
            max_seconds (`float`): a longer clip is an error.
            max_side (`float`): frames with a longer side in pixels are an error.
            max_pixels (`float`): frames with more pixels are an error.

        Raises:
            ArgumentError: if a limit is not positive.
            MediaError: if the file does not exist, is not media, is cut short or beyond a limit, or has neither video
                nor audio. A file is never used in part: a frame that does not decode is an error on demand.
        """
        index = read_index(FileStamp.of(check_path(path)), Limits(max_seconds, max_side, max_pixels))
        picture = FileVideo(index) if index.picture is not None else None
        sound = FileAudio(index) if index.sound is not None else None
        return cls._of_file(index, picture, sound, prompt, texts)

    @classmethod
    def _of_file(
        cls,
        index: MediaIndex,
        picture: FileVideo | None,
        sound: FileAudio | None,
        prompt: str | None,
        texts: Mapping[str, str] | None,
    ) -> Clip:
        clip = cls(prompt="" if prompt is None else prompt, texts=texts)
        return clip._derived(
            _picture=picture, _sound=sound, _missing=index.missing, _path=index.stamp.path, _prompt=prompt
        )

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
        """The prompt that the clip was generated from."""
        return self._prompt

    @property
    def texts(self) -> Mapping[str, str]:
        """Other texts by name."""
        return MappingProxyType(self._texts)

    @property
    def has_video(self) -> bool:
        """Whether there is a video track."""
        return self._picture is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is an audio track."""
        return self._sound is not None

    @property
    def missing(self) -> Mapping[str, str]:
        """Why a track ("video", "audio") is missing, for those that are."""
        return MappingProxyType(self._missing)

    @property
    def seconds(self) -> float:
        """The time at which the longer track ends; the last frame is held for the median interval."""
        return max(self.ends.values(), default=0.0)

    @property
    def ends(self) -> Mapping[str, float]:
        """The time in seconds at which each track ("video", "audio") ends."""
        return {name: track.end for name, track in self._tracks().items()}

    @property
    def times(self) -> Tensor:
        """Display times of the frames in seconds, float64 (n,), ascending."""
        return self._with_picture().times

    @property
    def fps(self) -> float | None:
        """Frames per second: what the file states where its time stamps agree, else by their median step.

        None without video, or if a single frame has no known length.
        """
        step = 0.0 if self._picture is None else self._picture.step
        return 1 / step if step > 0 else None

    @property
    def height(self) -> int:
        """Height of the frames in pixels, as displayed."""
        return self._with_picture().size[0]

    @property
    def width(self) -> int:
        """Width of the frames in pixels, as displayed. Non-square pixels are counted as they are stored."""
        return self._with_picture().size[1]

    @property
    def sample_rate(self) -> int:
        """Sample rate of the audio in Hz."""
        return self._with_sound().rate

    @property
    def channels(self) -> int:
        """Number of channels of the audio."""
        return self._with_sound().channels

    @property
    def video(self) -> Tensor:
        """All frames at their native size, float (n, 3, height, width); five seconds of 480p are 740 MB."""
        return self.frames(FramePlan(AllFrames()))

    @property
    def audio(self) -> Tensor:
        """The audio at its native rate, float (channels, samples)."""
        return self.sound()

    def frames(self, plan: FramePlan) -> Tensor:
        """Return the frames that `plan` chooses, at its size: float (k, 3, height, width), RGB in [0, 1].

        From a file they are float32 in steps of 1/255, scaled by area averaging; from a tensor they keep its dtype,
        device and graph.

        Raises:
            MediaError: if there is no video, or if a chosen frame of a file does not decode.

        Example:
            >>> import torch
            >>> clip = Clip(video=torch.rand(20, 3, 64, 96), fps=10)
            >>> clip.frames(FramePlan(AllFrames(), max_side=48)).shape
            torch.Size([20, 3, 32, 48])
        """
        return self.views([plan])[0]

    def views(self, plans: Sequence[FramePlan]) -> list[Tensor]:
        """Return the `frames` of each of `plans`; a file is decoded once for all of them."""
        return self._with_picture().views(plans) if plans else []

    def _planes(self, plans: Sequence[FramePlan]) -> list[Sequence[Planes]] | None:
        """Return `views` of a file in the 8 bits that they have, red, green and blue of each frame; else None."""
        return self._with_picture().planes(plans)

    def sound(self, rate: int | None = None, channels: int | None = None, resampler: Resampler = "julius") -> Tensor:
        """Return the audio, float (channels, samples), at `rate` Hz and with 1 or 2 `channels` (None: native).

        Sample 0 is clip time 0: audio that starts late is preceded by zeros. Differentiable for tensors; from a file it
        is float32. Channels are mixed by `avreward.media.remix`; opposite channels do not become silence. `resampler`
        is that of `avreward.media.resample`.

        Raises:
            ArgumentError: if `rate` or `channels` is not a positive integer, or `resampler` is unknown.
            MediaError: if there is no audio, it does not decode, or it contains NaN, infinity or a scale of integers.

        Example:
            >>> import torch
            >>> Clip(audio=torch.zeros(2, 48000), sample_rate=48000).sound(16000, channels=1).shape
            torch.Size([1, 16000])
        """
        check_audio_format(rate, channels)
        check_resampler(resampler)
        return self._with_sound().samples(rate, channels, resampler)

    def spans(
        self,
        spans: Sequence[tuple[float, float]],
        rate: int | None = None,
        channels: int | None = None,
        resampler: Resampler = "julius",
    ) -> list[Tensor]:
        """Return the part of `sound` between each (start, stop) in seconds; a file is decoded once for all.

        Only the parts are held in memory, so that an hour of audio can be read in windows. A part that reaches beyond
        the end of the audio is shorter.

        Example:
            >>> clip = Clip(audio=torch.zeros(1, 8000), sample_rate=8000)
            >>> [part.shape[1] for part in clip.spans([(0, 0.5), (0.9, 2)])]
            [4000, 800]
        """
        sound = self._with_sound()
        check_resampler(resampler)
        inside = [(max(0.0, start), max(0.0, stop)) for start, stop in spans]
        return sound.spans(inside, rate or sound.rate, channels or sound.channels, resampler) if spans else []

    @property
    def keys(self) -> Mapping[str, str]:
        """Content keys of "video", "audio" and "prompt", those that exist, computed on look-up.

        Equal keys mean equal content. For a file a key is a hash of the track's packets, without decoding, so that the
        dubs of one video share the key of their video; for a tensor it is a hash of its values and rate.
        """
        makers = {name: partial(getattr, track, "key") for name, track in self._tracks().items()}
        return LazyKeys(makers | ({"prompt": partial(text_key, self._prompt)} if self._prompt is not None else {}))

    def work_key(self, track: str) -> Hashable:
        """Return the key under which computations on a track ("video", "audio", "prompt") are cached.

        Those of tracks with equal `keys` are equal, as long as the files and tensors are there: tracks are hashed as a
        whole only where two look alike. That of a tensor with a gradient equals itself alone: if clips of equal values
        shared one computation, all but one would lose their gradients.
        """
        source = self._tracks().get(track)
        return source.work_key if source is not None else self.keys[track]

    def loaded_key(self, track: str) -> Hashable:
        """Return the key under which a decoded track ("video", "audio") is cached.

        For a file it is `work_key`. What is loaded from a tensor may be the tensor's own memory, which may change,
        so that clips of equal values do not share it.
        """
        return self._tracks()[track].loaded_key

    @property
    def requires_grad(self) -> frozenset[str]:
        """The tracks ("video", "audio") whose tensor has a gradient; none of a file."""
        return frozenset(name for name, track in self._tracks().items() if track.requires_grad)

    def detached(self, tracks: Collection[str] = ("video", "audio")) -> Clip:
        """Return this clip with `tracks` cut off from their graph; the rest is kept."""
        picture, sound = self._picture, self._sound
        return self._derived(
            _picture=picture.detached() if picture is not None and "video" in tracks else picture,
            _sound=sound.detached() if sound is not None and "audio" in tracks else sound,
        )

    def decoded_once(self, plans: Callable[[], Sequence[FramePlan]]) -> Clip:
        """Return this clip for several readers that follow each other: a file is decoded once for all of them.

        The first that asks for one of `plans` has the frames of all of them decoded, and they are kept in 8 bits as
        long as the clip is; so is the audio at its native rate. Above 2 GB of frames or 67 million samples nothing is
        kept. What the readers get is the same either way.

        Args:
            plans: returns what the readers are going to ask for; called once, with the first frame.

        Example:
            >>> small, large = FramePlan(AllFrames(), max_side=64), FramePlan(AllFrames())
            >>> clip = Clip.open("dub2.mp4").decoded_once(lambda: [small, large])
            >>> frames = clip.frames(small), clip.frames(large)  # one pass over the file
        """
        video, audio = self._picture, self._sound
        return self._derived(
            _picture=SharedVideo(video, plans) if isinstance(video, FileVideo) else video,
            _sound=SharedAudio(audio) if isinstance(audio, FileAudio) else audio,
        )

    def with_audio(self, audio: Clip | Tensor, sample_rate: int | None = None) -> Clip:
        """Return this clip with other audio; the rest is kept.

        Args:
            audio (`Clip` or `Tensor`): a clip with audio, or a tensor as for `Clip`.
            sample_rate (`int`, *optional*): of a tensor, in Hz.

        Raises:
            ArgumentError: if a tensor comes without `sample_rate`, or a clip with it.
            MediaError: if the other clip has no audio.
        """
        if isinstance(audio, Clip) and sample_rate is not None:
            raise ArgumentError("sample_rate", "nothing beside a clip, which has its own", sample_rate, "leave it out")
        sound = audio._with_sound() if isinstance(audio, Clip) else tensor_audio(audio, sample_rate)
        return self._derived(_sound=sound, _missing={k: why for k, why in self._missing.items() if k != "audio"})

    def with_prompt(self, prompt: str | None, texts: Mapping[str, str] | None = None) -> Clip:
        """Return this clip with another prompt, and other texts if they are given; the rest is kept."""
        new_prompt, new_texts = check_texts(prompt, self._texts if texts is None else texts)
        return self._derived(_prompt=new_prompt, _texts=new_texts)

    def save(self, path: str | PathLike[str], *, crf: float = 18.0) -> None:
        """Write the clip to a file, video and audio in sync; texts are not written.

        The ending of `path` chooses the format:

        - ``.mp4``, ``.m4v``, ``.mov``: H.264 of quality `crf` and AAC; audio keeps its position to the sample. Frames
          of odd height or width keep their size: they are stored with full-size colour planes (4:4:4).
        - ``.mkv``: FFV1 and PCM, exact for 8-bit frames; time stamps are whole milliseconds.
        - ``.wav``, ``.flac``, ``.m4a``: the audio alone, as PCM, FLAC, AAC.

        PCM and FLAC have 16 bits where these hold every sample exactly, else 24. Peaks above full scale are kept by
        ``.mkv`` and ``.wav``, whose PCM is 32-bit float then; AAC and FLAC clip. AAC is the one lossy format of audio:
        it keeps what is heard, and a score that hears more can move by a point or a few.

        Tracks of a file that the new one can hold as they are (H.264, AAC, …) are copied, without encoding them again.
        The file appears under its name when it is complete; one that was there is replaced.

        Args:
            path (`str` or `PathLike`): where to write.
            crf (`float`): constant rate factor of H.264, 0 (best) to 51.

        Raises:
            ArgumentError: if the ending is unknown, or `crf` is out of range.
            MediaError: if the format cannot hold the clip, or it cannot be written.
        """
        save(self._picture, self._sound, check_path(path), crf)

    def __repr__(self) -> str:
        frames = f", {len(self._picture.times)} frames" if self._picture is not None else ""
        sound = (
            f", {counted(self._sound.channels, 'channel')} at {self._sound.rate} Hz" if self._sound is not None else ""
        )
        return f"<Clip {self.name}: {self.seconds:.2f} s{frames}{sound}>"

    def _tracks(self) -> dict[str, VideoTrack | AudioTrack]:
        tracks = {"video": self._picture, "audio": self._sound}
        return {name: track for name, track in tracks.items() if track is not None}

    def _with_picture(self) -> VideoTrack:
        if self._picture is None:
            raise MediaError(self._path or "clip", self._missing["video"], "give a clip with video")
        return self._picture

    def _with_sound(self) -> AudioTrack:
        if self._sound is None:
            remedy = "give a clip with audio, or add it by with_audio"
            raise MediaError(self._path or "clip", self._missing["audio"], remedy)
        return self._sound
