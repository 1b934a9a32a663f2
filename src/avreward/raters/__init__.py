"""Clip → scores: the rater contract and the raters that come with the package."""
