#!/bin/sh
# Writes R's numbers beside the inputs that tests/golden/test_metrics_r.py compares with. From the project's folder:
#   sh benchmarks/r/metrics_golden.sh
set -eu
golden=tests/golden/metrics
public=$(mktemp -d)
trap 'rm -rf "$public"' EXIT
Rscript benchmarks/r/metrics.R $golden/binary.csv $golden/binary.json
for name in single competing; do
  Rscript benchmarks/r/metrics.R $golden/$name.csv $golden/$name.json 91.5 365.5
done
Rscript benchmarks/r/survival_data.R "$public"
Rscript benchmarks/r/metrics.R "$public/gbsg.csv" $golden/public_gbsg.json 730.5 1826.25
Rscript benchmarks/r/metrics.R "$public/colon.csv" $golden/public_colon.json 365.5 1461.5
for name in mgus2 nafld1; do
  Rscript benchmarks/r/metrics.R "$public/$name.csv" $golden/public_$name.json 1826.5 3652.5
done
