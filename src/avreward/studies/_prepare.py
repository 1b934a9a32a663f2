"""Makes an experiment: dubs of silent videos by a provider, the rater's pick, and files that browsers play."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avreward.clip import Clip
from avreward.errors import MediaError
from avreward.generators._as_sampler import Generate
from avreward.generators.base import GeneratorStopped
from avreward.report._media import media_of
from avreward.rewards._as_reward import RewardLike, as_reward
from avreward.rewards.base import MissingScore, Reward
from avreward.selection._best_of_n import best_of_n
from avreward.studies._made import NotMade, check_different, made_at_a_time
from avreward.studies._media_files import FOLDER, PAGE
from avreward.studies._questions import ShownClip, StudyVideo
from avreward.studies.choices import Choices

FEWEST = 2


def prepare(
    choices: Choices,
    videos: Sequence[Path],
    generate: Generate,
    reward: RewardLike,
    n: int | None = FEWEST,
    *,
    categories: Mapping[str, str] | None = None,
    prompts: Mapping[str, str] | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> None:
    """Add videos to an experiment; those that are in it already are left as they are, but for a new category.

    Each has `n` dubs, ``generate(clip, seed)`` for the seeds 0 … n − 1; `None` for as many as ``generate.count`` says.
    Of equal rewards the earlier one is picked. A dub that can't be made or rated is missing, with the reason; a video
    with fewer than two is left out, with the reason, and tried again the next time. Files are written without knowledge
    of the pick.

    Args:
        choices: the experiment.
        videos: the silent videos; sound that they may have isn't used. Their names, without endings, must differ.
        generate: the provider; of one with `concurrency`, so many dubs are made at a time.
        reward: picks the dub.
        n: how many dubs a video has.
        categories: name of a video, with or without its ending → its category.
        prompts: the same → its prompt.
        step: called with the name of each video that is done.

    Raises:
        GeneratorStopped: if the provider can't continue (its budget is spent); what is done by then is kept.
    """
    reward = as_reward(reward)
    check_different([path.stem for path in videos])
    done = {video.name: video for video in choices.videos() if video.picked is not None}
    for path in videos:
        category = of_video(categories, path)
        if path.stem not in done:
            try:
                clip = Clip.open(path, prompt=of_video(prompts, path) or None)
                video = _study_video(choices, clip, generate, reward, n)
            except (MediaError, MissingScore) as error:
                video = StudyVideo(path.stem, [], None, reason=str(error))
            choices.add(replace(video, category=category))
        elif category not in ("", done[path.stem].category):
            choices.add(replace(done[path.stem], category=category))
        step(path.stem)


def _study_video(choices: Choices, clip: Clip, generate: Generate, reward: Reward, n: int | None) -> StudyVideo:
    name = Path(clip.name).stem
    if not clip.has_video:
        raise MediaError(clip.name, "it has no video", "give a silent video")
    count = generate.count(clip) if n is None else n  # type: ignore[attr-defined]
    if count < FEWEST:
        raise MediaError(clip.name, f"it has {count} of the 2 candidates that a choice needs", "add candidates")
    made, failed = _made(clip, generate, count)
    if not made:
        return StudyVideo(name, list(failed.values()), None, reason="; ".join(str(s.reason) for s in failed.values()))
    picked = best_of_n(list(made.values()), reward)
    shown, poster = dict(failed), ""
    for place, number in enumerate(made):
        source = _source(generate, clip, number)
        if place in picked.missing:
            shown[number] = ShownClip(number, source, reason=picked.missing[place])
            continue
        hidden = choices.hidden_name("clip", name, number)
        media = media_of(made[number], choices.folder / PAGE, hidden, copy=True)
        poster = poster or media.poster
        file = f"{FOLDER}/{Path(media.url).name}" if media.url else None
        shown[number] = ShownClip(number, source, float(picked.rewards.values[place]), media.problem or None, file)
    candidates = [shown[number] for number in sorted(shown)]
    best = list(made)[picked.best_index]
    playable = [candidate.number for candidate in candidates if candidate.file]
    if len(playable) < FEWEST or best not in playable:
        why = "; ".join(dict.fromkeys(str(s.reason) for s in candidates if s.reason))
        return StudyVideo(name, candidates, None, reason=f"fewer than two dubs can be compared: {why}")
    return StudyVideo(name, candidates, best, poster=poster, width=clip.width, height=clip.height)


def _made(clip: Clip, generate: Generate, count: int) -> tuple[dict[int, Clip], dict[int, ShownClip]]:
    """Return number → dub, and number → why there is none."""
    results = made_at_a_time(generate, range(count), lambda seed: generate(clip, seed), GeneratorStopped)
    made = {number: result for number, result in enumerate(results) if isinstance(result, Clip)}
    failed = {
        number: ShownClip(number, _source(generate, clip, number), reason=result.reason)
        for number, result in enumerate(results)
        if isinstance(result, NotMade)
    }
    return made, failed


def _source(generate: Generate, clip: Clip, number: int) -> str:
    """Where a candidate is from: its file, for a provider that knows it."""
    paths = generate.candidates(Path(clip.name).stem) if hasattr(generate, "candidates") else []
    return paths[number].name if number < len(paths) else f"seed {number}"


def of_video(table: Mapping[str, str] | None, path: Path) -> str:
    """Return what a table says of a video, by its name with the ending or without; nothing: empty.

    >>> of_video({"rain": "Water"}, Path("silent/rain.mp4"))
    'Water'
    """
    return (table or {}).get(path.name, (table or {}).get(path.stem, ""))
