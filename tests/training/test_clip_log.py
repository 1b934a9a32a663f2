"""What a run logs: names of the numbers, and sample clips read back from files and from TensorBoard's own reader."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from toy_raters import Toy, sound

from avreward.clip import Clip
from avreward.errors import ArgumentError, AvrewardError
from avreward.training import log_clips, reward_metrics


def clips():
    video = torch.linspace(0, 1, 8)[:, None, None, None].expand(8, 3, 32, 48)
    tone = 0.5 * torch.sin(torch.arange(16000) * 0.2)[None]
    return [Clip(video=video, fps=8, audio=tone, sample_rate=16000, prompt="a hum"), sound(0.2)]


def test_numbers_are_means_of_what_there_is():
    reward = 2 * Toy()["power"]
    found = reward_metrics(reward.evaluate([sound(0.5), sound(0.25), Clip(video=clips()[0].video, fps=8)]), "r")
    assert found == pytest.approx({"r/missing": 1 / 3, "r/reward": 0.75, "r/toy.power": 0.375})
    assert reward_metrics(reward.evaluate([Clip(video=clips()[0].video, fps=8)]), "r") == {"r/missing": 1.0}


def test_tensorboard_has_picture_sound_and_caption(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(tmp_path / "runs"))
    files = log_clips(writer, clips(), 50, tmp_path / "samples", captions=["first", "second"])
    writer.close()
    assert [str(path.relative_to(tmp_path)) for path in files] == [
        "samples/step-000050/0.mp4", "samples/step-000050/1.wav",
    ]  # fmt: skip
    saved = Clip.open(files[0])
    assert (saved.has_video, saved.has_audio) == (True, True)
    events = EventAccumulator(str(tmp_path / "runs")).Reload()
    [image] = events.Images("samples/0")
    assert (image.width, image.height, image.step) == (4 * 48, 32, 50)
    assert events.Tags()["images"] == ["samples/0"]  # the other clip has no video
    audios = [events.Audio(f"samples/{i}")[0] for i in range(2)]
    assert [audio.sample_rate for audio in audios] == [16000, sound(0.2).sample_rate]
    assert b"first" in events.Tensors("samples/0/text_summary")[0].tensor_proto.string_val[0]


def stand_in(monkeypatch, name):
    """A module with the three names that are used of W&B and trackio, which notes what it is given."""
    module = ModuleType(name)
    module.logged = []
    module.Video = lambda path, caption: ("video", path, caption)
    module.Audio = lambda path, caption: ("audio", path, caption)
    module.log = module.logged.append
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_files_with_sound_go_to_others(monkeypatch, tmp_path, name):
    module = stand_in(monkeypatch, name)
    files = log_clips(module, clips(), 7, tmp_path, name="kept")
    assert module.logged == [
        {
            "kept/0": ("video", str(files[0]), "a hum"), "kept/1": ("audio", str(files[1]), ""),
            "train/global_step": 7,
        }
    ]  # fmt: skip


def test_an_accelerator_s_trackers(monkeypatch, tmp_path):
    module = stand_in(monkeypatch, "trackio")
    mine = SimpleNamespace(name="trackio", tracker=SimpleNamespace())  # accelerate keeps a run, which takes no media
    other = SimpleNamespace(name="mlflow", tracker=SimpleNamespace())
    log_clips(SimpleNamespace(trackers=[mine, other]), clips()[:1], 0, tmp_path)
    assert len(module.logged) == 1


def test_accelerate_s_own_tensorboard_tracker(tmp_path):
    pytest.importorskip("tensorboard")
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, log_with="tensorboard", project_dir=str(tmp_path / "logs"))
    accelerator.init_trackers("run")
    accelerator.log({"avreward/reward": 1.0}, step=3)
    log_clips(accelerator, clips()[:1], 3, tmp_path / "samples")
    accelerator.end_training()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "logs" / "run")).Reload()
    assert events.Tags()["audio"] == ["samples/0"]
    assert "avreward/reward" in events.Tags()["scalars"]


def test_no_gradient_is_taken_and_clips_stay(tmp_path):
    audio = torch.zeros(1, 8000, requires_grad=True)
    clip = Clip(audio=0.5 * audio, sample_rate=8000)
    log_clips([], [clip], 0, tmp_path)
    assert clip.requires_grad == {"audio"}


def test_bad_input(tmp_path):
    with pytest.raises(ArgumentError, match="captions: expected one for each of 2 clips, got 1"):
        log_clips([], clips(), 0, tmp_path, captions=["x"])
    with pytest.raises(ArgumentError, match="where: expected an Accelerator, a SummaryWriter"):
        log_clips(object(), clips()[:1], 0, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(AvrewardError, match="cannot be made"):
        log_clips([], clips()[:1], 0, tmp_path / "file")
