"""DOVER's views against the original, and videos of every size."""

from __future__ import annotations

import pytest
import torch
from golden_sizes import dover_frames
from tiny.dover import VIEWS

from avreward import Clip
from avreward.errors import ArgumentError
from avreward.raters.dover import DoverViews
from avreward.raters.encoders._vqa_frames import fragment_view
from avreward.raters.encoders.fragments import Fragments


def clip(*shape: int, seed: int = 0) -> Clip:
    return Clip(video=torch.rand(*shape, generator=torch.Generator().manual_seed(seed)), fps=8)


@pytest.mark.golden(case="vqa_preprocess")
def test_the_original_technical_view(golden) -> None:
    tensors, limit = golden.tensors(), golden.numbers("default")[-1]
    for row in golden.data["rows"]:
        if row["kind"] != "dover_technical":
            continue
        generator = torch.Generator().manual_seed(row["frames"]["seed"])
        levels = torch.randint(0, 256, row["frames"]["shape_T_H_W_C"], generator=generator, dtype=torch.uint8)
        frames = levels.movedim(-1, 1).float()[row["frame_indices"]] / 255
        clips, _, length, *_ = row["clips"]["shape"]
        height, width = frames.shape[2:]
        drawn = tensors[f"{row['name']}.rnd_h"].shape
        side = row["clips"]["shape"][-1]
        stale = row.get("stale_size_quirk_applies", False)
        cut = Fragments(*drawn[:2], side // drawn[0], side // drawn[1], length, stale)
        offsets = cut.offsets(height, width, clips, torch.Generator().manual_seed(row["torch_manual_seed"]))
        found = torch.stack([
            fragment_view(own, cut, "straight_through", tuple(o[..., i : i + 1] for o in offsets))
            for i, own in enumerate(frames.split(length))
        ])  # fmt: skip
        golden.same(list(found.shape), row["clips"]["shape"])
        golden.close(found.flatten()[:: row["clips"]["flatten_step"]], tensors[f"{row['name']}.clips"], atol=limit)
        golden.close(float(found.mean()), row["clips"]["mean"], atol=limit)
        golden.close(float(found.std()), row["clips"]["std"], atol=limit)


@pytest.mark.golden(case="dover_sampling")
def test_the_original_frames_where_nothing_is_drawn(golden) -> None:
    technical, aesthetic = dover_frames(golden.data["dover"]).values()
    views = DoverViews(technical.segments, technical.length, technical.interval, aesthetic_frames=aesthetic.segments)
    for row in golden.data["dover"]["rows"]:
        times = torch.arange(row["total_frames"], dtype=torch.float64) / 24
        for found, name in zip(views.indices(times), ("technical", "aesthetic"), strict=True):
            if row[name]["draw"] is None:
                golden.same(found.tolist(), row[name]["indices"])
            golden.same(len(found), len(row[name]["indices"]))


@pytest.mark.parametrize(
    "shape", [(1, 3, 1, 1), (1, 3, 40, 40), (2, 3, 5, 3), (9, 3, 23, 24), (40, 3, 3, 900), (5, 3, 900, 2)]
)
def test_any_size_gives_whole_views(shape) -> None:
    found = VIEWS(clip(*shape), "straight_through")
    assert found.technical.shape == (2, 3, 4, 24, 24)
    assert found.aesthetic.shape == (1, 3, 6, 32, 32)
    assert found.technical.isfinite().all()
    assert found.aesthetic.isfinite().all()


def test_published_sizes() -> None:
    found = DoverViews()(clip(3, 3, 30, 20), "none")
    assert found.technical.shape == (3, 3, 32, 224, 224)
    assert found.aesthetic.shape == (1, 3, 32, 224, 224)


def test_the_video_is_read_once_and_each_frame_but_once(monkeypatch) -> None:
    read: list[int] = []
    views = Clip.views

    def note(self, plans):
        found = views(self, plans)
        read.extend(len(frames) for frames in found)
        return found

    monkeypatch.setattr(Clip, "views", note)
    VIEWS(clip(5, 3, 40, 64), "none")
    assert read == [5]


def test_places_are_drawn_from_a_seed_alike_for_each_clip() -> None:
    seen = clip(60, 3, 90, 110)
    views = DoverViews(2, 4, 2, 3, 8, 6, 32, seed=1)
    middle, one, again = VIEWS(seen, "none"), views(seen, "none"), views(clip(60, 3, 90, 110), "none")
    torch.testing.assert_close(one.technical, again.technical, rtol=0, atol=0)
    torch.testing.assert_close(one.aesthetic, again.aesthetic, rtol=0, atol=0)
    for other in (middle, DoverViews(2, 4, 2, 3, 8, 6, 32, seed=2)(seen, "none")):
        assert not torch.equal(one.technical, other.technical)
        assert not torch.equal(one.aesthetic, other.aesthetic)


def test_without_antialiasing_pixels_between_the_samples_do_not_count() -> None:
    video = torch.zeros(4, 3, 320, 320)
    video[:, :, ::10, ::10] = 1  # of 10 × 10 pixels that become one, the four in the middle are read
    with_it, without = (DoverViews(2, 4, 2, 3, 8, 6, 32, a)(Clip(video=video, fps=8), "none") for a in (True, False))
    assert without.aesthetic.unique().numel() == 3  # black, in three channels
    assert with_it.aesthetic.mean() > without.aesthetic.mean() + 0.02


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"clips": 0}, "clips: expected a positive integer, got 0"),
        ({"side": 2.5}, r"side: expected a positive integer, got 2\.5"),
        ({"grid": True}, "grid: expected a positive integer, got True"),
        ({"antialias": 1}, "antialias: expected True or False, got 1"),
        ({"seed": -1}, "seed: expected an integer from 0"),
    ],
)
def test_wrong_arguments(options, said) -> None:
    with pytest.raises(ArgumentError, match=said):
        DoverViews(**options)
