#!/usr/bin/env bash
# Appendix D: the same faces annotated without looking, in one pass, by SEKE and by a calibrated annotator, side by side.
#   bash scripts/appendix_d.sh [scale=demo|paper] [methods=table4] [records=<prepared name>] [<generate settings>]
# The annotations are those of scripts/table4.sh name=<methods>; what is not finished is annotated first.
# -> outputs/report/<name>/appendix_d.html
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/settings.sh
recipe appendix_d "$@"
one_seed_only
take methods
run=${methods:-table4}
prepared
not_looking
step generate -m experiment=table4 scale="$scale" seed="$seed" name="$run" records="$faces" cell=plain,both ${more[@]+"${more[@]}"}
step generate scale="$scale" seed="$seed" name="$run-calibrated" records="$faces" stopping=fixed \
  generator.aggregate=calibrated ${more[@]+"${more[@]}"}
step report name="$name" experiment=appendix_d methods="$run"
