# Sourced by the recipes: name=, scale=demo|paper, seeds=<how many>, seed=, outputs=, records=; all else goes to `more`.
#   recipe <name of the experiment> "$@"        sets $name $scale $seeds $seed $outputs $records and the array more
#   for_every_seed <function>                   calls it with `run` set: $name, or $name-s<seed> where there are several
#   take <setting>...                           moves settings of the recipe's own from `more` to variables of their names, else empty
#   not_looking                                 annotates $faces by the control that asks nobody: $run-blind
#   labels_of <cell>...                         how right these cells' labels are, where that is known: $run-labels-<cell>
#   no_more <what it takes> [<setting>...]      refuses the settings that a recipe would hand to nobody
recipe() {
  name=$1 scale=demo seeds=1 seed=0 outputs=outputs records= more=()
  shift
  for argument in "$@"; do
    case "$argument" in
      name=* | scale=* | seeds=* | seed=* | outputs=* | records=*) printf -v "${argument%%=*}" '%s' "${argument#*=}" ;;
      *) more+=("$argument") ;;
    esac
  done
  case "$scale" in demo | paper) ;; *) echo "error: scale=$scale: no such scale; use demo or paper" >&2; exit 2 ;; esac
  export WANDB_RUN_GROUP="${WANDB_RUN_GROUP:-$name}" # with wandb=offline all stages of a recipe are one group
  case "$seeds" in '' | *[!0-9]* | 0) echo "error: seeds=$seeds: not a number; use 1 or more" >&2; exit 2 ;; esac
}

for_every_seed() {
  local first=$seed
  for ((seed = first; seed < first + seeds; seed++)); do
    run=$name
    if ((seeds > 1)); then run=$name-s$seed; fi
    "$@"
  done
  seed=$first
}

one_seed_only() { # for recipes that look at finished runs
  if ((seeds > 1)); then echo "error: seeds=$seeds: this recipe looks at one run; give seed= and name=" >&2; exit 2; fi
}

one_scale_only() { # for recipes of drawn faces, and of one's own by records=
  if [[ "$scale" != demo ]]; then echo "error: scale=$scale: this recipe has one scale; leave it out" >&2; exit 2; fi
}

take() {
  local argument setting others=()
  for setting in "$@"; do printf -v "$setting" '%s' ''; done
  for argument in ${more[@]+"${more[@]}"}; do
    setting=${argument%%=*}
    if [[ " $* " == *" $setting "* ]]; then printf -v "$setting" '%s' "${argument#*=}"; else others+=("$argument"); fi
  done
  more=(${others[@]+"${others[@]}"})
}

no_more() {
  if (($# > 1)); then echo "error: $2: no such setting of this recipe at scale=$scale; use $1" >&2; exit 2; fi
}

step() { # step <command> <settings...>: one command, shown before it runs, and how long it took
  local began=$SECONDS
  printf '\n\033[1m> python %s.py %s\033[0m\n' "$1" "${*:2}"
  python "$1.py" "${@:2}" paths.outputs="$outputs" # last: Hydra wants -m before all settings
  printf '  %d s\n' $((SECONDS - began))
}

# Programs of one thread side by side do more than one program of several: tiny models leave threads waiting.
side_by_side() { # side_by_side <exported function with its arguments>...: as many at a time as there are cores, at most 6
  local cores lanes
  cores=$(getconf _NPROCESSORS_ONLN)
  lanes=$((cores < 6 ? cores : 6))
  # Exit code 255 has xargs start no more. No `||` here: behind one, bash goes on after a command that fails.
  printf '%s\n' "$@" | OMP_NUM_THREADS=$((cores / lanes)) xargs -P "$lanes" -L 1 bash -euo pipefail -c \
    'trap "((\$?)) && exit 255" EXIT; ("$@") 2>&1 | sed -u "s/\r/\n/g; s/^/[${*: -1}] /"' job
}

own_of_control() { # sets `own`: of the settings that go to generate those that do not speak to or of an annotator
  local setting
  own=()
  for setting in ${more[@]+"${more[@]}"}; do
    case "$setting" in
      generator.hide=*) own+=("$setting") ;;
      *generator[.=]* | *backend[.=@]* | stopping[.=]*) ;;
      *) own+=("$setting") ;;
    esac
  done
}

not_looking() {
  local own
  own_of_control
  step generate scale="$scale" seed="$seed" records="$faces" name="$run-blind" generator=blind ${own[@]+"${own[@]}"}
}

labels_of() { # only of drawn faces the truth is known; see figure5.sh for masked human labels
  local cell
  if [[ "$scale" != demo ]]; then return; fi
  for cell in "$@"; do
    step evaluate benchmark=reliability seed="$seed" predictions="$run-$cell" name="$run-labels-$cell" \
      records="$outputs/prepare/$faces/truth.jsonl"
  done
}

prepared() { # the records of this run: those given by records=, or drawn by its scale
  if [[ -z "$records" ]]; then step prepare scale="$scale" seed="$seed" name="$run" "$@"; fi
  faces=${records:-$run}
}
