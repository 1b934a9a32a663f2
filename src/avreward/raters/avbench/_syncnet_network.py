"""SyncNet (Chung and Zisserman, 2016): a tower for lips and one for speech, with one embedding space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avreward.errors import AvrewardError
from avreward.raters.checkpoints._looks import looks_like

SIDE = 224
"""Height and width in pixels of the frames that the lip tower sees."""
LIP_FRAMES, AUDIO_COLUMNS, COLUMNS_A_FRAME = 5, 20, 4
_AT_ONCE = 32  # windows whose activations are in memory together: 150 MB at the published widths
_CONVOLUTIONS = (0, 4, 8, 11, 14, 18)  # their places in both towers


@dataclass(frozen=True)
class SyncNetConfig:
    """Sizes of both towers; the defaults are those of the published ``syncnet_v2.model``.

    Args:
        audio, lip: channels of the six convolutions of each tower.
        hidden: width of the hidden layer behind them.
        embedding: length of the vectors that are compared.
    """

    audio: tuple[int, ...] = (64, 192, 384, 256, 256, 512)
    lip: tuple[int, ...] = (96, 256, 256, 256, 256, 512)
    hidden: int = 512
    embedding: int = 1024

    def to_dict(self) -> dict[str, Any]:
        """Return the sizes as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, sizes: Mapping[str, Any]) -> SyncNetConfig:
        """Return the configuration that `to_dict` wrote."""
        return cls(tuple(sizes["audio"]), tuple(sizes["lip"]), sizes["hidden"], sizes["embedding"])

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, tuple[int, ...]], source: object) -> SyncNetConfig:
        """Return the sizes of a checkpoint with these shapes; raise `AvrewardError` for one of another network."""
        try:
            audio, lip = (
                tuple(shapes[f"{tower}.{place}.weight"][0] for place in _CONVOLUTIONS)
                for tower in ("netcnnaud", "netcnnlip")
            )
            return cls(audio, lip, shapes["netfcaud.0.weight"][0], shapes["netfcaud.3.weight"][0])
        except (KeyError, IndexError) as error:
            raise AvrewardError(
                f"{source}: expected SyncNet (netcnnaud.*, netcnnlip.*), got {looks_like(shapes)}; "
                "give syncnet_v2.model"
            ) from error


class SyncNet(nn.Module):
    """Both towers; names of the weights are those of the published checkpoint."""

    def __init__(self, config: SyncNetConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c, d, e, f = config.audio
        self.netcnnaud = nn.Sequential(
            *_flat(1, a, 3, 1), nn.MaxPool2d(1, 1),
            *_flat(a, b, 3, 1), nn.MaxPool2d(3, (1, 2)),
            *_flat(b, c, 3, 1),
            *_flat(c, d, 3, 1),
            *_flat(d, e, 3, 1), nn.MaxPool2d(3, 2),
            *_flat(e, f, (5, 4), 0),
        )  # fmt: skip
        self.netfcaud = _head(f, config)
        a, b, c, d, e, f = config.lip
        self.netcnnlip = nn.Sequential(
            *_deep(3, a, (5, 7, 7), (1, 2, 2), 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(a, b, (1, 5, 5), (1, 2, 2), 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(b, c, (1, 3, 3), 1, 1),
            *_deep(c, d, (1, 3, 3), 1, 1),
            *_deep(d, e, (1, 3, 3), 1, 1), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(e, f, (1, 6, 6), 1, 0),
        )  # fmt: skip
        self.netfclip = _head(f, config)

    def lips(self, frames: Tensor) -> Tensor:
        """Return the embeddings (frames − 4, embedding) of every window of five frames.

        Args:
            frames: float (frames, 3, 224, 224), blue, green, red from 0 to 255.
        """
        count = len(frames) - LIP_FRAMES + 1
        parts = []
        for start in range(0, count, _AT_ONCE):
            # only the first convolution reaches across frames, so windows that overlap share their frames
            part = frames[start : min(start + _AT_ONCE, count) + LIP_FRAMES - 1].transpose(0, 1)[None]
            parts.append(self.netcnnlip(part)[0].flatten(1).T)  # (windows, channels)
        return self.netfclip(torch.cat(parts))

    def speech(self, coefficients: Tensor) -> Tensor:
        """Return the embeddings (windows, embedding) of every window of 0.2 s, one a video frame.

        Args:
            coefficients: float (13, columns), four columns a video frame.
        """
        windows = coefficients.unfold(1, AUDIO_COLUMNS, COLUMNS_A_FRAME).transpose(0, 1)  # (windows, 13, 20)
        return self.netfcaud(self.netcnnaud(windows[:, None]).flatten(1))


def _head(width: int, config: SyncNetConfig) -> nn.Sequential:
    hidden = config.hidden
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, config.embedding)
    )


def _flat(before: int, after: int, kernel: Any, padding: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, kernel, padding=padding), nn.BatchNorm2d(after), nn.ReLU()


def _deep(before: int, after: int, kernel: Any, stride: Any, padding: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv3d(before, after, kernel, stride, (0, padding, padding))
    return convolution, nn.BatchNorm3d(after), nn.ReLU()
