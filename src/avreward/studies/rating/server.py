"""Serves the page on which people rate, and writes down what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avreward.studies.rating._page import policy
from avreward.studies.rating.study import RatingStudy
from avreward.studies.server import StudyServer

if TYPE_CHECKING:
    from avreward._serving.guard import Application


class RatingServer(StudyServer):
    """The page of a study, on this machine unless another `host` is named.

    Whoever has the address can answer, under any name; several people may at once. See `StudyServer` for what is
    refused.

    Args:
        study: what is asked.
        host: to listen on.
        port: 0 for any free one.

    Raises:
        AvrewardError: where that can't be listened on, or the extra ``server`` isn't installed.

    Example:
        >>> server = RatingServer(RatingStudy("rated"), port=8000)       # doctest: +SKIP
        >>> server.serve_forever()                                       # doctest: +SKIP
    """

    def __init__(self, study: RatingStudy, host: str = "127.0.0.1", port: int = 0) -> None:
        def application(local: bool, key: str | None) -> Application:
            from avreward.studies._app import study_app
            from avreward.studies.rating._routes import rating_routes

            return study_app(rating_routes(study), policy(), local=local, key=key)

        self.study = study
        # The same each time, so that a link still works when the server is started again.
        super().__init__(application, host, port, key=study.hidden_name("key of the first page"))
