#!/usr/bin/env bash
# The whole loop on synthetic faces and the simulated annotator: prepare, generate, train, evaluate, report.
#   bash scripts/demo.sh [name=demo] [seed=0] [images=7000] [cells=some|all] [outputs=outputs]     finished stages are reused
# cells: labels of nobody, of one pass, of SEKE and of the calibrated model; all: one pass with the prior, the truth, and a linear probe, too
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe demo "$@"
take images cells
case "${cells:=some}" in
  some) labelled=(single seke calibrated) tuned=("${labelled[@]}") probed=() ;;
  all) labelled=(single prior seke calibrated) tuned=("${labelled[@]}" truth) probed=(probe) ;;
  *) echo "error: cells=$cells: no such choice; use some or all" >&2; exit 2 ;;
esac
one_seed_only
one_scale_only
no_more "name=, seed=, images=, cells= or outputs=" ${records:+"records=$records"} ${more[@]+"${more[@]}"}
export name seed outputs

# 1. Faces: six sub-sources, each with the labels of the dataset it imitates; the true labels in a file of its own.
step prepare source=synthetic seed="$seed" name="$name" ${images:+source.images="$images"}

# 2. Instruction data. Human labels are kept in all of it; the rest comes from nobody (inferred from the human labels, no
#    picture is looked at), from one pass without prior, from one pass with it, from SEKE as the paper has it, from five
#    draws in one request read by a calibrated model of the annotator (ours), or from the truth (nothing to annotate).
annotate() { # annotate <cell>
  local records=$name settings=()
  case "$1" in
    blind) settings=(generator=blind) ;;
    single) settings=(generator.use_prior=false generator.self_verify=false) ;;
    prior) settings=(generator.self_verify=false) ;;
    seke) ;;
    calibrated) settings=(generator.aggregate=calibrated stopping=fixed) ;;
    truth) records=$outputs/prepare/$name/truth.jsonl settings=(split=train) ;;
  esac
  step generate seed="$seed" records="$records" name="$name-$1" ${settings[@]+"${settings[@]}"}
}

# 3. How reliable are the generated labels? Only what was generated is scored, against the true labels, and what it gains
#    over not looking.
labels_of() { # labels_of <cell>
  local against=()
  if [[ "$1" != blind ]]; then against=(compare="$name-labels-blind"); fi
  step evaluate seed="$seed" benchmark=reliability predictions="$name-$1" records="$outputs/prepare/$name/truth.jsonl" \
    name="$name-labels-$1" ${against[@]+"${against[@]}"}
}

# 4. One fine-tuned model for each, the untouched base, and the best answer that never looks; FEAB on test subjects that no stage has seen.
tune() { # tune <cell>
  step train seed="$seed" data.path="$name-$1" name="$name-$1" trainer.precision=auto data.cache=disk
}
test_of() { # test_of <cell>
  local settings=()
  case "$1" in
    constant) settings=(system=constant) ;;
    base) settings=(backend.max_new_tokens=192) ;; # it may describe without end
    blind) settings=(model.path="$name-$1") ;;
    probe) settings=(predictions="$outputs/linear_probe/$name.jsonl" compare="$name-blind") ;;
    *) settings=(model.path="$name-$1" compare="$name-blind") ;;
  esac
  step evaluate seed="$seed" records="$name" name="$name-$1" "${settings[@]}"
}

# 5. What of it was in the frozen tower already? Linear models on its states, fitted to the same rows.
probe() {
  local probe=$outputs/linear_probe/$name.jsonl began=$SECONDS
  if [[ -f "$probe" ]]; then return; fi
  printf '\n\033[1m> python scripts/linear_probe.py ... --faces --train data.path=%s-seke\033[0m\n' "$name"
  python scripts/linear_probe.py "$outputs/prepare/$name/test.jsonl" "$probe" --faces \
    --train paths.outputs="$outputs" seed="$seed" data.path="$name-seke"
  printf '  %d s\n' $((SECONDS - began))
}

# What the others are compared with comes first.
control_labels() { annotate "$1"; labels_of "$1"; }
control_model() { tune "$1"; test_of "$1"; }
export -f step annotate labels_of tune test_of probe control_labels control_model
side_by_side "control_labels blind" "${tuned[@]/#/annotate }" "test_of base" "test_of constant"
side_by_side "control_model blind" "${tuned[@]/#/tune }" ${probed[@]+"${probed[@]}"} "${labelled[@]/#/labels_of }"
side_by_side "${tuned[@]/#/test_of }" ${probed[@]+"${probed[@]/#/test_of }"}

# 6. Everything on one page.
step report seed="$seed" name="$name"
printf '\ndone in %d s\n' "$SECONDS"
