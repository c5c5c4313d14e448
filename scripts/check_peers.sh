#!/usr/bin/env bash
# An exported checkpoint in the hands of others: one table of scores, which must agree with evaluate.py's own.
#   bash scripts/check_peers.sh [checkpoint=demo-seke] [records=demo] [pictures=20] [outputs=outputs] [work=/tmp/peers]
# Others: AutoProcessor + pipeline, `transformers serve` + backend=openai, TRL's SFTTrainer, lmms-eval, and vLLM where
# the environment has it (it needs a GPU). The environment is made once, in work/venv (about 6 GB):
#   PEERS_PYTHON   the Python that makes it; python3
#   PEERS_TORCH    what pip is to install of PyTorch; "torch torchvision", of which an index's default pair fits
# Exits with 1 if any of them disagrees. Not part of the tests: it downloads gigabytes.
set -euo pipefail
cd "$(dirname "$0")/.."
checkpoint=demo-seke records=demo pictures=20 outputs=outputs work=/tmp/peers port=8231
for argument in "$@"; do
  case "$argument" in
    checkpoint=*) checkpoint=${argument#*=} ;;
    records=*) records=${argument#*=} ;;
    pictures=*) pictures=${argument#*=} ;;
    outputs=*) outputs=${argument#*=} ;;
    work=*) work=${argument#*=} ;;
    port=*) port=${argument#*=} ;;
    *) echo "error: $argument: no such setting; see the head of this script" >&2; exit 2 ;;
  esac
done
model=$checkpoint; [ -d "$model" ] || model=$outputs/train/$checkpoint/model
[ -f "$model/config.json" ] || { echo "error: checkpoint=$checkpoint: no such checkpoint; name a train run or a directory" >&2; exit 2; }
model=$(realpath "$model") work=$(realpath -m "$work")
theirs=$work/venv/bin
if [ ! -x "$theirs/python" ]; then
  "${PEERS_PYTHON:-python3}" -m venv "$work/venv"
  # shellcheck disable=SC2086  # several words on purpose
  "$theirs/pip" install -q ${PEERS_TORCH:-torch torchvision}
  "$theirs/pip" install -q -r scripts/peers.txt
fi
export HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
scored=$work/outputs
rm -rf "$scored" "$work/tasks" "$work/logs"; mkdir -p "$scored"
peer() { "$theirs/python" scripts/check_peers.py "$@"; }
score() { python evaluate.py paths.outputs="$scored" records="$work/faces/test.jsonl" "$@" >/dev/null; }

python scripts/check_peers.py choose "$outputs" "$records" "$pictures" "$work/faces"
python scripts/verify_checkpoint.py "$model"
score name=ours model.path="$model"
python scripts/export_lmms_eval.py "$work/tasks" records="$work/faces/test.jsonl" >/dev/null

peer pipeline "$model" "$work/tasks/feab" "$work/pipeline.jsonl"
score name=pipeline predictions="$work/pipeline.jsonl"

"$theirs/transformers" serve "$model" --device cpu --port "$port" >"$work/serve.log" 2>&1 &
server=$!; trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 120); do
  if "$theirs/python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/health')" 2>/dev/null; then break; fi
  kill -0 $server; sleep 1
done
OPENAI_API_KEY=none score name=serve backend=openai backend.base_url="http://127.0.0.1:$port/v1" \
  backend.model="$model" backend.concurrency=1
kill $server

peer sft "$model" "$work/tasks/feab" "$scored/evaluate/ours/answers.jsonl" "$work/sft.json"

PYTHONPATH=src "$theirs/python" -m lmms_eval eval --model llava_hf --model_args "pretrained=$model,device_map=cpu" --tasks feab \
  --include_path "$work/tasks" --batch_size 1 --device cpu --log_samples --output_path "$work/logs" >"$work/lmms.log" 2>&1
peer lmms "$work/lmms-eval.jsonl" "$work/logs"
score name=lmms-eval predictions="$work/lmms-eval.jsonl"

if "$theirs/python" -c "import vllm" 2>/dev/null; then
  peer vllm "$model" "$work/tasks/feab" "$work/vllm.jsonl"
  score name=vllm predictions="$work/vllm.jsonl"
fi
python scripts/check_peers.py table "$scored/evaluate" "$work/sft.json"
