#!/usr/bin/env bash
# What this code does on your GPU, in one table: at most 8 minutes on one card of the H100's or H200's kind, nothing is
# downloaded, nothing is installed, weights are random and of the true shapes (LLaVA-OneVision 0.5B and 7B).
#   bash scripts/gpu_check.sh [out=outputs/gpu_check] [minutes=8] [parts=kernel,sft_05b,...] [peak_tflops=] [tiny=false]
# out=           gets gpu_check.json (all figures), gpu_check.md (the table) and gpu_check.log (what the parts printed)
# minutes=       for all parts together; each part has a limit of its own, too, and the others go on without it
# parts=         some of them: kernel, sft_05b, trainer_05b, sft_7b, trainer_7b, answering, cache, zero3, fsdp2, options
#                (the last two when minutes are left: minutes=5 parts=fsdp2,options runs them alone)
# peak_tflops=   what the card can do in bfloat16, where its name does not tell: MFU needs it
# tiny=true      the same on the CPU with tiny models, to try the check itself: its figures say nothing about a GPU
# It runs with PyTorch 2.11 to 2.14 and transformers from 5.17 on; a part that lacks a package says so and is left out:
#   pip install lightning pydantic pyarrow pyyaml tqdm accelerate      training and transformers' Trainer
#   pip install torchao liger-kernel                                   adamw_bf16, float8; Liger's fused loss
#   pip install deepspeed rich jinja2                                  zero3
# PYTHON names the Python that runs it. Exits with 1 if a part failed or a target was missed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-$(command -v python || command -v python3)}
PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" exec "$python" scripts/gpu_check.py "$@"
