"""Readers of published data, one file a layout; an error names the file, the line and what was expected."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.datasets.readers._corpora import CORPORA as CORPORA
    from avreward.datasets.readers._corpora import Corpus as Corpus
    from avreward.datasets.readers.avbench import AvbenchItem as AvbenchItem
    from avreward.datasets.readers.avbench import avbench_clips as avbench_clips
    from avreward.datasets.readers.avbench import read_avbench as read_avbench
    from avreward.datasets.readers.corpus import JudgedTable as JudgedTable
    from avreward.datasets.readers.corpus import read_corpus as read_corpus
    from avreward.datasets.readers.published_scores import PublishedResult as PublishedResult
    from avreward.datasets.readers.published_scores import published_results as published_results
    from avreward.datasets.readers.published_scores import read_published as read_published

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_corpora": ["CORPORA", "Corpus"],
        "avbench": ["AvbenchItem", "avbench_clips", "read_avbench"],
        "corpus": ["JudgedTable", "read_corpus"],
        "published_scores": ["PublishedResult", "published_results", "read_published"],
    },
)
