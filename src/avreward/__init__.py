"""Raters of generated video and sound as differentiable rewards, rankings and preference models."""
