"""Puts clips into a study: files that browsers play, soundtracks of one video at one loudness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError
from avreward.scoring._grouping import default_rule, group_in, names_column
from avreward.scoring.inputs import ListedClip
from avreward.studies._media_files import check_one_kind, same_video, shown_file
from avreward.studies.rating._loudness import matched_gains
from avreward.studies.rating._tasks import RatedClip
from avreward.studies.rating.study import RatingStudy

PRACTICE = "practice"  # part of the names of files of clips that are shown for practice


def prepare_study(
    study: RatingStudy,
    clips: Sequence[ListedClip],
    training: Sequence[ListedClip] = (),
    *,
    group_by: str | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> None:
    """Add clips to a study; those that are in it already are left as they are.

    A clip that was shown for practice and is now to be rated, or the reverse, changes: everyone is asked about it anew,
    and answers that were given for practice, or about a clip that now is, don't count.

    A clip that can't be read is kept with the reason, is not shown, and is tried again the next time. Where soundtracks
    are compared, the clips of a group show one video; their audio is encoded anew (AAC) at one loudness.

    Args:
        study: where to.
        clips: what people rate.
        training: what they meet first, for practice; its answers count in nothing.
        group_by: what candidates of a group share, see `avreward.scoring.group_of`; needed for pairs and soundtracks.
            Default: the column ``group``, the prompt, or the folder.
        step: called with the name of each clip that is done.

    Raises:
        ArgumentError: for an unknown rule, or if a clip is for practice and rated.

    Example:
        >>> from avreward.scoring import list_clips
        >>> study = RatingStudy("dubs-rated", "soundtracks")
        >>> prepare_study(study, list_clips(["dub1.mp4", "dub2.mp4"]))
        >>> [len(clips) for clips in study.questions().values()]
        [2]
    """
    rated = {one.path for one in clips}
    if twice := next((one.path for one in training if one.path in rated), None):
        raise ArgumentError("training", "clips that are not rated", Described(f"{twice.name}"), "leave it out of one")
    known = {(clip.name, clip.training) for clip in study.clips() if clip.file}
    for practice, listed in ((True, training), (False, clips)):
        for group, members in _grouped(listed, group_by).items():
            fresh = [one for one in members if (str(one.path), practice) not in known]
            if fresh:
                again = members if study.mode == "soundtracks" else fresh  # one loudness for all of a group
                study.add(list(_prepared(study, again, group, practice)))
            for one in members:
                step(one.path.name)


def _grouped(listed: Sequence[ListedClip], rule: str | None) -> dict[str, list[ListedClip]]:
    if not listed:
        return {}
    if rule is None:
        rule = default_rule(any("group" in one.columns for one in listed), [one.prompt for one in listed])
    column = names_column(listed, rule)
    groups: dict[str, list[ListedClip]] = {}
    for one in {one.path: one for one in listed}.values():
        groups.setdefault(group_in(one, rule, column) or "", []).append(one)
    return groups


def _prepared(study: RatingStudy, members: Sequence[ListedClip], group: str, practice: bool) -> Iterator[RatedClip]:
    """Yield what is shown of clips of one group, or why nothing is."""
    opened: dict[str, Clip] = {}
    told: dict[str, RatedClip] = {}
    for one in members:
        name, system = str(one.path), str(one.columns.get("system") or "")
        told[name] = RatedClip(name, None, "video", group, one.prompt or "", system, practice)
        try:
            if not group and study.mode != "scores":
                raise MediaError(name, "it belongs to no group", "say what candidates of a group share")
            clip = Clip.open(one.path, prompt=one.prompt)
            if opened:
                check_one_kind(next(iter(opened.values())), clip)
            if study.mode == "soundtracks":
                _check_soundtrack(clip, next(iter(opened.values()), clip))
            width, height = (clip.width, clip.height) if clip.has_video else (16, 9)
            kind = "video" if clip.has_video else "audio"
            told[name] = replace(told[name], kind=kind, width=width, height=height)
            opened[name] = clip
        except AvrewardError as error:
            told[name] = replace(told[name], reason=str(error))
    if study.mode == "soundtracks":
        opened = _equally_loud(opened, told)
    for name, found in told.items():
        if name not in opened:
            yield found
            continue
        hidden = study.hidden_name("clip", PRACTICE if practice else "", name)
        try:
            yield replace(found, file=shown_file(opened[name], study.folder, hidden))
        except (AvrewardError, OSError) as error:
            yield replace(found, reason=str(error))


def _check_soundtrack(clip: Clip, first: Clip) -> None:
    if not clip.has_audio:
        raise MediaError(clip.name, "it has no audio", "give clips with soundtracks")
    if clip is not first and clip.has_video and not same_video(first, clip):
        problem = f"it shows another video than {first.name}"
        raise MediaError(clip.name, problem, "group soundtracks of one video, or compare pairs of clips")


def _equally_loud(opened: dict[str, Clip], told: dict[str, RatedClip]) -> dict[str, Clip]:
    """Return the clips with their audio at one loudness; note why one can't be heard."""
    sounds = {}
    for name, clip in opened.items():
        try:
            sounds[name] = clip.sound()
        except AvrewardError as error:
            told[name] = replace(told[name], reason=str(error))
    gains = matched_gains([(wave, opened[name].sample_rate) for name, wave in sounds.items()])
    found = {}
    for (name, wave), gain in zip(sounds.items(), gains, strict=True):
        clip = opened[name]
        audio, rate = gain * wave, clip.sample_rate
        found[name] = clip.with_audio(audio, rate) if clip.has_video else Clip(audio=audio, sample_rate=rate)
    return found
