#!/usr/bin/env bash
# What finished labels say of people: an audit of 300 faces (their truth plays the people), the corrected table and its
# forest plot, and over 400 further audits how often each interval holds the truth; controls: not looking, dice.
#   bash scripts/conclusions.sh [scale=demo] [<generate settings>, e.g. limit=1600]
# Demo scale only: of photographs nobody knows the truth; there people look (docs/conclusions.md). Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe conclusions "$@"
