#!/usr/bin/env bash
# An exported checkpoint in the hands of others: one table of scores, which must agree with evaluate.py's own.
#   bash scripts/check_peers.sh [checkpoint=demo-seke] [records=demo] [pictures=20] [outputs=outputs] [work=/tmp/peers]
#   bash scripts/check_peers.sh family=all        one random checkpoint of each family, or family=qwen3_vl,smolvlm
# Others: AutoProcessor + AutoModelForImageTextToText, pipeline, `transformers serve` + backend=openai, TRL's SFTTrainer,
# lmms-eval, and vLLM where the environment has it (it needs a GPU). What a family, or the environment, has not is "not
# run" in the table, with the reason. The environment is made once, in work/venv (about 6 GB):
#   PEERS_PYTHON   the Python that makes it; python3. PEERS_VENV   one that is there already
#   PEERS_TORCH    what pip is to install of PyTorch; "torch torchvision", of which an index's default pair fits
# Exits with 1 if any of them disagrees. Not part of the tests: it downloads gigabytes.
set -euo pipefail
cd "$(dirname "$0")/.."
checkpoint=demo-seke records=demo pictures=20 outputs=outputs work=/tmp/peers port=8231 family=
for argument in "$@"; do
  case "$argument" in
    checkpoint=*) checkpoint=${argument#*=} ;;
    records=*) records=${argument#*=} ;;
    pictures=*) pictures=${argument#*=} ;;
    outputs=*) outputs=${argument#*=} ;;
    work=*) work=${argument#*=} ;;
    port=*) port=${argument#*=} ;;
    family=*) family=${argument#*=} ;;
    *) echo "error: $argument: no such setting; see the head of this script" >&2; exit 2 ;;
  esac
done
work=$(realpath -m "$work")
export PEERS_VENV=${PEERS_VENV:-$work/venv}
if [ -n "$family" ]; then
  [ "$family" = all ] && family=llava_ov,qwen2_5_vl,qwen3_vl,internvl,smolvlm,instructblip
  wrong=0
  for each in ${family//,/ }; do
    python scripts/check_peers.py make "$each" "$work/made/$each"
    echo; echo "$each, random weights:"; echo
    RANDOM_WEIGHTS=yes bash "$0" checkpoint="$work/made/$each" records="$records" pictures="$pictures" \
      outputs="$outputs" work="$work/$each" port="$port" || wrong=1
  done
  # shellcheck disable=SC2086  # several words on purpose
  echo; python scripts/check_peers.py summary "$work" ${family//,/ }
  exit $wrong
fi
model=$checkpoint; [ -d "$model" ] || model=$outputs/train/$checkpoint/model
[ -f "$model/config.json" ] || { echo "error: checkpoint=$checkpoint: no such checkpoint; name a train run or a directory" >&2; exit 2; }
model=$(realpath "$model")
ours=$(python scripts/check_peers.py ours "$model")
read -r lmms lmms_settings <<<"$(python scripts/check_peers.py peer "$model")"
theirs=$PEERS_VENV/bin
if [ ! -x "$theirs/python" ]; then
  "${PEERS_PYTHON:-python3}" -m venv "$PEERS_VENV"
  # shellcheck disable=SC2086  # several words on purpose
  "$theirs/pip" install -q ${PEERS_TORCH:-torch torchvision}
  "$theirs/pip" install -q -r scripts/peers.txt
fi
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
scored=$work/outputs
rm -rf "$scored" "$work/tasks" "$work/logs" "$work"/*.not_run "$work/sft.json"; mkdir -p "$scored"
peer() { "$theirs/python" scripts/check_peers.py "$@"; }
has() { "$theirs/python" -c "import $1" 2>/dev/null; }
not_run() { echo "not run: $2" >"$work/$1.not_run"; } # not_run <who> <why>
score() { python evaluate.py paths.outputs="$scored" records="$work/faces/test.jsonl" ${shorter[@]+"${shorter[@]/#/benchmark.}"} "$@" >/dev/null; }
talks() { compgen -G "$model/chat_template*" >/dev/null; }

# Of random weights the next words are all but equally likely: in a long answer rounding alone decides one of them.
side='' shorter=()
if [ -n "${RANDOM_WEIGHTS:-}" ]; then side=$(python scripts/check_peers.py side "$model") shorter=(max_tokens=128); fi
python scripts/check_peers.py choose "$outputs" "$records" "$pictures" "$work/faces" ${side:+"$side"}
case "$ours" in "model=llava_ov "*) python scripts/verify_checkpoint.py "$model" ;; esac
# shellcheck disable=SC2086  # several settings
score name=ours model.path="$model" $ours
python scripts/export_lmms_eval.py "$work/tasks" records="$work/faces/test.jsonl" ${shorter[@]+"${shorter[@]}"} >/dev/null

for way in auto pipeline; do
  peer $way "$model" "$work/tasks/feab" "$work/$way.jsonl"
  score name=$way predictions="$work/$way.jsonl"
done

if ! talks; then
  not_run serve "the family has no chat template"
elif ! has "fastapi, uvicorn"; then
  not_run serve "fastapi and uvicorn are not installed"
else
  "$theirs/transformers" serve "$model" --device cpu --port "$port" >"$work/serve.log" 2>&1 &
  server=$!; trap 'kill $server 2>/dev/null || true' EXIT
  for _ in $(seq 120); do
    if "$theirs/python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/health')" 2>/dev/null; then break; fi
    kill -0 $server; sleep 1
  done
  OPENAI_API_KEY=none score name=serve backend=openai backend.base_url="http://127.0.0.1:$port/v1" \
    backend.model="$model" backend.concurrency=1
  kill $server
fi

if ! talks; then
  not_run trl "the family has no chat template"
elif ! has trl; then
  not_run trl "not installed"
else
  peer sft "$model" "$work/tasks/feab" "$scored/evaluate/ours/answers.jsonl" "$work/sft.json"
fi

# Its own command, not python -m, which would take our evaluate.py for the library of that name.
if [ -z "$lmms" ]; then
  not_run lmms-eval "it has no model of this family"
elif ! has lmms_eval; then
  not_run lmms-eval "not installed"
elif PYTHONPATH=src "$theirs/lmms-eval" eval --model "$lmms" --model_args "$lmms_settings" \
  --tasks feab --include_path "$work/tasks" --batch_size 1 --device cpu --log_samples --output_path "$work/logs" \
  >"$work/lmms.log" 2>&1 && peer lmms "$work/lmms-eval.jsonl" "$work/logs"; then
  score name=lmms-eval predictions="$work/lmms-eval.jsonl"
elif [ "$lmms" = llava_hf ]; then
  tail -3 "$work/lmms.log" >&2; exit 1
else
  not_run lmms-eval "its $lmms ended with an error, see $work/lmms.log"
fi

if has vllm; then
  peer vllm "$model" "$work/tasks/feab" "$work/vllm.jsonl"
  score name=vllm predictions="$work/vllm.jsonl"
else
  not_run vllm "not installed"
fi
python scripts/check_peers.py table "$model" "$scored/evaluate" "$work/sft.json" "${RANDOM_WEIGHTS:-}"
