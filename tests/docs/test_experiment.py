"""The page about the experiment: its commands and examples run as they stand, one after the other."""

import glob
import re
import shlex
from pathlib import Path

import elevenlabs_experiment
import media_files
import torch

from avreward import Clip
from avreward.studies.choices import Choices
from avreward.studies.server import ChoiceServer

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "experiment.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_commands_and_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("silent", "dubs/rain"):
        (tmp_path / folder).mkdir(parents=True)
    media_files.write(tmp_path / "silent" / "rain.mp4", 8)
    for number in (0, 1):
        wave = 0.2 * torch.sin(torch.arange(9600) * (0.1 + 0.1 * number))
        Clip(audio=wave[None], sample_rate=12000).save(tmp_path / "dubs" / "rain" / f"{number}.wav")
    prepare, serve, result = (shlex.split(line) for line in blocks("bash")[0].splitlines())
    assert {words[1] for words in (prepare, serve, result)} == {"recipes/elevenlabs_experiment.py"}
    given = [path for word in prepare[2:] for path in (sorted(glob.glob(word)) if "*" in word else [word])]
    assert elevenlabs_experiment.main(given) == 0

    def answered(server: ChoiceServer) -> None:
        anna = server.choices.person("Anna")
        server.choices.record(anna, server.choices.questions(anna)[0].key, "none")
        raise KeyboardInterrupt

    monkeypatch.setattr(ChoiceServer, "serve_forever", answered)
    assert elevenlabs_experiment.main([*serve[2:], "--port", "0"]) == 0
    assert len(Choices("try").answers()) == 1
    assert elevenlabs_experiment.main(result[2:]) == 0
    capsys.readouterr()
    names = {}
    for block in blocks("python"):
        exec(compile(block, str(PAGE), "exec"), names)
    assert capsys.readouterr().out == "None (0.0, 1.0) nothing\n0 0 0 1\n"
    assert callable(names["dub"])
