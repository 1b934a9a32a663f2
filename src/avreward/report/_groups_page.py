"""A page with the winner of each group, and a search; each group has a page of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path

from avreward._names import stem_of
from avreward.report._media import media_of, relative_url
from avreward.report.build import Details, facts, write_report
from avreward.report.data import FailedFile, PlayableMedia
from avreward.report.page import HERE, _policy, environment, write_whole
from avreward.rewards.base import Reward
from avreward.selection._selection import Selection


@dataclass(frozen=True)
class GroupView:
    """One group on the page.

    Attributes:
        name: of the group.
        best: name of the best candidate.
        reward: of the best candidate.
        ahead: by how much it is above the second; `None` if it is alone.
        others: name and reward of the other candidates, best first.
        media: of the best candidate.
        url: of the group's own page, relative to this one.
        prompt: of the best candidate, or empty.
        facts: about the best candidate, short texts.
    """

    name: str
    best: str
    reward: float
    ahead: float | None
    others: Sequence[tuple[str, float]]
    media: PlayableMedia
    url: str
    prompt: str = ""
    facts: Sequence[str] = ()

    @property
    def searched(self) -> str:
        """The text that the search looks at: names and prompt, in lower case."""
        return " ".join([self.name, self.best, *(name for name, _ in self.others), self.prompt]).lower()


@dataclass(frozen=True)
class GroupsPage:
    """The content of the page.

    Attributes:
        groups: in the order given.
        by: what the clips of a group share.
        expression: of the reward.
        failures: clips that are not ranked.
        notes: warnings.
        settings: label → value.
    """

    groups: Sequence[GroupView]
    by: str
    expression: str
    failures: Sequence[FailedFile] = ()
    notes: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def clips(self) -> int:
        """The number of ranked clips."""
        return sum(1 + len(group.others) for group in self.groups)


def group_view(page: Path, name: str, stem: str, picked: Selection, reward: Reward, details: Details) -> GroupView:
    """Write the page of one group into the folder beside `page`, and return what `page` shows of it.

    Args:
        page: of all groups.
        name: of the group.
        stem: of the group's own page, see `file_names`.
        picked: the group's ranking.
        reward: what it is ranked by.
        details: of the group's page; with the names of the candidates.
    """
    own = write_report(page.with_name(f"{page.stem}_groups") / f"{stem}.html", picked, reward, details)
    first, *rest = picked.order
    values = [float(value) for value in picked.rewards.values.detach()]
    clip, best = picked.clip(first), details.names[first]
    return GroupView(
        name=name,
        best=best,
        reward=values[first],
        ahead=values[first] - values[rest[0]] if rest else None,
        others=[(details.names[i], values[i]) for i in rest],
        media=media_of(clip, page, f"{stem}-{Path(best).stem}", details.copy_media),
        url=relative_url(own, page.parent),
        prompt=clip.prompt or "",
        facts=facts(clip),
    )


def render_groups(page: GroupsPage) -> str:
    """Return the page as HTML; all text is escaped."""
    from markupsafe import Markup

    style = "".join((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "groups.css"))
    script = (HERE / "groups.js").read_text(encoding="utf-8")
    template = environment().get_template("groups.html.j2")
    # Only files of this package are not escaped.
    own = {"style": Markup(style), "script": Markup(script)}  # noqa: S704
    return template.render(page=page, policy=_policy(script), version=version("avreward"), **own)


def write_groups(page: GroupsPage, path: Path) -> Path:
    """Write the page atomically and return its path; `OSError` if it can't be written."""
    return write_whole(path, render_groups(page))


def file_names(names: Sequence[str]) -> list[str]:
    """Return a file's name, without ending, for each of `names`: safe, short, and each once.

    Example:
        >>> file_names(["dubs/rain", "a dog!", "a dog?"])
        ['dubs-rain', 'a-dog', 'a-dog-2']
    """
    found: list[str] = []
    used: set[str] = set()
    for name in names:
        stem = stem_of(name, "group")
        free = next(one for n in count(1) if (one := stem if n == 1 else f"{stem}-{n}").lower() not in used)
        used.add(free.lower())  # some disks do not tell A from a
        found.append(free)
    return found
