import json
from pathlib import Path

import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic import _perturb_text as pt
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._perturbations import NotPerturbable
from avreward.errors import ArgumentError

PROMPT = "A young woman in a red coat opens her umbrella. The woman walks slowly."


def dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_word_is_in_one_list_only() -> None:
    lists = json.loads((Path(pt.__file__).parent / "word_lists.json").read_text())["attributes"]
    words = [word for group in lists.values() for word in group]
    assert len(words) == len(set(words))
    assert all(len(group) > 1 for group in lists.values())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_attributes_change_as_asked(count: int) -> None:
    for seed in range(20):
        new = pt.replace_attributes(PROMPT, count, dice(seed))
        before, after = ({m[0].lower() for m in pt.attributes_of(text)} for text in (PROMPT, new))
        assert len(before - after) == len(after - before) == count
        assert new == pt.replace_attributes(PROMPT, count, dice(seed))
        assert new.startswith(("A ", "An "))


def test_persons_pronouns_articles_and_case_follow() -> None:
    found = {pt.replace_attributes("A Woman waves her hand. She is old.", 2, dice(seed)) for seed in range(60)}
    assert "A Man waves his hand. He is young." in found
    assert "A Girl waves her hand. She is elderly." in found
    assert pt.replace_attributes("a young man", 9, dice(0)).split()[0] in ("a", "an")
    articles = {pt.replace_attributes("a young dog", 2, dice(seed)) for seed in range(60)}
    assert {text.split()[0] for text in articles if text.split()[1] in ("old", "elderly")} == {"an"}


def test_a_prompt_without_attributes_is_told() -> None:
    with pytest.raises(NotPerturbable, match="holds no attribute of the word lists; write colours"):
        ALL_PERTURBATIONS["attribute"].apply(Clip(prompt="it goes on and on"))
    with pytest.raises(ArgumentError, match="clip: expected a clip with prompt for attribute"):
        ALL_PERTURBATIONS["attribute"].apply(Clip(audio=torch.zeros(1, 80), sample_rate=8000))


def test_captions_share_a_meaning_or_not() -> None:
    assert pt.meaningful("Dogs bark at a bus") & pt.meaningful("the dog is in the buses") == {"dog", "bus"}
    assert not pt.meaningful("A dog is barking") & pt.meaningful("The piano plays and it is a song")


def test_a_language_model_takes_the_place_of_the_lists() -> None:
    seen: list[tuple[str, int]] = []

    def rewrite(prompt: str, count: int) -> str:
        seen.append((prompt, count))
        return prompt.replace("waves", "hills")

    kind = pt.rewritten_by(rewrite)
    assert kind.apply(Clip(prompt="the waves"), severity=2.0).prompt == "the hills"
    assert seen == [("the waves", 2)]
    with pytest.raises(NotPerturbable, match="the rewriter left the prompt as it was"):
        kind.apply(Clip(prompt="the sea"))
    with pytest.raises(ArgumentError, match="rewrite: expected a function that returns a text"):
        pt.rewritten_by(lambda prompt, count: None).apply(Clip(prompt="the sea"))  # type: ignore[arg-type,return-value]
