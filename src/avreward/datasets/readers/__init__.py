"""Readers of published data, one file a layout; an error names the file, the line and what was expected."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.datasets.readers.avbench import AvbenchItem as AvbenchItem
    from avreward.datasets.readers.avbench import avbench_clips as avbench_clips
    from avreward.datasets.readers.avbench import read_avbench as read_avbench
    from avreward.datasets.readers.published_scores import read_published as read_published

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "avbench": ["AvbenchItem", "avbench_clips", "read_avbench"],
        "published_scores": ["read_published"],
    },
)
