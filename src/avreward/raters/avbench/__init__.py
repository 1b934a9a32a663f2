"""AVBench: ten dimensions of generated video with sound (arXiv:2605.24652)."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.avbench.rater import AvBenchRater as AvBenchRater
    from avreward.raters.avbench.rater import load_avbench as load_avbench

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "rater": ["AvBenchRater", "load_avbench"],
    },
)
