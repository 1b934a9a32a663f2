"""The network of AGAV-Rater: SigLIP, BEATs, their connectors, Qwen2 and a regression (arXiv:2501.18314, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import ArgumentError, unknown_name
from avreward.raters.encoders.beats import Beats, BeatsConfig
from avreward.raters.encoders.stc import StcConnector

_CONNECTORS = ("stc_connector_v35",)
_AUDIO_PROJECTORS = ("mlp2x_gelu", "linear")


@dataclass(frozen=True)
class AgavConfig:
    """Sizes of an `AgavNetwork`; `to_dict` and `from_dict` convert it to and from plain values for JSON.

    Args:
        vision: arguments of `transformers.SiglipVisionConfig`.
        audio: sizes of BEATs.
        language: arguments of `transformers.Qwen2Config`.
        connector: maps tokens of frames to tokens of the language model; only ``"stc_connector_v35"``.
        audio_projector: maps tokens of BEATs to tokens of the language model: ``"mlp2x_gelu"`` or ``"linear"``.
        vision_layer: index of SigLIP's hidden state that is used; 0 is before the first layer, −1 after the last.
        num_frames: number of frames of a clip in training.
        scores: number of scores of the regression.
        audio_features: input width of the audio projector (*optional*, that of BEATs).
        pooling: whether there is a query a score for pooling by attention.

    Raises:
        ArgumentError: for an unknown connector or projector, or a `vision_layer` that doesn't exist.
    """

    vision: Mapping[str, Any]
    audio: BeatsConfig
    language: Mapping[str, Any]
    connector: str = "stc_connector_v35"
    audio_projector: str = "mlp2x_gelu"
    vision_layer: int = -2
    num_frames: int = 16
    scores: int = 3
    audio_features: int | None = None
    pooling: bool = False

    def __post_init__(self) -> None:
        _check_kind("connector (mm_projector_type)", self.connector, _CONNECTORS)
        _check_kind("audio_projector (mm_projector_a_type)", self.audio_projector, _AUDIO_PROJECTORS)
        layers = self.vision["num_hidden_layers"]
        if not -layers - 1 <= self.vision_layer <= layers:
            raise ArgumentError("vision_layer", f"an index from {-layers - 1} to {layers}", self.vision_layer)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as a dictionary that `json` can write."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AgavConfig:
        """Return the configuration from the dictionary of `to_dict`."""
        return cls(**{**data, "audio": BeatsConfig(**data["audio"])})


class AgavNetwork(nn.Module):
    """The encoders, connectors, language model and heads of AGAV-Rater: all weights of a checkpoint.

    Children: `vision` (SigLIP), `connector`, `audio` (BEATs), `audio_projector`, `language` (Qwen2 without a head),
    `lm_head` (hidden states to the vocabulary), `regression` (hidden states to scores, no bias) and, for pooling by
    attention, `pooling` (hidden states to a position's weight for each score, no bias). Entries of published
    checkpoints are renamed by `avreward.raters.agav._keys`.

    After it was built under ``torch.device("meta")`` and filled with ``load_state_dict(…, assign=True)``, call
    `restore_buffers`: checkpoints don't contain all buffers.

    Args:
        config: the sizes.
        attn_implementation: of SigLIP and Qwen2, such as ``"sdpa"`` (see `transformers`).
    """

    worth_checkpointing = "encode_pairs"
    rows_at_once = 2

    def __init__(self, config: AgavConfig, attn_implementation: str = "sdpa") -> None:
        super().__init__()
        with extra("lmm"):
            from transformers import Qwen2Config, Qwen2Model, SiglipVisionConfig, SiglipVisionModel

        language = Qwen2Config(**{**config.language, "attn_implementation": attn_implementation})
        vision = SiglipVisionConfig(**{**config.vision, "attn_implementation": attn_implementation})
        width = language.hidden_size
        self.config = config
        self.vision = SiglipVisionModel(vision)
        self.connector = StcConnector(vision.hidden_size, width)
        self.audio = Beats(config.audio)
        features = config.audio_features or config.audio.width
        self.audio_projector = _audio_projector(config.audio_projector, features, width)
        self.language = Qwen2Model(language)
        self.lm_head = nn.Linear(width, language.vocab_size, bias=False)
        self.regression = nn.Linear(width, config.scores, bias=False)
        if config.pooling:
            self.pooling = nn.Linear(width, config.scores, bias=False)

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Return the video's tokens, (tokens, width of the language model), for one clip.

        16 frames of 384 × 384 give 8·13·13 tokens.

        Args:
            pixels: float (frames, 3, side, side), (level − 0.5)/0.5 with levels in [0, 1]; the side is that of SigLIP.
        """
        # tokens of two frames that follow one another depend on no others; fewer at once stay in a CPU's cache
        pairs = max(pixels.shape[0] // 2 * 2, 1)
        at_once = self.rows_at_once if pixels.device.type == "cpu" else pairs
        return torch.cat([self.encode_pairs(some) for some in pixels[:pairs].split(at_once)])

    def encode_pairs(self, pixels: Tensor) -> Tensor:
        """Return the tokens of frames, two and two; see `encode_video`."""
        return self.connector(self.vision_features(pixels)[None])[0]

    def encode_audio(self, fbank: Tensor) -> Tensor:
        """Return the audio's tokens, ((windows // 16)·8, width of the language model), for one clip.

        Args:
            fbank: float (windows, 128), normalised as in `avreward.media.fbank.beats_fbank`.
        """
        return self.audio_projector(self.audio(fbank[None]))[0]

    def vision_features(self, pixels: Tensor) -> Tensor:
        """Return the hidden state of SigLIP that is used, (frames, patches, width of SigLIP).

        The later layers of SigLIP are not run.

        Args:
            pixels: as in `encode_video`.
        """
        layers = self.vision.encoder.layers
        hidden = self.vision.embeddings(pixels)
        for layer in layers[: self.config.vision_layer % (len(layers) + 1)]:
            hidden = layer(hidden, None)
        return hidden

    def restore_buffers(self, device: torch.device | str) -> None:
        """Compute on `device` the buffers that checkpoints lack: SigLIP's position ids, Qwen2's rotary frequencies."""
        embeddings, rotary = self.vision.embeddings, self.language.rotary_emb
        positions = torch.arange(embeddings.num_positions, device=device)[None]
        embeddings.position_ids = nn.Buffer(positions, persistent=False)
        self.language.rotary_emb = type(rotary)(self.language.config).to(device)


def _audio_projector(kind: str, width: int, out: int) -> nn.Module:
    if kind == "linear":
        return nn.Linear(width, out)
    return nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))


def _check_kind(name: str, kind: str, known: tuple[str, ...]) -> None:
    if kind not in known:
        raise unknown_name(name, kind, known, "use another checkpoint")
