#!/usr/bin/env bash
# Table 3: the same model tuned on EmoVIT, MAFW, MERR-Fine and FEID, all tested on FEAB.
#   bash scripts/table3.sh scale=paper records=feid feid=feid-both paths.data=/data
#   bash scripts/table3.sh                demo: the other three are stood in for by what they describe (see below)
# At paper scale MAFW and MERR-Fine are tuned on as clips, as the paper has it: shown=8 frames; shown=null is one picture of each.
# scale=demo: synthetic faces, simulated annotator, tiny model; scale=paper: the datasets, gpt-4o, 7B. Finished stages are reused.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe table3 "$@"

feid= shown=8 settings=()
for setting in ${more[@]+"${more[@]}"}; do
  case "$setting" in feid=*) feid=${setting#*=} ;; shown=*) shown=${setting#*=} ;; *) settings+=("$setting") ;; esac
done
case "$scale" in
  demo) no_more "feid=, records=, name=, seeds=, seed= or outputs=" ${settings[@]+"${settings[@]}"} ;;
  paper) [[ -n "$feid" ]] || { echo "error: feid=: which data is FEID; name a finished generate run" >&2; exit 2; } ;;
esac

one_seed() {
  prepared
  if [[ "$scale" == paper ]]; then
    step train experiment=table3 scale=paper seed="$seed" name="$run-emovit" data=emovit ${settings[@]+"${settings[@]}"}
    step train -m experiment=table3 scale=paper seed="$seed" name="$run" data=mafw,merr_fine data.reader.shown="$shown" \
      ${settings[@]+"${settings[@]}"}
    step train scale=paper seed="$seed" data.path="$feid" name="$run-feid"
  else
    # Those sets are licensed. Of the same faces: MAFW names expressions, MERR-Fine action units; EmoVIT describes no
    # face at all, so synthetic scenes stand in for it. What each demo model can learn is what its set describes.
    local own=${feid:-$run}
    step generate scale=demo seed="$seed" records="$faces" name="$own"
    step prepare seed="$seed" source=synthetic_scenes name="$run-scenes"
    step generate seed="$seed" records="$run-scenes" generator=emovit prompts=emovit backend=simulated_scenes name="$run-scenes"
    step train scale=demo seed="$seed" data.path="$run-scenes" name="$run-emovit"
    step train scale=demo seed="$seed" data.path="$own" data.keep=expression name="$run-mafw"
    step train scale=demo seed="$seed" data.path="$own" data.keep=au name="$run-merr_fine"
    step train scale=demo seed="$seed" data.path="$own" name="$run-feid"
  fi
  step evaluate -m experiment=table3 scale="$scale" seed="$seed" name="$run" records="$faces"
}
for_every_seed one_seed
step report name="$name" experiment=table3
