"""Which of FFmpeg's demuxers and decoders read files: those in use for video and audio today, and tested here.

FFmpeg has hundreds more, for games and cameras of the past; most of its known vulnerabilities are in them. The
environment variable ``AVREWARD_DECODERS`` adds some by FFmpeg's names, separated by commas, or ``all``.
"""

from __future__ import annotations

import os

VARIABLE = "AVREWARD_DECODERS"
_DEMUXERS = """mov matroska webm mpegts mpeg avi flv nut ogg mp3 aac ac3 eac3 flac wv wav w64 aiff au caf h264 hevc
ivf obu gif apng image2 png_pipe jpeg_pipe webp_pipe exr_pipe yuv4mpegpipe"""
_DECODERS = """h264 hevc av1 libdav1d libaom-av1 vp8 vp9 libvpx libvpx-vp9 mpeg1video mpeg2video mpeg4 flv mjpeg
ffv1 prores rawvideo qtrle exr png apng gif webp aac mp3 mp3float mp2 mp2float opus libopus vorbis
libvorbis flac alac wavpack ac3 eac3 pcm_u8 pcm_s8 pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le
pcm_s32be pcm_f32le pcm_f32be pcm_f64le pcm_f64be pcm_alaw pcm_mulaw"""
DEMUXERS, DECODERS = frozenset(_DEMUXERS.split()), frozenset(_DECODERS.split())


def options() -> dict[str, str]:
    """Return the options of libav that refuse everything else; none where all is allowed."""
    extra = _extra()
    if "all" in extra:
        return {}
    return {
        "format_whitelist": ",".join(sorted(DEMUXERS | extra)),
        "codec_whitelist": ",".join(sorted(DECODERS | extra)),
    }


def is_allowed(decoder: str) -> bool:
    """Return whether a decoder may be used.

    >>> is_allowed("h264"), is_allowed("magicyuv")
    (True, False)
    """
    extra = _extra()
    return decoder in DECODERS | extra or "all" in extra


def _extra() -> frozenset[str]:
    return frozenset(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())
