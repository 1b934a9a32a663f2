"""VideoReward against reference cases and the library's own forward pass, its folders, its instruction."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_weights import golden_state, golden_weight, real_tokens
from lmm_checks import widen
from safetensors.torch import save_file
from tiny.qwen_vl import TOKENIZER, tiny_qwen2_vl
from tiny_tokenizer import tiny_tokenizer
from torch import Tensor, nn

from avreward import Clip
from avreward.errors import AvrewardError
from avreward.raters.checkpoints._weights import load_matching
from avreward.raters.checkpoints.loading import Loading
from avreward.raters.lmm._decoding import read
from avreward.raters.lmm._template import Rendered
from avreward.raters.lmm.backbones._qwen import QwenVideo
from avreward.raters.lmm.backbones.qwen2_vl import Qwen2Vl
from avreward.raters.lmm.prompt import Slot, Text, Tokens
from avreward.raters.video_reward._folder import Published
from avreward.raters.video_reward._keys import merged, official_to_ours
from avreward.raters.video_reward.rater import (
    INSTRUCTION,
    NAMES,
    NORMS,
    TOKENS,
    RewardTokenHead,
    VideoRewardRater,
    backbone_options,
    build_network,
    load,
    with_tokens,
)

PREFIX = "base_model.model."
SETTINGS = {
    "data_config": {
        "fps": 2,
        "max_frame_pixels": 200704,
        "eval_dim": ["VQ", "MQ", "TA"],
        "prompt_template_type": "detailed_special",
        "sample_type": "uniform",
    },
    "model_config": {"model_name_or_path": "nobody/nothing", "output_dim": 1, "reward_token": "special"},
    "peft_lora_config": {"lora_r": 4, "lora_alpha": 8, "use_rslora": False},  # a case has its own
    "inference_config": {f"{n}_{k}": v for n, p in NORMS.items() for k, v in zip(("mean", "std"), p, strict=True)},
}


def config_of(case: dict[str, Any], rows: int | None = None) -> Any:
    """The configuration of a reference case in the library's form."""
    from transformers import Qwen2VLConfig

    language, ids = dict(case["config"]["language"]), case["config"]["token_ids"]
    sections, padded = language.pop("mrope_section"), language.pop("vocab_after_resize")
    language |= {"vocab_size": rows or padded, "rope_scaling": {"type": "mrope", "mrope_section": sections}}
    return Qwen2VLConfig(
        **{**language, "bos_token_id": 0, "eos_token_id": 0},
        vision_config=case["config"]["vision"],
        image_token_id=ids["image"],
        video_token_id=ids["video"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
    )


def network_of(case: dict[str, Any], state: dict[str, Tensor]) -> nn.ModuleDict:
    """The network with `state`, which has our names."""
    network = build_network(config_of(case), len(state["rm_head.weight"])).eval().requires_grad_(False)
    load_matching(network, state)
    return network


def merged_state(case: dict[str, Any], **changed: Tensor) -> dict[str, Tensor]:
    lora = case["config"]["lora"]
    state = golden_state(case) | {PREFIX + name.replace("_weight", ".weight"): t for name, t in changed.items()}
    return merged(state, lora["lora_alpha"], lora["use_rslora"], torch.float32)


def backbone_of(case: dict[str, Any], network: nn.ModuleDict, **options: Any) -> Qwen2Vl:
    pixels = case["config"]["preprocess"]
    limits = {"min_pixels": pixels["min_pixels"], "max_pixels": pixels["max_pixels"]}
    return Qwen2Vl(network["base"], TOKENIZER, "exact", **{**backbone_options(), **limits, **options})


def films_of(golden: Any) -> list[QwenVideo]:
    """The patches of the reference case."""
    tensors = golden.tensors()
    grids = [tuple(grid) for grid in golden.data["video_grid_thw"]]
    patches = tensors["pixel_values_videos"].split([t * h * w for t, h, w in grids])
    return [QwenVideo(p, grid, (), 1.0) for p, grid in zip(patches, grids, strict=True)]


def sequences(
    case: dict[str, Any], backbone: Qwen2Vl, films: list[QwenVideo], everywhere: bool = False
) -> list[Rendered]:
    """The ids of the reference case as parts, without padding, read at the reward tokens, or at all of the text."""
    video, rewards = case["config"]["token_ids"]["video"], case["config"]["token_ids"]["reward_tokens"].values()
    found = []
    for number, (row, film) in enumerate(zip(case["input_ids"], films, strict=True)):
        ids = [token for token in row if token != case["config"]["token_ids"]["pad"]]
        assert len(ids) == case["sequence_lengths"][number]
        first = ids.index(video)
        before, after = tuple(ids[:first]), tuple(token for token in ids[first:] if token != video)
        tokens = next(part for part in backbone.encode("video", film) if isinstance(part, Tokens))
        reads = range(len(after)) if everywhere else [after.index(token) for token in rewards]
        parts = (Text(before, tuple(range(first)) if everywhere else ()), tokens, Text(after, tuple(reads)))
        assert sum(part.length for part in parts) == len(ids)
        found.append(Rendered(parts, (before, number, after)))
    return found


def raw_rewards(case: dict[str, Any], network: nn.ModuleDict, films: list[QwenVideo], **options: Any) -> Tensor:
    """(clips, 3)."""
    backbone = backbone_of(case, network, **options)
    readout = RewardTokenHead(network["rm_head"], ((0.0, 1.0),) * 3)
    return torch.stack([readout(hidden)[:3] for hidden in read(backbone, sequences(case, backbone, films))])


CASE = pytest.mark.golden("tensor_names.rewards_output_dim3")


@CASE
def test_rewards_are_those_of_the_original(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    network, films = network_of(case, merged_state(case)), films_of(golden)
    found = raw_rewards(case, network, films)
    golden.check(found, tensors["rewards"], "rewards")
    golden.check(found, torch.tensor(case["expected"]["rewards"]), "rewards")
    # three-axis positions make another network of it; the flag is what keeps them away
    assert (found - tensors["rewards_if_multimodal_positions"]).abs().max() > 10 * golden.numbers("rewards")[0]
    other = raw_rewards(case, network, films, plain_positions=False)
    golden.check(other, tensors["rewards_if_multimodal_positions"], "rewards")


@CASE
def test_rewards_with_three_rows_are_those_of_the_original(golden) -> None:
    case = golden.data
    head = golden_weight(PREFIX + "rm_head.weight", (3, case["config"]["language"]["hidden_size"]))
    network = network_of(case, merged_state(case, rm_head_weight=head))
    golden.check(raw_rewards(case, network, films_of(golden)), golden.tensors()["rewards_output_dim3"], "rewards")


@CASE
def test_normalised_rewards_and_their_sum(golden) -> None:
    case = golden.data
    stated = case["normalisation"]
    golden.same(dict(NORMS), {name: (stated[f"{name}_mean"], stated[f"{name}_std"]) for name in NAMES})
    network = network_of(case, merged_state(case))
    backbone = backbone_of(case, network)
    readout = RewardTokenHead(network["rm_head"], tuple(NORMS.values()))
    found = torch.stack([readout(hidden) for hidden in read(backbone, sequences(case, backbone, films_of(golden)))])
    golden.check(found, golden.tensors()["rewards_normalised"], "rewards")


@CASE
def test_intermediates(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    state = merged_state(case)
    name = "layers.0.self_attn.q_proj.weight"
    merged_weight = state[f"base.model.language_model.{name}"]
    golden.check(merged_weight, tensors[f"merged.model.{name}"], "intermediates")
    backbone = backbone_of(case, network_of(case, state))
    rendered = sequences(case, backbone, films_of(golden), everywhere=True)
    seen = torch.cat([sequence.parts[1].values for sequence in rendered])
    golden.check(seen, tensors["video_embeds"], "intermediates")
    text = (tensors["input_ids"] != case["config"]["token_ids"]["video"]) & real_tokens(tensors)
    golden.check(torch.cat(read(backbone, rendered)), tensors["last_hidden"][text], "intermediates")


@CASE
def test_gradients_at_the_pixels(golden) -> None:
    case, tensors = golden.data, golden.tensors()
    pixels = tensors["pixel_values_videos"].double().requires_grad_()
    films = films_of(golden)
    leaves = pixels.split([len(film.patches) for film in films])
    films = [QwenVideo(leaf, film.grid, (), 1.0) for leaf, film in zip(leaves, films, strict=True)]
    network = network_of(case, merged_state(case))
    widen(network)  # in float32 a gradient depends on the number of threads
    rewards = raw_rewards(case, network, films)
    (gradient,) = torch.autograd.grad(rewards.sum(), pixels)
    golden.check(gradient, tensors["grad_pixel_values_videos"], "gradients")
    golden.close(float(gradient.norm()), case["gradients"]["norm"], rtol=golden.numbers("gradients")[0])


@CASE
def test_frames_as_the_original_resizes_them(golden) -> None:
    """All frames that the case has, whether or not the frame rule would choose them."""
    case, tensors = golden.data, golden.tensors()
    network = network_of(case, merged_state(case))
    backbone, films = backbone_of(case, network), []
    levels, exact = golden.numbers("pixels")[0], golden.numbers("pixels")[-1]
    for number, expected in enumerate(films_of(golden)):
        frames = tensors[f"video{number}_uint8"].permute(0, 3, 1, 2) / 255
        resized = tensors[f"video{number}_resized"]
        found = 255 * backbone.patches._resized(frames, tuple(resized.shape[-2:]), "exact")
        golden.at_most((found - resized).abs().max(), levels + 1e-3, f"{levels:g} of 255")
        patches, grid = backbone.patches(frames, "exact")
        golden.same(grid, expected.grid)
        one_level = levels / 255 / min(case["config"]["preprocess"]["image_std"])
        golden.close(patches, expected.patches, atol=one_level + 10 * exact)
        differ = ((patches - expected.patches).abs() > exact).double().mean()
        golden.at_most(differ, 1e-3, "share of values that differ")
        films.append(QwenVideo(patches, grid, (), 1.0))
    golden.close(raw_rewards(case, network, films), tensors["rewards"], atol=1e-2)  # a level of a few pixels


@CASE
def test_which_frames_and_what_size(golden) -> None:
    case = golden.data
    backbone = Qwen2Vl(tiny_qwen2_vl().module, TOKENIZER, **backbone_options())
    for row in case["frame_table"]:
        times = torch.arange(row["frames"], dtype=torch.float64) / row["fps"]
        if row["indices"] is not None:
            golden.same(backbone.frames(times).tolist(), row["indices"])
    assert len(backbone.frames(torch.arange(84, dtype=torch.float64) / 24)) == 8  # 7 is between 6 and 8
    for row in case["resize_table"]:
        golden.same(list(backbone.patches.size(row["h"], row["w"], frames=8)), row["out"])


@CASE
@pytest.mark.parametrize("layout", ["one file", "split", "merged"])
def test_every_layout_gives_the_same_rewards(golden, tmp_path: Path, layout: str) -> None:
    case = golden.data
    write_weights(case, tmp_path, layout)
    found = Published.find(tmp_path, tmp_path / "base")
    assert found.norms == dict(NORMS)
    rewards = raw_rewards(case, network_of(case, with_head(found.state(torch.float32))), films_of(golden))
    golden.check(rewards, golden.tensors()["rewards"], "rewards")


def with_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The output layer, which is the embedding, isn't repeated in split files."""
    return {"base.lm_head.weight": state["base.model.language_model.embed_tokens.weight"], **state}


def write_weights(case: dict[str, Any], folder: Path, layout: str) -> None:
    """A folder as VideoReward's training code writes it."""
    state, checkpoint, base = golden_state(case), folder / "checkpoint-30", folder / "base"
    for place in (checkpoint, base, folder / "checkpoint-4"):
        place.mkdir(parents=True)
    lora, rows = case["config"]["lora"], case["config"]["language"]["vocab_size"]
    own = {"lora_r": lora["r"], "lora_alpha": lora["lora_alpha"], "use_rslora": lora["use_rslora"]}
    (folder / "model_config.json").write_text(json.dumps({**SETTINGS, "peft_lora_config": own}))
    config_of(case, rows).save_pretrained(base)
    torch.save({}, folder / "checkpoint-4" / "model.pth")  # an earlier one
    if layout == "one file":
        torch.save(state, checkpoint / "model.pth")
    elif layout == "merged":
        ours = merged_state(case)
        names = {official_to_ours(name): name for name, _ in case["merged_keys"]}
        assert names.keys() == ours.keys()
        save_file({name: ours[own].clone() for own, name in names.items()}, checkpoint / "model.safetensors")
    else:
        adapter = {name: state[name.replace(".weight", ".default.weight")] for name, _ in case["adapter_file_keys"]}
        others = {name: state[name] for name, _ in case["non_adapter_file_keys"]}
        save_file(adapter, checkpoint / "adapter_model.safetensors")
        torch.save(others, checkpoint / "non_lora_state_dict.pth")
        plain = {name.removeprefix(PREFIX).replace(".base_layer", ""): tensor for name, tensor in state.items()}
        bare = {
            name: t for name, t in plain.items() if not any(part in name for part in ("lora", "lm_head", "rm_head"))
        }
        wrong = {name: tensor + 1 for name, tensor in bare.items() if PREFIX + name in others}  # trained further
        bare |= {**wrong, "model.embed_tokens.weight": torch.zeros(rows, len(state[f"{PREFIX}model.norm.weight"]))}
        save_file({name: tensor.clone() for name, tensor in bare.items()}, base / "model.safetensors")


@CASE
def test_the_published_checkpoint_fits_entry_by_entry(golden) -> None:
    from transformers import Qwen2VLConfig

    listed = golden.file("official_state_dict.json")["keys"]
    state = merged({n: torch.empty(s, device="meta") for n, s in listed}, 128, False, torch.bfloat16)
    # the sizes of Qwen2-VL-2B-Instruct
    vision = {"depth": 32, "embed_dim": 1280, "hidden_size": 1536, "num_heads": 16, "mlp_ratio": 4}
    config = Qwen2VLConfig(
        vision_config=vision, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, vocab_size=151660, tie_word_embeddings=True,
        rope_scaling={"type": "mrope", "mrope_section": [16, 24, 24]},
    )  # fmt: skip
    with torch.device("meta"):
        network = build_network(config)
    load_matching(network, state)
    assert network["base"].dtype == torch.bfloat16
    del state["rm_head.weight"]
    with pytest.raises(AvrewardError, match=r"1 missing: rm_head\.weight"):
        load_matching(network, state)


@CASE
def test_the_instruction_is_verbatim(golden) -> None:
    stated = golden.data["prompt_check"]
    filled = INSTRUCTION.replace("{text_prompt}", stated["for_video_prompt"])
    golden.same(len(filled), stated["characters"])
    golden.same(hashlib.sha256(filled.encode()).hexdigest(), stated["sha256"])
    golden.same(hashlib.sha256(INSTRUCTION.encode()).hexdigest(), stated["template_sha256_with_placeholder"])


# From here on a tiny model with a tokenizer, and no reference case.


def tiny_rater(rows: int = 1, rounding: Any = "straight_through", **options: Any) -> VideoRewardRater:
    backbone = tiny_qwen2_vl(rounding, **backbone_options())
    backbone.tokenizer = with_tokens(tiny_tokenizer(["<|im_start|>", "<|im_end|>", *VISION]))
    generator = torch.Generator().manual_seed(rows)
    network = backbone.module
    network.resize_token_embeddings(len(backbone.tokenizer), mean_resizing=False)
    for weight in (w for w in backbone.language.parameters() if w.ndim == 2):  # large enough for words to matter
        weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    network.config.tie_word_embeddings = True  # as published
    network.tie_weights()
    head = nn.Linear(network.config.text_config.hidden_size, rows, bias=False)
    head.weight.data = torch.randn(head.weight.shape, generator=generator)
    return VideoRewardRater(backbone, head, **options)


VISION = ["<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>"]


def clip_of(prompt: str | None = "A red ball rolls.", frames: int = 4, seed: int = 0) -> Clip:
    video = torch.rand(frames, 3, 50, 90, generator=torch.Generator().manual_seed(seed))
    return Clip(video=video, fps=2, prompt=prompt)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_whole_equals_the_librarys_forward_with_plain_positions(rows: int) -> None:
    rater = tiny_rater(rows, normalized=False)
    backbone, clip = rater.backbone, clip_of()
    film = backbone.load(clip, "video")
    seen = film.grid[0] * film.grid[1] * film.grid[2] // 4
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
        + "<|video_pad|>" * seen + "<|vision_end|>" + INSTRUCTION.replace("{text_prompt}", "A red ball rolls.")
        + "<|im_end|>\n<|im_start|>assistant\n"
    )  # fmt: skip
    ids = torch.tensor([backbone.tokenizer(text, add_special_tokens=False)["input_ids"]])
    backbone.module.config.video_token_id = backbone.tokenizer.convert_tokens_to_ids("<|video_pad|>")
    hidden = backbone.module.model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        position_ids=torch.arange(ids.shape[1]).expand(3, 1, -1),
        pixel_values_videos=film.patches,
        video_grid_thw=torch.tensor([film.grid]),
    ).last_hidden_state[0]
    at = [ids[0].tolist().index(token) for token in backbone.tokenizer.convert_tokens_to_ids(list(TOKENS))]
    scores = rater.module["rm_head"](hidden[at])
    expected = scores[:, 0] if rows == 1 else scores.diagonal()
    found = rater([clip])
    torch.testing.assert_close(found.values[0, :3], expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(found["overall"][0], expected.sum(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 3])
def test_without_a_prompt_the_first_two_are_the_same(rows: int) -> None:
    rater = tiny_rater(rows)
    scores = rater([clip_of(), clip_of(None), clip_of("A blue cube.")])
    assert scores.present.tolist() == [[True] * 4, [True, True, False, False], [True] * 4]
    for other in (1, 2):
        torch.testing.assert_close(scores.values[0, :2], scores.values[other, :2], rtol=0, atol=1e-5)
    assert abs(float(scores["TA"][0] - scores["TA"][2])) > 1e-3
    assert scores.reasons[1].keys() == {"TA", "overall"}
    assert "no prompt" in scores.reasons[1]["TA"]


def test_without_a_picture_nothing_is_scored() -> None:
    scores = tiny_rater()([Clip(audio=torch.zeros(16000), sample_rate=16000, prompt="A red ball rolls.")])
    assert not scores.present.any()
    assert all("no video was given" in scores.reasons[0][name] for name in (*NAMES, "overall"))


def test_normalised_unless_told_otherwise() -> None:
    raw, scaled = (tiny_rater(normalized=flag)([clip_of()]).values[0] for flag in (False, True))
    expected = [(float(raw[i]) - mean) / deviation for i, (mean, deviation) in enumerate(NORMS.values())]
    torch.testing.assert_close(scaled, torch.tensor([*expected, sum(expected)]), rtol=0, atol=1e-5)
    assert tiny_rater(normalized=False).fingerprint != tiny_rater().fingerprint


def test_gradients_agree_with_finite_differences() -> None:
    rater = tiny_rater(rounding="none")
    rater.module.double()
    leaf = clip_of().video.double().requires_grad_()

    def overall(video: Tensor) -> Tensor:
        return rater([Clip(video=video, fps=2, prompt="A red ball rolls.")])["overall"][0]

    (gradient,) = torch.autograd.grad(overall(leaf), leaf)
    step = 2e-3 * gradient / gradient.norm()  # the norms within the decoder are in single precision whatever we do
    with torch.no_grad():
        numeric = (overall(leaf + step) - overall(leaf - step)) / 4e-3
    assert float(gradient.norm()) == pytest.approx(float(numeric), rel=1e-3)


def test_dimensions_and_settings() -> None:
    rater = tiny_rater()
    assert [(d.name, sorted(d.needs)) for d in rater.dimensions] == [
        ("VQ", ["video"]), ("MQ", ["video"]), ("TA", ["prompt", "video"]), ("overall", ["prompt", "video"]),
    ]  # fmt: skip
    assert rater.dimensions[0].low == float("-inf")
    assert rater.tracks == ("video",)
    assert rater.prompt_anchored
    assert rater.settings["positions"] == "plain"
    assert "3.6757" in rater.settings["norms"]
    assert [part for part in rater.questions[1].prompt if isinstance(part, Slot)] == [Slot("video")]


def test_a_head_or_tokenizer_of_another_kind_is_refused() -> None:
    with pytest.raises(AvrewardError, match="2 rows"):
        tiny_rater(rows=2)
    with pytest.raises(AvrewardError, match="plain_positions=True"):
        VideoRewardRater(tiny_qwen2_vl(), nn.Linear(32, 1, bias=False))
    with pytest.raises(AvrewardError, match=r"<\|VQ_reward\|>"):
        VideoRewardRater(tiny_qwen2_vl(**backbone_options()), nn.Linear(32, 1, bias=False))


def folder_of(rater: VideoRewardRater, folder: Path, own_tokenizer: bool = True) -> Path:
    """`rater` as a published folder: adapters of rank 4 that are to be merged, names of the old library."""
    checkpoint, base = folder / "checkpoint-12", folder / "base_model"
    checkpoint.mkdir(parents=True)
    (folder / "model_config.json").write_text(json.dumps(SETTINGS))
    rater.backbone.module.config.save_pretrained(base)
    plain = tiny_tokenizer(["<|im_start|>", "<|im_end|>", *VISION])
    (rater.backbone.tokenizer if own_tokenizer else plain).save_pretrained(
        checkpoint / "tokenizer" if own_tokenizer else base
    )
    state, generator = {}, torch.Generator().manual_seed(1)
    for name, tensor in rater.module.state_dict().items():
        old = name.removeprefix("base.").replace("model.language_model.", "model.").replace("model.visual.", "visual.")
        if "_proj.weight" in old and old.startswith("model."):
            stem = PREFIX + old.removesuffix(".weight")
            down = torch.randn(4, tensor.shape[1], generator=generator)
            up = torch.randn(tensor.shape[0], 4, generator=generator)
            state |= {f"{stem}.lora_A.default.weight": down, f"{stem}.lora_B.default.weight": up}
            state[f"{stem}.base_layer.weight"] = tensor - 2 * up @ down
        else:
            state[PREFIX + old.replace("_proj.bias", "_proj.base_layer.bias")] = tensor
    torch.save(state, checkpoint / "model.pth")
    return folder


@pytest.mark.parametrize("own_tokenizer", [True, False])
def test_a_published_folder_is_loaded(tmp_path: Path, own_tokenizer: bool) -> None:
    rater = tiny_rater()
    folder = folder_of(rater, tmp_path, own_tokenizer)
    loaded = load(folder, {}, Loading(device="cpu"))
    assert loaded.backbone.head.weight is loaded.backbone.language.get_input_embeddings().weight
    clips = [clip_of(), clip_of(None, frames=3)]
    torch.testing.assert_close(loaded(clips).values, rater(clips).values, rtol=0, atol=1e-4, equal_nan=True)
    assert loaded.backbone.patches.most == 200704
    raw = load(folder, {}, Loading(device="cpu", attention="eager"), normalized=False)
    assert (loaded.settings["attention"], raw.settings["attention"]) == ("sdpa", "eager")
    expected = tiny_rater(normalized=False)([clip_of()]).values
    torch.testing.assert_close(raw([clip_of()]).values, expected, rtol=0, atol=1e-4)


def test_half_precision_and_checkpointing(tmp_path: Path) -> None:
    folder = folder_of(tiny_rater(), tmp_path)
    loaded = load(folder, {}, Loading(device="cpu", dtype="bfloat16", checkpointing=True))
    assert {p.dtype for p in loaded.module.parameters()} == {torch.bfloat16}
    video = clip_of().video.requires_grad_()
    scores = loaded([Clip(video=video, fps=2, prompt="A red ball rolls.")])
    assert scores.values.dtype == torch.float32
    scores["overall"].sum().backward()
    assert video.grad is not None
    assert video.grad.abs().sum() > 0


def test_a_rater_is_saved_and_loaded_again(tmp_path: Path) -> None:
    from avreward.raters.checkpoints._folder import save

    loaded = load(folder_of(tiny_rater(), tmp_path / "published"), {}, Loading(device="cpu"))
    folder = save(loaded, tmp_path / "saved")
    again = load(folder, json.loads((folder / "config.json").read_text()), Loading(device="cpu"))
    torch.testing.assert_close(again([clip_of()]).values, loaded([clip_of()]).values, rtol=0, atol=1e-5)
    assert again.settings == loaded.settings
    assert again.fingerprint == loaded.fingerprint


def break_settings(folder: Path, section: str, **changed: Any) -> None:
    settings = json.loads(json.dumps(SETTINGS))
    settings[section] |= changed
    (folder / "model_config.json").write_text(json.dumps(settings))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    def loading(**options: Any) -> None:
        load(folder, {}, Loading(device="cpu"), **options)

    folder = tmp_path / "nothing"
    folder.mkdir()
    with pytest.raises(AvrewardError, match=r"expected a folder of VideoReward, got one without model_config\.json"):
        loading()
    folder = folder_of(tiny_rater(), tmp_path / "published")
    break_settings(folder, "data_config", prompt_template_type="simple")
    with pytest.raises(AvrewardError, match="expected 'detailed_special' for prompt_template_type, got 'simple'"):
        loading()
    break_settings(folder, "peft_lora_config")
    broken = {key: value for key, value in SETTINGS.items() if key != "inference_config"}
    (folder / "model_config.json").write_text(json.dumps(broken))
    with pytest.raises(AvrewardError, match="normalized: expected False for a folder without inference_config"):
        loading(normalized=True)
    loading()  # raw
    (folder / "checkpoint-12" / "model.pth").unlink()
    with pytest.raises(AvrewardError, match=r"expected model\.pth, or adapter_model"):
        loading()
    save_file({"w": torch.zeros(1)}, folder / "checkpoint-12" / "adapter_model.safetensors")
    with pytest.raises(AvrewardError, match="expected both adapter_model"):
        loading()


def test_a_base_model_that_can_not_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(name: str, **options: Any) -> str:
        raise OSError(f"no network for {name}")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    folder = folder_of(tiny_rater(), tmp_path)
    (folder / "base_model").rename(tmp_path / "elsewhere")
    with pytest.raises(AvrewardError, match="nobody/nothing is not a folder and could not"):
        load(folder, {}, Loading(device="cpu"))
    assert load(folder, {}, Loading(device="cpu"), base=tmp_path / "elsewhere").name == "video_reward"


def test_half_an_adapter_is_an_error() -> None:
    state = {"model.w.base_layer.weight": torch.ones(1, 1), "model.w.lora_A.weight": torch.ones(1, 1)}
    with pytest.raises(AvrewardError, match="its lora_B is missing"):
        merged(state, 1.0, False, torch.float32)
    with pytest.raises(AvrewardError, match="the weight itself is missing"):
        merged(
            {"model.w.lora_A.weight": torch.ones(1, 1), "model.w.lora_B.weight": torch.ones(1, 1)},
            1.0,
            False,
            torch.float32,
        )
    rank_stabilised = {**state, "model.w.lora_A.weight": torch.ones(4, 1), "model.w.lora_B.weight": torch.ones(1, 4)}
    (weight,) = merged(rank_stabilised, 2.0, True, torch.float32).values()
    assert float(weight) == 1 + 2 / 2 * 4
