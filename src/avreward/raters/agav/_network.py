"""The network of AGAV-Rater: SigLIP, BEATs, their connectors, Qwen2 and a regression (arXiv:2501.18314, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avreward._extras import extra
from avreward.errors import AvrewardError
from avreward.raters.encoders.beats import Beats, BeatsConfig
from avreward.raters.encoders.stc import StcConnector

_CONNECTORS = ("stc_connector_v35",)
_AUDIO_PROJECTORS = ("mlp2x_gelu", "linear")


@dataclass(frozen=True)
class AgavConfig:
    """Sizes of an `AgavNetwork`; `to_dict` and `from_dict` are plain JSON.

    Args:
        vision: arguments of `transformers.SiglipVisionConfig`.
        audio: sizes of BEATs.
        language: arguments of `transformers.Qwen2Config`.
        connector: from tokens of frames to those of the language model; only ``"stc_connector_v35"``.
        audio_projector: from tokens of BEATs to those of the language model, ``"mlp2x_gelu"`` or ``"linear"``.
        vision_layer: which of SigLIP's hidden states is read; 0 stands before the first layer, −1 after the last.
        num_frames: how many frames of a clip the model was trained with.
        scores: how many the regression gives.
        audio_features: width that the audio projector reads (*optional*, that of BEATs).

    An unknown connector or projector, or a layer that isn't there, raises `AvrewardError`.
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

    def __post_init__(self) -> None:
        _check_kind("connector (mm_projector_type)", self.connector, _CONNECTORS)
        _check_kind("audio_projector (mm_projector_a_type)", self.audio_projector, _AUDIO_PROJECTORS)
        layers = self.vision["num_hidden_layers"]
        if not -layers - 1 <= self.vision_layer <= layers:
            raise AvrewardError(f"vision_layer: {self.vision_layer} of {layers} layers; give {-layers - 1} … {layers}")

    def to_dict(self) -> dict[str, Any]:
        """The same as a dictionary that `json` can write."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AgavConfig:
        """The configuration that `to_dict` wrote."""
        return cls(**{**data, "audio": BeatsConfig(**data["audio"])})


class AgavNetwork(nn.Module):
    """All that a checkpoint of AGAV-Rater holds; sequences and readout are the business of others.

    Children: `vision` (SigLIP), `connector`, `audio` (BEATs), `audio_projector`, `language` (Qwen2 without a head),
    `lm_head` (hidden states to the vocabulary) and `regression` (hidden states to scores, no bias). Entries of
    published checkpoints are renamed by `avreward.raters.agav._keys`.

    Built under ``torch.device("meta")`` and filled with ``load_state_dict(…, assign=True)``, it still lacks what no
    checkpoint has: call `restore_buffers`.

    Args:
        config: the sizes.
        attn_implementation: of SigLIP and Qwen2, as `transformers` names them.
    """

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
        heard = config.audio_features or config.audio.width
        self.audio_projector = _audio_projector(config.audio_projector, heard, width)
        self.language = Qwen2Model(language)
        self.lm_head = nn.Linear(width, language.vocab_size, bias=False)
        self.regression = nn.Linear(width, config.scores, bias=False)

    def encode_video(self, pixels: Tensor) -> Tensor:
        """Return the video's tokens, (tokens, width of the language model), for one clip.

        `pixels`: float (frames, 3, side, side), (level − 0.5)/0.5 with levels in [0, 1]; the side is that of SigLIP.
        16 frames of 384 × 384 give 8·13·13 tokens.
        """
        return self.connector(self.vision_features(pixels)[None])[0]

    def encode_audio(self, fbank: Tensor) -> Tensor:
        """Return the sound's tokens, ((windows // 16)·8, width of the language model), for one clip.

        `fbank`: float (windows, 128), normalised as by `avreward.media.fbank.beats_fbank`.
        """
        return self.audio_projector(self.audio(fbank[None]))[0]

    def vision_features(self, pixels: Tensor) -> Tensor:
        """Return the hidden state of SigLIP that is read, (frames, patches, width of SigLIP); `pixels` as above.

        What comes after it in SigLIP isn't run.
        """
        layers = self.vision.encoder.layers
        hidden = self.vision.embeddings(pixels)
        for layer in layers[: self.config.vision_layer % (len(layers) + 1)]:
            hidden = layer(hidden, None)
        return hidden

    def restore_buffers(self, device: torch.device | str) -> None:
        """Recompute on `device` what is in no checkpoint: SigLIP's position ids and Qwen2's rotary frequencies."""
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
        raise AvrewardError(f"{name}: {kind!r} isn't supported; use a checkpoint with {' or '.join(known)}")
