"""Raters that compare embeddings: inexpensive scores of how well video, audio and prompt go together."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.embedding.base import EmbeddingRater as EmbeddingRater
    from avreward.raters.embedding.clap import ClapRater as ClapRater
    from avreward.raters.embedding.image_text import ImageTextRater as ImageTextRater
    from avreward.raters.embedding.pe_av import PeAvRater as PeAvRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "base": ["EmbeddingRater"],
        "clap": ["ClapRater"],
        "image_text": ["ImageTextRater"],
        "pe_av": ["PeAvRater"],
    },
)
