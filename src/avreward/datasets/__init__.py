"""Data to fit and check raters with: synthetic scenes, controlled defects, and readers of published data."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.datasets.readers.avbench import AvbenchItem as AvbenchItem
    from avreward.datasets.readers.avbench import avbench_clips as avbench_clips
    from avreward.datasets.readers.avbench import read_avbench as read_avbench
    from avreward.datasets.readers.published_scores import read_published as read_published
    from avreward.datasets.synthetic._perturbations import PERTURBATIONS as PERTURBATIONS
    from avreward.datasets.synthetic._perturbations import Perturbation as Perturbation
    from avreward.datasets.synthetic.demo import demo_candidates as demo_candidates
    from avreward.datasets.synthetic.scenes import KINDS as KINDS
    from avreward.datasets.synthetic.scenes import Scene as Scene
    from avreward.datasets.synthetic.scenes import scene as scene

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "readers.avbench": ["AvbenchItem", "avbench_clips", "read_avbench"],
        "readers.published_scores": ["read_published"],
        "synthetic._perturbations": ["PERTURBATIONS", "Perturbation"],
        "synthetic.demo": ["demo_candidates"],
        "synthetic.scenes": ["KINDS", "Scene", "scene"],
    },
)
