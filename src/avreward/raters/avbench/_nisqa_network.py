"""The network of NISQA v2 with five outputs (Mittag et al., Interspeech 2021, arXiv:2104.09494), and its front end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from avreward.media._precision import full_precision, product
from avreward.media.logmel import slaney_triangles

_LEAST, _DECIBELS = 1e-4, 80.0  # amplitude of the floor, and depth of the spectrogram below its loudest point


@dataclass(frozen=True)
class NisqaConfig:
    """Sizes of NISQA, under the names of its ``args``; the defaults are those of the published ``nisqa.tar``."""

    ms_fmax: float = 20000
    ms_n_fft: int = 4096
    ms_hop_length: float = 0.01
    ms_win_length: float = 0.02
    ms_n_mels: int = 48
    ms_seg_length: int = 15
    ms_seg_hop_length: int = 4
    ms_max_segments: int = 1300
    cnn_c_out_1: int = 16
    cnn_c_out_2: int = 32
    cnn_c_out_3: int = 64
    cnn_pool_1: tuple[int, int] = (24, 7)
    cnn_pool_2: tuple[int, int] = (12, 5)
    cnn_pool_3: tuple[int, int] = (6, 3)
    td_sa_d_model: int = 64
    td_sa_nhead: int = 1
    td_sa_num_layers: int = 2
    td_sa_h: int = 64
    pool_att_h: int = 128

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON."""
        return asdict(self)

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> NisqaConfig:
        """Return the sizes that `args` of a checkpoint names; other entries are ignored."""
        known: dict[str, Any] = {
            name: tuple(args[name]) if isinstance(args[name], list) else args[name]
            for name in cls.__dataclass_fields__
            if name in args
        }
        return cls(**known)


@full_precision
def nisqa_mel(wave: Tensor, rate: int, config: NisqaConfig) -> Tensor:
    """Return mel amplitudes in dB, (bands, frames), of `wave`, float (samples,) at `rate` Hz; differentiable.

    The floor is 80 dB below the loudest point of the clip.
    """
    points = config.ms_n_fft
    window = torch.hann_window(int(config.ms_win_length * rate), dtype=wave.dtype, device=wave.device)
    spectrum = torch.stft(
        _reflected(wave, points // 2)[None],
        points,
        int(config.ms_hop_length * rate),
        len(window),
        window,
        center=False,
        return_complex=True,
    )[0]
    mel = product(slaney_triangles(config.ms_n_mels, points, rate, config.ms_fmax).to(wave), spectrum.abs())
    level = 20 * mel.clamp(min=_LEAST).log10()
    return torch.maximum(level, level.amax() - _DECIBELS)


def _reflected(wave: Tensor, width: int) -> Tensor:
    """Return `wave` with `width` samples mirrored at each end, as often as a short one needs."""
    period = max(1, 2 * (len(wave) - 1))
    at = torch.arange(-width, len(wave) + width, device=wave.device) % period
    return wave[torch.minimum(at, period - at)]


class NisqaNetwork(nn.Module):
    """Segments of a mel spectrogram → CNN → self-attention → five pooled outputs; published names of the weights."""

    def __init__(self, config: NisqaConfig) -> None:
        super().__init__()
        self.config = config
        self.cnn = _Part(_Cnn(config))
        self.time_dependency = _Part(_SelfAttention(config))
        self.pool_layers = nn.ModuleList(_Part(_Pooling(config)) for _ in range(5))

    def forward(self, spectrograms: Sequence[Tensor]) -> Tensor:
        """Return (clips, 5): MOS, noisiness, discontinuity, coloration, loudness.

        Args:
            spectrograms: of each clip, (bands, frames), with at least `ms_seg_length` frames.
        """
        pieces = [
            spectrogram.unfold(1, self.config.ms_seg_length, self.config.ms_seg_hop_length).transpose(0, 1)
            for spectrogram in spectrograms
        ]
        counts = [len(piece) for piece in pieces]
        features = self.cnn(torch.cat(pieces)[:, None])
        padded = pad_sequence([*features.split(counts)], batch_first=True)  # (clips, segments, features)
        absent = torch.arange(padded.shape[1]) >= torch.tensor(counts)[:, None]
        absent = absent.to(padded.device)
        hidden = self.time_dependency(padded, absent)
        return torch.cat([pool(hidden, absent) for pool in self.pool_layers], 1)


class _Part(nn.Module):
    """Wrapper that puts ``model`` into the names of the weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.model(*inputs)


class _Cnn(nn.Module):
    def __init__(self, config: NisqaConfig) -> None:
        super().__init__()
        first, second, third = config.cnn_c_out_1, config.cnn_c_out_2, config.cnn_c_out_3
        channels = (1, first, second, third, third, third, third)
        self.pools = {1: config.cnn_pool_1, 2: config.cnn_pool_2, 4: config.cnn_pool_3}
        for i in range(1, 7):
            padding = (1, 0) if i == 6 else (1, 1)  # the last one reads the whole width
            setattr(self, f"conv{i}", nn.Conv2d(channels[i - 1], channels[i], 3, padding=padding))
            setattr(self, f"bn{i}", nn.BatchNorm2d(channels[i]))

    def forward(self, segments: Tensor) -> Tensor:
        """Return features (segments, channels · bands) of (segments, 1, bands, frames)."""
        out = segments
        for i in range(1, 7):
            out = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(out)))
            if i in self.pools:
                out = F.adaptive_max_pool2d(out, self.pools[i])
        return out.flatten(1)


class _SelfAttention(nn.Module):
    def __init__(self, config: NisqaConfig) -> None:
        super().__init__()
        width = config.td_sa_d_model
        self.linear = nn.Linear(config.cnn_c_out_3 * config.cnn_pool_3[0], width)
        self.norm1 = nn.LayerNorm(width)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.td_sa_num_layers))

    def forward(self, features: Tensor, absent: Tensor) -> Tensor:
        hidden = self.norm1(self.linear(features))
        for layer in self.layers:
            hidden = layer(hidden, absent)
        return hidden


class _Layer(nn.Module):
    def __init__(self, config: NisqaConfig) -> None:
        super().__init__()
        width = config.td_sa_d_model
        self.self_attn = nn.MultiheadAttention(width, config.td_sa_nhead, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, config.td_sa_h), nn.Linear(config.td_sa_h, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, hidden: Tensor, absent: Tensor) -> Tensor:
        heard, _ = self.self_attn(hidden, hidden, hidden, key_padding_mask=absent, need_weights=False)
        hidden = self.norm1(hidden + heard)
        return self.norm2(hidden + self.linear2(self.linear1(hidden).relu()))


class _Pooling(nn.Module):
    def __init__(self, config: NisqaConfig) -> None:
        super().__init__()
        width = config.td_sa_d_model
        self.linear1, self.linear2 = nn.Linear(width, config.pool_att_h), nn.Linear(config.pool_att_h, 1)
        self.linear3 = nn.Linear(width, 1)

    def forward(self, hidden: Tensor, absent: Tensor) -> Tensor:
        """Return (clips, 1): a linear map of the mean of (clips, segments, width) that attention weights."""
        scores = self.linear2(self.linear1(hidden).relu())[..., 0].masked_fill(absent, float("-inf"))
        return self.linear3((scores.softmax(1)[:, None] @ hidden)[:, 0])
