#!/usr/bin/env bash
# What frames of a film say about each other's labels, on drawn films: all frames asked, half of them, and controls.
#   bash scripts/smooth.sh [name=smooth] [seed=0] [seeds=1] [outputs=outputs] [images=3200] [film_share=0.5] [pilot=1200]
# film_share: share of the variance of an annotator's lasting errors that all frames of a film have alike (backend=simulated).
# pilot: frames whose human labels decide whether anything is smoothed; their subjects are not scored.
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe smooth "$@"
take images film_share pilot
no_more "name=, seed=, seeds=, outputs=, images=, film_share= or pilot=" ${more[@]+"${more[@]}"}
images=${images:-3200} film_share=${film_share:-0.5} pilot=${pilot:-1200}

one() {
  local truth=$outputs/prepare/$run/truth.jsonl train=$outputs/prepare/$run/train.jsonl
  local same=(seed="$seed" generator.aggregate=calibrated generator.pilot="$pilot" stopping=fixed generator.max_samples=2
    backend.film_share="$film_share" chunk=512)
  # 1. Films of 3 seconds. Of the control, the frames of each film in another order.
  step prepare source=synthetic_clips name="$run" seed="$seed" source.images="$images" source.frames=12 source.rate=4
  python scripts/smooth.py shuffled "$train" "$outputs/prepare/$run/shuffled.jsonl" "$seed"
  # 2. Labels.
  step generate records="$run" name="$run-blind" seed="$seed" generator=blind
  step generate records="$run" name="$run-all" "${same[@]}"
  step generate records="$run" name="$run-half" "${same[@]}" generator.smooth=true generator.ask_every=2
  step generate records="$run" name="$run-all-smoothed" "${same[@]}" generator.smooth=true
  step generate records="$outputs/prepare/$run/shuffled.jsonl" name="$run-shuffled" "${same[@]}" \
    generator.smooth=true generator.ask_every=2
  python scripts/smooth.py copied "$outputs/generate/$run-all/instructions.jsonl" \
    "$outputs/generate/$run-copied/instructions.jsonl"
  # 3. How right are they, and against asking about every frame without smoothing?
  step evaluate benchmark=reliability seed="$seed" predictions="$run-all" records="$truth" name="$run-labels-all"
  for cell in blind half all-smoothed shuffled copied; do
    step evaluate benchmark=reliability seed="$seed" records="$truth" name="$run-labels-$cell" \
      predictions="$outputs/generate/$run-$cell/instructions.jsonl" compare="$run-labels-all"
  done
  python scripts/smooth.py table "$outputs" "$run" blind copied all half all-smoothed shuffled
}
for_every_seed one
