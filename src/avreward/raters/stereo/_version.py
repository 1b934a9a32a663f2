"""Version of the code that decides these scores; raise it with every change of a score."""

VERSION = 1
