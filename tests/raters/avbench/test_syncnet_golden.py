"""SyncNet against the original: towers, front end, offsets, score, resizing, face tracks."""

from __future__ import annotations

from math import floor

import pytest
import torch
from golden_weights import golden_state
from torch import Tensor

from avreward import Clip
from avreward.media._mfcc import mfcc
from avreward.media.sampling_rules import PerSecond
from avreward.raters.avbench import FaceTracks, SyncNet, SyncNetConfig
from avreward.raters.avbench._face_tracks import cropped
from avreward.raters.avbench._lip_frames import resized, whole_frame
from avreward.raters.avbench._sync_offset import grade, sync_score, synchrony

LIP, AUDIO = "netcnnlip", "netcnnaud"


def blocky(seed: int, count: int, height: int, width: int, cell: int, most: int = 256) -> Tensor:
    """Random values (count, 3, height, width), each a cell wide and high."""
    shape = (count, 3, height // cell, width // cell)
    drawn = torch.randint(0, most, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return drawn.repeat_interleave(cell, 2).repeat_interleave(cell, 3)


@pytest.fixture(scope="module")
def network(request) -> dict[str, SyncNet]:
    return {}


def network_of(golden, made: dict[str, SyncNet]) -> SyncNet:
    if golden.folder.name not in made:
        state = golden_state(golden.data)
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        found = SyncNet(SyncNetConfig.from_shapes(shapes, golden.folder)).eval()
        found.load_state_dict(state)
        made[golden.folder.name] = found
    return made[golden.folder.name]


def compare_parts(golden, tower: torch.nn.Sequential, given: Tensor, name: str) -> None:
    """Compare what each stored module gives with the original; windows of lips stand along the third dimension."""
    tensors, out = golden.tensors(), given
    for place, module in enumerate(tower):
        out = module(out)
        if (key := f"{name}.cnn{place}.sample") in tensors:
            about = golden.data["samples"][key]
            windows = out[0].transpose(0, 1)[:, :, None] if out.ndim == 5 else out
            part = windows[: about["shape"][0]].reshape(about["shape"])
            golden.near(part.flatten()[:: about["flatten_step"]], tensors[key], 2e-5)


@pytest.mark.golden("config.lip_window_frames")
@torch.no_grad()
def test_the_lip_tower(golden, network) -> None:
    module, tensors = network_of(golden, network), golden.tensors()
    about = golden.data["inputs"]["lip"]["frames"]
    side = golden.data["config"]["frame_size"][0]
    frames = blocky(about["seed"], about["T"], side, side, about["cell"]).float()
    size = golden.data["config"]["lip_window_frames"]
    compare_parts(golden, module.netcnnlip, frames[: size + 1].transpose(0, 1)[None], "lip")
    last = torch.randint(0, 256, (size, 3, side, side), generator=torch.Generator().manual_seed(1102)).float()
    found = torch.cat([module.lips(frames), module.lips(last)])
    golden.near(found, tensors["lip.embedding"], 2e-5)


@pytest.mark.golden("config.audio_tower")
@torch.no_grad()
def test_the_audio_tower(golden, network) -> None:
    module, tensors = network_of(golden, network), golden.tensors()
    wave = tensors["mfcc.wave"]
    columns = mfcc(wave).float()
    count = floor(len(wave) / 640) - 5
    windows = torch.stack([columns[:, 4 * v : 4 * v + 20] for v in range(count)])[:, None]
    compare_parts(golden, module.netcnnaud, windows, "audio")
    golden.near(module.speech(columns)[:count].flatten(), tensors["audio.embedding.sample"], 2e-5)


@pytest.mark.golden("mfcc.preemphasis")
def test_the_front_end(golden) -> None:
    tensors = golden.tensors()
    limit = golden.numbers("mfcc")[0]
    for name in (key for key in tensors if f"{key}.out" in tensors):
        golden.close(mfcc(tensors[name]).float(), tensors[f"{name}.out"], atol=limit)


@pytest.mark.golden("offset_rows.vshift")
def test_offsets_and_confidence(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["offset_rows"]:
        key = row["key"]
        found = synchrony(tensors[f"{key}.lip"], tensors[f"{key}.audio"], row["vshift"])
        assert len(found.each) == row["n"]
        golden.near(found.distances, tensors[f"{key}.mean_distances"], 2e-5)
        golden.same(int(found.offset), row["offset"])
        golden.close(found.confidence, row["confidence"], 1e-4, 1e-4)
        golden.close(found.least, row["min_distance"], 1e-4, 1e-4)
        golden.close(found.framewise_confidence(), tensors[f"{key}.framewise_confidence"], 1e-4, 1e-4)


@pytest.mark.golden("end_to_end.frame_seed")
@torch.no_grad()
def test_from_frames_and_sound_to_the_score(golden, network) -> None:
    module, tensors, about = network_of(golden, network), golden.tensors(), golden.data["end_to_end"]
    side = golden.data["config"]["frame_size"][0]
    seed, most = about["frame_seed"], about["highest_value_plus_1"]
    frames = blocky(seed, about["frames"], side, side, about["cell"], most)
    clip = Clip(video=frames.float().flip(1) / 255, fps=golden.data["config"]["frame_rate"])
    seen = whole_frame(clip, PerSecond(25)(clip.times), "exact").frames
    golden.close(seen, frames.float(), atol=1e-4)
    count = about["windows"]
    lips, speech = module.lips(seen)[:count], module.speech(mfcc(tensors["end_to_end.wave"]).float())[:count]
    golden.near(lips, tensors["end_to_end.lip"], 2e-5)
    golden.near(speech, tensors["end_to_end.audio"], 2e-5)
    found = synchrony(lips, speech, about["vshift"])
    golden.near(found.distances, tensors["end_to_end.mean_distances"], 2e-5)
    golden.same(int(found.offset), about["offset"])
    golden.close(found.confidence, about["confidence"], 1e-4, 1e-4)
    golden.close(sync_score(found.confidence, found.offset), about["avbench_score"], atol=0.0051)


@pytest.mark.golden("avbench_score_rows.grade")
def test_scores_and_grades(golden) -> None:
    for row in golden.data["avbench_score_rows"]:
        confidence, offset = (torch.tensor(row[name], dtype=torch.float64) for name in ("confidence", "offset"))
        score = sync_score(confidence, offset)
        golden.close(score, row["unrounded"], atol=1e-9)
        golden.close(score, row["score"], atol=0.0051)
        golden.same(grade(row["confidence"]), row["grade"])


@pytest.mark.golden("resize_rows.input")
def test_whole_frames_are_resized_alike(golden) -> None:
    tensors = golden.tensors()
    for row in golden.data["resize_rows"]:
        height, width = row["height"], row["width"]
        if row["input"].startswith("blocky"):
            cell = int(row["input"].split("cell ")[1].split(",")[0])
            image = blocky(row["seed"], 1, height, width, cell)
        else:
            generator = torch.Generator().manual_seed(row["seed"])
            image = torch.randint(0, 256, (height, width, 3), generator=generator).permute(2, 0, 1)[None]
        about = golden.data["samples"][f"{row['key']}.out.sample"]
        found = resized(image.float() / 255, "exact")[0].permute(1, 2, 0) * 255
        golden.close(found.flatten()[:: about["flatten_step"]], tensors[f"{row['key']}.out.sample"].float(), atol=1.001)


@pytest.mark.golden("runs.parameters")
def test_face_tracks(golden) -> None:
    tensors = golden.tensors()
    boxes = [
        torch.tensor([face["bbox"] for face in faces], dtype=torch.float64).reshape(-1, 4)
        for faces in golden.data["detections"]
    ]
    names = {"min_track": "least_frames", "num_failed_det": "gap", "min_face_size": "least_side"}
    for run in golden.data["runs"]:
        settings = {names[name]: value for name, value in run["parameters"].items()}
        found = FaceTracks(**settings)(boxes)
        ends = [(int(track.frames[0]), int(track.frames[-1])) for track in found]
        golden.same(ends, [(track["first"], track["last"]) for track in run["tracks"]])
        for track, about in zip(found, run["tracks"], strict=True):
            key = about["key"]
            golden.same(track.frames, tensors[f"{key}.frames"])
            golden.close(track.boxes.float(), tensors[f"{key}.boxes"], atol=1e-3)
            for name, values in zip("xys", track.smoothed(), strict=True):
                golden.close(values.float(), tensors[f"{key}.smooth_{name}"], atol=1e-3)


@pytest.mark.golden("crops.pad")
def test_crops_of_faces(golden) -> None:
    tensors = golden.tensors()
    drawn = torch.randint(0, 256, (45, 65, 3), generator=torch.Generator().manual_seed(1400), dtype=torch.uint8)
    image = drawn.repeat_interleave(4, 0).repeat_interleave(4, 1).permute(2, 0, 1).float() / 255
    for row in golden.data["crops"]:
        key, sizes = f"{row['key']}.out.sample", []

        def noted(window: Tensor, sizes: list = sizes) -> Tensor:
            sizes.append(window.shape[2:])
            return resized(window, "exact")

        found = cropped(image, (row["x"], row["y"], row["s"]), noted, "exact").permute(1, 2, 0) * 255
        top, bottom, left, right = row["window_in_padded_image_top_bottom_left_right"]
        golden.same(tuple(sizes[0]), (bottom - top, right - left))
        step = golden.data["samples"][key]["flatten_step"]
        golden.close(found.flatten()[::step], tensors[key].float(), atol=1.001)
