"""What a video should sound like, in the words of a public model."""

from contextlib import suppress
from itertools import pairwise

import pytest
import torch
from lmm_checks import plainly
from tiny.internvl import tiny_internvl
from tiny.qwen_omni import tiny_qwen2_5_omni
from tiny.qwen_vl import tiny_qwen2_5_vl, tiny_qwen3_vl
from toy_backbone import ThreeAxes, ToyBackbone

from avreward import Clip
from avreward.errors import MediaError
from avreward.integrations import captions
from avreward.integrations.captions import LmmDescriber
from avreward.raters.lmm.prompt import Text


def film(seed: int = 0) -> Clip:
    return Clip(video=torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)), fps=4)


def by_hand(backbone: ToyBackbone, clip: Clip, question: str, longest: int) -> list[int]:
    """Greedy decoding, the whole sequence anew for each token."""
    tokenizer, module = backbone.tokenizer, backbone.module
    embed = module.language.get_input_embeddings()
    tokens = lambda text: torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])  # noqa: E731
    picture = backbone.encode("video", backbone.load(clip, "video"))[1].values
    parts = [embed(tokens("<user><picture>")), picture, embed(tokens(f"{question}<answer>"))]
    ids: list[int] = []
    with torch.no_grad():
        while len(ids) < longest:
            sequence = torch.cat([*parts, embed(torch.tensor(ids, dtype=torch.long))])
            at = backbone.positions([Text(tuple(range(len(sequence))))])
            hidden = module.language(inputs_embeds=sequence[None], position_ids=at).last_hidden_state
            following = int(module.lm_head(hidden[0, -1]).argmax())
            if following in tokenizer.all_special_ids or following in tokenizer.added_tokens_decoder:
                break
            ids.append(following)
    return ids


@pytest.mark.parametrize("kind", [ToyBackbone, ThreeAxes])
@pytest.mark.parametrize("seed", [0, 3])
def test_it_is_the_greedy_answer(kind, seed):
    backbone = kind(seed)
    backbone.module.eval()
    said = LmmDescriber(backbone, "What is heard?", longest=8)(film())
    expected = by_hand(backbone, film(), "What is heard?", 8)
    assert expected
    assert said == " ".join(backbone.tokenizer.decode(expected).split())


@pytest.mark.parametrize("make", [tiny_qwen2_5_vl, tiny_qwen3_vl, tiny_qwen2_5_omni, tiny_internvl])
def test_each_step_is_the_most_likely_token_of_a_plain_pass_through_public_models(make, monkeypatch):
    backbone, asked = make(), []
    whole = captions.read

    def watched(of, sequences):
        hidden = whole(of, sequences)
        asked.append((sequences[0], int(backbone.head(hidden[0][-1:])[0].argmax())))
        return hidden

    monkeypatch.setattr(captions, "read", watched)
    with suppress(MediaError):  # random weights may say blanks
        LmmDescriber(backbone, longest=4)(film())
    assert asked
    for sequence, found in asked:
        with torch.no_grad():
            logits = backbone.head(plainly(backbone, sequence)[-1])
        assert logits[found] >= logits.max() - 1e-5
    for (_, found), (after, _) in pairwise(asked):
        assert after.parts[-1].ids[-1] == found


def test_the_picture_is_encoded_once_and_matters():
    backbone = ToyBackbone(3)
    backbone.module.eval()
    describe = LmmDescriber(backbone, longest=6)
    said = {describe(film(seed)) for seed in range(6)}
    assert backbone.calls["video"] == 6
    assert len(said) > 1
    assert describe(film(0)) == describe(film(0))


def test_an_answer_ends_at_a_control_token_and_an_empty_one_is_an_error(monkeypatch):
    backbone = ToyBackbone(0)
    backbone.module.eval()
    words = backbone.tokenizer("good audio", add_special_tokens=False)["input_ids"]
    script = [*words, backbone.tokenizer.eos_token_id, words[0]]
    size = len(backbone.tokenizer)

    class Scripted(torch.nn.Module):
        def __init__(self, ids):
            super().__init__()
            self.ids = iter(ids)

        def forward(self, hidden):
            return torch.nn.functional.one_hot(torch.tensor([next(self.ids)]), size).float()

    backbone.module.lm_head = Scripted(script)
    assert LmmDescriber(backbone)(film()) == "good audio"
    backbone.module.lm_head = Scripted([backbone.tokenizer.eos_token_id])
    with pytest.raises(MediaError, match="an empty description"):
        LmmDescriber(backbone)(film())


def test_a_model_that_only_hears_is_refused():
    backbone = ToyBackbone(0)
    backbone.tracks = ("audio",)
    with pytest.raises(ValueError, match="expected one that reads video, got one of audio"):
        LmmDescriber(backbone)
