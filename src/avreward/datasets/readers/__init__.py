"""Readers of published data, one file a layout; an error names the file, the line and what was expected."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.datasets.readers.published_scores import read_published as read_published

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "published_scores": ["read_published"],
    },
)
