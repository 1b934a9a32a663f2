"""Dubs from ElevenLabs' text-to-sound-effects API, by its own SDK: ``generate(clip, seed) -> Clip``."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from avreward._extras import extra
from avreward._locks import claimed
from avreward._whole_files import private_name, publish, whole_file
from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.generators._as_sampler import name_of
from avreward.generators._identity import run_key
from avreward.generators.base import GeneratorStopped
from avreward.integrations.budget import Budget
from avreward.integrations.descriptions import Describe, prompt_of
from avreward.selection.search._settings import check_integers

KEY = "ELEVENLABS_API_KEY"
SHORTEST, LONGEST = 0.5, 30.0  # seconds that the API makes
CREDITS_A_SECOND = 40.0  # of sound, the most expensive rate known; an answer states its cost ("character-cost")
FORMAT = "mp3_44100_128"  # open to all plans
WAIT_AT_MOST = 60.0  # seconds between two attempts
LARGEST = 4_000_000  # bytes of an answer; 30 s of sound are 480,000
_AGAIN = frozenset({408, 409, 425, 429})  # and 500 or more
_REMEDIES = {
    401: f"set {KEY} to a valid key, of an account with credits",
    402: "the account has no credits left, or its plan doesn't allow this",
    403: "give the key access to sound effects",
}


class ServiceError(AvrewardError):
    """The service didn't give a usable sound, after all attempts."""


class ElevenLabs:
    """A generator over the text-to-sound-effects API: ``generate(clip, seed)`` is the clip with a sound made for it.

    The API takes text, so `describe` comes first. The length of the video goes along (0.5 to 30 s; sound beyond the end
    of the picture is cut off). The API has no seed: `seed` numbers the attempts at one text. Every answer is stored in
    `folder` under text, video, settings and that number, so that the same call gives the same clip from disk, for
    nothing; another `seed` is another attempt.

    The key is read from the environment, ``ELEVENLABS_API_KEY``. A request that times out, that is refused for being
    one too many (429) or by an error of the server (5xx), and an answer that is not a whole sound, are tried
    again after a growing pause, or the one that the server asks for. Calls may come from several threads and processes:
    those that want one sound at the same time pay for one. Answers have a largest size and a longest time.

    Args:
        folder: where answers and what they cost are kept.
        describe: clip → text; default the clip's prompt. See `avreward.integrations.descriptions`.
        prompt_influence: 0 to 1; more follows the text more closely, and varies less.
        model: of the API.
        credits, calls: limits on the cost in all, over all runs with this folder; see `Budget`. The next request is not
            sent where it might pass them. As long as an answer hasn't told its cost, 40 credits a second are reckoned.
        concurrency: requests at a time.
        attempts: at one sound.
        timeout: seconds without a byte.
        total: seconds for a whole answer once it has begun.
        pause: seconds before the second attempt, doubled for each further one.
        base_url: of the API (*optional*).

    Raises `ServiceError` where no attempt gave a sound, `GeneratorStopped` where none is worth trying any more (the
    budget is spent, the key refused, the disk full), `MediaError` for a clip without picture or description, or too
    long.

    >>> generate = ElevenLabs("answers", credits=5_000)          # doctest: +SKIP
    >>> found = BestOfN(generate, reward, n=4)(Clip.open("silent.mp4", prompt="a kettle whistles"))  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        describe: Describe = prompt_of,
        *,
        prompt_influence: float = 0.3,
        model: str = "eleven_text_to_sound_v2",
        credits: float = 20_000,
        calls: int = 1_000,
        concurrency: int = 2,
        attempts: int = 4,
        timeout: float = 60.0,
        total: float = 300.0,
        pause: float = 1.0,
        base_url: str | None = None,
    ) -> None:
        check_integers(1, concurrency=concurrency, attempts=attempts)
        if not 0 <= prompt_influence <= 1:
            raise ArgumentError("prompt_influence", "a number from 0 to 1", prompt_influence)
        self._sdk = _sdk()
        key = os.environ.get(KEY, "").strip()
        if not key:
            raise AvrewardError(f"{KEY}: expected an ElevenLabs API key, got nothing; set the environment variable")
        self.folder, self.describe = Path(folder), describe
        self.settings = {"prompt_influence": prompt_influence, "model_id": model, "output_format": FORMAT}
        self.budget = Budget(self.folder, credits=credits, calls=calls)
        self.concurrency, self.attempts, self.pause, self.total = concurrency, attempts, pause, total
        self._line = BoundedSemaphore(concurrency)
        self._given_up: str | None = None
        # A redirect would be sent the key, too.
        options = {"base_url": base_url, "timeout": timeout, "follow_redirects": False}
        self._client = self._sdk.ElevenLabs(api_key=key, **options)

    @property
    def identity(self) -> str:
        """Tells a run that is taken up again whose sounds they are: folder, descriptions and settings."""
        return repr((str(self.folder.resolve()), name_of(self.describe), self.settings))

    def __call__(self, condition: Clip, seed: int) -> Clip:
        """Return the clip with a sound: attempt number `seed` at its description."""
        if not condition.has_video:
            raise MediaError(condition.name, "it has no video", "give a silent video")
        length = condition.ends["video"]
        if length > LONGEST:
            problem = f"it lasts {length:.1f} s, and the API makes at most {LONGEST:g} s"
            raise MediaError(condition.name, problem, "shorten it")
        if not (text := self.describe(condition).strip()):
            raise MediaError(condition.name, "its description is empty", "describe its sound")
        seconds = round(max(SHORTEST, length), 2)
        path = self.folder / f"{run_key(text, seconds, self.settings, condition.keys['video'])}-{seed}.mp3"
        if not path.exists():
            with self._writing():
                self.folder.mkdir(parents=True, exist_ok=True)
            longest = self.attempts * (self.total + WAIT_AT_MOST)
            with claimed(path, wait=longest), self._writing():  # of threads and processes one asks for a sound
                if not path.exists():
                    self._fetch(path, text, seconds, seed)
        sound = Clip.open(path)
        wave = sound.sound()[:, : round(length * sound.sample_rate)]
        return condition.with_audio(wave, sound.sample_rate)

    def _fetch(self, path: Path, text: str, seconds: float, seed: int) -> None:
        """Asks until a sound comes; it appears under its name when it is known to be whole."""
        for attempt in range(self.attempts):
            part = private_name(path)
            try:
                with self._line, self._writing():
                    if self._given_up is not None:
                        raise GeneratorStopped(self._given_up)
                    told = self._ask(part, text, seconds)
                _check(part, seconds)
            except _Failed as failed:
                part.unlink(missing_ok=True)
                if attempt + 1 == self.attempts:
                    tries = f"after {self.attempts} attempts" if self.attempts > 1 else "at the first attempt"
                    raise ServiceError(f"ElevenLabs: {failed} {tries}; try again later") from failed
                growing = self.pause * 2**attempt * random.uniform(0.9, 1.1)  # noqa: S311
                time.sleep(min(failed.wait or growing, WAIT_AT_MOST))
                continue
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            record = {"text": text, "seconds": seconds, "attempt": seed, **self.settings, **told}
            with whole_file(path.with_suffix(".json")) as about:
                about.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
            publish(part, path)
            return

    def _ask(self, part: Path, text: str, seconds: float) -> dict[str, Any]:
        """One request; its answer goes to `part`. Returns what the headers tell."""
        expected = seconds * CREDITS_A_SECOND
        size = 0
        with part.open("wb") as file:  # before anything is paid
            self.budget.charge(expected)
            with self._translated(expected):
                convert = self._client.text_to_sound_effects.with_raw_response.convert
                # Attempts are counted and paid here, so the SDK makes none of its own.
                request = {"text": text, "duration_seconds": seconds, **self.settings}
                with convert(**request, request_options={"max_retries": 0}) as answer:
                    until = time.monotonic() + self.total
                    for piece in answer.data:
                        size += file.write(piece)
                        if size > LARGEST:
                            said = f"an answer of more than {LARGEST / 1e6:.0f} MB for {seconds:g} s of sound"
                            raise ServiceError(
                                f"ElevenLabs: expected a sound, got {said}; check the address of the API"
                            )
                        if time.monotonic() > until:
                            raise _Failed(f"no whole answer in {self.total:g} s")
                    headers = {name.lower(): value for name, value in answer.headers.items()}
        cost = _number(headers.get("character-cost"))
        self.budget.settle(expected, cost or expected)  # nothing is free
        return {"credits": cost, "request": headers.get("request-id")}

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Where the disk refuses, it is over for all: the next answer would be paid and lost, too."""
        try:
            yield
        except OSError as error:
            why = f"can't be written ({error.strerror or error})"
            self._given_up = f"{self.folder}: it {why}; make room, or name another folder"
            raise GeneratorStopped(self._given_up) from error

    @contextmanager
    def _translated(self, charged: float) -> Iterator[None]:
        """Errors of the SDK as ours. A refusal costs nothing; of the rest nobody knows, so it stays charged."""
        with extra("elevenlabs"):
            import httpx
            from elevenlabs.core.api_error import ApiError

        try:
            yield
        except ApiError as error:
            status = error.status_code or 0
            if 400 <= status < 500:
                self.budget.settle(charged, 0.0)
            if status in _AGAIN or status >= 500:
                wait = _number((error.headers or {}).get("retry-after"))
                raise _Failed(f"status {status} ({_said(error.body)})", wait) from error
            if status in _REMEDIES:
                self._given_up = f"ElevenLabs: status {status} ({_said(error.body)}); {_REMEDIES[status]}"
                raise GeneratorStopped(self._given_up) from error
            raise ServiceError(f"ElevenLabs: status {status} ({_said(error.body)}); change the request") from error
        except httpx.TimeoutException as error:
            raise _Failed("no answer in time") from error
        except httpx.RemoteProtocolError as error:
            raise _Failed(f"the answer broke off ({error})") from error
        except httpx.TransportError as error:
            raise _Failed(f"the connection failed ({error})") from error


class _Failed(Exception):
    """An attempt that may go better the next time; `wait`: seconds that the server asks for."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def _check(path: Path, seconds: float) -> None:
    """Raise `_Failed` unless the file is a sound of about `seconds`."""
    try:
        clip = Clip.open(path)
        got = clip.sound().shape[1] / clip.sample_rate
    except MediaError as error:
        raise _Failed(f"the answer is not a sound ({error.problem})") from error
    if got < 0.8 * seconds:
        raise _Failed(f"half a file came: {got:.2f} of {seconds:g} s")


def _sdk() -> Any:
    with extra("elevenlabs"):
        import elevenlabs
    return elevenlabs


def _said(body: Any) -> str:
    """Return what the API says, in one line: ``{"detail": {"status": …, "message": …}}``, or whatever came."""
    detail = body.get("detail", body) if isinstance(body, dict) else body
    text = detail.get("message") or detail.get("status") if isinstance(detail, dict) else detail
    return " ".join(str(text).split())[:200]


def _number(text: str | None) -> float | None:
    try:
        number = math.nan if text is None else float(text)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
