"""The real clips that pairs are made of: what each has, and which of them show the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avreward.clip import Clip
from avreward.datasets.synthetic._perturb_text import meaningful
from avreward.datasets.synthetic._perturb_words import WORDS, words_of
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError
from avreward.media.sampling import FramePlan
from avreward.scoring.inputs import ListedClip

LOOK = (16, 16)  # pixels of the first frame that are compared
SAME_LOOK = 0.98  # correlation of two first frames that are taken for the same
FLAT = 2.0  # of 255: standard deviation of a first frame below which it tells nothing, such as black
SCENARIOS = ("audio-video", "audio-text", "music-text")


@dataclass(frozen=True, slots=True)
class PairSource:
    """A real clip that pairs are made of.

    Attributes:
        path: its file.
        has: what it has: "video", "audio", "prompt", "texts.NAME".
        seconds: its length.
        prompt: its caption.
        texts: other texts; "words" is a transcript with times.
        category: of its sound, such as a class of VGGSound.
        scenario: "audio-video", "audio-text", "music-text", or empty for silent video.
        meaning: the words of the caption that mean something.
        content: keys of its tracks; clips that share one hold the same video or the same audio.
        look: its first frame, small and grey; empty without video, or where it is one plain surface.
    """

    path: Path
    has: frozenset[str]
    seconds: float
    prompt: str | None
    texts: Mapping[str, str]
    category: str | None
    scenario: str
    meaning: frozenset[str] = field(repr=False)
    content: frozenset[str] = field(default=frozenset(), repr=False)
    look: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """A name for its folder: that of the file, and digits that depend on the path."""
        digest = hashlib.blake2b(self.path.as_posix().encode(errors="surrogateescape"), digest_size=4).hexdigest()
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', self.path.stem)[:40].strip('.') or 'clip'}-{digest}"

    def open(self) -> Clip:
        """Open the file, with its texts."""
        return Clip.open(self.path, prompt=self.prompt, texts=self.texts)

    def same_content(self, other: PairSource) -> bool:
        """Return whether both hold the same video or audio, such as two dubs of one video.

        Copies that were encoded anew are known by their first frame.
        """
        if self.content & other.content:
            return True
        if not self.look or not other.look:
            return False
        first, second = (np.frombuffer(look, np.uint8).astype(np.float64) for look in (self.look, other.look))
        return float(np.corrcoef(first, second)[0, 1]) > SAME_LOOK


def pair_sources(
    clips: Iterable[ListedClip],
    failed: Callable[[str], None] = lambda problem: None,
    step: Callable[[str], None] = lambda name: None,
) -> list[PairSource]:
    """Return the clips that pairs can be made of; each file is read once, and its first frame decoded.

    Columns of a manifest are read where they are there: ``category`` of the sound, ``scenario``, ``texts.speech`` (the
    words said), ``texts.words`` (them with times). Words with times also stand beside a clip in ``NAME.words.json`` or,
    as Whisper and WhisperX name it, ``NAME.json``. Without a scenario, a clip with video and audio is "audio-video",
    one with audio alone "audio-text", and a silent video neither.

    Args:
        clips: see `avreward.scoring.list_clips`.
        failed: told why a clip is left out (*optional*).
        step: called with each clip's name (*optional*).

    Raises:
        ArgumentError: for an unknown scenario, the words of another layout, or if no clip can be opened.

    Example:
        >>> from avreward.scoring import list_clips
        >>> [source.scenario for source in pair_sources(list_clips("dub1.mp4"))]
        ['audio-video']
    """
    found, seen = [], set()
    for listed in clips:
        if listed.path in seen:
            continue
        seen.add(listed.path)
        try:
            found.append(_source(listed))
        except MediaError as error:
            failed(str(error))
        step(listed.path.name)
    if not found:
        raise ArgumentError("clips", "at least one clip that can be opened", Described("none"), "check the paths")
    return found


def _source(listed: ListedClip) -> PairSource:
    texts = listed.texts
    clip = Clip.open(listed.path)
    if WORDS not in texts and (file := _words_file(listed.path)) is not None:
        try:
            texts[WORDS] = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise AvrewardError(f"{file}: these words can't be read ({error}); write JSON in UTF-8") from error
    if WORDS in texts:
        try:
            spoken = words_of(texts[WORDS])
        except ArgumentError as error:
            raise ArgumentError(f"{listed.path}: words", error.expected, Described(error.got)) from error
        texts.setdefault("speech", " ".join(word.text for word in spoken))
    has = {track for track, there in (("video", clip.has_video), ("audio", clip.has_audio)) if there}
    has |= {f"texts.{name}" for name, text in texts.items() if text} | ({"prompt"} if listed.prompt else set())
    own = "" if "audio" not in has else "audio-video" if "video" in has else "audio-text"
    scenario = str(listed.columns.get("scenario") or own)
    if scenario and scenario not in SCENARIOS:
        raise ArgumentError(f"{listed.path}: scenario", f"one of {', '.join(SCENARIOS)}", scenario)
    category = listed.columns.get("category")
    return PairSource(
        listed.path, frozenset(has), clip.seconds, listed.prompt, texts, str(category) if category else None, scenario,
        meaningful(listed.prompt or ""), frozenset(clip.keys[name] for name in {"video", "audio"} & has),
        _look(clip),
    )  # fmt: skip


def _look(clip: Clip) -> bytes:
    if not clip.has_video:
        return b""
    frame = clip.frames(FramePlan(lambda times: times.new_zeros(1).long(), size=LOOK))[0].mean(0) * 255
    return b"" if float(frame.std()) < FLAT else bytes(frame.round().byte().flatten().tolist())


def _words_file(path: Path) -> Path | None:
    names = (path.with_suffix(".words.json"), path.with_suffix(".json"))
    return next((name for name in names if name.is_file()), None)
