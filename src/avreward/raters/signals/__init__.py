"""The embedded default rater: measured properties of picture and sound, no weights."""
