"""AVBench's aesthetics of video: the aesthetic predictor v2.5 on one frame a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from avreward.clip import Clip
from avreward.errors import AvrewardError
from avreward.media._precision import widened
from avreward.media.rounding import Rounding
from avreward.media.sampling import FramePlan
from avreward.media.sampling_rules import PerSecond
from avreward.raters.avbench._aesthetic_network import HEAD, AestheticConfig, AestheticNetwork, head_widths
from avreward.raters.avbench._version import VERSION
from avreward.raters.avbench._video_cards import AESTHETIC_FILE, AESTHETIC_SCORES
from avreward.raters.base import Sample, Track, Work
from avreward.raters.checkpoints.loading import refuse_options
from avreward.raters.checkpoints.network_rater import NetworkRater, Row
from avreward.raters.embedding._frames import Pictures
from avreward.raters.embedding._version import VERSION as EMBEDDING

if TYPE_CHECKING:
    from avreward.raters.checkpoints._activation_checkpointing import Checkpointing
    from avreward.raters.checkpoints.loading import Loading

ONE_A_SECOND = PerSecond(1.0)
_AT_ONCE = 16  # frames whose activations are in memory together


class AestheticRater(NetworkRater):
    """Aesthetics of the frames, one a second: the mean of their scores, about 1 to 10 and not clipped.

    A score is an affine map of SigLIP's unit-length image embedding, so with the published head it is within 25.5 of
    1.94; 5.5 and more counts as good. Motion and audio have no effect.

    Args:
        module: the network.
        pictures: how frames are resized and normalised.
        rounding: how pixels are rounded to 8 bits; see `avreward.media.rounding`.
        checkpointing: as for `NetworkRater`.

    Example:
        >>> from tiny.avbench_video import tiny_aesthetic
        >>> rater = tiny_aesthetic()  # published: load_rater("FOLDER") with aesthetic_predictor_v2_5.pth in it
        >>> rater([Clip(video=torch.rand(16, 3, 48, 64), fps=8)]).names
        ('video_aesthetic', 'spread')
    """

    name = "siglip_aesthetic"
    dimensions = AESTHETIC_SCORES
    tracks: tuple[Track, ...] = ("video",)
    versions = MappingProxyType({**NetworkRater.versions, "avbench": VERSION, "embedding": EMBEDDING})
    libraries = (*NetworkRater.libraries, "transformers")
    module: AestheticNetwork

    def __init__(
        self,
        module: AestheticNetwork,
        pictures: Pictures,
        rounding: Rounding = "straight_through",
        *,
        checkpointing: Checkpointing = False,
    ) -> None:
        super().__init__(self.name, module, checkpointing=checkpointing)
        self.pictures, self.rounding = pictures, rounding
        self.differentiable = rounding != "exact"  # which rounds gradients to zero

    @property
    def settings(self) -> Mapping[str, str]:
        """Which frames are seen, how, and precision."""
        return {
            "frames": f"{ONE_A_SECOND!r}, fast conversion",
            "pictures": repr(self.pictures),
            "rounding": self.rounding,
            "dtype": str(next(self.module.parameters()).dtype).removeprefix("torch."),
        }

    @property
    def origin(self) -> dict[str, Any]:
        """What loading needs beside the weights, as JSON."""
        options = {"pictures": asdict(self.pictures)}
        return {"rater": self.name, "network": self.module.config.to_dict(), "options": options}

    def frame_plans(self, clip: Clip) -> list[FramePlan]:
        """Return the plan of one frame a second."""
        return [FramePlan(ONE_A_SECOND, conversion="fast")]

    def load_track(self, clip: Clip, track: Track) -> Tensor:
        """Return one frame a second as the vision tower reads it."""
        return self.pictures(clip.frames(*self.frame_plans(clip)), self.rounding)

    def _row(self, sample: Sample, work: Work) -> Row:
        names = [dimension.name for dimension in self.dimensions]
        if "video" not in sample.tracks:
            return {}, dict.fromkeys(names, sample.missing.get("video", "no video")), {}
        key = (self.decoding, "frames", sample.clip.work_key("video"))
        each = work.results.get(key, partial(self._judged, sample.tracks["video"]))
        return dict(zip(names, mean_and_spread(each), strict=True)), {}, {}

    def _judged(self, frames: Tensor) -> Tensor:
        """Return the score of each frame, (frames,)."""
        like = next(self.module.parameters())
        parts = frames.to(like.device, like.dtype).split(_AT_ONCE)
        return widened(torch.cat([self.module(part) for part in parts]))


def mean_and_spread(each: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population standard deviation of the scores of frames, float (frames,).

    >>> mean_and_spread(torch.tensor([4.0, 6.0]))
    (tensor(5.), tensor(1.))
    """
    mean = each.mean()
    return mean, (each - mean).norm() / len(each) ** 0.5  # the norm has a gradient where all frames are alike


def load(
    folder: Path, config: Mapping[str, Any], loading: Loading, *, siglip: str | PathLike[str] | None = None
) -> AestheticRater:
    """Return the rater in `folder`, which holds the published head or what `save_pretrained` writes.

    The weights are float32 unless `loading` says otherwise.

    Args:
        folder: with ``aesthetic_predictor_v2_5.pth``, and SigLIP's own files unless `siglip` names them.
        config: its ``config.json``.
        loading: how the network is put into memory.
        siglip: folder or hub name of ``google/siglip-so400m-patch14-384`` (*optional*, `folder`).

    Raises:
        ArgumentError: for options of `loading` that this network does not have.
        AvrewardError: for a checkpoint of another system, or without SigLIP's files.
    """
    from avreward.raters.checkpoints._weights import load_matching, read_weights, weight_files

    refuse_options(loading, "the aesthetic predictor")
    if config.get("format") == "avreward":
        sizes, state = AestheticConfig.from_dict(config["network"]), read_weights(weight_files(folder))
        source, saved = folder, config["options"]["pictures"]
        given: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in saved.items()}
        pictures = Pictures(**given)
    else:
        source = folder / AESTHETIC_FILE
        head = read_weights([source])
        head = {name.removeprefix("layers."): tensor for name, tensor in head.items()}
        widths = head_widths({name: tuple(tensor.shape) for name, tensor in head.items()}, source)
        vision, tower, pictures = _siglip(folder, config, siglip, loading)
        sizes = AestheticConfig(vision, widths)
        state = {f"layers.{name}": tensor for name, tensor in head.items() if name.startswith(HEAD)} | tower
    network = AestheticNetwork(sizes)
    load_matching(network, state, [*loading.allow, "*position_ids"], source=source)
    placed: Any = loading.placed(network, torch.float32)
    return AestheticRater(placed, pictures, loading.rounding, checkpointing=loading.checkpointing)


def _siglip(
    folder: Path, config: Mapping[str, Any], siglip: str | PathLike[str] | None, loading: Loading
) -> tuple[dict[str, Any], dict[str, Tensor], Pictures]:
    """Return sizes and weights of SigLIP's vision tower, and how frames are brought to it."""
    from avreward.raters.checkpoints._weights import read_weights, weight_files
    from avreward.raters.embedding._checkpoint import preprocessing
    from avreward.raters.hub import folder_of, read_config

    place = folder
    if siglip is not None:
        place = folder_of(siglip, loading.revision)
        config = read_config(place)
    if config.get("model_type") not in ("siglip", "siglip_vision_model"):
        raise AvrewardError(
            f"{place}: expected the files of SigLIP beside {AESTHETIC_FILE}, got none; put config.json and "
            "model.safetensors of google/siglip-so400m-patch14-384 there, or name their folder by siglip="
        )
    vision = dict(config.get("vision_config", config))
    tower = {n: t for n, t in read_weights(weight_files(place)).items() if n.startswith("vision_model.")}
    side = vision.get("image_size", 224)
    return vision, tower, Pictures.of(preprocessing(place), Pictures((side, side)))
