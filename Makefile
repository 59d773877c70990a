# Two commands on a fresh machine: `make demo` and `make test`. Python 3.11 or newer, python3-venv, make and git are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
# The matrices are small: threads that wait for each other cost more than they bring.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1

# Files of tests are shared out among so many processes; more only pay where there are more cores.
TEST_PROCESSES ?= 2
DEMO_PATIENTS ?= 5000
DEMO := $(or $(CEMRISK_HOME),.cemrisk)/demo

.PHONY: help install demo test serve ui lint lock bench bento

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

install: $(STAMP)  ## .venv from the lock file

$(STAMP): requirements.lock pyproject.toml
	@echo "installing the packages of the lock file into $(VENV): about 1 GB, some minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --progress-bar off --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)  ## from a synthetic REDCap export to an explained risk over HTTP
	@$(BIN)/cemrisk simulate --patients $(DEMO_PATIENTS) --seed 1 --out $(DEMO)
	@$(BIN)/cemrisk check $(DEMO)/redcap.csv --dictionary $(DEMO)/redcap_dictionary.csv --out $(DEMO)/checked
	@$(BIN)/cemrisk train $(DEMO)/redcap.csv --dictionary $(DEMO)/redcap_dictionary.csv --outcome all --learner all --seed 1
	@$(BIN)/cemrisk promote leakage
	@$(BIN)/cemrisk promote refracture
	@$(BIN)/python -m serving.ask --start

test: $(STAMP)  ## the whole test suite
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

serve: $(STAMP)  ## the service on 127.0.0.1:3000
	$(BIN)/cemrisk serve

ui: $(STAMP)  ## the MLflow UI on 127.0.0.1:5000, or on another port: make ui PORT=5001
	$(BIN)/python -m training.tracking.ui $(if $(PORT),--port $(PORT))

lint: $(STAMP)  ## ruff, mypy, the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet --output-file requirements.lock

bench: $(STAMP)  ## speed and cost beside peers, the log's cost, 200,000 answers: docs/performance.md
	@command -v wrk > /dev/null || { echo "make bench: wrk is needed (apt-get install wrk)" >&2; exit 1; }
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.query_log
	$(BIN)/python -m benchmarks.endurance

bento: $(STAMP)  ## pack the service with bentoml build (bentofile.yaml says what)
	$(BIN)/bentoml build
