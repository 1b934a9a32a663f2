"""What each request to a study's server has to pass besides the common checks: the key of the first pages."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from avreward._serving.guard import Application, Guard, RequestProblem

ENTRIES = frozenset({"/", "/start"})  # where people who have no address of their own yet come in


class StudyGuard(Guard):
    """A guard of a study's pages.

    Args:
        inner: the application.
        policy: the Content-Security-Policy of every answer.
        local: whether only names of this machine may be asked for.
        key: what the query of the first pages must hold as ``key`` (*optional*).
    """

    def __init__(self, inner: Application, policy: str, *, local: bool, key: str | None = None) -> None:
        super().__init__(inner, policy, local=local)
        self.key = key

    def check_access(self, scope: Mapping[str, Any], headers: Mapping[bytes, str], length: int) -> None:
        """Ask for the key at the first pages; the others have addresses that nobody can guess."""
        if self.key is not None and scope["path"] in ENTRIES:
            given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20).get("key", [""])[0]
            if not secrets.compare_digest(given.encode(), self.key.encode()):
                raise RequestProblem(403, "Open the whole address that you were given; it ends in a key.")
