# Needs Python 3.11 or newer and make; everything else is installed into .venv by the first target that needs it.
PYTHON ?= python3
BIN := .venv/bin
RUNNABLE := .venv/.runnable
READY := .venv/.ready
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

COVERAGE_FLOOR := 93
UNIT := tests/consumer tests/web

# Without cached bytecode each worker of pytest rewrites the assertions of all tests, which takes half of the collection.
test test-unit coverage test-operations: export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help run test test-unit coverage test-pythons test-kafka test-browser test-operations test-long bench chaos vendor lint format lock sbom packages dist clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

run: $(RUNNABLE) ## broker, synthetic feed and server on PORT (8000); with KAFKA_BROKERS set, the server alone
	@exec $(BIN)/python -m demo.run

test: $(READY) ## the whole suite on the embedded broker: no Docker, no Java
	$(BIN)/python -m pytest -n 4 --dist loadfile --ignore tests/kafka --ignore tests/browser \
		--ignore tests/operations

test-unit: $(READY) ## for each edit: the tests of consumer/ and web/ that start nothing and wait for no timeout, in half a minute
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -n 3 -p no:schemathesis -m "not integration and not slow" $(UNIT)

coverage: $(READY) ## branch coverage of consumer/ and web/ by tests that start nothing; fails when it is below the floor
	HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -n 3 -o timeout=600 --cov=consumer --cov=web --cov-report=term:skip-covered \
		--cov-fail-under=$(COVERAGE_FLOOR) -m "not integration" $(UNIT)

test-pythons: $(READY) ## the tests of test-unit and slow ones on each of Python 3.11 to 3.14 that is installed
	$(BIN)/python -m tools.pythons

# The tests of outages wait most of the time, but they notice a machine that is overloaded, so they run by themselves.
# The tests of a file share their nodes, and wait for them most of the time: a third of the two cores is enough for each
# file. Which answers a document allows has nothing to do with Kafka; `make test` tests that.
# The schema registry needs Java 17 and Maven in any case.
test-kafka: $(READY) ## integration tests on Apache Kafka 4: in Docker where it answers, else with Java 17 and Maven
	$(BIN)/python -m tests.kafka.prepare
	$(BIN)/python -m pytest -n 3 --dist worksteal --broker=apache tests/kafka/test_outages.py
	$(BIN)/python -m pytest -n 3 --dist loadfile --broker=apache --ignore tests/kafka/test_outages.py \
		--ignore tests/integration/test_documents.py tests/kafka tests/integration

test-browser: $(READY) node_modules/.ready ## page in Chromium, its modules in Node, other people's clients
	npm test --silent
	$(BIN)/python -m pytest -n 3 --dist worksteal tests/browser

test-operations: $(READY) ## metrics, alerts and dashboard by Prometheus; what is deployed, by the tools that read it
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/operations

test-long: $(READY) node_modules/.ready ## full-length runs, about 45 minutes: more examples, seeds and requests, a day at 300x, 5 minutes at speed
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n 2 -o timeout=1200 tests/consumer tests/simulation \
		tests/web/access/test_claims.py tests/integration/test_documents.py
	$(BIN)/python -m pytest --full-length tests/browser/test_day.py tests/browser/test_speed.py

chaos: $(READY) ## kill, stop and hide the broker, hop, soak: an hour, with a report in docs/chaos.md
	$(BIN)/python -m tests.kafka.prepare
	$(BIN)/python -m tests.chaos

bench: $(READY) ## measure, beside peers in the same run: all, or what BENCH names (BENCH=--help)
	$(BIN)/python -m bench $(BENCH)

vendor: $(READY) ## download the page's libraries from npm, as listed in static/vendor/vendor.json
	$(BIN)/python static/vendor/refresh.py

lint: lint-python lint-page ## format, lint, types, spelling; the page's JavaScript too

.PHONY: lint-python lint-page
lint-python: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell

lint-page: node_modules/.ready
	npm run --silent lint
	npm run --silent types

format: $(READY) ## apply formatting and automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The largest set first: the others take their versions from it.
lock: $(RUNNABLE) ## lock what requirements*.txt name, with hashes; UPGRADE=1 takes the newest versions
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13,<1'
	$(LOCK) requirements-dev.txt -o requirements-dev.lock
	$(LOCK) -c requirements-dev.lock requirements-demo.txt -o requirements-demo.lock
	$(LOCK) -c requirements-dev.lock requirements-confluent.txt -o requirements-confluent.lock
	$(LOCK) -c requirements-dev.lock requirements-registry.txt -o requirements-registry.lock
	$(LOCK) -c requirements-dev.lock requirements-auth.txt -o requirements-auth.lock
	$(LOCK) -c requirements-dev.lock requirements-otel.txt -o requirements-otel.lock
	$(LOCK) -c requirements-dev.lock requirements.txt -o requirements.lock

sbom: $(READY) ## bill of materials (CycloneDX) in dist/, and the list of licences
	@$(BIN)/python -m tools.sbom dist/greenwave.cdx.json

# Files get the time of the commit, so equal sources give equal bytes.
dist: sbom packages ## bill of materials, wheel and source distribution in dist/

DIST := dist
packages: $(READY) ## wheel and source distribution in dist/
	@SOURCE_DATE_EPOCH=$$(git log -1 --pretty=%ct) $(BIN)/python -m build --no-isolation --outdir $(DIST) .

clean: ## remove the virtual environment and the files of tools
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage test-results node_modules dist
	find . -name __pycache__ -prune -exec rm -rf {} +

node_modules/.ready: package.json package-lock.json
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(100 * major + +minor < 2019 ? 1 : 0)' 2>/dev/null && \
		command -v npm >/dev/null || \
		{ echo "Needs Node 20.19 or newer, with npm: it checks and tests the page's JavaScript." >&2; exit 1; }
	@npm ci --silent
	@touch $@

# A stamp is newer than its lock file when that is installed. The embedded broker is not available on all systems.
$(RUNNABLE): requirements.lock requirements-demo.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Greenwave needs Python 3.11 or newer; " + \
		"this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@echo "Installing the dependencies into .venv, the first time only ..."
	@$(PYTHON) -m venv .venv
	@$(INSTALL) -r requirements.lock
	@$(INSTALL) -r requirements-demo.lock || \
		echo "The embedded broker can't be installed here: set KAFKA_BROKERS to a Kafka of your own."
	@touch $@

$(READY): $(RUNNABLE) requirements-dev.lock
	@$(INSTALL) -r requirements-dev.lock
	@touch $@
