#!/usr/bin/env bash
# Two annotators at equal dollars, on drawn faces: a cheap one alone, a dear one alone, whoever promises more per dollar, dice.
#   bash scripts/value.sh [name=value] [seed=0] [images=1200] [outputs=outputs] [usd=0.6] [world=precise] [au=1]
# world: what the second annotator, which costs 17 times as much, is: precise, copy (of the first) or dice (sees nothing).
# au: what action units count for beside expressions, and valence and arousal.
# usd: dollars for the draws of a thousand records; both pilots and the texts come on top. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe value "$@"
take images usd world au
images=${images:-1200} usd=${usd:-0.6} world=${world:-precise} au=${au:-1}
no_more "name=, seed=, outputs=, images=, usd=, world= or au=" ${records:+"records=$records"} ${more[@]+"${more[@]}"}
one_scale_only
one_seed_only
case "$world" in # by a seed of its own the second one's errors are its own
  precise) second=(second.seed=7 second.action_units.gain=12 second.action_units.systematic=0.5 second.action_units.random=0.5) ;;
  copy) second=() ;;
  dice) second=(second.truth="$outputs/nothing.jsonl") ;;
  *) echo "error: world=$world: no such world; use precise, copy or dice" >&2; exit 2 ;;
esac
run=$name-$world$([[ "$au" == 1 ]] || echo "-au$au") truth=$outputs/prepare/$name/truth.jsonl

staged() { step "$1" seed="$seed" "${@:2}"; } # staged <command> <settings...>

staged prepare source=synthetic name="$name" source.images="$images"
staged generate records="$name" name="$run-blind" generator=blind
dollars=$(python -c 'import sys; print(round(float(sys.argv[1]) * sum(1 for _ in open(sys.argv[2])) / 1000, 6))' \
  "$usd" "$outputs/prepare/$name/train.jsonl")
for rule in first second value random; do
  staged generate records="$name" name="$run-$rule" generator.aggregate=calibrated stopping=value stopping.rule="$rule" \
    stopping.usd="$dollars" stopping.weights.au="$au" 'backend.usd_per_million=[0.15,0.6]' +backend@second=simulated \
    'second.usd_per_million=[2.5,10.0]' ${second[@]+"${second[@]}"}
done
for rule in blind first second value random; do
  against=(compare="$run-labels-value")
  case "$rule" in value) continue ;; esac
  if [[ ! -d "$outputs/evaluate/$run-labels-value" ]]; then
    staged evaluate benchmark=reliability predictions="$run-value" records="$truth" name="$run-labels-value"
  fi
  staged evaluate benchmark=reliability predictions="$run-$rule" records="$truth" name="$run-labels-$rule" "${against[@]}"
done
python - "$outputs" "$run" <<'TABLE'
import json, sys
from pathlib import Path

outputs, run = Path(sys.argv[1]), sys.argv[2]
print(f"{'':8} {'expression':>16} {'AU F1':>18} {'V MAE':>7} {'A MAE':>7} {'expected $':>10}  first second")
for rule in ("blind", "first", "second", "random", "value"):
    found = json.loads((outputs / "evaluate" / f"{run}-labels-{rule}" / "metrics.json").read_text())
    whom = outputs / "generate" / f"{run}-{rule}" / "whom.json"
    said = json.loads(whom.read_text()) if whom.is_file() else {"expected_usd": 0.0, "share_asked": {}}
    shares = [said["share_asked"].get(who, 0.0) for who in ("first", "second")]
    low, high = found["ci95"]["action_units"]["f1_mean_14"]
    print(
        f"{rule:8} {found['expression']['accuracy']:16.3f} {found['action_units']['f1_mean_14']:.3f} ({low:.3f}-{high:.3f})"
        f" {found['valence']['mae']:7.3f} {found['arousal']['mae']:7.3f} {said['expected_usd']:10.4f} {shares[0]:6.0%} {shares[1]:6.0%}"
    )
TABLE
