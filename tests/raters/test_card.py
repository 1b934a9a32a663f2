"""Cards say what the raters say, and are read without the raters' code."""

from __future__ import annotations

import subprocess
import sys
from inspect import isfunction

import pytest
from tiny.embedding import tiny_clap
from tiny.qwen_omni import tiny_qwen2_5_omni

from avreward import list_raters, load_rater
from avreward.raters import registry
from avreward.raters.card import RaterCard


def card(name: str) -> RaterCard:
    found = registry.card_of(name)
    assert found is not None
    return found


def test_importing_the_cards_imports_no_network() -> None:
    code = (
        "import sys; from avreward import list_raters; list_raters()\n"
        "heavy = {'torch', 'transformers', 'numpy', 'av', 'pandas', 'peft'} & set(sys.modules)\n"
        "rooms = [name for name in sys.modules if name.startswith('avreward.raters.') and name.endswith('.rater')]\n"
        "sys.exit(f'imported: {heavy} {rooms}' if heavy or rooms else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_signals() -> None:
    rater = load_rater("signals")
    assert card("signals").dimensions == tuple(d for d in rater.dimensions if not d.detail)
    assert card("signals").licence == "Apache-2.0"
    assert card("signals").needs == {"video", "audio"}


def test_agav(agav_folder) -> None:
    assert card("agav").dimensions == load_rater(agav_folder).dimensions
    assert card("agav").licence == "unknown"


def test_a_public_model_that_sees_and_hears() -> None:
    from avreward.raters.zero_shot.rater import PublicRater

    assert card("public").dimensions == tuple(PublicRater("tiny", tiny_qwen2_5_omni()).dimensions)


def test_embedding_models() -> None:
    from avreward.raters.embedding._card import MODELS

    declared = {d.name: d for d in card("embedding").dimensions}
    raters = {model_type: make() for model_type, make in MODELS.items()}
    assert {name for rater in raters.values() for name in rater.pairs} == declared.keys()
    for model_type, rater in raters.items():
        assert model_type in rater.model_types
        for name, sides in rater.pairs.items():
            assert declared[name].needs == frozenset(sides)
    assert tiny_clap  # the dimensions of a built one come from the same function, see tests/raters/embedding


def test_every_layout_has_its_loader() -> None:
    layouts = [found.layout for found in list_raters() if found.layout is not None]
    assert len(layouts) >= 8
    assert all(isfunction(layout.loader()) for layout in layouts)


def test_what_a_card_shows() -> None:
    shown = repr(card("agav"))
    assert shown == (
        "RaterCard(agav; dimensions: audio_quality, av_consistency, overall; needs: audio, video; licence: unknown; "
        "checkpoint: caoyuqin/AGAV-Rater)"
    )
    assert repr(RaterCard("x")) == (
        "RaterCard(x; dimensions: known after loading; needs: unknown; licence: unknown; checkpoint: none)"
    )


@pytest.mark.parametrize("name", ["signals", "video_reward", "sync", "avbench", "agav", "public", "embedding"])
def test_every_dimension_says_what_it_is(name: str) -> None:
    assert all(d.description and d.low < d.high for d in card(name).dimensions)
