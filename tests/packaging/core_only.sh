#!/usr/bin/env bash
# Build the wheel, install it without extras into a fresh environment, and run the commands that need no extra there.
#
#   tests/packaging/core_only.sh FOLDER      FOLDER is empty or new; the environment and what the commands write go there
#
# PYTHON names the interpreter (default python3).
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

"${PYTHON:-python3}" -m venv "$folder/venv"
bin=$folder/venv/bin
pip() { "$bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install --constraint constraints.txt torch
pip wheel --no-deps --wheel-dir "$folder" .
pip install --constraint constraints.txt "$folder"/avreward-*.whl

"$bin/python" - <<'PY'
import importlib.util as find

extras = "accelerate datasets diffusers elevenlabs huggingface_hub peft transformers trl".split()
there = [name for name in extras if find.find_spec(name)]
assert not there, f"the core installs {', '.join(there)}"
PY

cd "$folder"
run() { echo "+ avreward $*"; "$bin/avreward" "$@"; }
run demo --out demo
run rank demo/*.mp4 --report rank.html
run score demo/*.mp4 --out scores.parquet --reward "0.5*overall - 0.1*signals.clipping" --no-store
run curve scores.parquet --report curve.html
run pairs scores.parquet --margin 5 --format trl --out pairs
run raters
for file in demo/report.html rank.html scores.parquet curve.html pairs; do
  [ -s "$file" ] || { echo "$file was not written" >&2; exit 1; }
done
if answer=$("$bin/avreward" rank demo/*.mp4 --rater caoyuqin/AGAV-Rater 2>&1); then
  echo "a rater with weights loaded without its packages" >&2
  exit 1
fi
grep -q "avreward\[lmm\]" <<<"$(tr -d '\n│' <<<"$answer" | tr -s ' ')" || { echo "no install line: $answer" >&2; exit 1; }
echo "the core works without extras"
