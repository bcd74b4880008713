# Every chore has one entry. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help install install-demo demo test lint format check requirements manifests clean
.PHONY: search statistics bench-serving soak cluster-up cluster-test cluster-down kind-test kind-down workflows

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
TESTBED := tests/cluster/testbed/testbed

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-20s %s\n", $$1, $$2}'

# The virtual environment, with uv (pinned by hash) as its installer. Nothing outside the clone but pip's and uv's caches.
$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Headgate needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version). Say: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "No virtual environment could be made. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.demo: $(BIN)/uv requirements/demo.txt pyproject.toml
	@echo "Installing the demo's requirements into $(VENV) ..."
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/demo.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/uv requirements/dev.txt pyproject.toml
	@echo "Installing all requirements into $(VENV) ..."
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/dev.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@ $(VENV)/.demo

# kserve's client, for one test: it wants older versions of what our processes ship, so it lives beside them.
$(VENV)/kserve/.ready: $(BIN)/uv requirements/kserve.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/kserve
	@VIRTUAL_ENV=$(VENV)/kserve $(BIN)/uv pip install --quiet --require-hashes -r requirements/kserve.txt
	@touch $@

install: $(VENV)/.dev $(VENV)/kserve/.ready  ## Install everything into .venv

install-demo: $(VENV)/.demo  ## Install what the demo needs into .venv

demo: install-demo  ## Deploy, promote and roll back real models under live traffic (ARGS="--keep", ARGS="--report FILE")
	@$(BIN)/headgate demo $(ARGS)

test: install  ## Run the tests that need no cluster, in parts by area (ARGS="-k name" to choose)
	@$(if $(ARGS),$(BIN)/python -m pytest $(ARGS),$(BIN)/python tests/parts.py unit)

search: install  ## Play the property tests with other random examples (ARGS="--hypothesis-seed=7")
	@$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=search $(ARGS) tests

cluster-up: install  ## A real Kubernetes with our images (root; the first time about 10 minutes)
	@tests/cluster/up testbed

cluster-test: cluster-up workflows  ## Conformance, chart and delivery on the real Kubernetes; it stays up (ARGS="-k name")
	@HEADGATE_HELM="$$($(TESTBED) program helm)" $(BIN)/python tests/parts.py cluster $(ARGS)

cluster-down:  ## End it: no process, mount, interface or control group is left
	@$(TESTBED) down

kind-test: install  ## The same on kind, with three workers (needs Docker)
	@tests/cluster/up kind
	@PATH="$$PATH:$(CURDIR)/$(BIN):$$($(TESTBED) programs)" HEADGATE_CLUSTER=kind $(BIN)/python tests/parts.py cluster $(ARGS)

kind-down:  ## End the kind cluster
	@"$$(command -v kind || $(TESTBED) program kind)" delete cluster --name headgate

statistics: install  ## Simulate rollouts and write the tables of docs/statistics.md anew (minutes)
	@$(BIN)/python bench/statistics/canary_tables.py
	@$(BIN)/python bench/statistics/prediction_shift.py

bench-serving: install  ## Measure the server beside its peers on two quiet cores (over an hour; needs wrk; ARGS="--rounds 1 --only kserve")
	@$(BIN)/python bench/serving/serving_bench.py $(ARGS)

soak: install  ## Mixed load on a server for an hour; fails where its memory grows (ARGS="--minutes 5")
	@$(BIN)/python tests/soak/soak.py $(ARGS)

workflows:  ## Lint the GitHub workflows with actionlint
	@$(TESTBED) build actionlint && "$$($(TESTBED) program actionlint)" .github/workflows/*.yml

lint: install  ## Formatting, lint, types, layers, shell scripts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/shellcheck -x .ci/run tests/cluster/up $(TESTBED) tests/cluster/testbed/lib/*.sh

format: install  ## Format the code and mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

check: lint test  ## What CI runs first; then cluster-test

EXTRAS := operator server cli local demo
EXPORT := --quiet --no-default-groups --no-emit-project --no-header --no-annotate
requirements: $(BIN)/uv  ## Resolve anew and export requirements/*.txt (pins and hashes, no addresses)
	@$(BIN)/uv lock --quiet --upgrade
	@for extra in $(EXTRAS); do $(BIN)/uv export --frozen $(EXPORT) --extra $$extra -o requirements/$$extra.txt; done
	@$(BIN)/uv export --frozen $(EXPORT) --group dev -o requirements/dev.txt
	@$(BIN)/uv export --frozen $(EXPORT) --only-group kserve -o requirements/kserve.txt

manifests: install  ## Write the chart's README and the manifests under k8s/ anew from the chart
	@$(BIN)/python charts/readme.py
	@$(TESTBED) build helm && HEADGATE_HELM="$$($(TESTBED) program helm)" $(BIN)/python charts/manifests.py

clean:  ## Remove the virtual environment and all that was built
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis uv.lock
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
