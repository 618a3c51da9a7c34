# Everything that is done with this project from a shell. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
APT := apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq
# Without node programs and packages the cluster suite says what it left out; with CI=true nothing may be left out.
UNIT := tests/learn tests/core tests/architecture

.PHONY: help demo test unit lint format generate cluster cluster-down kind images bench debian clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/stamp: pyproject.toml
	@echo "make: installing what pyproject.toml names into .venv (a minute, once)"
	@if command -v uv >/dev/null; then uv venv -q --allow-existing --python "$(PYTHON)" .venv && VIRTUAL_ENV=.venv uv pip install -q -e '.[operator,local,plot,demo,dev]'; \
	else \
	  if ! "$(PYTHON)" -c 'import ensurepip' 2>/dev/null && [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; then $(APT) python3-venv >/dev/null; fi; \
	  "$(PYTHON)" -m venv .venv && $(BIN)/python -m pip install -q --upgrade pip && $(BIN)/python -m pip install -q -e '.[operator,local,plot,demo,dev]'; fi
	@touch $@

demo: .venv/stamp ## the main job on this machine: an online shop's background jobs, from zero workers and back
	@unset JOBPOOLS_REDIS_URL; PATH="$(abspath $(BIN)):$$PATH" jobpools up examples/shop --until-idle --fire --plot demo.png --with 'python -m shop.day'

test: .venv/stamp debian ## every test, on a real Valkey, Redis and Kubernetes
	@hack/end-with-parent.sh TERM hack/run-all-tests.sh $(BIN)/python

unit: .venv/stamp ## the tests that need no cluster, in seconds
	@$(BIN)/python -m pytest -q $(UNIT)

lint: .venv/stamp ## format, lint, types, import law
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@said=$$($(BIN)/pyright --project pyproject.toml) || { echo "$$said"; exit 1; }
	@$(BIN)/lint-imports --no-cache

format: .venv/stamp ## rewrite what the formatter and the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: .venv/stamp ## crds/ and the chart's copy of it, from the specs in core/; docs/enqueue.lua, docs/conditions.md
	@$(BIN)/python -m jobpools_operator.crdgen crds helm/jobpools/crds
	@$(BIN)/python -c 'from jobpools.store import scripts; print(scripts.get("enqueue").source, end="")' > docs/enqueue.lua
	@PYTHONPATH=. $(BIN)/python hack/conditions_doc.py docs/conditions.md

debian: ## Debian packages that the tests need (as root; others are told what is missing)
	@if command -v redis-server >/dev/null && command -v openssl >/dev/null; then :; \
	elif [[ $$EUID == 0 ]] && command -v apt-get >/dev/null; then echo "make: installing redis-server and openssl (a minute, once)"; $(APT) redis-server openssl >/dev/null; \
	else echo "make: redis-server or openssl is missing: tests against Redis are left out (apt-get install redis-server openssl)"; fi

cluster: ## a real one-node Kubernetes on this machine, without Docker (Linux, root, Go); prints its KUBECONFIG
	@hack/test-cluster.sh up

cluster-down: ## stop it and remove its state
	@hack/test-cluster.sh down

kind: ## the same with Docker: kind create cluster, images loaded
	@kind create cluster --name jobpools --config kind-config.yaml
	@$(MAKE) images
	@kind load docker-image --name jobpools jobpools-worker:dev jobpools-operator:dev

images: ## jobpools-worker:dev and jobpools-operator:dev, with docker, or buildah where there is none
	@hack/build-images.sh

bench: .venv/stamp ## drain, latency, commands per job, beside the floor
	@$(BIN)/python -m tests.bench

clean: ## remove what make made
	@rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis demo.png
