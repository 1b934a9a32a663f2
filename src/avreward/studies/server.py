"""Serves the pages of a study from this process."""

from __future__ import annotations

from avreward._serving.server import LocalServer


class StudyServer(LocalServer):
    """A server of pages, on this machine unless another `host` is named.

    On this machine's own address it needs no key: requests that a browser sends for another site's name are refused. On
    any other one the first pages ask for the `key`, which `url` holds; nobody can guess it. Forms that another site
    sends are refused. Requests have a deadline and a largest size, connections a largest number.

    Args:
        application: makes the ASGI application, given whether the server is for this machine alone, and the key.
        host: to listen on.
        port: 0 for any free one.
        key: for a host that others can reach; default: a new one.

    Raises:
        AvrewardError: where that can't be listened on, or the extra ``server`` isn't installed.

    Example:
        >>> with ChoiceServer(Choices("experiment")) as server:          # doctest: +SKIP
        ...     print(server.url)
    """

    @property
    def url(self) -> str:
        """Where the first page is, with the key."""
        return super().url + (f"?key={self.key}" if self.key else "")
