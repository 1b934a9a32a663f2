"""Data that raters are fitted and checked with: synthetic scenes and controlled defects."""
