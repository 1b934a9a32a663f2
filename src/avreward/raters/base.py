"""Base class of raters, which rate clips on named dimensions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from torch import Tensor, nn

from avreward._display import counted, html_table, text_table
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError, UnusableTrack, unknown_name
from avreward.media._version import VERSION
from avreward.media.sampling import FramePlan
from avreward.raters._loop import check_clips, rate
from avreward.raters._streams import enforce_streams
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
    """One clip, decoded for a rater: the output of `Rater.load` and the input of `Rater.rate`.

    `tracks` maps ``"video"`` and ``"audio"`` to the output of the rater's `load_track`; `missing` maps absent tracks to
    the reason; `failure` says which track is damaged, so that the clip cannot be rated.
    """

    clip: Clip
    tracks: Mapping[str, Any]
    missing: Mapping[str, str]
    failure: str | None = None


class UnsetAttribute(AvrewardError, AttributeError):
    """An attribute that a subclass of `Rater` must set and has not."""


class Rater(ABC):
    """Rates clips on named dimensions.

    A rater decodes (`load`) and rates (`rate`); calling it does both. The score of a clip does not depend on the other
    clips in the batch. Clips that share a track share the work on it.

    Attributes:
        name: short name, as used in expressions: ``signals.clipping``.
        dimensions: the columns of its scores.
        tracks: which tracks `load` decodes.
        fingerprint: identifies everything that the scores depend on: weights, settings, versions.
        versions: versions of the subpackages whose code decides the scores; part of the fingerprint.
        libraries: installed libraries that can change a score; their versions are stored with each score, see
            `avreward.raters._environment`.
        module: the network, in evaluation mode and frozen; `None` where there are no weights.
        prompt_anchored: whether it reads the prompt; see `reads` for which scores.
        differentiable: whether gradients reach the clip's tensors.
        per_clip: whether it rates clip by clip, so that larger batches are not faster and threads may rate in parallel.
        travels: whether copies in other processes score alike (`pickle`), so that a file is rated by the process that
            decodes it. For `per_clip` raters of this package without a network.
        source: ``rater`` and options as passed to `load_rater`, so that a file can name it; `None` where the rater was
            made in another way.
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
    travels: bool = False
    source: Mapping[str, Any] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        enforce_streams(cls, Rater)

    if not TYPE_CHECKING:  # type checkers would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            """Raise an error that says what to do where a subclass has not set what every rater needs."""
            if name in ("name", "dimensions", "fingerprint") and not hasattr(type(self), name):
                what = f"{type(self).__name__}: expected the attribute {name!r}, got none"
                raise UnsetAttribute(f"{what}; set it in the class or in __init__")
            return object.__getattribute__(self, name)  # raises the usual error, or that of a property

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of preprocessing and model, for reports: label → value."""
        return {}

    @property
    def decoding(self) -> Hashable:
        """Key of how it decodes and encodes: raters of equal `decoding` and `tracks` may share samples and a `Work`."""
        return self.fingerprint

    def reads(self, dimension: str | None = None) -> frozenset[str]:
        """Return what a score may depend on: ``"video"``, ``"audio"``, ``"prompt"``, ``"texts.NAME"``.

        These are the needs of the dimension and, unless a subclass overrides this, all `tracks` of the rater. The
        prompt counts for the dimensions that need it; where `prompt_anchored` is set and none does, for all.

        Args:
            dimension: its name (*optional*, the union over all scores).
        """
        if dimension is None:
            return frozenset().union(*(self.reads(d.name) for d in self.dimensions))
        for_all = self.prompt_anchored and not any("prompt" in d.needs for d in self.dimensions)
        return self.dimension(dimension).needs | set(self.tracks) | ({"prompt"} if for_all else set())

    def frame_plans(self, clip: Clip) -> Sequence[FramePlan]:
        """Return which frames of a clip with video `load` reads; raters that are loaded together decode them once.

        By default none are named, and the rater decodes its own.

        Raises:
            MediaError: where it cannot use the video.
        """
        return ()

    @abstractmethod
    def load_track(self, clip: Clip, track: Track) -> Any:
        """Decode one track of a clip for this rater; called only where the clip has the track."""

    @abstractmethod
    def rate(self, samples: Sequence[Sample], work: Work | None = None) -> Scores:
        """Return the scores of what `load` decoded."""

    def load(self, clip: Clip, work: Work | None = None) -> Sample:
        """Decode a clip. Safe to call from several threads.

        A damaged clip is never rated in part: if one of its tracks cannot be decoded, all of them are missing, with the
        reason. An intact track that this rater cannot use (too short, say) is missing alone.
        """
        work = work or Work()
        tracks: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for track in self.tracks:
            if track in clip.missing:
                missing[track] = clip.missing[track]
                continue
            try:
                key = (self.decoding, track, clip.loaded_key(track))
                tracks[track] = work.loaded.get(key, partial(self.load_track, clip, track))
            except UnusableTrack as error:
                missing[track] = str(error)
            except MediaError as error:
                return Sample(clip, {}, dict.fromkeys(self.tracks, str(error)), str(error))
        return Sample(clip, tracks, missing)

    def __call__(self, clips: Sequence[Clip], batch_size: int | None = None) -> Scores:
        """Return the scores of `clips`, in order.

        A clip that the rater fails on is missing, with the error as its reason; if the rater fails on every clip, its
        error is raised.

        Args:
            clips: any mix of files and tensors; a missing track makes the dimensions that need it missing.
            batch_size: how many clips are decoded and rated together (*optional*, 8, or 1 for a rater that rates clip
                by clip); it changes memory, never a score.

        Raises:
            ArgumentError: if `clips` is not a list of clips, or `batch_size` is not a positive integer.
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
            ArgumentError: if an argument is wrong, or `dimension` is needed.
            MissingScore: if a sample has no such score, with the reason.

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
        """Return title, columns, rows and number of rows of the table of dimensions."""
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
        # The one import that points upward: rewards are made here, their algebra is in rewards (docs/decisions.md).
        from avreward.rewards.base import Term

        return Term(self, self.dimension(name).name)

    def _no_reward(self, other: object) -> NoReturn:
        names = [d.name for d in self.dimensions]
        name = "overall" if "overall" in names else names[0]
        got, remedy = Described(f"the rater {self.name}"), f"choose a dimension, such as rater[{name!r}]"
        raise ArgumentError("arithmetic", "rewards and numbers", got, remedy)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _no_reward
