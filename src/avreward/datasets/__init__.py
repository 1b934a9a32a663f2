"""Data to fit and check raters with: synthetic scenes, controlled defects, human scores, and readers of corpora."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.datasets.readers._corpora import CORPORA as CORPORA
    from avreward.datasets.readers._corpora import Corpus as Corpus
    from avreward.datasets.readers.avbench import AvbenchItem as AvbenchItem
    from avreward.datasets.readers.avbench import avbench_clips as avbench_clips
    from avreward.datasets.readers.avbench import read_avbench as read_avbench
    from avreward.datasets.readers.corpus import JudgedTable as JudgedTable
    from avreward.datasets.readers.corpus import read_corpus as read_corpus
    from avreward.datasets.readers.published_scores import PublishedResult as PublishedResult
    from avreward.datasets.readers.published_scores import published_results as published_results
    from avreward.datasets.readers.published_scores import read_published as read_published
    from avreward.datasets.subjective._win_rates import WinRate as WinRate
    from avreward.datasets.subjective._win_rates import win_rates as win_rates
    from avreward.datasets.subjective.agreement import SplitHalf as SplitHalf
    from avreward.datasets.subjective.agreement import krippendorff_alpha as krippendorff_alpha
    from avreward.datasets.subjective.agreement import split_half_srcc as split_half_srcc
    from avreward.datasets.subjective.folds import split_folds as split_folds
    from avreward.datasets.subjective.folds import warn_of_leaks as warn_of_leaks
    from avreward.datasets.subjective.opinion_scores import OpinionScores as OpinionScores
    from avreward.datasets.subjective.opinion_scores import mean_opinion_scores as mean_opinion_scores
    from avreward.datasets.subjective.p910 import P910Fit as P910Fit
    from avreward.datasets.subjective.p910 import fit_p910 as fit_p910
    from avreward.datasets.subjective.ratings import Ratings as Ratings
    from avreward.datasets.subjective.ratings import read_ratings as read_ratings
    from avreward.datasets.subjective.rejection import Rejection as Rejection
    from avreward.datasets.subjective.rejection import reject_bt500 as reject_bt500
    from avreward.datasets.subjective.rejection import reject_by_correlation as reject_by_correlation
    from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS as ALL_PERTURBATIONS
    from avreward.datasets.synthetic._pair_render import RenderedPairs as RenderedPairs
    from avreward.datasets.synthetic._pair_render import render_pairs as render_pairs
    from avreward.datasets.synthetic._pair_sources import PairSource as PairSource
    from avreward.datasets.synthetic._pair_sources import pair_sources as pair_sources
    from avreward.datasets.synthetic._perturb_text import rewritten_by as rewritten_by
    from avreward.datasets.synthetic._perturbations import PERTURBATIONS as PERTURBATIONS
    from avreward.datasets.synthetic._perturbations import NotPerturbable as NotPerturbable
    from avreward.datasets.synthetic._perturbations import Perturbation as Perturbation
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
        "readers._corpora": ["CORPORA", "Corpus"],
        "readers.avbench": ["AvbenchItem", "avbench_clips", "read_avbench"],
        "readers.corpus": ["JudgedTable", "read_corpus"],
        "readers.published_scores": ["PublishedResult", "published_results", "read_published"],
        "subjective._win_rates": ["WinRate", "win_rates"],
        "subjective.agreement": ["SplitHalf", "krippendorff_alpha", "split_half_srcc"],
        "subjective.folds": ["split_folds", "warn_of_leaks"],
        "subjective.opinion_scores": ["OpinionScores", "mean_opinion_scores"],
        "subjective.p910": ["P910Fit", "fit_p910"],
        "subjective.ratings": ["Ratings", "read_ratings"],
        "subjective.rejection": ["Rejection", "reject_bt500", "reject_by_correlation"],
        "synthetic._all_kinds": ["ALL_PERTURBATIONS"],
        "synthetic._pair_render": ["RenderedPairs", "render_pairs"],
        "synthetic._pair_sources": ["PairSource", "pair_sources"],
        "synthetic._perturb_text": ["rewritten_by"],
        "synthetic.av_pairs": ["PAIR_RECIPES", "PairKind", "PairSpec", "pair_recipe", "plan_pairs"],
        "synthetic._perturbations": ["NotPerturbable", "PERTURBATIONS", "Perturbation"],
        "synthetic.demo": ["demo_candidates"],
        "synthetic.scenes": ["KINDS", "Scene", "scene"],
    },
)
