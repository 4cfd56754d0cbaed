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
# What a release needs, by version: no test needs any of it, and goreleaser takes minutes to build.
GORELEASER := github.com/goreleaser/goreleaser/v2@v2.16.0
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
RELEASE_TOOLS := $(CACHE)/bin/release-$(shell echo $(GORELEASER) $(CYCLONEDX) | cksum | cut -d' ' -f1)
IMAGE := ai-backlog-ingest
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null | sed 's/^v//')
COMMIT = $(shell git rev-parse --short=12 HEAD 2>/dev/null)
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
	cd deploy && go test -count=1 -timeout $(TIMEOUT) ./...
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
	cd integration && go run ./bench $(if $(SETUPS),-setups '$(SETUPS)')

.PHONY: chaos
chaos: ## Do every fault to the pipeline, alone and mixed, and count what became of each record (docs/reliability.md)
	cd integration && CHAOS_OUT=$(if $(CHAOS_OUT),$(abspath $(CHAOS_OUT))) go run ./chaos

.PHONY: soak
soak: export INTEGRATION_KAFKA := apache
soak: ## Run for 90 minutes at 10,000 records/s with a fault every 30 s, and plot what must not grow (needs Java 17 and Maven)
	cd integration && go run ./soak

.PHONY: upgrade
upgrade: ## Upgrade under load from the commit before (UPGRADE_FROM: from that one) and back, program by program, and count
	cd integration && go test -count=1 -v -timeout $(TIMEOUT) -run UpgradeUnderLoad .

.PHONY: screenshots
screenshots: ## Take the pictures of docs/operations.md again, of a running stack through headless Chromium
	cd integration && go run ./screenshots

.PHONY: build
build: ## Build the programs into bin/
	go build -trimpath -o bin/ ./consumer ./worker ./starter

.PHONY: image
image: ## Build the image of the programs, with docker (IMAGE: its name, PUSH=yes: push it)
	docker build --file deploy/Dockerfile --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --tag $(IMAGE):$(VERSION) .
	$(if $(PUSH),docker push $(IMAGE):$(VERSION))

.PHONY: release
release: $(RELEASE_TOOLS)/built ## Build archives, checksums and bills of materials of a release into dist/ (PUBLISH=yes, on a tag: as a draft on GitHub)
	PATH=$(RELEASE_TOOLS):$$PATH goreleaser release --clean $(if $(PUBLISH),,--snapshot --skip=publish)

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what is called of each module (asks vuln.go.dev)
	@for module in $(MODULES); do echo "vuln $$module"; (cd $$module && go run $(GOVULNCHECK) ./...); done

.PHONY: licenses
licenses: ## List the licences of what is linked into the programs (docs/licenses.md), and refuse those that ask for more than their text
	cd deploy && go run ./licenses

.PHONY: clean
clean: ## Remove what was built here, bin and dist
	rm -rf bin dist
	@echo 'The data of make up stay in .devstack: delete it to begin anew.'
	@echo 'What tests and checks keep for the next run is in $(CACHE).'

.PHONY: $(DEVSTACK)
$(DEVSTACK): # the Go tool knows whether it is up to date
	cd devstack && go build -o ../$(DEVSTACK) .

$(TOOLS)/built:
	@echo 'Building the linter: once, about two minutes'
	cd tools && GOBIN=$(TOOLS) go install tool
	@touch $@

$(RELEASE_TOOLS)/built:
	@echo 'Building what a release needs: once, some minutes'
	GOBIN=$(RELEASE_TOOLS) go install $(GORELEASER)
	GOBIN=$(RELEASE_TOOLS) go install $(CYCLONEDX)
	@touch $@
