"""Load and rate clips as several raters do: those that decode alike share samples and work."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from avreward.clip import Clip
from avreward.errors import ArgumentError, Described
from avreward.raters._loop import sample_key
from avreward.raters.base import Rater, Sample, Track, Work
from avreward.raters.scores import Scores
from avreward.raters.shared import Shared
from avreward.raters.wrappers.base import frame_plans


@dataclass(frozen=True)
class MemberSamples(Sample):
    """One clip, decoded as each member wants it: `sample_key` of the member → sample."""

    members: Mapping[Hashable, Sample] = field(default_factory=dict)


def load_members(raters: Sequence[Rater], clip: Clip, work: Work) -> dict[Hashable, Sample]:
    """Decode a clip as each rater does, a file once for all of them: `sample_key` → sample."""
    each = {sample_key(rater): rater for rater in raters}
    shared = clip.decoded_once(partial(frame_plans, list(each.values()), clip)) if len(each) > 1 else clip
    loaded = {key: rater.load(shared, member_work(work, rater.decoding)) for key, rater in each.items()}
    # without what `shared` keeps
    return {k: replace(sample, clip=clip) if sample.clip is shared else sample for k, sample in loaded.items()}


def load_member_tracks(raters: Sequence[Rater], clip: Clip, track: Track) -> dict[Hashable, Any]:
    """Decode one track as each rater that reads it does: `sample_key` → decoded track."""
    return {sample_key(rater): rater.load_track(clip, track) for rater in raters if track in rater.tracks}


def load_parts(raters: Sequence[Rater], tracks: Sequence[Track], clip: Clip, work: Work) -> MemberSamples:
    """Decode a clip as each rater does; a track is missing only if no rater has it."""
    members = load_members(raters, clip, work)
    found: dict[str, Any] = {
        track: {key: sample.tracks[track] for key, sample in members.items() if track in sample.tracks}
        for track in tracks
    }
    found = {track: decoded for track, decoded in found.items() if decoded}
    missing = {track: why for sample in members.values() for track, why in sample.missing.items() if track not in found}
    return MemberSamples(clip, found, missing, failure_of(members), members)


def failure_of(members: Mapping[Hashable, Sample]) -> str | None:
    """Return why the clip failed, of all members; `None` if it did not."""
    failures = dict.fromkeys(sample.failure for sample in members.values() if sample.failure is not None)
    return "; ".join(failures) or None


def rate_members(raters: Sequence[Rater], samples: Sequence[Sample], work: Work) -> list[Scores]:
    """Return the scores of each rater for what `load_members` decoded.

    Raises:
        ArgumentError: for samples of another kind.
    """
    parts = []
    for rater in raters:
        own = [sample.members[sample_key(rater)] for sample in samples if isinstance(sample, MemberSamples)]
        if len(own) != len(samples):
            raise ArgumentError("samples", "samples made by this rater's load", Described("others"))
        parts.append(rater.rate(own, member_work(work, rater.decoding)))
    return parts


def member_work(work: Work, decoding: Hashable) -> Work:
    """Return the `Work` of members that decode and encode alike; keys of other members have other meanings."""
    return work.results.get(("members", decoding), lambda: Work(loaded=Shared(work.loaded.size)))
