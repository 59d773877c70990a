#!/bin/sh
# Writes what rms::validate and val.prob say beside the input that tests/golden/test_validate_rms.py compares with.
#   sh benchmarks/r/validate_golden.sh
set -eu
golden=tests/golden/validate
Rscript benchmarks/r/validate.R binary $golden/binary.csv $golden/binary.json 40
