"""The contract of a rater: it watches clips and gives scores on named dimensions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from avreward._display import counted, html_table, text_table
from avreward.clip import Clip
from avreward.errors import MediaError, UnusableTrack, unknown_name
from avreward.media._version import VERSION
from avreward.raters._loop import check_clips, rate
from avreward.raters._streams import within_streams
from avreward.raters._tensors import Prompts, clips_of, dimension_of
from avreward.raters.scores import Dimension, Scores
from avreward.raters.shared import LOADED_AT_ONCE as LOADED_AT_ONCE
from avreward.raters.shared import TOKENS_AT_ONCE as TOKENS_AT_ONCE
from avreward.raters.shared import Work as Work

if TYPE_CHECKING:
    from avreward.rewards.base import Reward

Track = Literal["video", "audio"]


@dataclass(frozen=True)
class Sample:
    """One clip, decoded as a rater wants it: what `Rater.load` makes and `Rater.rate` reads.

    `tracks` maps ``"video"`` and ``"audio"`` to what the rater's `load_track` returned; `missing` says why one is not
    there; `failure` says that one is damaged, so that nothing of the clip can be judged.
    """

    clip: Clip
    tracks: Mapping[str, Any]
    missing: Mapping[str, str]
    failure: str | None = None


class Rater(ABC):
    """Watches clips and gives scores.

    A rater decodes (`load`) and judges (`rate`); calling it does both. The score of a clip depends on nothing else in
    the batch. Clips that share a track share the work on it.

    Attributes:
        name: short, as used in expressions: ``signals.clipping``.
        dimensions: the columns of its scores.
        tracks: which tracks `load` decodes.
        fingerprint: names everything that the scores depend on; another fingerprint, other scores.
        versions: versions of the subpackages whose code decides the scores; part of the fingerprint.
        libraries: installed libraries that can change a score; their versions are stored with each score, see
            `avreward.raters._environment`.
        module: the network, in evaluation mode and frozen; `None` where there are no weights.
        prompt_anchored: whether it reads the prompt; `reads` tells for which scores.
        differentiable: whether gradients reach the clip's tensors.
        per_clip: judges clip by clip, so a batch is no faster and threads may judge side by side.
        source: ``rater`` and options as `load_rater` was asked for it, so that a file can name it; `None` where the
            rater was made otherwise.
    """

    name: str
    dimensions: tuple[Dimension, ...]
    fingerprint: str
    versions: Mapping[str, int] = MappingProxyType({"media": VERSION})
    libraries: tuple[str, ...] = ("av", "torch")
    module: nn.Module | None = None
    tracks: tuple[Track, ...] = ("video", "audio")
    prompt_anchored: bool = False
    differentiable: bool = True
    per_clip: bool = False
    source: Mapping[str, Any] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.rate = within_streams(cls.rate)  # type: ignore[method-assign]  # for every rater, whatever its author does

    @property
    def settings(self) -> Mapping[str, str]:
        """What a reader of a report should know of how it looks at clips: label → value."""
        return {}

    @property
    def decoding(self) -> Hashable:
        """Names how it decodes and encodes clips: raters of equal `decoding` may share samples and one `Work`."""
        return self.fingerprint

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what a score may depend on: ``"video"``, ``"audio"``, ``"prompt"``, ``"texts.NAME"``.

        That is what the dimension needs and, unless a rater knows better, all of its `tracks`. The prompt belongs to
        the dimensions that need it; where `prompt_anchored` is set and none does, to all.

        Args:
            dimension: its name (*optional*, what any of the scores depends on).
        """
        if dimension is None:
            return frozenset().union(*(self.reads(d.name) for d in self.dimensions))
        for_all = self.prompt_anchored and not any("prompt" in d.needs for d in self.dimensions)
        return self.dimension(dimension).needs | set(self.tracks) | ({"prompt"} if for_all else set())

    @abstractmethod
    def load_track(self, clip: Clip, track: Track) -> Any:
        """Decodes one track of a clip the way this rater wants it; called only where the clip has the track."""

    @abstractmethod
    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Judges what `load` decoded."""

    def load(self, clip: Clip, work: Work | None = None) -> Sample:
        """Decodes a clip. Safe to call from several threads.

        A clip is never judged in part: if one of its tracks can't be decoded, all of them are missing, with the reason.
        A track that is whole and too little for this rater is missing alone.
        """
        work = work or Work()
        tracks: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for track in self.tracks:
            if track in clip.missing:
                missing[track] = clip.missing[track]
                continue
            try:
                key = (self.decoding, track, clip.work_key(track))
                tracks[track] = work.loaded.get(key, partial(self.load_track, clip, track))
            except UnusableTrack as error:
                missing[track] = str(error)
            except MediaError as error:
                return Sample(clip, {}, dict.fromkeys(self.tracks, str(error)), str(error))
        return Sample(clip, tracks, missing)

    def __call__(self, clips: Sequence[Clip], batch_size: int | None = None) -> Scores:
        """Return the scores of `clips`, in order.

        A clip that the rater fails on is missing, with the error as its reason; a rater that fails on every clip is
        broken, and its error is raised.

        Args:
            clips: any mix of files and tensors; a missing track makes the dimensions that need it missing.
            batch_size: how many clips are decoded and rated together (*optional*, 8, or 1 for a rater that rates clip
                by clip); it changes memory, never a score.
        """
        (rated,) = rate([self], check_clips(clips), batch_size)
        return rated.scores

    def score(
        self,
        *,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        prompts: Prompts | None = None,
        fps: float | None = None,
        sample_rate: int | None = None,
        dimension: str | None = None,
    ) -> Tensor:
        """Return one score a sample (batch,) of batched tensors, differentiable where the rater is.

        Args:
            video: float (batch, frames, 3, height, width), RGB in [0, 1] (*optional*).
            audio: float (batch, channels, samples) in [-1, 1] (*optional*).
            prompts: one for all samples, or one a sample (*optional*).
            fps: frames per second of `video`.
            sample_rate: of `audio`, in Hz.
            dimension: which score (*optional*, the only one, or ``"overall"`` where there is one).

        Raises:
            ArgumentError: if an argument doesn't fit, or `dimension` is needed.
            MissingScore: if a sample has no such score; it says why.

        Example:
            >>> audio = (torch.rand(2, 1, 16000) - 0.5).requires_grad_()
            >>> loss = -load_rater("signals").score(audio=audio, sample_rate=16000, dimension="audio_quality").mean()
            >>> loss.backward()
        """
        reward = self[dimension_of(self, dimension)]
        return reward(clips_of(video, audio, prompts, fps, sample_rate))

    def __repr__(self) -> str:
        return text_table(*self._shown())

    def _repr_html_(self) -> str:
        return html_table(*self._shown())

    def _shown(self) -> tuple[str, list[str], list[tuple[object, ...]], int]:
        """Return the dimensions as a table: title, columns, rows, how many."""
        main = [d for d in self.dimensions if not d.detail]
        details = len(self.dimensions) - len(main)
        behind = f" and {counted(details, 'measurement')} behind them" if main and details else ""
        shown = main or self.dimensions
        title = f"{type(self).__name__} {self.name}: {counted(len(shown), 'dimension')}{behind}"
        columns = ["dimension", "range", "better", "needs", "description"]
        return title, columns, [d.as_row() for d in shown], len(shown)

    def dimension(self, name: str) -> Dimension:
        """Return the dimension called `name`, with or without the rater's name in front.

        Raises:
            UnknownNameError: if there is none; it suggests the closest ones.
        """
        for dimension in self.dimensions:
            if name in (dimension.name, f"{self.name}.{dimension.name}"):
                return dimension
        raise unknown_name(f"dimension of {self.name}", name, [d.name for d in self.dimensions])

    def __getitem__(self, name: str) -> Reward:
        """Return the reward that is this rater's score on one dimension: ``0.5 * rater["audio_quality"]``."""
        # The one import that points upward: the algebra is of rewards, its front door here (docs/decisions.md).
        from avreward.rewards.base import Term

        return Term(self, self.dimension(name).name)
