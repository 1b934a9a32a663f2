"""From hidden states to scores."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lmm_checks import noise
from tiny_tokenizer import WORDS, tiny_tokenizer
from torch import Tensor, nn
from toy_backbone import toy_rater

from avreward import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.raters.lmm.readout import LEVEL_WORDS, BinaryConfidence, FiveLevels, Regression, first_tokens

HEAD = nn.Identity()
TOKENIZER = tiny_tokenizer()


def state(*logits: float) -> Tensor:
    return torch.tensor([logits])


# ---- five levels


@pytest.mark.parametrize(("word", "score"), list(zip(LEVEL_WORDS, (100, 75, 50, 25, 0), strict=True)))
def test_each_word_has_its_fifth_and_excellent_is_the_best(word: str, score: float) -> None:
    logits = torch.zeros(1, 9)
    ids = (7, 1, 4, 0, 3)
    logits[0, ids[LEVEL_WORDS.index(word)]] = 200
    assert float(FiveLevels(HEAD, ids)(logits)) == pytest.approx(score)
    assert float(FiveLevels(HEAD, ids, low=1, high=5)(logits)) == pytest.approx(1 + score / 25)


@given(st.lists(st.floats(-5, 5), min_size=5, max_size=5))
def test_the_expected_level_under_the_softmax(logits: list[float]) -> None:
    weights = torch.tensor(logits, dtype=torch.float64).exp()
    expected = float((weights * torch.tensor([5.0, 4, 3, 2, 1], dtype=torch.float64)).sum() / weights.sum())
    found = float(FiveLevels(HEAD, (0, 1, 2, 3, 4), low=1, high=5)(torch.tensor([logits], dtype=torch.float64)))
    assert found == pytest.approx(expected, rel=1e-9)


def test_other_words_and_positions_make_no_difference() -> None:
    readout = FiveLevels(HEAD, (1, 2, 3, 4, 5))
    logits = noise(1, 8)
    louder = logits.clone()
    louder[:, [0, 6, 7]] += 50
    assert torch.equal(readout(logits), readout(louder))
    assert torch.equal(readout(torch.cat([noise(3, 8, seed=1), logits])), readout(logits))


# ---- yes and no


def test_yes_against_no() -> None:
    logits = state(0.3, 1.7, 9.0)
    expected = torch.sigmoid(torch.tensor([0.3 - 1.7]))
    torch.testing.assert_close(BinaryConfidence(HEAD, (0, 1))(logits), expected)
    torch.testing.assert_close(BinaryConfidence(HEAD, (0, 1), high=100.0)(logits), 100 * expected)
    assert float(BinaryConfidence(HEAD, (0, 1))(state(90, -90))) == 1
    assert float(BinaryConfidence(HEAD, (0, 1))(state(-90, 90))) == 0


# ---- regression


def head(rows: int) -> nn.Linear:
    linear = nn.Linear(4, rows, bias=False)
    linear.weight.data = noise(rows, 4, seed=3)
    return linear.requires_grad_(False)


def test_regression_in_three_forms() -> None:
    hidden = noise(3, 4)
    three, one = head(3), head(1)
    last = Regression(three)(hidden[-1:])  # all rows at one position
    torch.testing.assert_close(last, three.weight @ hidden[-1])
    shared = Regression(one)(hidden)  # one row at all positions
    torch.testing.assert_close(shared, hidden @ one.weight[0])
    each = Regression(three)(hidden)  # row i at position i
    torch.testing.assert_close(each, torch.stack([three.weight[i] @ hidden[i] for i in range(3)]))


@pytest.mark.parametrize(("rows", "positions"), [(3, 2), (2, 3)])
def test_rows_that_fit_no_position(rows: int, positions: int) -> None:
    with pytest.raises(ArgumentError, match=f"head: expected 1 row, .* each of {positions} positions, got {rows} rows"):
        Regression(head(rows))(noise(positions, 4))


# ---- all of them


READOUTS = {
    "levels": FiveLevels(HEAD, (0, 1, 2, 3, 4)),
    "binary": BinaryConfidence(HEAD, (0, 1)),
    "regression": Regression(HEAD),
}


@pytest.mark.parametrize("readout", READOUTS.values(), ids=READOUTS)
def test_gradients(readout, check_gradient) -> None:
    check_gradient(readout, noise(1, 6))


@pytest.mark.parametrize("readout", READOUTS.values(), ids=READOUTS)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
def test_scores_are_single_precision_or_wider(readout, kind: torch.dtype) -> None:
    scores = readout(noise(1, 6).to(kind))
    assert scores.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    # the softmax of half-precision logits is taken in single precision
    torch.testing.assert_close(scores, readout(noise(1, 6).to(kind).float()).to(scores.dtype))


# ---- the words' tokens


def test_first_tokens_after_a_stem() -> None:
    words = [f" {word}" for word in LEVEL_WORDS]
    ids = first_tokens(TOKENIZER, "The quality is", words)
    assert TOKENIZER.decode(list(ids)) == " excellent good fair poor bad"
    assert first_tokens(TOKENIZER, "", ["Yes", "No"]) == tuple(TOKENIZER.convert_tokens_to_ids(["Yes", "No"]))


def test_a_word_of_several_tokens_counts_by_its_first() -> None:
    assert TOKENIZER.decode(list(first_tokens(TOKENIZER, "Audio ", ["1", "27"]))) == "12"


def test_words_that_begin_alike_are_an_error() -> None:
    bare = tiny_tokenizer(words=[])
    with pytest.raises(AvrewardError) as caught:
        first_tokens(bare, "The quality is", [" excellent", " good", " fair", " poor", " bad"])
    assert "bad, excellent, fair, good, poor begin with the same token" in str(caught.value)
    assert "answers='yes_no'" in str(caught.value)
    some = tiny_tokenizer(words=[word for word in WORDS if word not in ("fair", "poor")])
    with pytest.raises(AvrewardError, match=r"^fair, poor begin with the same token"):
        first_tokens(some, "The quality is", [f" {word}" for word in LEVEL_WORDS])


def test_a_word_that_joins_its_stem_is_an_error() -> None:
    with pytest.raises(AvrewardError, match="joins 'ent' with the text 'excell' before it; use another stem"):
        first_tokens(TOKENIZER, "excell", ["ent"])


def test_a_score_is_finer_than_the_type_of_the_network() -> None:
    """In bfloat16 scores near 50 would have steps of 0.25."""
    head = nn.Linear(64, 3, bias=False).to(torch.bfloat16)
    hidden = torch.randn(1, 64, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    scores = Regression(head)(hidden)
    torch.testing.assert_close(scores, (hidden.double() @ head.weight.double().T)[0].float())
    assert scores.dtype == torch.float32


def test_autocast_changes_no_score() -> None:
    rater, clip = (
        toy_rater(),
        Clip(video=torch.rand(8, 3, 32, 32), fps=8, audio=torch.rand(8000) - 0.5, sample_rate=16000),
    )
    plain = rater([clip]).values
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(rater([clip]).values, plain, rtol=0, atol=0, equal_nan=True)
