"""Raters of one's own, by name."""

from __future__ import annotations

from functools import partial
from importlib.metadata import EntryPoint

import pytest
import torch
from toy_raters import Toy, picture, sound

from avreward import ArgumentError, AvrewardError, Rater, list_raters, load_rater, load_reward, register_rater, term
from avreward.raters import EnsembleRater, RaterCard, registry
from avreward.raters.hub import UnknownRater


@pytest.fixture(autouse=True)
def _empty(monkeypatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


class Named(Toy):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.fingerprint = scale, f"named {scale}"


def test_a_class() -> None:
    assert register_rater("mine")(Named) is Named
    rater = load_rater("mine", scale=2.0)
    assert isinstance(rater, Named)
    assert (rater.name, rater.scale, rater.source) == ("mine", 2.0, {"rater": "mine", "scale": 2.0})


def test_a_factory_by_a_plain_call() -> None:
    register_rater("mine", lambda: Named(3.0), licence="CC0-1.0", checkpoint="somewhere")
    assert load_rater("mine").fingerprint == "named 3.0"
    [card] = list_raters("mine")
    assert (card.dimensions, card.licence, card.checkpoint) == ((), "CC0-1.0", "somewhere")


def test_a_rater_is_copied_when_loaded() -> None:
    made = register_rater("mine", Named())
    loaded = load_rater("mine")
    assert loaded is not made
    assert (loaded.name, made.name) == ("mine", "toy")
    assert list_raters("m*")[0].dimensions == made.dimensions


def test_a_term() -> None:
    @register_rater("brightness")
    @term(needs="video", low=0, high=1)
    def brightness(clip):
        return clip.video.mean()

    assert load_rater("brightness")([picture(0.25)])["brightness"].tolist() == [0.25]
    assert list_raters("brightness")[0].needs == {"video"}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "1st", 3])
def test_names_that_expressions_cannot_write(name) -> None:
    with pytest.raises(ArgumentError, match="name: expected an identifier, such as 'warmth', got"):
        register_rater(name, Named)


def test_names_that_are_taken() -> None:
    with pytest.raises(ArgumentError, match="name: expected one that no rater of avreward has, got 'agav'"):
        register_rater("agav", Named)
    register_rater("mine", Named)
    register_rater("mine", Named)  # as where a notebook's cell runs again
    with pytest.raises(ArgumentError, match="one that is not registered yet, got 'mine'; choose another"):
        register_rater("mine", Toy)


def test_two_terms_of_one_name() -> None:
    @term(needs="audio")
    def first(clip):
        return 1.0

    @term(needs="audio")
    def second(clip):
        return 2.0

    register_rater("mine", first)
    register_rater("mine", first)
    with pytest.raises(ArgumentError, match="one that is not registered yet, got 'mine'"):
        register_rater("mine", second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: Named(1.0), lambda: Named(2.0)),
        (partial(Named, 1.0), partial(Named, 2.0)),
        (Named(1.0), Named(2.0)),
    ],
)
def test_two_makers_without_a_name_of_their_own(first, second) -> None:
    register_rater("mine", first)
    register_rater("mine", first)
    with pytest.raises(ArgumentError, match="one that is not registered yet, got 'mine'"):
        register_rater("mine", second)
    assert load_rater("mine").fingerprint == "named 1.0"


def test_a_class_that_is_no_rater() -> None:
    with pytest.raises(ArgumentError, match=r"mine: expected a class of Rater, .*, got the class int"):
        register_rater("mine", int)  # type: ignore[type-var]
    assert list_raters("mine") == []


def test_what_makes_no_rater() -> None:
    with pytest.raises(ArgumentError, match=r"mine: expected a class of Rater, a function .*, got 3"):
        register_rater("mine", 3)  # type: ignore[type-var]
    register_rater("mine", lambda: 3)  # type: ignore[arg-type,return-value]
    with pytest.raises(ArgumentError, match="mine: expected an object that makes a rater, got 3; return an ins"):
        load_rater("mine")


def test_options() -> None:
    def make(scale: float) -> Rater:
        return Named(scale)

    register_rater("mine", make)
    with pytest.raises(ArgumentError, match=r"option of mine: expected one of scale, got 'scal'; did you mean 'sc"):
        load_rater("mine", scal=1)
    with pytest.raises(ArgumentError, match="scale of mine: expected a value, got none; pass it"):
        load_rater("mine")


def test_a_mistyped_name() -> None:
    register_rater("warmth", Named)
    with pytest.raises(
        UnknownRater, match=r"did you mean 'warmth'\? there are: signals, signals\.stereo, warmth, folders"
    ):
        load_rater("warmt")


# ---- expressions


def test_expressions_know_it() -> None:
    register_rater("mine", Named)
    reward = load_reward("0.5*mine.power + signals.clipping")
    assert {rater.name: type(rater).__name__ for rater in reward.raters} == {
        "mine": "Named",
        "signals": "SignalsRater",
    }
    assert load_reward("mine.power")([sound(0.25)]).tolist() == [0.25]


def test_a_given_rater_comes_first() -> None:
    register_rater("mine", Named)
    given = Named(7.0)
    assert load_reward("mine.power", {"mine": given}).raters == (given,)


# ---- installed packages


@pytest.fixture
def installed(monkeypatch):
    """Pretends that packages with these entry points are installed: name → what it leads to."""

    def install(**found: object) -> None:
        class Point(EntryPoint):
            def load(self) -> object:
                if isinstance(found[self.name], Exception):
                    raise found[self.name]  # type: ignore[misc]
                return found[self.name]

        points = tuple(Point(name, "somewhere:it", registry.ENTRY_POINTS) for name in found)
        monkeypatch.setattr(registry, "_installed", lambda: points)

    return install


def test_an_entry_point(installed) -> None:
    installed(theirs=Named)
    assert isinstance(load_rater("theirs", scale=2.0), Named)
    assert list_raters("theirs")[0].needs == {"video", "audio"}
    assert load_reward("theirs.power")([sound(0.25)]).tolist() == [0.25]


def test_an_entry_point_that_is_a_card(installed) -> None:
    installed(theirs=RaterCard("another", Toy.dimensions, "MIT", "their/weights", make=Named))
    [card] = list_raters("theirs")
    assert (card.name, card.licence, card.checkpoint) == ("theirs", "MIT", "their/weights")
    assert load_rater("theirs").name == "theirs"


def test_a_broken_package_hides_nobody(installed) -> None:
    installed(broken=ImportError("no module\nnamed x"), theirs=Named)
    with pytest.warns(UserWarning, match="rater 'broken': it cannot be imported .ImportError: no module named x.;"):
        names = [card.name for card in list_raters()]
    assert names[-1] == "theirs"
    with pytest.raises(AvrewardError, match="rater 'broken': it cannot be imported"):
        load_rater("broken")


def test_ones_own_names_come_before_those_of_packages(installed) -> None:
    installed(mine=Toy, signals=Toy)
    register_rater("mine", Named)
    assert isinstance(load_rater("mine"), Named)
    assert not isinstance(load_rater("signals"), Toy)
    assert [card.name for card in list_raters()].count("mine") == 1


def test_entry_points_are_really_looked_for() -> None:
    registry._installed.cache_clear()
    assert all(point.group == "avreward.raters" for point in registry._installed())


def test_gradients_reach_the_clip() -> None:
    @register_rater("level")
    @term(needs="audio")
    def level(clip):
        return clip.audio.square().mean()

    clip = sound(0.25)
    wave = clip.audio.clone().requires_grad_()
    type(clip)(audio=wave, sample_rate=16000)
    loss = load_reward("3*level.level")([type(clip)(audio=wave, sample_rate=16000)]).sum()
    (slope,) = torch.autograd.grad(loss, wave)
    torch.testing.assert_close(slope, 6 * wave.detach() / wave.numel())


# ---- reward files


def test_a_reward_file_loads_where_the_rater_is_registered(tmp_path, monkeypatch) -> None:
    register_rater("mine", Named)
    saved = 2 * load_rater("mine", scale=3.0)["power"]
    path = saved.save(tmp_path / "reward.yaml")
    assert load_reward(path) == saved
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(AvrewardError) as caught:
        load_reward(path)
    for said in ("the rater mine: rater 'mine': unknown", "import", "raters={'mine': …}", "--rater mine=FILE.py:NAME"):
        assert said in str(caught.value)
    assert load_reward(path, {"mine": load_rater_of(3.0)}) == saved


def load_rater_of(scale: float) -> Rater:
    rater = Named(scale)
    rater.name = "mine"
    return rater


def test_a_rater_that_the_file_does_not_list(tmp_path, monkeypatch) -> None:
    path = (load_rater_of(1.0)["power"] + load_rater("signals")["clipping"]).save(tmp_path / "reward.yaml")
    with pytest.raises(AvrewardError) as caught:
        load_reward(path)
    said = "rater mine: write it under raters, register it, pass raters={'mine': rater}, or use "
    assert said in str(caught.value)
    register_rater("mine", Named)
    assert [rater.name for rater in load_reward(path).raters] == ["mine", "signals"]


def test_an_ensemble_of_registered_raters_is_saved(tmp_path) -> None:
    register_rater("mine", Named)
    first, second = load_rater("mine"), load_rater("mine", scale=2.0)
    second.name = "second"
    reward = EnsembleRater([first, second])["power"]
    assert load_reward(reward.save(tmp_path / "reward.yaml")) == reward


def test_a_pattern_that_is_no_text() -> None:
    with pytest.raises(ArgumentError, match=r"pattern: expected a pattern of names, such as 'sig\*', got 3"):
        list_raters(3)  # type: ignore[arg-type]
