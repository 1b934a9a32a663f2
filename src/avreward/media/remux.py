"""Copies the packets of a file's picture into another container, so that an untouched picture loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet

    from avreward.media.tracks import Picture


def copied_picture(container: OutputContainer, picture: Picture) -> Iterator[tuple[float, Packet]] | None:
    """Copy"""
    return None
