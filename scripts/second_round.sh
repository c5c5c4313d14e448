#!/usr/bin/env bash
# The tuned model as a witness of the labels that it lacked: no further call, no further dollar.
#   bash scripts/second_round.sh [name=second] [seed=0] [seeds=1] [images=7000] [rounds=1] [draws=4] [epochs=3] [outputs=outputs]
#     [left_out=<source>] [backend=simulated] [records=<prepared set>] [<settings of generate and train>]
# Finished stages are reused, and a killed one goes on. rounds: the most; no more where held-out labels are foretold no better.
# Subjects are dealt into two folds; a model tuned on one fold's instructions answers the other's faces, shown no label of
# theirs. Its answers are calibrated on the human labels of these faces, like a specialist's table, and heard beside the
# annotator's draws, which the ledger (or the simulation) has already; nothing else is asked. Then a model is tuned on the
# new labels. epochs: of the students, each of which has half of the faces; the models that are compared have the trainer's.
# left_out: no student and no model is tuned on faces of this source; how right their labels, and the models on its test
# faces, are is compared apart. It must be one of the records' sources.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe second "$@"
take images rounds draws epochs left_out
images=${images:-7000} rounds=${rounds:-1} draws=${draws:-4} epochs=${epochs:-3}
one_scale_only
case "$rounds$draws$epochs" in
  *[!0-9]*) echo "error: rounds=$rounds draws=$draws epochs=$epochs: no numbers; set for example rounds=1" >&2; exit 2 ;;
esac
train=() model=() rest=()
for argument in ${more[@]+"${more[@]}"}; do
  case "$argument" in
    trainer*=* | optimizer*=*) train+=("$argument") ;;
    model=* | model.*=*) model+=("$argument") ;;
    *) rest+=("$argument") ;;
  esac
done
more=(${rest[@]+"${rest[@]}"})
tuning=(${model[@]+"${model[@]}"} ${train[@]+"${train[@]}"})
if [[ -n "$left_out" ]]; then tuning+=("+data.reader.without=[$left_out]"); fi

timed() { # timed <command> <settings...>: run a command and say how long it took
  local began=$SECONDS
  step "$1" seed="$seed" "${@:2}"
  printf '  %d s\n' $((SECONDS - began))
}

one_seed() {
  # 1. The first round, with its control: labels of nobody, and of the calibrated annotator.
  prepared source=synthetic source.images="$images"
  local truth=$outputs/prepare/$faces/truth.jsonl test=$outputs/prepare/$faces/test.jsonl apart=$outputs/second_round/$run/left_out
  if [[ -n "$left_out" ]]; then python scripts/of_source.py "$test" "$left_out" "$apart/test.jsonl"; fi
  local calibrated=(records="$faces" generator.aggregate=calibrated stopping=fixed ${more[@]+"${more[@]}"})
  timed generate records="$faces" name="$run-blind" generator=blind
  timed generate name="$run-round0" "${calibrated[@]}"

  local round last=$rounds
  for ((round = 1; round <= last; round++)); do
    local before=$run-round$((round - 1)) folds=$outputs/second_round/$run/$round answers=() fold
    # 2. Two students, each tuned on one fold, answer the other one, with further answers that say how sure they are.
    python scripts/folds.py "$outputs/prepare/$faces/train.jsonl" "$outputs/generate/$before/instructions.jsonl" "$folds"
    for fold in 0 1; do
      local student=$run-student$round-$fold
      timed train data.path="$folds/$((1 - fold))/instructions.jsonl" name="$student" trainer.max_epochs="$epochs" \
        ${tuning[@]+"${tuning[@]}"}
      timed evaluate records="$folds/$fold/records.jsonl" label=true draws="$draws" model.path="$student" \
        name="$student" backend.max_new_tokens=192 ${model[@]+"${model[@]}"}
      answers+=("$outputs/evaluate/$student/predictions.jsonl")
    done
    # 3. Labels by both, and by the annotator and dice: the students' answers about other faces, which must be refused.
    for fold in 0 1; do
      local dice=$folds/dice$fold.jsonl
      [[ -f "$dice" ]] || python scripts/made_up_witness.py dice "${answers[fold]}" "$dice" seed="$seed"
    done
    timed generate name="$run-round$round" "${calibrated[@]}" generator.reuse="$before" \
      generator.witnesses="[{path: [${answers[0]}, ${answers[1]}], name: student}]"
    timed generate name="$run-dice$round" "${calibrated[@]}" generator.reuse="$before" \
      generator.witnesses="[{path: [$folds/dice0.jsonl, $folds/dice1.jsonl], name: dice}]"
    if ! python scripts/held_out.py "$outputs/generate/$before" "$outputs/generate/$run-round$round"; then last=$round; fi
  done

  # 4. How right are the labels, and the models tuned on them?
  local cells=(round0 blind) cell
  for ((round = 1; round <= last; round++)); do cells+=("dice$round" "round$round"); done
  if [[ -n "$left_out" && -f "$truth" ]]; then python scripts/of_source.py "$truth" "$left_out" "$apart/truth.jsonl"; fi
  for cell in "${cells[@]}"; do
    if [[ -f "$truth" ]]; then # only of drawn faces the truth is known
      scored labels- "$truth" benchmark=reliability predictions="$run-$cell"
      if [[ -n "$left_out" ]]; then
        python scripts/of_source.py "$outputs/generate/$run-$cell/instructions.jsonl" "$left_out" "$apart/$cell/instructions.jsonl"
        scored labels-left_out- "$apart/truth.jsonl" benchmark=reliability predictions="$apart/$cell/instructions.jsonl"
      fi
    fi
    if [[ "$cell" == dice* ]]; then continue; fi
    timed train data.path="$run-$cell" name="$run-$cell" ${tuning[@]+"${tuning[@]}"}
    scored "" "$faces" model.path="$run-$cell" ${model[@]+"${model[@]}"}
    if [[ -n "$left_out" ]]; then scored left_out- "$apart/test.jsonl" model.path="$run-$cell" ${model[@]+"${model[@]}"}; fi
  done
}

scored() { # scored <prefix> <records> <settings...>: this cell's, against that of round 0
  local against=()
  if [[ "$cell" != round0 ]]; then against=(compare="$run-${1}round0"); fi
  timed evaluate records="$2" name="$run-$1$cell" "${@:3}" ${against[@]+"${against[@]}"}
}

for_every_seed one_seed
step report name="$name"
printf '\ndone in %d s\n' "$SECONDS"
