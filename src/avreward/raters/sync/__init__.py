"""The sync evaluator (arXiv:2607.09091): how well audio and video are synchronized, trained on people's choices."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.sync._new import new_sync as new_sync
    from avreward.raters.sync.rater import SyncRater as SyncRater

__getattr__, __dir__, __all__ = lazy_exports(__name__, {"_new": ["new_sync"], "rater": ["SyncRater"]})
