import pytest
import torch

from avreward.clip import Clip
from avreward.datasets.synthetic._all_kinds import ALL_PERTURBATIONS
from avreward.datasets.synthetic._perturb_moment import _followed
from avreward.datasets.synthetic._perturbations import NotPerturbable


@pytest.fixture
def clip() -> Clip:
    """Frames whose brightness tells their time."""
    video = torch.linspace(0, 1, 40)[:, None, None, None].expand(40, 3, 48, 48).mul(255).round().div(255)
    return Clip(video=video, fps=10, audio=torch.zeros(4 * 8000), sample_rate=8000)


@pytest.mark.parametrize("seed", range(4))
def test_frames_are_those_of_another_moment(clip: Clip, seed: int) -> None:
    bad = ALL_PERTURBATIONS["other_moment"].apply(clip, 1.0, seed=seed)
    shown = (bad.video[:, 0, 0, 0] * 39).round().long()
    away = (shown - torch.arange(40)) % 40
    assert set(away.tolist()) in ({10}, {30})
    assert torch.equal(bad.times, clip.times)


def test_only_the_mouth_changes(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    class Faces:
        def __call__(self, frames: torch.Tensor) -> list[torch.Tensor]:
            face, small = [8.0, 8.0, 40.0, 40.0], [40.0, 0.0, 48.0, 9.0]
            first, large = [8.0, 8.0, 41.0, 41.0], [30.0, 0.0, 48.0, 12.0]
            found = [[small, face]] * (len(frames) - 2) + [[first], [large]]  # another face never takes over
            return [torch.tensor(boxes, dtype=torch.float64) for boxes in found]

    monkeypatch.setattr("avreward.raters.avbench.SlimeFaces", Faces)
    pattern = torch.rand(40, 3, 48, 48, generator=torch.Generator().manual_seed(0)).mul(255).round().div(255)
    moving = Clip(video=pattern, fps=10, audio=clip.audio, sample_rate=8000)
    bad = ALL_PERTURBATIONS["lips"].apply(moving, 1.0, seed=0)
    moved = (bad.video - pattern).abs().amax((0, 1)) > 2 / 255
    rows, columns = moved.nonzero().T
    assert (int(rows.min()), int(rows.max())) >= (24, 38)
    assert int(rows.max()) <= 40
    assert 13 <= int(columns.min()) < int(columns.max()) < 35
    assert float(moved[24:40, 14:34].float().mean()) > 0.8


def test_without_a_face_or_another_moment_it_is_told(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avreward.raters.avbench.SlimeFaces", lambda: lambda frames: [torch.zeros(0, 4)] * len(frames))
    with pytest.raises(NotPerturbable, match="no face can be followed through 80 % of its frames; give clips"):
        ALL_PERTURBATIONS["lips"].apply(clip)
    with pytest.raises(NotPerturbable, match="shorter than twice the distance to the other moment; give longer clips"):
        ALL_PERTURBATIONS["other_moment"].apply(clip, 2.5)


def test_a_face_is_followed_until_it_is_lost() -> None:
    face, elsewhere = torch.tensor([[8.0, 8.0, 40.0, 40.0]]), torch.tensor([[60.0, 0.0, 90.0, 30.0]])
    none = torch.zeros(0, 4)
    found = [elsewhere, none, none, face - 1, torch.cat((elsewhere, face)), face, none, face + 2, elsewhere]
    assert [place for place, _ in _followed(range(9), found)] == [3, 4, 5, 7]
    lost = [face, none, none, none, none, face]
    assert [place for place, _ in _followed(range(6), lost)] == [0]
