#!/usr/bin/env bash
# A label that exists only in time: the tiny model tuned on drawn clips, beside one frame of each, shuffled frames and nothing.
#   bash scripts/clips.sh [name=clips] [seed=0] [seeds=3] [outputs=outputs] [clips=2400] [faces=2000] [epochs=4]
#     [precision=auto]: of training, see conf/trainer/cpu.yaml.
# Two further models are tuned on faces as single pictures, one of them on the clips in the same batches: what do clips cost there?
# Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe clips "$@"
take clips faces epochs precision
no_more "name=, seed=, seeds=, outputs=, clips=, faces=, epochs= or precision=" ${more[@]+"${more[@]}"}
if [[ "$scale" != demo ]]; then
  echo "error: scale=$scale: no dataset says how a face moves; use demo, or scripts/table3.sh for clips at paper scale" >&2; exit 2
fi
clips=${clips:-2400} faces=${faces:-2000} epochs=${epochs:-4} precision=${precision:-auto}

one_seed() {
  local seen same=(experiment=clips seed="$seed" name="$run")
  local tuned=("${same[@]}" trainer.precision="$precision") other=(seed="$seed" trainer.precision="$precision")
  # 1. Clips of 8 frames, and faces as single pictures with their instructions.
  step prepare source=synthetic_clips name="$run" seed="$seed" source.images="$clips" source.shown=8
  step prepare source=synthetic name="$run-faces" seed="$seed" source.images="$faces"
  step generate records="$run-faces" name="$run-faces" seed="$seed"
  for seen in ordered shuffled blind; do
    [[ -f "$outputs/clips/$run/$seen/manifest.json" ]] ||
      python scripts/clips.py "$seen" "$outputs/prepare/$run" "$outputs/clips/$run/$seen" "$seed"
  done
  # 2. Each kind of clips, as many steps each; faces alone, once each; and faces and clips together, as often each.
  step train -m "${tuned[@]}" trainer.max_epochs="$epochs"
  step train -m "${tuned[@]}" trainer.max_epochs="$epochs" seen=ordered cell=one data.reader.shown=1
  step train "${other[@]}" name="$run-pictures" data.path="$run-faces"
  step train "${other[@]}" name="$run-mixed" data.path=null \
    "data.mixture={faces:{path:'$run-faces'},clips:{path:'$outputs/clips/$run/ordered/rows.jsonl',weight:$epochs}}"
  # 3. How do the faces of other subjects move, and what do they show?
  step evaluate -m "${same[@]}" cell=blind seen=blind
  step evaluate -m "${same[@]}" cell=one shown=1
  step evaluate -m "${same[@]}" cell=shuffled seen=shuffled
  step evaluate -m "${same[@]}" cell=ordered
  step evaluate -m "${same[@]}" cell=mixed
  step evaluate -m "${same[@]}" cell=ordered-of-shuffled seen=shuffled model.path="$run-ordered"
  for seen in blind one shuffled ordered; do # the same answers, about those that only their order tells apart
    step evaluate -m "${same[@]}" cell="$seen-direction" predictions="$run-$seen" '~movements.held' '~movements.fleeting'
  done
  step evaluate seed="$seed" records="$run-faces" model.path="$run-pictures" name="$run-pictures-faces"
  step evaluate seed="$seed" records="$run-faces" model.path="$run-mixed" name="$run-mixed-faces" compare="$run-pictures-faces"
}
for_every_seed one_seed
step report name="$name" experiment=clips
