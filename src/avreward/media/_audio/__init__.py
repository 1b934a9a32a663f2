"""How audio is decoded and resampled."""
