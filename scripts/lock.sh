#!/usr/bin/env bash
# Write requirements.lock anew from a fresh environment. Local build tags (+cpu) are dropped, so that each platform
# takes its own build of torch.   bash scripts/lock.sh
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet -e '.[dev]'
{
  echo "# Exact pins made by scripts/lock.sh on Python $(python3 -c 'import platform; print(platform.python_version())'); torch is the CPU build where one is offered."
  "$scratch/venv/bin/pip" freeze --exclude-editable | sed -E 's/\+(cpu|cu[0-9]+)$//' | grep -viE '^(nvidia|triton|cuda)[-_]' || true
} > requirements.lock
