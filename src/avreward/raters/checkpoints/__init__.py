"""Read, match, place and save weights; fingerprints; smaller batches when memory runs out."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.checkpoints._oom import OutOfMemory as OutOfMemory
    from avreward.raters.checkpoints.loading import Loading as Loading
    from avreward.raters.checkpoints.network_rater import NetworkRater as NetworkRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_oom": ["OutOfMemory"],
        "loading": ["Loading"],
        "network_rater": ["NetworkRater"],
    },
)
