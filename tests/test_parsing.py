"""JSON and YAML from files: whatever is wrong with a text is one kind of error, and no file parses them another way."""

import re
from pathlib import Path

import pytest
import yaml

import avreward
from avreward._parsing import parsed_json, parsed_yaml

SRC = Path(avreward.__file__).parent
OWN = {  # what the package itself wrote into its own files, or into the store
    "_parsing.py", "raters/signals/_fusion.py", "datasets/synthetic/_perturb_text.py", "media/_index_cache.py",
    "media/_isolated/messages.py",
    "scoring/store/_equivalence.py", "scoring/store/_rows.py",
}  # fmt: skip


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "nul", "", "\x00", "1" * 5_000])
def test_what_is_not_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parsed_json(text)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "- " * 100_000, "a: {" * 50_000, "a: *b", "2020-13-45", "\x00", "!!python/name:os.system"]
)
def test_what_is_not_yaml_is_a_yaml_error(text):
    with pytest.raises(yaml.YAMLError):
        parsed_yaml(text)


def test_files_are_parsed_here_alone():
    # A copy by way of JSON, json.loads(json.dumps(…)), parses nothing from a file.
    direct = re.compile(r"(?:json\.loads?\((?!json\.dumps)|yaml\.(?:safe_)?load\()")
    found = {path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py") if direct.search(path.read_text("utf-8"))}
    assert found <= OWN
