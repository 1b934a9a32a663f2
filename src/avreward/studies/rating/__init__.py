"""Studies in which people rate clips on sliders, compare two, or compare the soundtracks of one video."""
