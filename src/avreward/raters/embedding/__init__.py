"""Raters that compare embeddings: cheap scores of how well picture, sound and prompt go together."""
