"""Version of the listener's scores; see CONTRIBUTING.md."""

VERSION = 1
