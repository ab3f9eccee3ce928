#!/usr/bin/env bash
# Make the gallery anew: a small run of each source. Real data are cloned; WESTERMO_REPO_URL names another clone.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
for source in synthetic random real; do
    "$python" main.py --size small --generator "$source" --budget "${BUDGET:-30}" --reports reports/gallery
done
"$python" main.py atlas --data tests/data/westermo_slices --reports reports/gallery
"$python" main.py losses "${WESTERMO_SLICES:-tests/data/westermo_slices}" --name westermo --reports reports/gallery
"$python" main.py losses --reports reports/gallery
