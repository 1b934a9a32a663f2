"""A store of scores on disk, which finds the scores of a clip by its content."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.scoring.store._errors import StoreError as StoreError
    from avreward.scoring.store.store import Store as Store

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_errors": ["StoreError"],
        "store": ["Store"],
    },
)
