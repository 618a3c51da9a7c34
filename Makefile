# The tasks of this project. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
APT := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq
UNIT := tests/learn tests/core tests/architecture

.PHONY: help demo test unit coverage lint format generate cluster cluster-down kind images bench chaos debian clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/stamp: pyproject.toml
	@echo "make: installing the dependencies of pyproject.toml into .venv (a minute, once)"
	@if command -v uv >/dev/null; then uv venv -q --allow-existing --python "$(PYTHON)" .venv && VIRTUAL_ENV=.venv uv pip install -q -e '.[operator,local,plot,demo,dev]'; \
	else \
	  if ! "$(PYTHON)" -c 'import ensurepip' 2>/dev/null && [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; then $(APT) python3-venv >/dev/null; fi; \
	  "$(PYTHON)" -m venv .venv && $(BIN)/python -m pip install -q --upgrade pip && $(BIN)/python -m pip install -q -e '.[operator,local,plot,demo,dev]'; fi
	@touch $@

demo: .venv/stamp ## run an online shop's background jobs on this machine, from zero workers and back
	@unset JOBPOOLS_REDIS_URL; PATH="$(abspath $(BIN)):$$PATH" jobpools up examples/shop --until-idle --fire --plot demo.png --with 'python -m shop.day'

test: .venv/stamp debian ## run all tests, on a real Valkey, Redis and Kubernetes; print the branch coverage
	@hack/end-with-parent.sh TERM hack/run-all-tests.sh $(BIN)/python

unit: .venv/stamp ## run the tests that need no server, in seconds
	@$(BIN)/python -m pytest -q $(UNIT)

coverage: .venv/stamp debian ## measure the branch coverage of core, store and runtime; list the lines that no test runs
	@$(BIN)/python hack/branch_coverage.py run -q -p no:cacheprovider
	@$(BIN)/python hack/branch_coverage.py report --missing

lint: .venv/stamp ## check format, lint rules, types and import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@output=$$($(BIN)/pyright --project pyproject.toml) || { echo "$$output"; exit 1; }
	@$(BIN)/lint-imports --no-cache

format: .venv/stamp ## format the code and apply the linter's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: .venv/stamp ## write crds/, the chart's copy of it, docs/enqueue.lua and docs/conditions.md from the source
	@$(BIN)/python -m jobpools_operator.crdgen crds helm/jobpools/crds
	@$(BIN)/python -c 'from jobpools.store import scripts; print(scripts.get("enqueue").source, end="")' > docs/enqueue.lua
	@PYTHONPATH=. $(BIN)/python hack/conditions_doc.py docs/conditions.md

debian: ## install the Debian packages that the tests need; without root, print what is missing
	@if command -v redis-server >/dev/null && command -v openssl >/dev/null; then :; \
	elif [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; then echo "make: installing redis-server and openssl (a minute, once)"; $(APT) redis-server openssl >/dev/null; \
	else echo "make: redis-server or openssl is missing: tests against Redis are left out (apt-get install redis-server openssl)"; fi

cluster: ## start a one-node Kubernetes on this machine without Docker (Linux, root, Go); print its KUBECONFIG
	@hack/test-cluster.sh up

cluster-down: ## stop that Kubernetes and remove its state
	@hack/test-cluster.sh down

kind: ## start a Kubernetes with kind (Docker) and load the images into it
	@kind create cluster --name jobpools --config kind-config.yaml
	@$(MAKE) images
	@kind load docker-image --name jobpools jobpools-worker:dev jobpools-operator:dev

images: ## build jobpools-worker:dev and jobpools-operator:dev with docker, or with buildah if there is no Docker
	@hack/build-images.sh

bench: .venv/stamp ## measure drain, latency and commands per job, compared with the floor
	@$(BIN)/python -m tests.bench

chaos: .venv/stamp ## run 20,000 jobs while workers, Redis and the network fail; account for every job
	@hack/end-with-parent.sh TERM $(BIN)/python -m tests.chaos

clean: ## remove everything that make has written
	@rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* demo.png
