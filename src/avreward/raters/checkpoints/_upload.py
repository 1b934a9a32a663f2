"""Uploads to the Hugging Face hub, with errors of one line."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError


def upload(write: Callable[[Path], Path], repository: str, private: bool = True) -> str:
    """Upload a folder to a model repository of the hub, which is made if it does not exist, and return its address.

    Args:
        write: writes a folder at a path and returns it; called before the hub is asked for anything.
        repository: ``NAME`` or ``OWNER/NAME``.
        private: whether a new repository is private.

    Raises:
        ArgumentError: for a name that is none.
        AvrewardError: if the hub refuses, or cannot be reached.
    """
    with extra("lmm"):
        from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as folder:
        made = write(Path(folder) / "rater")
        with hub_errors(repository, "repository"):
            api = HfApi()
            found = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(repo_id=found.repo_id, folder_path=made)
    return str(found)


@contextmanager
def hub_errors(repository: str, name: str) -> Iterator[None]:
    """Raise the hub's errors as the package's own; `name` is that of the argument with the repository."""
    with extra("lmm"):
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise ArgumentError(name, "NAME or OWNER/NAME", repository, "use letters, digits, - and _") from error
    except (HfHubHTTPError, OSError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "log in with `hf auth login`, check the name and the network, and push again"
        raise AvrewardError(f"{repository}: could not be uploaded ({why}); {remedy}") from error
