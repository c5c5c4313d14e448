#!/usr/bin/env bash
# Rows of the leaderboard: every system on every benchmark that can be reached, and the page of them.
#   bash scripts/leaderboard.sh systems=qwen3_vl,gemma_4 benchmarks=feab:raw,emonet:emonet [conditions=blur,light] [<evaluate settings>]
# What cannot be reached is skipped with the reason; the same command goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python scripts/leaderboard.py "$@"
