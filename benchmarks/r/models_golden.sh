#!/bin/sh
# Makes tests/golden/models again (Debian: r-cran-survival, r-cran-hmisc, r-cran-jsonlite). Run from the root.
set -eu
"${PYTHON:-python3}" benchmarks/r/models_inputs.py tests/golden/models/follow_up.csv
Rscript benchmarks/r/models.R tests/golden/models/follow_up.csv tests/golden/models/r.json
