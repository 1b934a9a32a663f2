"""The provider of dubs over the network, by its own SDK, against a local server that misbehaves."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from elevenlabs_server import KEY, sound_server

from avreward import BestOfN, Clip, load_rater
from avreward.errors import ArgumentError, AvrewardError, MediaError
from avreward.generators._as_sampler import name_of
from avreward.generators.base import GeneratorStopped
from avreward.integrations.budget import Budget
from avreward.integrations.descriptions import DescriptionTable, prompt_of
from avreward.integrations.elevenlabs import ElevenLabs, ServiceError

pytest.importorskip("elevenlabs", reason="no ElevenLabs SDK; pip install 'avreward[elevenlabs]'")


def silent(seconds: float = 1.0, prompt: str | None = "a kettle whistles") -> Clip:
    return Clip(video=torch.rand(round(8 * seconds), 3, 32, 32), fps=8, prompt=prompt)


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("ELEVENLABS_API_KEY", KEY)


def generator(server, folder, **options) -> ElevenLabs:
    return ElevenLabs(folder, **{"base_url": server.url, "pause": 0.01, **options})


def test_text_and_length_go_along_and_the_sound_comes_back(tmp_path):
    clip = silent(1.5)
    with sound_server() as server:
        dub = generator(server, tmp_path)(clip, 0)
    asked = server.requests[0]
    assert (asked["path"], asked["query"]) == ("/v1/sound-generation", "output_format=mp3_44100_128")
    assert (asked["text"], asked["duration_seconds"]) == ("a kettle whistles", 1.5)
    assert asked["model_id"] == "eleven_text_to_sound_v2"
    assert dub.sample_rate == 44100
    assert dub.audio.shape[1] == 1.5 * 44100  # what the codec padded is cut off
    assert dub.keys["video"] == clip.keys["video"]
    assert dub.audio.abs().max() > 0.2


def test_an_answer_is_made_again_from_disk_and_another_seed_is_another_attempt(tmp_path):
    clip = silent()
    with sound_server() as server:
        first, second = (generator(server, tmp_path)(clip, seed).audio for seed in (0, 1))
        again = generator(server, tmp_path)(clip, 0).audio
        assert len(server.requests) == 2
        generator(server, tmp_path, prompt_influence=0.9)(clip, 0)
        generator(server, tmp_path)(silent(), 0)  # another picture
        assert len(server.requests) == 4
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    told = json.loads(next(tmp_path.glob("*-1.json")).read_text())
    assert told["attempt"] == 1
    assert (told["text"], told["seconds"], told["credits"], told["request"]) == ("a kettle whistles", 1.0, 60, "r2")


@pytest.mark.parametrize("trouble", ["429", "500", "503", "408", "cut", "short", "garbage"])
def test_what_may_pass_is_tried_again(tmp_path, trouble):
    with sound_server(trouble, trouble) as server:
        dub = generator(server, tmp_path)(silent(), 0)
    assert len(server.requests) == 3
    assert dub.has_audio
    assert not list(tmp_path.glob(".*"))


def test_a_server_that_is_too_slow_is_asked_again(tmp_path):
    with sound_server("slow") as server:
        assert generator(server, tmp_path, timeout=0.3)(silent(), 0).has_audio
        assert len(server.requests) == 2


def test_the_pause_grows_and_the_servers_own_is_kept(tmp_path):
    with sound_server("500", "500", "429:1") as server:
        generator(server, tmp_path, pause=0.1)(silent(), 0)
    at = [request["at"] for request in server.requests]
    first, second, told = (later - earlier for earlier, later in pairwise(at))
    assert first >= 0.09
    assert second >= 0.18
    assert told >= 1.0


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ("cut", "broke off"),
        ("short", "half a file came: 0.4. of 1 s"),
        ("garbage", "not a sound"),
        ("503", "status 503 .the server says 503"),
        ("slow", "no answer in time"),
    ],
)
def test_after_the_last_attempt_the_error_says_why_and_nothing_stays(tmp_path, trouble, why):
    with sound_server(*[trouble] * 2) as server:
        with pytest.raises(ServiceError, match=why):
            generator(server, tmp_path, attempts=2, timeout=0.5)(silent(), 0)
        assert len(server.requests) == 2
        assert [path.name for path in tmp_path.iterdir()] == ["spent.jsonl"]


def test_a_refused_key_ends_it_for_all(tmp_path, monkeypatch):
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_wrong")
    with sound_server() as server:
        generate = generator(server, tmp_path)
        for seed in (0, 1):
            with pytest.raises(GeneratorStopped, match=r"status 401 .*ELEVENLABS_API_KEY"):
                generate(silent(), seed)
        assert len(server.requests) == 1
    assert generate.budget.spent == 0


def test_a_wrong_request_is_not_repeated_and_costs_nothing(tmp_path):
    with sound_server("422") as server:
        generate = generator(server, tmp_path)
        with pytest.raises(ServiceError, match=r"422 .the server says 422"):
            generate(silent(), 0)
        assert len(server.requests) == 1
    assert generate.budget.spent == 0


def test_no_key_no_package_no_picture_no_text_too_long(tmp_path, monkeypatch):
    with sound_server() as server:
        generate = generator(server, tmp_path)
        with pytest.raises(MediaError, match="no video"):
            generate(Clip(prompt="rain"), 0)
        with pytest.raises(MediaError, match=r"it lasts 31\.0 s, and the API makes at most 30 s"):
            generate(Clip(video=torch.rand(31, 3, 8, 8), fps=1, prompt="rain"), 0)
        with pytest.raises(MediaError, match="description is empty"):
            ElevenLabs(tmp_path, lambda clip: " ", base_url=server.url)(silent(), 0)
        with pytest.raises(MediaError, match="no prompt"):
            generate(silent(prompt=None), 0)
        assert not server.requests
        assert generate(silent(0.25), 0).audio.shape[1] == 11025
        assert server.requests[0]["duration_seconds"] == 0.5
    monkeypatch.setenv("ELEVENLABS_API_KEY", " ")
    with pytest.raises(AvrewardError, match="ELEVENLABS_API_KEY: expected an ElevenLabs API key, got nothing"):
        ElevenLabs(tmp_path)
    monkeypatch.setitem(sys.modules, "elevenlabs", None)
    with pytest.raises(AvrewardError, match=r"pip install 'avreward\[elevenlabs\]'"):
        ElevenLabs(tmp_path)


def test_the_budget_is_never_passed_not_even_by_a_later_run(tmp_path):
    clip = silent()  # 40 credits are reckoned, 60 are told
    with sound_server() as server:
        generate = generator(server, tmp_path, credits=200)
        for seed in range(3):
            generate(clip, seed)
        assert generate.budget.spent == 180
        with pytest.raises(GeneratorStopped, match="180 of 200 credits are spent, and the next request may cost 40"):
            generate(clip, 3)
        later = generator(server, tmp_path, credits=200)
        with pytest.raises(GeneratorStopped, match=r"180 of 200 .*spent\.jsonl"):
            later(clip, 3)
        assert later(clip, 2).has_audio  # what is stored costs nothing
        assert len(server.requests) == 3


def test_a_ledger_that_is_broken_is_no_empty_one(tmp_path):
    (tmp_path / "spent.jsonl").write_text('{"credits": 40.0, "calls": 1}\n{"cred')
    with pytest.raises(ArgumentError, match=r"spent\.jsonl, line 2: expected an entry with a cost"):
        Budget(tmp_path)
    (tmp_path / "spent.jsonl").write_text('{"credits": NaN, "calls": 1}\n')
    with pytest.raises(ArgumentError, match=r"spent\.jsonl, line 1: expected an entry with a cost"):
        Budget(tmp_path)


def test_a_sound_that_many_threads_want_at_once_is_paid_once(tmp_path):
    clip = silent()
    with sound_server(hold=0.1) as server, ThreadPoolExecutor(8) as pool:
        one, other = generator(server, tmp_path), generator(server, tmp_path)  # as two runs with one folder
        dubs = list(pool.map(lambda number: (one, other)[number % 2](clip, 0).audio, range(8)))
        assert len(server.requests) == 1
    assert all(torch.equal(dub, dubs[0]) for dub in dubs)
    assert one.budget.made + other.budget.made == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


ASK = """
import sys, torch
from avreward import Clip
from avreward.integrations.elevenlabs import ElevenLabs
clip = Clip(video=torch.zeros(8, 3, 32, 32), fps=8, prompt="rain")
print(ElevenLabs(sys.argv[2], base_url=sys.argv[1], pause=0.01)(clip, 0).audio.abs().sum().item())
"""


@pytest.mark.slow
def test_a_sound_that_processes_want_at_once_is_paid_once(tmp_path):
    with sound_server(hold=2.0) as server:
        command = [sys.executable, "-c", ASK, server.url, str(tmp_path)]
        runs = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        said = {run.communicate()[0] for run in runs}
        assert len(server.requests) == 1
    assert len(said) == 1
    assert float(said.pop()) > 0


def test_an_answer_that_never_ends_is_cut_off(tmp_path):
    with sound_server("huge") as server:
        generate = generator(server, tmp_path)
        with pytest.raises(ServiceError, match="an answer of more than 4 MB for 1 s of sound"):
            generate(silent(), 0)
        assert len(server.requests) == 1  # such an address isn't paid again
    assert [path.name for path in tmp_path.iterdir()] == ["spent.jsonl"]


def test_an_answer_that_drips_is_given_up_and_asked_for_again(tmp_path):
    with sound_server("drip") as server:
        assert generator(server, tmp_path, total=3.0)(silent(), 0).has_audio
        assert len(server.requests) == 2


@pytest.mark.parametrize("told", ["nan", "inf", "cheap", "0", "-1000"])
def test_a_cost_that_cannot_be_stays_reckoned(tmp_path, told):
    with sound_server(cost=told) as server:
        generate = generator(server, tmp_path)
        generate(silent(), 0)
    assert generate.budget.spent == 40


@pytest.mark.parametrize(("refused", "requests"), [("open", 0), ("write", 1)])
def test_a_full_disk_ends_it_for_all_before_more_is_paid(tmp_path, monkeypatch, refused, requests):
    whole = Path.open

    def full(self, *arguments, **options):
        if not self.name.endswith(".part"):
            return whole(self, *arguments, **options)
        if refused == "write":
            return whole(Path("/dev/full"), *arguments, **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    clip = silent()
    with sound_server(hold=0.05) as server:
        generate = generator(server, tmp_path, concurrency=1)

        def failed(seed: int) -> str:
            with pytest.raises(GeneratorStopped, match="No space left on device") as caught:
                generate(clip, seed)
            return str(caught.value)

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(failed, range(4)))) == 1
        assert len(server.requests) == requests


@pytest.mark.parametrize("limits", [{"credits": float("nan")}, {"credits": -1}, {"credits": "x"}, {"calls": -1}])
def test_a_limit_that_is_none_is_refused(tmp_path, limits):
    with pytest.raises(ArgumentError, match=f"{next(iter(limits))}: expected a number, at least 0, got "):
        ElevenLabs(tmp_path, **limits)


def test_two_runs_at_a_time_share_one_limit(tmp_path):
    one, other = (Budget(tmp_path, credits=100, calls=3) for _ in range(2))
    one.charge(80)
    with pytest.raises(GeneratorStopped, match="80 of 100 credits are spent, and the next request may cost 80"):
        other.charge(80)
    one.settle(80, 10)
    other.charge(80)
    assert (other.spent, other.made) == (90, 2)
    several = [Budget(tmp_path / "more", credits=50, calls=99) for _ in range(8)]

    def spend(budget: Budget) -> int:
        for i in range(20):
            try:
                budget.charge(1)
            except GeneratorStopped:
                return i
        return 20

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, several)) == 50
    assert Budget(tmp_path / "more").spent == 50


def test_the_key_follows_no_redirect(tmp_path):
    with sound_server("307") as server, pytest.raises(ServiceError, match="status 307"):
        generator(server, tmp_path)(silent(), 0)


def test_every_attempt_counts_as_a_call(tmp_path):
    with sound_server("500", "500", "500") as server:
        generate = generator(server, tmp_path, calls=2)
        with pytest.raises(GeneratorStopped, match="all 2 calls are made"):
            generate(silent(), 0)
        assert len(server.requests) == 2


@pytest.mark.parametrize("trouble", ["cut", "500", "slow"])
def test_what_may_have_cost_something_stays_charged(tmp_path, trouble):
    with sound_server(trouble) as server:
        generate = generator(server, tmp_path, timeout=0.3)
        generate(silent(), 0)
    assert generate.budget.spent == 40 + 60
    assert Budget(tmp_path).spent == 100


def test_no_more_at_a_time_than_allowed(tmp_path):
    clip = silent()
    with sound_server(hold=0.1) as server:
        generate = generator(server, tmp_path, concurrency=2)
        with ThreadPoolExecutor(6) as pool:
            dubs = list(pool.map(lambda seed: generate(clip, seed), range(6)))
        assert server.busiest == 2
    assert len(dubs) == 6


def test_best_of_n_goes_on_when_one_candidate_fails(tmp_path):
    with sound_server("422") as server:
        found = BestOfN(generator(server, tmp_path), load_rater("signals")["audio_quality"], n=3)(silent())
    assert list(found.missing) == [0]
    assert "422" in found.missing[0]
    assert {candidate.seed for candidate in found.ranked} == {1, 2}


def test_best_of_n_ends_when_the_budget_is_spent_or_the_key_refused(tmp_path, monkeypatch):
    with sound_server() as server:
        reward = load_rater("signals")["audio_quality"]
        with pytest.raises(GeneratorStopped, match="120 of 150 credits are spent"):
            BestOfN(generator(server, tmp_path, credits=150), reward, n=4)(silent())
        assert len(server.requests) == 2
        monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_wrong")
        with pytest.raises(GeneratorStopped, match=r"status 401 .*ELEVENLABS_API_KEY"):
            BestOfN(generator(server, tmp_path), reward, n=4)(silent())
        assert len(server.requests) == 3


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"attempts": 0}, {"prompt_influence": 1.5}])
def test_wrong_options(tmp_path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ElevenLabs(tmp_path, **options)


def test_a_table_of_descriptions(tmp_path):
    path = tmp_path / "sounds.csv"
    path.write_text("\ufeffclip,text,by\nkettle.mp4, a kettle ,me\nrain,rain on tin,me\nempty,,me\n", encoding="utf-8")
    table = DescriptionTable(path)

    class Named:
        def __init__(self, name):
            self.name = name

    assert table(Named("kettle.mp4")) == "a kettle"
    assert table(Named("rain.mkv")) == "rain on tin"
    for name in ("empty.mp4", "unknown.mp4"):
        with pytest.raises(MediaError, match=name):
            table(Named(name))
    for text in ("clip,words\na,b\n", ""):
        path.write_text(text)
        with pytest.raises(ArgumentError, match="columns clip and text"):
            DescriptionTable(path)
    with pytest.raises(ArgumentError, match="can't be read"):
        DescriptionTable(tmp_path / "none.csv")
    assert prompt_of(silent()) == "a kettle whistles"


def test_what_changes_its_sounds_changes_its_name(tmp_path):
    (tmp_path / "a.csv").write_text("clip,text\nrain,drops\n")
    (tmp_path / "b.csv").write_text("clip,text\nrain,a downpour\n")
    options = (
        {}, {"prompt_influence": 0.5}, {"model": "other"}, {"describe": DescriptionTable(tmp_path / "a.csv")},
        {"describe": DescriptionTable(tmp_path / "b.csv")},
    )  # fmt: skip
    names = [name_of(ElevenLabs(tmp_path / folder, **own)) for folder in "xy" for own in options]
    assert len(set(names)) == len(names)
    assert names[0] == name_of(ElevenLabs(tmp_path / "x", calls=7))
    assert KEY not in "".join(names)
