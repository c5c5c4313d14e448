#!/usr/bin/env bash
# In how many worlds do our claims hold? Simulated annotators and synthetic faces of different kinds, three seeds.
#   bash scripts/robustness.sh [<settings of conf/robustness.yaml>, e.g. seeds=[0] faces=200 config=mine.yaml]
# Needs no prepared set and no API. Worlds that are measured already are reused.
# -> outputs/report/<name>/table.md, claims.png, claims.csv, measures.csv
set -euo pipefail
cd "$(dirname "$0")/.."
exec python scripts/robustness.py "$@"
