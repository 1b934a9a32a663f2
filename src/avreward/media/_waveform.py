"""Decode an audio track to floats on the clip's clock, with mixing and resampling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil, gcd

import torch
from torch import Tensor

from avreward.errors import MediaError
from avreward.media._audio.clock import on_the_clock
from avreward.media._audio.frames import UNCONVERTIBLE, Piece, floats
from avreward.media._audio.windowed_sinc import Resampler
from avreward.media._channels import is_mixable
from avreward.media._checks import check_samples
from avreward.media._container import translated
from avreward.media._index import IndexedAudio, MediaIndex
from avreward.media.resampling import cancels, mono, mono_powers, remix, resample

Spans = Sequence[tuple[float, float]]
Blocks = Iterable[Tensor] | None
_BATCH = 2**13  # samples handed on at once: few enough that torch works on them with one thread
_BLOCK = 2**18  # samples resampled at once, and
_CONTEXT = 2**12  # samples on each side of them, more than the filter reaches; both at the lower of the two rates


def decode_audio(
    index: MediaIndex,
    rate: int | None = None,
    channels: int | None = None,
    blocks: Blocks = None,
    resampler: Resampler = "julius",
) -> Tensor:
    """Return the audio, float32 (channels, samples) in [-1, 1], at `rate` Hz (native: None) from clip time 0 on.

    Audio that starts late is preceded by zeros, gaps are zeros, samples before 0 are cut. At most one block of the
    native audio is held at a time. Raise `MediaError` where the track does not decode. Its first packet may fail, since
    it may refer to a part that was cut off, and so may the last one of MP3 or AAC: tags are often taken for a frame.
    `blocks`: those of `audio_blocks`, where they are decoded already; they are read up to twice.
    """
    track = _track(index)
    rate, channels = rate or track.rate, channels or track.channels
    mixer = _Mixer(channels)
    out = _joined(index, rate, mixer, blocks, resampler)
    opposite = _Mixer(channels, opposite=True)
    return _joined(index, rate, opposite, blocks, resampler) if mixer.cancelled else out


def _joined(index: MediaIndex, rate: int, mixer: _Mixer, native: Blocks, resampler: Resampler) -> Tensor:
    track, channels = _track(index), mixer.channels
    blocks = _converted(index, rate, mixer, native, resampler)
    with translated(index.stamp.path, "its audio does not fit in memory", "cut it into shorter files"):
        out = torch.empty(channels, max(1, ceil(track.end * rate)))
    filled = 0
    for block in blocks:
        stop = filled + block.shape[1]
        if stop > out.shape[1]:  # the announced end was a little off
            out = torch.cat([out[:, :filled], out.new_empty(channels, stop - filled + rate)], dim=1)
        out[:, filled:stop] = block
        filled = stop
    return out if filled == out.shape[1] else out[:, :filled].clone()


def decode_spans(
    index: MediaIndex,
    spans: Spans,
    rate: int,
    channels: int,
    blocks: Blocks = None,
    resampler: Resampler = "julius",
) -> list[Tensor]:
    """Return parts of what `decode_audio` gives, (start, stop) in seconds each, in one pass that holds only them."""
    mixer = _Mixer(channels, ceil(max(stop for _, stop in spans) * _track(index).rate))
    parts = _cut(index, spans, rate, mixer, blocks, resampler)
    opposite = _Mixer(channels, opposite=True)
    return _cut(index, spans, rate, opposite, blocks, resampler) if mixer.cancelled else parts


def _cut(
    index: MediaIndex, spans: Spans, rate: int, mixer: _Mixer, native: Blocks, resampler: Resampler
) -> list[Tensor]:
    edges = [(round(start * rate), round(stop * rate)) for start, stop in spans]
    kept: list[list[Tensor]] = [[] for _ in spans]
    here = 0
    for block in _converted(index, rate, mixer, native, resampler):
        for part, (start, stop) in zip(kept, edges, strict=True):
            inside = block[:, max(0, start - here) : max(0, stop - here)]
            if inside.shape[1]:
                part.append(inside if inside.shape == block.shape else inside.clone())  # or the block stayed in memory
        here += block.shape[1]
        if here >= max(stop for _, stop in edges):
            break
    return [torch.cat(part, dim=1) if part else torch.zeros(mixer.channels, 0) for part in kept]


class _Mixer:
    """Mixes a track to `channels` block by block, as `mixed` does at once.

    `cancelled` tells afterwards whether the two channels cancel each other in mono, by the first `reach` samples; then
    mix again with `opposite`.
    """

    def __init__(self, channels: int, reach: int | None = None, opposite: bool = False) -> None:
        self.channels, self._reach, self._opposite = channels, reach, opposite
        self._powers = torch.zeros(3, dtype=torch.float64)
        self._here = 0

    def __call__(self, block: Tensor) -> Tensor:
        if len(block) == self.channels:
            return block
        if self.channels != 1:
            return remix(block, self.channels)
        stereo = remix(block, 2)
        if self._opposite:
            return mono(stereo, opposite=True)
        mean, reach = mono(stereo), None if self._reach is None else max(0, self._reach - self._here)
        self._powers += mono_powers(stereo[:, :reach], mean[:, :reach])
        self._here += block.shape[1]
        return mean

    @property
    def cancelled(self) -> bool:
        return bool(cancels(self._powers))


def _converted(index: MediaIndex, rate: int, mixer: _Mixer, native: Blocks, resampler: Resampler) -> Iterator[Tensor]:
    """Yield the audio from clip time 0, mixed and resampled, block by block."""
    track, channels = _track(index), mixer.channels
    if channels != track.channels and not is_mixable(track.names):
        problem = f"no rule to mix {'+'.join(track.names)} to {channels} channels"
        raise MediaError(index.stamp.path, problem, "mix it to mono or stereo first")
    blocks: Iterator[Tensor] = map(mixer, audio_blocks(index) if native is None else native)
    return resampled(blocks, track.rate, rate, resampler) if rate != track.rate else blocks


def audio_blocks(index: MediaIndex) -> Iterator[Tensor]:
    """Yield the native audio from clip time 0, float32 (channels, any) blocks that follow each other without gaps.

    The channels come in FFmpeg's usual order, whatever that of the file. Raise `MediaError` at a sample that `Clip`
    would not take from a tensor either: NaN, infinity, a scale of integers.
    """
    track, path, here = _track(index), index.stamp.path, 0
    for pieces in _batched(on_the_clock(index, track)):
        with translated(path, *UNCONVERTIBLE):
            block = torch.from_numpy(floats(pieces, track.channels))
        check_samples(path, block, here / track.rate, track.rate)
        yield block
        here += block.shape[1]


def _batched(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    length = 0
    for piece in pieces:
        batch.append(piece)
        length += piece.stop - piece.start
        if length >= _BATCH:
            yield batch
            batch, length = [], 0
    if batch:
        yield batch


def resampled(
    blocks: Iterator[Tensor], old_rate: int, new_rate: int, resampler: Resampler = "julius"
) -> Iterator[Tensor]:
    """Yield what `resample` makes of the concatenation of `blocks`, float (channels, any), piece by piece."""
    old, new = old_rate // gcd(old_rate, new_rate), new_rate // gcd(old_rate, new_rate)
    # whole multiples of `old` samples become whole multiples of `new`, so that pieces fit together exactly
    context, size = (ceil(count * max(1, old / new) / old) * old for count in (_CONTEXT, _BLOCK))
    held: list[Tensor] = []
    length = done = 0  # samples in `held`, and those of them that were resampled already
    for block in blocks:
        held.append(block)
        length += block.shape[1]
        while length >= done + size + context:
            audio = torch.cat(held, dim=1)
            piece = resample(audio[:, : done + size + context], old, new, resampler)
            yield piece[:, done // old * new : (done + size) // old * new]
            drop = max(0, done + size - context)
            held, length, done = [audio[:, drop:]], length - drop, done + size - drop
    if held:
        yield resample(torch.cat(held, dim=1), old, new, resampler)[:, done // old * new :]


def _track(index: MediaIndex) -> IndexedAudio:
    if index.sound is None:
        raise MediaError(index.stamp.path, index.missing["audio"], "give a file with an audio track")
    return index.sound
