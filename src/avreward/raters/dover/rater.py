"""DOVER (Wu et al., ICCV 2023, arXiv:2211.04894): technical, aesthetic and overall quality of video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from torch import Tensor

from avreward.clip import Clip
from avreward.errors import unknown_name
from avreward.media._precision import widened
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan
from avreward.raters.base import Sample, Track, Work
from avreward.raters.checkpoints.loading import refuse_options
from avreward.raters.checkpoints.network_rater import NetworkRater, Row
from avreward.raters.dover._card import Variant, dimensions_of
from avreward.raters.dover._keys import config_from_shapes, published_file
from avreward.raters.dover._network import DoverConfig, DoverNetwork, fused
from avreward.raters.dover._version import VERSION
from avreward.raters.dover._views import DoverInput, DoverViews
from avreward.raters.encoders._version import VERSION as ENCODERS
from avreward.raters.encoders.swin3d import DERIVED
from avreward.raters.scores import Scores

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

PUBLISHED = DoverViews()
NAMES: Mapping[Variant, str] = MappingProxyType({"dover": "dover", "dover++": "dover_plus_plus"})
GRADES = ((75.0, "Excellent"), (60.0, "Good"), (45.0, "Fair"))
"""Least score out of 100 → grade, of AVBench; below is Poor."""


class DoverRater(NetworkRater):
    """DOVER's scores of a video: technical quality from fragments, aesthetic quality from whole frames, and both.

    Raw scores t and a of the two branches become, with the published constants,
    technical = σ((t − 0.1107)/0.07355), aesthetic = σ((a + 0.08285)/0.03774), overall = σ(0.6104·x + 0.3896·y) with x
    and y the arguments of the first two. Higher is better.

    Args:
        module: the network.
        variant: ``"dover"``: scores from 0 to 1; ``"dover++"``: AVBench's, the same out of 100, for the weights of
            ``DOVER_plus_plus.pth``.
        views: how a video becomes what the network reads.
        rounding: how values are rounded to 8 bits, as the published code does; see `avreward.media.rounding`.
        checkpointing: as for `NetworkRater`.

    Raises:
        ArgumentError: for an unknown variant.

    Example:
        >>> from tiny.dover import tiny_dover
        >>> rater = tiny_dover()  # published: load_rater("FOLDER") with DOVER.pth in it
        >>> rater([Clip(video=torch.rand(12, 3, 40, 64), fps=8)]).names
        ('technical', 'aesthetic', 'overall')
    """

    tracks: tuple[Track, ...] = ("video",)
    versions = MappingProxyType({**NetworkRater.versions, "encoders": ENCODERS, "dover": VERSION})
    module: DoverNetwork

    def __init__(
        self,
        module: DoverNetwork,
        variant: Variant = "dover",
        views: DoverViews = PUBLISHED,
        rounding: Rounding = "straight_through",
        *,
        checkpointing: Checkpointing = False,
    ) -> None:
        if variant not in get_args(Variant):
            raise unknown_name("variant", variant, get_args(Variant))
        super().__init__(NAMES[variant], module, checkpointing=checkpointing)
        self.variant, self.views, self.rounding = variant, views, rounding
        self.dimensions = dimensions_of(variant)
        self.differentiable = rounding != "exact"  # which rounds gradients to zero

    @property
    def settings(self) -> Mapping[str, str]:
        """How videos are looked at, and on which scale scores are."""
        return {
            "views": repr(self.views),
            "conversion": "fast",
            "variant": self.variant,
            "rounding": self.rounding,
            "dtype": str(next(self.module.parameters()).dtype).removeprefix("torch."),
        }

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        options = {"variant": self.variant, "views": asdict(self.views)}
        return {"rater": "dover", "network": self.module.config.to_dict(), "options": options}

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of the frames of both views."""
        return [self.views.plan(clip)]

    def load_track(self, clip: Clip, track: Track) -> DoverInput:
        """Return both views of the video, from one reading of it."""
        return self.views(clip, self.rounding)

    def grades(self, scores: Scores, dimension: str = "overall") -> list[str | None]:
        """Return AVBench's grade of each clip: Excellent from 75 of 100, Good from 60, Fair from 45, else Poor.

        Args:
            scores: of this rater.
            dimension: which one.

        Returns:
            One grade a clip, `None` where the score is missing.
        """
        column = scores.column(dimension)
        share = scores.values[:, column].detach().double() / self.dimension(dimension).high * 100
        present = scores.present[:, column].tolist()
        return [_grade(value) if there else None for value, there in zip(share.tolist(), present, strict=True)]

    def _row(self, sample: Sample, work: Work) -> Row:
        if "video" not in sample.tracks:
            return {}, {d.name: sample.missing.get("video", "no video") for d in self.dimensions}, {}
        key = (self.decoding, "scores", sample.clip.work_key("video"))
        scores = work.results.get(key, partial(self._judged, sample.tracks["video"]))
        return dict(zip((d.name for d in self.dimensions), scores, strict=True)), {}, {}

    def _judged(self, views: DoverInput) -> Tensor:
        """Return (technical, aesthetic, overall) of one video."""
        like = next(self.module.parameters())
        technical = self.module.technical(views.technical.to(like.device, like.dtype))
        aesthetic = self.module.aesthetic(views.aesthetic.to(like.device, like.dtype))
        return fused(widened(technical), widened(aesthetic)) * self.dimensions[0].high


def load(
    folder: Path,
    config: Mapping[str, Any],
    loading: Loading,
    *,
    variant: Variant | None = None,
    file: str | None = None,
    antialias: bool | None = None,
    seed: int | None = None,
) -> DoverRater:
    """Return the rater in `folder`, which holds a published ``.pth`` file or what `save_pretrained` writes.

    Args:
        folder: where the checkpoint is.
        config: its ``config.json``; empty for published checkpoints.
        loading: how the network is put into memory.
        variant: see `DoverRater` (*optional*, as saved; of a published file by its name).
        file: which published file, where there are several (*optional*).
        antialias: see `DoverViews` (*optional*, as saved).
        seed: see `DoverViews` (*optional*, as saved).

    Raises:
        ArgumentError: for options of `loading` that this network does not have.
        AvrewardError: for a checkpoint of another system, or with other entries than its sizes ask for.
    """
    from avreward.raters.checkpoints._folder import refuse_for_saved
    from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files

    refuse_options(loading, "DOVER")
    ours = config.get("format") == "avreward"
    if ours:
        refuse_for_saved(folder, file=file)
    files = weight_files(folder) if ours else [published_file(folder, file)]
    state = read_weights(files)
    source = folder if ours else files[0]
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    sizes = DoverConfig.from_dict(config["network"]) if ours else config_from_shapes(shapes, source)
    network = DoverNetwork(sizes)
    load_matching(network, state, [*loading.allow, *DERIVED], source=source)
    saved = config.get("options", {})
    named: Variant = "dover++" if not ours and "plus_plus" in files[0].stem.lower() else "dover"
    views = DoverViews(**saved.get("views", {}))
    if antialias is not None:
        views = replace(views, antialias=antialias)
    if seed is not None:
        views = replace(views, seed=seed)
    return DoverRater(
        loading.placed(network),  # type: ignore[arg-type]
        variant or saved.get("variant", named),
        views,
        loading.rounding,
        checkpointing=loading.checkpointing,
    )


def _grade(value: float) -> str:
    return next((name for least, name in GRADES if value >= least), "Poor")
