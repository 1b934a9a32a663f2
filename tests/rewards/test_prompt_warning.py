"""The warning for rewards that ignore the prompt."""

from toy_raters import Reading, Toy, both

from avreward.rewards._prompt_warning import ignores_prompt, warn_ignores_prompt


def test_the_warning(recwarn, monkeypatch) -> None:
    monkeypatch.setattr("avreward.rewards._prompt_warning._warned", set())
    reward, clip = Toy()["power"], both(0.25, 0.5).with_prompt("a dog")
    told = ignores_prompt(reward, [clip])
    assert all(fact in told for fact in ("0.13 to 0.41", "0.11 to 0.06", "20th rollout", "UniRL", "reads the prompt"))
    for prompts in (None, [], [None, None], [""], [" \n\t"], [clip.with_prompt("  ")], [clip.with_prompt(None)]):
        assert ignores_prompt(reward, prompts) is None  # as where silent video is dubbed
    reading = Reading()
    reading.name = "reading"
    assert ignores_prompt(reading["faithful"] + reward, [clip]) is None
    assert ignores_prompt(lambda clips: 0, [clip]) is None
    assert ignores_prompt(Reading()["power"], ["a dog"]) is not None  # the rater reads the prompt, this term doesn't
    warn_ignores_prompt(reward, [None])
    assert not recwarn
    for _ in range(3):
        warn_ignores_prompt(reward, ["a dog"])
    warn_ignores_prompt(2 * reward, ["a dog"])
    assert len(recwarn) == 2  # once a reward
