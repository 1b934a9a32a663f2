"""Serves the page on which people choose, and writes down what they choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avreward.studies._page import policy
from avreward.studies.choices import Choices
from avreward.studies.server import StudyServer

if TYPE_CHECKING:
    from avreward._serving.guard import Application


class ChoiceServer(StudyServer):
    """The page of an experiment, on this machine unless another `host` is named.

    Whoever has the address can answer, under any name. See `StudyServer` for what is refused.

    Args:
        choices: the experiment.
        host: to listen on.
        port: 0 for any free one.

    Raises:
        AvrewardError: where that can't be listened on, or the extra ``server`` isn't installed.

    Example:
        >>> server = ChoiceServer(Choices("experiment"), port=8000)      # doctest: +SKIP
        >>> server.serve_forever()                                       # doctest: +SKIP
    """

    def __init__(self, choices: Choices, host: str = "127.0.0.1", port: int = 0) -> None:
        def application(local: bool, key: str | None) -> Application:
            from avreward.studies._app import study_app
            from avreward.studies._choice_routes import choice_routes

            return study_app(choice_routes(choices), policy(), local=local, key=key)

        self.choices = choices
        # The same each time, so that a link still works when the server is started again.
        super().__init__(application, host, port, key=choices.hidden_name("key of the first page"))
