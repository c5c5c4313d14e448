#!/usr/bin/env bash
# Write requirements.lock anew from a fresh environment: exact versions with the hashes of all their files.
#
#   bash scripts/lock.sh        (minutes; on a machine where pip's torch is the CPU build)
#
# torch is not in it: its build, and the CUDA packages that come with it, differ by machine; pyproject.toml pins it.
# A pre-release stays only where another package needs it.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet -e '.[dev]'
python3 -m venv "$scratch/tools"
"$scratch/tools/bin/pip" install --quiet pip-tools
"$scratch/venv/bin/pip" freeze --exclude-editable | sed -E 's/\+(cpu|cu[0-9]+)$//' \
  | grep -viE '^(nvidia|triton|cuda)[-_]' > "$scratch/pins.txt"
for pin in $(grep -iE '==.*(a|b|rc|dev)[0-9]+$' "$scratch/pins.txt"); do
  needed=$("$scratch/venv/bin/pip" show "${pin%%==*}" | sed -n 's/^Required-by: //p')
  [[ -n $needed ]] || { echo "error: requirements.lock=$pin: a pre-release that nothing needs; pin a release in pyproject.toml" >&2; exit 2; }
done
"$scratch/tools/bin/pip-compile" --quiet --generate-hashes --no-header --no-annotate --strip-extras --no-allow-unsafe \
  --unsafe-package torch --no-emit-index-url --no-emit-find-links --output-file "$scratch/hashed.txt" "$scratch/pins.txt" 2> "$scratch/log" \
  || { cat "$scratch/log" >&2; exit 1; }
{
  echo "# Exact versions and hashes, made by scripts/lock.sh on Python $(python3 -c 'import platform; print(platform.python_version())'); see there for torch."
  awk '/^#/ { next } /^[^ ]/ { kept = $0 !~ /^(torch==|nvidia-|cuda-|triton)/ } kept && NF' "$scratch/hashed.txt"
} > requirements.lock
