"""Scoring many clips: the scored table, the store, and runs over many files."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.scoring._grouping import group_of as group_of
    from avreward.scoring._score_table import TableRun as TableRun
    from avreward.scoring._score_table import score_table as score_table
    from avreward.scoring._shares import Share as Share
    from avreward.scoring._streaming import Scored as Scored
    from avreward.scoring.evaluator import Evaluator as Evaluator
    from avreward.scoring.inputs import ListedClip as ListedClip
    from avreward.scoring.inputs import list_clips as list_clips
    from avreward.scoring.run import score_files as score_files
    from avreward.scoring.store._errors import StoreError as StoreError
    from avreward.scoring.store.store import Store as Store
    from avreward.scoring.table_reader import ScoredTable as ScoredTable
    from avreward.scoring.table_reader import read_table as read_table
    from avreward.scoring.table_writer import TableWriter as TableWriter

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_score_table": ["TableRun", "score_table"],
        "_shares": ["Share"],
        "_streaming": ["Scored"],
        "evaluator": ["Evaluator"],
        "_grouping": ["group_of"],
        "inputs": ["ListedClip", "list_clips"],
        "run": ["score_files"],
        "store._errors": ["StoreError"],
        "store.store": ["Store"],
        "table_reader": ["ScoredTable", "read_table"],
        "table_writer": ["TableWriter"],
    },
)
