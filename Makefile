# Everything a person or a machine does here. `make` lists it.
.DEFAULT_GOAL := help

PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready
SPARK := .venv/.spark
JAX := .venv/.trunk
DASK_READY := .venv/.dask
# A test's session is over before what a JVM's second compiler costs has paid.
SHORT_LIVED := SPARK_SUBMIT_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# Without the files that Python compiles once, each process of a test run and of Airflow would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
# As in the parts of an installation: where processes share the cores, a thread that waits must not spin.
export OMP_WAIT_POLICY := PASSIVE
COMPILE := .venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
  --no-annotate --no-header --no-emit-index-url --no-emit-find-links

.PHONY: help setup demo test test-e2e test-compose test-spark lint up down status bench failures tour docs lock

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) $(if $(TRUNK),$(JAX)) $(if $(DASK),$(DASK_READY)) ## the environment alone: .venv from requirements.lock; TRUNK=1 adds what shared trunks need, DASK=1 a cluster
	@echo "ready: .venv/bin/equipoise --help"

demo: $(READY) ## real data, Airflow and MLflow, one retrain, and the release that it made
	@$(PY) -m deploy demo

test: $(JAX) $(DASK_READY) ## the test suite, but for whole surfaces and running services
	@$(PY) -m pytest -n 2 --dist loadgroup -q -m "not e2e and not spark and not containers" --durations=25

test-e2e: $(JAX) ## whole surfaces, Airflow's real parts, a browser and production's own services
	@.ci/services
	@$(PY) -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -q -m e2e --durations=12

test-compose: $(READY) ## docker-compose.yml in containers, as root on Debian, without a registry of images
	@.ci/containers
	@CONTAINERS_CONF=$(CURDIR)/.equipoise/containers/containers.conf PODMAN_IGNORE_CGROUPSV1_WARNING=1 \
	  $(PY) -m pytest -q -x -m containers tests/containers --durations=12

test-spark: $(SPARK) ## the tests of the Spark engine, in a local session on Java 17
	@.ci/services
	@$(SHORT_LIVED) $(PY) -m pytest -q -m spark --durations=5

lint: $(READY) ## ruff, mypy, import-linter, and what the rooms may import
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) .ci/lint_rooms.py

up: $(READY) ## start Airflow and MLflow on this machine; prints addresses and logins
	@$(PY) -m deploy up

down: $(READY) ## stop them, with every process that they started
	@$(PY) -m deploy down

status: $(READY) ## say which of them run
	@$(PY) -m deploy status

bench: $(JAX) $(DASK_READY) ## every benchmark at a small size, as ratios, with its seconds
	@$(PY) -m benchmarks

failures: $(READY) ## the ten failures of a ranker, each shipped by a naive pipeline and stopped; makes docs/failures.md anew
	@$(PY) -m benchmarks.failures --write

tour: $(READY) ## eight weeks of a feed with Airflow and MLflow, beside a naive click ranker; ends in one page
	@$(PY) -m benchmarks.tour --airflow

docs: $(READY) ## the documentation site
	@.venv/bin/zensical build --clean --strict && echo "open .equipoise/site/index.html"

lock: $(READY) ## resolve requirements.lock anew from pyproject.toml
	@$(COMPILE) pyproject.toml --extra demo --extra dev --extra postgres --extra production -o requirements.lock
	@grep -o 'pyspark[><=][^"]*' pyproject.toml | $(COMPILE) - --constraints requirements.lock -o requirements.spark.lock
	@grep -oE '"(jax|optax|safetensors)>=[^"]*' pyproject.toml | tr -d '"' \
	  | $(COMPILE) - --constraints requirements.lock -o requirements.trunk.lock
	@grep -oE '"(dask\[array\]|distributed)>=[^"]*' pyproject.toml | tr -d '"' \
	  | $(COMPILE) - --constraints requirements.lock -o requirements.dask.lock
	@grep -o 'mcgrad==[^"]*' pyproject.toml | $(COMPILE) - --no-deps -o requirements.mcgrad.lock

# Made again when the lock or the project changes, or when .venv is gone.
$(READY): requirements.lock requirements.mcgrad.lock pyproject.toml
	@.ci/setup $(PYTHON)

$(SPARK): requirements.spark.lock $(READY)
	@.venv/bin/uv pip install --quiet --require-hashes -r requirements.spark.lock
	@touch $@

$(JAX): requirements.trunk.lock $(READY)
	@.venv/bin/uv pip install --quiet --require-hashes -r requirements.trunk.lock
	@touch $@

$(DASK_READY): requirements.dask.lock $(READY)
	@.venv/bin/uv pip install --quiet --require-hashes -r requirements.dask.lock
	@touch $@
