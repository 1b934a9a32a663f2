"""Media for browsers: the candidate's own file or an encoded copy, with poster, loudness and motion."""

from __future__ import annotations

import base64
import io
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import torch
from torch import Tensor

from avreward._names import ending_of, stem_of
from avreward._whole_files import whole_file
from avreward.clip import Clip
from avreward.errors import AvrewardError, MediaError
from avreward.media._container import Limits, reading
from avreward.media.sampling import AllFrames, FramePlan, Spread
from avreward.report.data import PlayableMedia

SPANS = 240  # steps of the drawn loudness and motion
POSTERS = 5  # frames that the poster is chosen from
POSTER_SIDE = 420  # pixels; about 15 kB a candidate
MOTION_SIDE = 64
PLAIN_BYTES = 4 * 2**30  # of frames as floats: five seconds of 4K
MOTION_SECONDS = 120.0  # of longer clips, no motion is drawn, since it needs every frame

# What current browsers play, by libav's names. Other files are encoded again.
_MP4 = {"h264": {"yuv420p", "yuvj420p"}, "av1": {"yuv420p"}}
_WEBM = {"vp8": {"yuv420p"}, "vp9": {"yuv420p"}, "av1": {"yuv420p"}}
_CONTAINERS: dict[str, tuple[dict[str, set[str]], set[str]]] = {
    "mov,mp4,m4a,3gp,3g2,mj2": (_MP4, {"aac", "mp3", "opus", "flac"}),
    "matroska,webm": (_WEBM, {"opus", "vorbis"}),
    "mp3": ({}, {"mp3"}),
    "wav": ({}, {"pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le"}),
    "ogg": ({}, {"opus", "vorbis", "flac"}),
    "flac": ({}, {"flac"}),
}


def media_of(clip: Clip, page: Path, name: str, copy: bool = False) -> PlayableMedia:
    """Return what the page at `page` plays for `clip`; new files are written to a folder beside the page.

    The clip's own file is linked if browsers play it. Otherwise, and for a clip without a file of its own (a dub,
    tensors), the clip is written as H.264 and AAC. It does not raise: if nothing can be played, `problem` says why.

    Args:
        clip: a candidate.
        page: where the page will be.
        name: file name without ending, for new files.
        copy: copy the file beside the page in any case, so that the folder can be shared.
    """
    kind = "video" if clip.has_video else "audio"
    try:
        width, height = (clip.width, clip.height) if clip.has_video else (16, 9)
        url = relative_url(file_for(clip, page, name, copy), page.parent)
    except (AvrewardError, OSError) as error:
        return PlayableMedia("", kind, problem=f"Nothing to play: {error}")
    poster, motion = _seen(clip)
    return PlayableMedia(url, kind, poster, _heard(clip), motion, width, height)


def relative_url(path: Path, folder: Path) -> str:
    """Return the URL of a file relative to a page in `folder`, with ``#``, ``?``, ``%`` quoted.

    Example:
        >>> relative_url(Path("/a/b/100% #1.mp4"), Path("/a/c"))
        '../b/100%25%20%231.mp4'
    """
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # another drive
        return path.resolve().as_uri()
    # The dot keeps a name with a colon from being read as a URL scheme.
    address = quote(os.fsencode(Path(relative).as_posix()), safe="/")
    return address if address.startswith("../") else f"./{address}"


def browser_plays(path: Path) -> bool:
    """Return whether current browsers play the file: container, codecs and pixel format, read from its header."""
    try:
        with reading(path, Limits()) as container:
            videos, sounds = _CONTAINERS.get(container.format.name, ({}, set()))
            return all(
                s.codec_context.name in videos and s.codec_context.pix_fmt in videos[s.codec_context.name]
                for s in container.streams.video
            ) and all(s.codec_context.name in sounds for s in container.streams.audio)
    except (AvrewardError, AttributeError):  # not media any more, or a stream without a decoder
        return False


def own_file(clip: Clip) -> Path | None:
    """Return the file with exactly the tracks of the clip; `None` for a dub of another file's video, or tensors."""
    if clip.path is None:
        return None
    try:
        there = Clip.open(clip.path).keys
    except AvrewardError:
        return None
    tracks = {name: key for name, key in clip.keys.items() if name in ("video", "audio")}
    return clip.path if tracks == dict(there) else None


def file_for(clip: Clip, page: Path, name: str, copy: bool) -> Path:
    """Return the file that the page at `page` plays for `clip`; see `media_of`, which doesn't raise."""
    own = own_file(clip)
    playable = own is not None and browser_plays(own)
    if own is not None and playable and not copy:
        return own
    folder = page.with_name(f"{page.stem}_files")
    folder.mkdir(parents=True, exist_ok=True)
    stem = stem_of(name, "clip")
    if own is not None and playable:
        target = folder / f"{stem}{ending_of(own.suffix)}"
        with whole_file(target) as part:
            shutil.copyfile(own, part)
        return target
    target = folder / f"{stem}{'.mp4' if clip.has_video else '.wav'}"
    clip.save(target)
    if not browser_plays(target):  # copied packets, or an odd size: 4:2:0 needs even sides
        _plain(clip).save(target)
    return target


def _plain(clip: Clip) -> Clip:
    """Return the clip as tensors of an even size, so that it is encoded from scratch."""
    size = len(clip.times) * clip.height * clip.width * 12  # bytes as floats
    if size > PLAIN_BYTES:
        raise MediaError(
            clip.name, "browsers can't play it, and it is too large to be encoded again", "convert it to H.264"
        )
    video = clip.video[..., : clip.height // 2 * 2, : clip.width // 2 * 2]
    plain = Clip(video=video, times=clip.times)
    return plain.with_audio(clip.sound(), clip.sample_rate) if clip.has_audio else plain


def _heard(clip: Clip) -> tuple[float, ...]:
    """Return the square root of the loudest sample of each span, so that quiet audio is visible."""
    if not clip.has_audio:
        return ()
    try:
        peaks = clip.sound().detach().abs().amax(0)
    except AvrewardError:
        return ()
    if not len(peaks):
        return ()
    spans = torch.nn.functional.adaptive_max_pool1d(peaks[None].float(), min(SPANS, len(peaks)))[0]
    return tuple(spans.clamp(0, 1).sqrt().tolist())


def _seen(clip: Clip) -> tuple[str, tuple[float, ...]]:
    """Return a poster frame as a data URL, and how much the video changes in each span.

    The poster is the frame with the most contrast of a few: a frame within a fade could be black.
    """
    if not clip.has_video:
        return "", ()
    plans = [FramePlan(Spread(POSTERS), max_side=POSTER_SIDE)]
    if clip.seconds <= MOTION_SECONDS:
        plans.append(FramePlan(AllFrames(), max_side=MOTION_SIDE))
    try:
        few, *small = (frames.detach() for frames in clip.views(plans))
        poster = few[int(few.flatten(1).float().std(1).argmax())]
        return _data_url(poster), _motion(small[0], clip) if small else ()
    except AvrewardError:
        return "", ()


def _motion(frames: Tensor, clip: Clip) -> tuple[float, ...]:
    if len(frames) < 3 or not clip.seconds:
        return ()
    change = (frames[1:] - frames[:-1]).abs().float().mean((1, 2, 3))
    spans = torch.zeros(min(SPANS, len(change)))
    # A change counts at the time of the new frame; a span without a new frame has no motion.
    at = (clip.times[1:] / clip.seconds * len(spans)).long().clamp(0, len(spans) - 1)
    return tuple(spans.scatter_reduce(0, at.cpu(), change.cpu(), "amax").tolist())


def _data_url(frame: Tensor) -> str:
    from PIL import Image

    pixels = (frame.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()  # (3, h, w) -> (h, w, 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=68)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
