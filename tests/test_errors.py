"""Errors: one line a person can act on, of the right type, and whole after crossing a process boundary."""

import pickle

import numpy as np
import pytest
import torch

import avreward
from avreward.errors import ArgumentError, AvrewardError, Described, MediaError, UnusableTrack, unknown_name


@pytest.mark.parametrize(
    ("got", "shown"),
    [
        (0, "0"),
        ("x", "'x'"),
        (None, "None"),
        (Described("3 prompts"), "3 prompts"),
        (int, "the class int"),
        (torch.zeros(2, 3), "a Tensor of shape (2, 3) and type torch.float32"),
        (np.zeros(4, dtype=np.int16), "a ndarray of shape (4,) and type int16"),
    ],
)
def test_an_argument_error_has_one_grammar(got, shown):
    assert str(ArgumentError("n", "a positive integer", got)) == f"n: expected a positive integer, got {shown}"
    assert str(ArgumentError("n", "a number", got, "leave it out")).endswith(f"got {shown}; leave it out")


def test_a_long_value_is_cut_and_stays_on_one_line():
    text = str(ArgumentError("n", "a number", "two\nlines " * 100))
    assert "\n" not in text
    assert len(text) < 120
    assert text.endswith("…")


def test_argument_errors_are_caught_as_ours_and_as_value_errors():
    assert avreward.ArgumentError is ArgumentError
    assert issubclass(ArgumentError, AvrewardError)
    assert issubclass(ArgumentError, ValueError)
    assert not issubclass(ArgumentError, MediaError)


@pytest.mark.parametrize(
    "error",
    [
        ArgumentError("n", "a number", lambda: 0, "leave it out"),  # a lambda doesn't pickle
        ArgumentError("n", "a number", "text"),
        MediaError("a.mp4", "the file is empty", "write it again"),
        UnusableTrack("a.mp4", "0.01 s of audio", "use a longer clip"),
        unknown_name("dimension", "clippin", ["clipping", "noise"]),
        unknown_name("dimension", "x", ["clipping"], "see the list"),
    ],
)
def test_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {k: str(v) for k, v in vars(again).items()} == {k: str(v) for k, v in vars(error).items()}


def test_an_unknown_name_lists_the_known_and_suggests_the_near():
    error = unknown_name("dimension", "audio_qality", ["audio_quality", "clipping", "overall"])
    assert isinstance(error, KeyError)
    assert isinstance(error, ArgumentError)
    assert str(error) == (
        "dimension: expected one of audio_quality, clipping, overall, got 'audio_qality'; did you mean 'audio_quality'?"
    )


def test_a_name_like_no_other_gets_the_remedy():
    assert str(unknown_name("mode", "zzz", ["fast", "slow"], "leave it out")).endswith("got 'zzz'; leave it out")
    assert str(unknown_name("mode", 3, ["fast", "slow"])) == "mode: expected one of fast, slow, got 3"
