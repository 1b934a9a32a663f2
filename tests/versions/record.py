"""Record golden scores, or the libraries under which they were reproduced; see "Versions" in CONTRIBUTING.md.

python tests/versions/record.py                 # after VERSION of a subpackage was raised, or a case was added
python tests/versions/record.py --environment   # under other versions of libraries: the same scores come out
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "recipes")]

from avreward.raters._environment import environment  # noqa: E402
from versions import comparison, media_cases  # noqa: E402
from versions.subjects import SUBJECTS, versions_of  # noqa: E402

TABLE = ROOT / "src/avreward/scoring/store/equivalent.json"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--environment",
        action="store_true",
        help="add the installed versions of PyAV and transformers to the table of equivalent ones, for each "
        "subpackage whose golden scores they reproduce",
    )
    reproduced = parser.parse_args().environment
    media_cases.write_files()
    failed = 0
    for name, subject in SUBJECTS.items():
        stored, versions, found = comparison.load(name), versions_of(subject), subject.cases()
        try:
            if not reproduced:
                comparison.save(name, comparison.recorded(name, versions, found, stored))
            elif wrong := comparison.problem(name, versions, found, stored):
                raise ValueError(wrong)
            else:
                add_environment(name, versions[name])
        except ValueError as error:
            failed += 1
            print(error, file=sys.stderr)
        else:
            print(f"{name} {versions[name]}")
    return 1 if failed else 0


def add_environment(name: str, version: int) -> None:
    """Add the library that the subpackage runs on, as it is installed, to the table."""
    library = "av" if name == "media" else "transformers"
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    known = table.setdefault(library, {}).setdefault(f"{name} {version}", [])
    installed = environment([library])[library]
    if installed not in known:
        known.append(installed)
    TABLE.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
