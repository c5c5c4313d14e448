#!/usr/bin/env bash
# Gaps between groups of faces: of the generated labels, and of a tuned model.
#   bash scripts/fairness.sh [model=demo-seke] [labels=demo-seke] [records=demo] [groups="[source]"] [scale=demo|paper]
# scale=demo wants `make demo` first.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe fairness "$@"
one_seed_only

settings=() model=demo-seke labels=demo-seke groups="[attributes.skin_tone,attributes.glasses,source]"
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in
    model=* | labels=* | groups=*) printf -v "${setting%%=*}" '%s' "${setting#*=}" ;;
    *) settings+=("$setting") ;;
  esac
done
no_more "model=, labels=, groups=, records=, name=, seed= or outputs=" ${settings[@]+"${settings[@]}"}
faces=${records:-demo}
step evaluate experiment=fairness scale="$scale" seed="$seed" name="$name-model" records="$faces" model.path="$model" groups="$groups"
if [[ "$scale" == demo ]]; then # only of drawn faces the truth is known
  step evaluate experiment=fairness benchmark=reliability seed="$seed" name="$name-labels" predictions="$labels" groups="$groups" \
    records="$outputs/prepare/$faces/truth.jsonl"
fi
step report name="$name" experiment=fairness
