"""Preference pairs from scored candidates: make, match, split and export them."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.selection.pairs._hub import push_pairs as push_pairs
    from avreward.selection.pairs._rule import PairRule as PairRule
    from avreward.selection.pairs.export import export_pairs as export_pairs
    from avreward.selection.pairs.export import read_pairs as read_pairs
    from avreward.selection.pairs.make import PreferencePairs as PreferencePairs
    from avreward.selection.pairs.make import make_pairs as make_pairs
    from avreward.selection.pairs.matching import Covariate as Covariate

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_hub": ["push_pairs"],
        "export": ["export_pairs", "read_pairs"],
        "_rule": ["PairRule"],
        "make": ["PreferencePairs", "make_pairs"],
        "matching": ["Covariate"],
    },
)
