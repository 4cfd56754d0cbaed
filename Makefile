# Every target runs on a machine with Go 1.26 and, for the race detector, a C compiler. Nothing else has to be installed.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ai-backlog-ingest
# Tools are built once per version: the directory is named by the checksum of tools/go.mod.
TOOLS := $(CACHE)/bin/$(shell cksum <tools/go.mod | cut -d' ' -f1)
LINT := $(TOOLS)/golangci-lint
WORKFLOWCHECK := $(TOOLS)/workflowcheck
DEVSTACK := bin/devstack
RACE := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
MODULES := . devstack integration deploy
# Tests of a package on its own; those of integration also build programs and wait through outages.
TIMEOUT := 25m
INTEGRATION_TIMEOUT := 40m

.PHONY: help
help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: $(DEVSTACK) ## Start ClickHouse, Temporal and a stand-in for Kafka on this machine, until ctrl-C
	$(DEVSTACK) up

.PHONY: demo
demo: ## Send a million records, take ClickHouse away meanwhile, and count what became of each
	cd integration && go run ./demo

.PHONY: test
test: $(DEVSTACK) ## Run all tests, against real servers (the first run takes five to ten minutes longer)
	@echo 'The first run downloads ClickHouse (180 MB) and builds Temporal, which takes five to ten minutes; both are kept in $(CACHE).'
	$(DEVSTACK) prepare
	$(DEVSTACK) exec -- go test $(RACE) -timeout $(TIMEOUT) ./...
	cd devstack && go test -timeout $(TIMEOUT) ./...
	cd deploy && go test -timeout $(TIMEOUT) ./...
	cd integration && go test -count=1 -p 1 -parallel 3 -timeout $(INTEGRATION_TIMEOUT) ./...

.PHONY: test-kafka
test-kafka: export INTEGRATION_KAFKA := apache
test-kafka: $(DEVSTACK) ## Run what tests Kafka and the integration tests on Apache Kafka (needs Java 17 and Maven)
	cd devstack && go test -count=1 -timeout $(TIMEOUT) ./stack
	$(DEVSTACK) exec -- go test -count=1 -p 1 -timeout $(TIMEOUT) ./kafka ./activities
	cd integration && go test -count=1 -p 1 -parallel 2 -timeout $(INTEGRATION_TIMEOUT) . ./chaos

.PHONY: test-containers
test-containers: ## Run the integration tests with every server in a container (needs a Docker on this machine)
	@answer=$$(cd integration && go run ./images ask); if [ "$$answer" = yes ]; then \
		cd integration && INTEGRATION_STACK=containers go test -count=1 -parallel 2 -timeout $(INTEGRATION_TIMEOUT) $(if $(RUN),-v -run '$(RUN)') . ./container; \
	fi

.PHONY: images
images: ## Build images for test-containers where no registry of them is reached; prints the variables that name them
	@cd integration && go run ./images

.PHONY: test-long
test-long: test ## Run all tests, then look for rare faults: random inputs and histories, for an hour or two
	@for target in $$(grep -rhoE --include='*_test.go' --exclude-dir=devstack --exclude-dir=integration -H '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|^\./(.*)/[^/]+:func (.*)$$|\1:\2|'); do \
		echo "fuzz $$target"; \
		go test -run '^$$' -fuzz "^$${target#*:}$$" -fuzztime 2m "./$${target%%:*}"; \
	done
	CLIENT_STORM_SECONDS=180 $(DEVSTACK) exec --only clickhouse -- go test -count=1 -timeout 10m -run Whatever ./client
	PLANLOG_HISTORIES=200000 go test -count=1 -timeout 2h ./planlog
	go test -count=1 ./batch -rapid.checks=20000
	cd integration && INTEGRATION_LONG=1 go test -count=1 -v -timeout 40m -run 'TenMinutes|AgentsStore' .

.PHONY: check
check: $(TOOLS)/built ## Check format, lint, vet, and that workflows are deterministic (the first run builds the linter: two minutes)
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	@for module in $(MODULES); do \
		echo "check $$module"; \
		(cd $$module && go vet ./...); \
	done
	@for module in . integration deploy; do \
		echo "lint $$module"; \
		(cd $$module && $(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...); \
	done
	$(WORKFLOWCHECK) ./workflows/...

.PHONY: fmt
fmt: $(TOOLS)/built ## Format all Go files
	@for module in $(MODULES); do (cd $$module && $(LINT) fmt --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: metrics
metrics: ## Write the tables of docs/metrics.md anew
	go test -count=1 -p 1 -run TestTheTableOfMetrics ./consumer ./worker ./client -update

.PHONY: dashboards
dashboards: ## Write the dashboards of deploy/grafana anew
	cd deploy && go run ./grafana

.PHONY: bench
bench: ## Measure the whole path on this machine: rows per second, and the CPU that each process takes
	cd integration && go run ./bench

.PHONY: chaos
chaos: ## Do every fault to the pipeline, alone and mixed, and count what became of each record (docs/reliability.md)
	cd integration && CHAOS_OUT=$(if $(CHAOS_OUT),$(abspath $(CHAOS_OUT))) go run ./chaos

.PHONY: soak
soak: export INTEGRATION_KAFKA := apache
soak: ## Run for 90 minutes at 10,000 records/s with a fault every 30 s, and plot what must not grow (needs Java 17 and Maven)
	cd integration && go run ./soak

.PHONY: screenshots
screenshots: ## Take the pictures of docs/operations.md again, of a running stack through headless Chromium
	cd integration && go run ./screenshots

.PHONY: build
build: ## Build the programs into bin/
	go build -trimpath -o bin/ ./consumer ./worker ./starter

.PHONY: clean
clean: ## Remove what was built here
	rm -rf bin
	@echo 'What tests and checks keep for the next run is in $(CACHE).'

.PHONY: $(DEVSTACK)
$(DEVSTACK): # the Go tool knows whether it is up to date
	cd devstack && go build -o ../$(DEVSTACK) .

$(TOOLS)/built:
	@echo 'Building the linter: once, about two minutes'
	cd tools && GOBIN=$(TOOLS) go install tool
	@touch $@
