"""Raters made of other raters: ensembles, adapters, dropout, calibration."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.wrappers._calibrated import CalibratedRater as CalibratedRater
    from avreward.raters.wrappers._calibrated import calibrated as calibrated
    from avreward.raters.wrappers._cascade_rule import CascadeRule as CascadeRule
    from avreward.raters.wrappers._restricted import RestrictedRater as RestrictedRater
    from avreward.raters.wrappers._restricted import restricted as restricted
    from avreward.raters.wrappers._trained import TrainedRater as TrainedRater
    from avreward.raters.wrappers.adapters import AdaptedRater as AdaptedRater
    from avreward.raters.wrappers.adapters import adapted as adapted
    from avreward.raters.wrappers.base import WrapperRater as WrapperRater
    from avreward.raters.wrappers.calibration_curves import Calibration as Calibration
    from avreward.raters.wrappers.calibration_curves import Linear as Linear
    from avreward.raters.wrappers.calibration_curves import Logistic as Logistic
    from avreward.raters.wrappers.cascade import CascadeRater as CascadeRater
    from avreward.raters.wrappers.composite import CompositeRater as CompositeRater
    from avreward.raters.wrappers.dropout import DropoutPass as DropoutPass
    from avreward.raters.wrappers.dropout import dropout_passes as dropout_passes
    from avreward.raters.wrappers.ensemble import EnsembleRater as EnsembleRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_calibrated": ["CalibratedRater", "calibrated"],
        "_cascade_rule": ["CascadeRule"],
        "_trained": ["TrainedRater"],
        "adapters": ["AdaptedRater", "adapted"],
        "base": ["WrapperRater"],
        "calibration_curves": ["Calibration", "Linear", "Logistic"],
        "cascade": ["CascadeRater"],
        "composite": ["CompositeRater"],
        "dropout": ["DropoutPass", "dropout_passes"],
        "ensemble": ["EnsembleRater"],
        "_restricted": ["RestrictedRater", "restricted"],
    },
)
