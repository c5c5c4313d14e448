#!/usr/bin/env bash
# Table 1: images per source and split, beside the paper's counts.
#   bash scripts/table1.sh [scale=demo|paper] [paths.data=data] -> outputs/prepare/<name>/statistics.md
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe table1 "$@"
one_seed_only
no_more "paths.data=, name=, seed=, outputs= or what prepare.py takes" ${records:+"records=$records"}

step prepare experiment=table1 scale="$scale" seed="$seed" name="$name" ${more[@]+"${more[@]}"}
cat "$outputs/prepare/$name/statistics.md"
step report name="$name" experiment=table1
