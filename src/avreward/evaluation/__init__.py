"""Evaluate raters (agreement with people, published scores) and compare the systems whose clips they rated."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.evaluation._pair_accuracy import PairAccuracy as PairAccuracy
    from avreward.evaluation._pair_accuracy import pair_accuracy as pair_accuracy
    from avreward.evaluation.cascade import calibrate_cascade as calibrate_cascade
    from avreward.evaluation.cascade import cascade_rule as cascade_rule
    from avreward.evaluation.correlation import krcc as krcc
    from avreward.evaluation.correlation import plcc as plcc
    from avreward.evaluation.correlation import srcc as srcc
    from avreward.evaluation.fine_tune import FineTuneVerdict as FineTuneVerdict
    from avreward.evaluation.fine_tune import judge_fine_tune as judge_fine_tune
    from avreward.evaluation.intervals import wilson as wilson
    from avreward.evaluation.judgments import RaterEvaluation as RaterEvaluation
    from avreward.evaluation.judgments import RaterMetric as RaterMetric
    from avreward.evaluation.judgments import evaluate_judgments as evaluate_judgments
    from avreward.evaluation.systems import SystemComparison as SystemComparison
    from avreward.evaluation.systems import compare_systems as compare_systems
    from avreward.evaluation.verification import Verification as Verification
    from avreward.evaluation.verification import verify as verify

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_pair_accuracy": ["PairAccuracy", "pair_accuracy"],
        "cascade": ["calibrate_cascade", "cascade_rule"],
        "correlation": ["krcc", "plcc", "srcc"],
        "fine_tune": ["FineTuneVerdict", "judge_fine_tune"],
        "intervals": ["wilson"],
        "judgments": ["RaterEvaluation", "RaterMetric", "evaluate_judgments"],
        "systems": ["SystemComparison", "compare_systems"],
        "verification": ["Verification", "verify"],
    },
)
