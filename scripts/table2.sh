#!/usr/bin/env bash
# Table 2: systems on FEAB, the paper's and yours.
#   bash scripts/table2.sh scale=demo tuned=demo-seke             the tiny base beside a tuned run and the constant answer
#   bash scripts/table2.sh scale=paper records=feid tuned=feid    keys in the environment, servers by backend.base_url=
# scale=paper asks every system of conf/evaluate/experiment/table2.yaml; choose some with system=gpt_4o,qwen2_5_vl
# scale=demo wants `make demo` first.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe table2 "$@"
one_seed_only

tuned=demo-seke settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in tuned=*) tuned=${setting#*=} ;; *) settings+=("$setting") ;; esac
done
records=${records:-demo}
if [[ "$scale" == demo ]]; then no_more "tuned=, records=, name=, seed= or outputs=" ${settings[@]+"${settings[@]}"}; fi
step evaluate system=constant seed="$seed" records="$records" name="$name-constant"
if [[ "$scale" == paper ]]; then
  step evaluate -m experiment=table2 seed="$seed" name="$name" records="$records" ${settings[@]+"${settings[@]}"}
else
  step evaluate scale=demo seed="$seed" records="$records" name="$name-base" backend.max_new_tokens=192
fi
step evaluate scale="$scale" seed="$seed" records="$records" model.path="$tuned" name="$name-tuned"
step report name="$name" experiment=table2
