"""The card of raters that another process or machine runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avreward.raters.card import RaterCard

if TYPE_CHECKING:
    from avreward.raters.base import Rater


def _make(
    address: str, *, token: str | None = None, paths: bool = False, retries: int = 6, timeout: float = 600.0
) -> Rater:
    from avreward.raters.remote.rater import RemoteRater

    return RemoteRater(address, token=token, paths=paths, retries=retries, timeout=timeout)


CARD = RaterCard(
    "remote",
    licence="that of the raters that are served",
    checkpoint="an address, such as http://127.0.0.1:8000",
    make_from=_make,
    schemes=("http", "https"),
)
