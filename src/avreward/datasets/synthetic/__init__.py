"""Synthetic scenes and controlled defects."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS as ALL_PERTURBATIONS
    from avreward.datasets.synthetic._pair_render import RenderedPairs as RenderedPairs
    from avreward.datasets.synthetic._pair_render import render_pairs as render_pairs
    from avreward.datasets.synthetic._pair_sources import PairSource as PairSource
    from avreward.datasets.synthetic._pair_sources import pair_sources as pair_sources
    from avreward.datasets.synthetic._perturb_text import rewritten_by as rewritten_by
    from avreward.datasets.synthetic._perturbations import PERTURBATIONS as PERTURBATIONS
    from avreward.datasets.synthetic._perturbations import NotPerturbable as NotPerturbable
    from avreward.datasets.synthetic._perturbations import Perturbation as Perturbation
    from avreward.datasets.synthetic._perturbations import changed as changed
    from avreward.datasets.synthetic.av_pairs import PAIR_RECIPES as PAIR_RECIPES
    from avreward.datasets.synthetic.av_pairs import PairKind as PairKind
    from avreward.datasets.synthetic.av_pairs import PairSpec as PairSpec
    from avreward.datasets.synthetic.av_pairs import pair_recipe as pair_recipe
    from avreward.datasets.synthetic.av_pairs import plan_pairs as plan_pairs
    from avreward.datasets.synthetic.demo import demo_candidates as demo_candidates
    from avreward.datasets.synthetic.scenes import KINDS as KINDS
    from avreward.datasets.synthetic.scenes import Scene as Scene
    from avreward.datasets.synthetic.scenes import scene as scene

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_all_kinds": ["ALL_PERTURBATIONS"],
        "_pair_render": ["RenderedPairs", "render_pairs"],
        "_pair_sources": ["PairSource", "pair_sources"],
        "_perturb_text": ["rewritten_by"],
        "av_pairs": ["PAIR_RECIPES", "PairKind", "PairSpec", "pair_recipe", "plan_pairs"],
        "_perturbations": ["NotPerturbable", "PERTURBATIONS", "Perturbation", "changed"],
        "demo": ["demo_candidates"],
        "scenes": ["KINDS", "Scene", "scene"],
    },
)
