"""The HTTP contract of UniRL's reward service, answered by a reward of ours.

As in Tencent-Hunyuan/UniRL, ``unirl-reward-service/README.md`` at commit 03593c4 and ``unirl/reward/remote.py`` at
commit 0e713d6: ``POST /score``, ``GET /rewards``, ``GET /health``. A reward that failed is absent from ``results`` and
has a text in ``errors``; there is no number for it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from avreward._extras import extra
from avreward._serving.guard import RequestProblem
from avreward.integrations.service._requests import RequestHandler, decoded, from_base64
from avreward.raters.remote._bodies import ClipAnswer, ClipBody
from avreward.raters.remote.rater import REWARD

with extra("server"):
    from msgspec import Struct
    from starlette.requests import Request

VERSION = "1"
_ECHOED = ("request_id", "sample_id", "group_id", "source_rank", "policy_version", "idempotency_key")


class UniRlTurn(Struct):
    """One turn of a history: a text and one media field."""

    text: str = ""
    image_b64: str | None = None
    video_b64: str | None = None
    video_path: str | None = None


class UniRlRequest(Struct):
    """One sample to score; the last turn of its history counts. Metadata are not read."""

    history: list[UniRlTurn]
    required_rewards: list[str]
    metadata: Any = None
    request_id: Any = None
    sample_id: Any = None
    group_id: Any = None
    source_rank: Any = None
    policy_version: Any = None
    idempotency_key: Any = None
    scorer_version: str | None = None


class UniRlBody(Struct):
    """The body of ``POST /score``."""

    requests: list[UniRlRequest]
    protocol_version: str = VERSION


class UniRlRoutes:
    """Answer UniRL's ``RemoteRewardBackend``: ``reward`` is the served reward, other names are the served raters."""

    def __init__(self, handler: RequestHandler) -> None:
        self.handler = handler

    async def rewards(self, request: Request) -> object:
        """Return the names that a request may ask for."""
        return {"rewards": [REWARD, *self.handler.served.raters]}

    async def score(self, request: Request) -> object:
        """Return ``results``, ``errors`` and ``identities``, one entry a request."""
        body: UniRlBody = decoded(await request.body(), UniRlBody)
        if body.protocol_version != VERSION:
            raise RequestProblem(400, f"protocol_version: expected {VERSION!r}, got {body.protocol_version!r}")
        known = {REWARD, *self.handler.served.raters}
        for one in body.requests:
            unknown = [name for name in one.required_rewards if name not in known]
            if unknown:
                raise RequestProblem(400, f"required_rewards: expected some of {sorted(known)}, got {unknown[0]!r}")
            pinned = one.scorer_version
            if pinned is not None and pinned != self.handler.served.fingerprint:
                got = f"expected {self.handler.served.fingerprint!r}, got {pinned!r}"
                raise RequestProblem(409, f"scorer_version: {got}; the reward has changed")
        parts: dict[str, Tensor] = {}
        bodies = [_clip_of(one, i, parts) for i, one in enumerate(body.requests)]
        answers = await self.handler.answers(bodies, parts) if bodies else []
        rows = [self._row(one.required_rewards, answer) for one, answer in zip(body.requests, answers, strict=True)]
        version = self.handler.served.fingerprint
        identities = [{name: getattr(one, name) for name in _ECHOED} | {"scorer_version": version}
                      for one in body.requests]  # fmt: skip
        return {
            "protocol_version": VERSION,
            "results": [found for found, _ in rows],
            "errors": [problems for _, problems in rows],
            "identities": identities,
        }

    def _row(self, names: list[str], answer: ClipAnswer) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
        found: dict[str, dict[str, float]] = {}
        problems: dict[str, str] = {}
        for name in names:
            if answer.error is not None:
                problems[name] = answer.error
            elif name == REWARD:
                if answer.reward is None:
                    problems[name] = answer.reason or "it is missing"
                else:
                    found[name] = {REWARD: answer.reward}
            else:
                self._add_rater(name, answer, found, problems)
        return found, problems

    def _add_rater(
        self, name: str, answer: ClipAnswer, found: dict[str, dict[str, float]], problems: dict[str, str]
    ) -> None:
        """Add a rater's scores, or its error where one is missing: the client may read the first of them alone."""
        row = answer.raters[name]
        wanted = [d.name for d in self.handler.served.raters[name].dimensions if not d.detail]
        wanted.sort(key=lambda dimension: dimension != "overall")
        missing = [f"{dimension}: {row.reasons.get(dimension)}" for dimension in wanted if dimension not in row.values]
        if missing:
            problems[name] = "; ".join(missing)
        else:
            found[name] = {dimension: row.values[dimension] for dimension in wanted}


def _clip_of(request: UniRlRequest, number: int, parts: dict[str, Tensor]) -> ClipBody:
    """Return the clip of the last turn."""
    name = f"requests[{number}]"
    if not request.history:
        raise RequestProblem(400, f"{name}.history: expected at least one turn, got none")
    turn = request.history[-1]
    media = [kind for kind in ("image_b64", "video_b64", "video_path") if getattr(turn, kind) is not None]
    if len(media) != 1:
        raise RequestProblem(400, f"{name}.history: expected one of image_b64, video_b64 and video_path, got {media}")
    if turn.video_path is not None:
        return ClipBody(name=turn.video_path, prompt=turn.text, path=turn.video_path)
    kind = ".png" if turn.image_b64 is not None else ".mp4"
    part = f"{number}.file{kind}"
    parts[part] = from_base64(turn.image_b64 or turn.video_b64 or "", f"{name}.{media[0]}")
    return ClipBody(name=name, prompt=turn.text, whole=part)
