"""The page that a person watches: candidates side by side, best first, with sound.

`data` says what is on the page, `page` draws it, `media` makes candidates playable, and `build` fills the data from a
ranking.
"""
