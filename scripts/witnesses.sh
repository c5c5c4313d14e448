#!/usr/bin/env bash
# What witnesses beside the annotator are worth, on drawn faces: a made-up specialist's table at $0, with its controls.
#   bash scripts/witnesses.sh [name=witnesses] [seed=0] [images=2000] [outputs=outputs]     finished stages are reused
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe witnesses "$@"
take images
images=${images:-2000}
no_more "name=, seed=, outputs= or images=" ${records:+"records=$records"} ${more[@]+"${more[@]}"}
one_scale_only
one_seed_only
tables=$outputs/witnesses/$name truth=$outputs/prepare/$name/truth.jsonl

staged() { step "$1" seed="$seed" "${@:2}"; } # staged <command> <settings...>

# 1. Faces, and the tables: a specialist's that sees the truth through noise, and the same dealt out at random.
staged prepare source=synthetic name="$name" source.images="$images"
if [[ ! -f "$tables/dice.csv" ]]; then
  python scripts/made_up_witness.py specialist "$truth" "$tables/specialist.csv" seed="$seed"
  python scripts/made_up_witness.py dice "$tables/specialist.csv" "$tables/dice.csv" seed="$seed"
fi

# 2. Labels: of nobody, of the annotator, of the specialist alone, of both; and with witnesses that can tell nothing new:
#    dice, and the annotator's own draws once more (of prompts that show no label, as a witness is not told any).
calibrated=(generator.aggregate=calibrated stopping=fixed)
staged generate records="$name" name="$name-blind" generator=blind
staged generate records="$name" name="$name-calibrated" "${calibrated[@]}"
staged generate records="$name" name="$name-free" generator=blind generator.witnesses="[$tables/specialist.csv]"
staged generate records="$name" name="$name-both" "${calibrated[@]}" generator.witnesses="[$tables/specialist.csv]"
staged generate records="$name" name="$name-dice" "${calibrated[@]}" generator.witnesses="[$tables/dice.csv]"
staged generate records="$name" name="$name-untold" "${calibrated[@]}" generator.use_prior=false
staged generate records="$name" name="$name-copy" "${calibrated[@]}" generator.use_prior=false \
  generator.witnesses="[$name-untold]"

# 3. How right are they, and what do they gain over the annotator alone?
for cell in calibrated untold blind free both dice copy; do
  against=(compare="$name-labels-calibrated")
  case "$cell" in calibrated | untold) against=() ;; copy) against=(compare="$name-labels-untold") ;; esac
  staged evaluate benchmark=reliability predictions="$name-$cell" records="$truth" name="$name-labels-$cell" \
    ${against[@]+"${against[@]}"}
done
staged report name="$name"
