# imagify. `make help` lists what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO          ?= go
CACHE       := $(CURDIR)/.cache
TOOLS       := $(CACHE)/bin
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# nomsgpack leaves out a codec of gin's that imagify does not use.
TAGS        := nomsgpack
LDFLAGS     := -s -w -X main.version=$(VERSION)

GOLANGCI_LINT_VERSION := v2.15.0
GOFUMPT_VERSION       := v0.12.0

FUZZTIME ?= 20s
WORSTTIME ?= 10m
COUNT    ?= 1

export CGO_ENABLED ?= 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Start imagify with sample users and pictures on a temporary folder; prints the address and credentials
	@./bin/imagify demo

.PHONY: cluster
cluster: build servers ## Start three nodes behind nginx with MySQL, Redis and an S3 service on free local ports; prints the address
	@$(GO) build -tags $(TAGS) -o bin/cluster ./examples/compose
	@./bin/cluster -imagify bin/imagify

.PHONY: build
build: ## Build bin/imagify, one static binary
	@mkdir -p bin
	$(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/imagify ./cmd/imagify

.PHONY: test
test: needs-gcc servers ## Run every test with the race detector on real servers; installs what it needs where it may
	CGO_ENABLED=1 $(GO) test -race -tags $(TAGS) -timeout 20m -count $(COUNT) ./...

.PHONY: quick
quick: ## The tests that need no server and take no time, for while you work: a few seconds once built
	$(GO) test -short -tags $(TAGS) ./domain ./ports ./app ./adapters/memory ./adapters/fileblob ./adapters/sqliterepo ./adapters/backends ./adapters/ginapi/... ./cmd/internal/settings ./cmd/internal/archive

.PHONY: servers
servers: ## Install the servers that the tests start: MySQL, MariaDB, Redis, an S3 gateway, nginx, Chromium
	@bash ports/porttest/realserver/install.sh

.PHONY: guarantees
guarantees: servers ## The guarantees at their full figures: hours of kills, soaks and load
	IMAGIFY_FULL=1 $(GO) test -tags $(TAGS) -timeout 120m -count 1 -run 'Promise' -v ./...

.PHONY: lint
lint: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION) ## Check style, the layers' imports and common mistakes
	$(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION) run --build-tags $(TAGS) ./...
	$(GO) vet -tags $(TAGS),noheic ./...
	@test -z "$$($(GO) mod tidy -diff)" || { echo "go.mod is not tidy: run 'go mod tidy'"; exit 1; }

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION) ## Format the code
	$(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION) fmt ./...

.PHONY: cover
cover: ## Coverage of the core; fails under 90 % in domain and app
	@mkdir -p $(CACHE)
	@for p in domain app; do \
		$(GO) test -tags $(TAGS) -count 1 -coverprofile=$(CACHE)/$$p.cover -coverpkg=./$$p ./$$p >/dev/null; \
		$(GO) tool cover -func=$(CACHE)/$$p.cover | awk -v p=$$p '/^total:/ {sub("%","",$$3); printf "%-8s %s %%\n", p, $$3; if ($$3+0 < 90) bad=1} END {exit bad}'; \
	done

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZTIME each (20s)
	@for pkg in $$($(GO) list -tags $(TAGS) ./...); do \
		for f in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$pkg 2>/dev/null | grep '^Fuzz' || true); do \
			echo "== $$pkg $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg; \
		done; \
	done

MUTATE_PACKAGES := ./domain ./app ./adapters/memory ./adapters/internal/bunrepo ./adapters/fileblob ./adapters/ginapi
MUTATE_SAMPLE   ?= 0

.PHONY: mutate
mutate: ## Plant small faults one at a time and tell which no test notices (hours; MUTATE_SAMPLE=500 takes a share)
	$(GO) run ./cmd/internal/mutate -tags $(TAGS) -sample $(MUTATE_SAMPLE) $(MUTATE_PACKAGES)

.PHONY: mutate-quick
mutate-quick: ## A fixed sample of 60 faults in domain and app; fails below its floor (10 minutes)
	$(GO) run ./cmd/internal/mutate -tags $(TAGS) -sample 60 -floor 0.7 ./domain ./app

.PHONY: worst-inputs
worst-inputs: ## Search for the inputs that cost a codec the most, WORSTTIME each (10m)
	@for pkg in $$($(GO) list -tags $(TAGS) ./adapters/nativeresizer/...); do \
		for f in $$($(GO) test -tags $(TAGS) -list '^FuzzWorst' $$pkg 2>/dev/null | grep '^FuzzWorst' || true); do \
			echo "== $$pkg $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(WORSTTIME) -fuzzminimizetime 20x $$pkg; \
		done; \
	done

.PHONY: bench
bench: ## The project's own benchmarks
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem ./...

.PHONY: bench-list
bench-list: ## A page at the front and at the back of one user's 1,000,000 images: SQLite, and MySQL and MariaDB among 10,000,000 (5 minutes)
	$(GO) test -tags $(TAGS) -run '^$$' -bench ImageList -benchtime 2000x ./adapters/sqliterepo
	IMAGIFY_BENCH_ROWS=1000000 $(GO) test -tags $(TAGS) -run '^$$' -bench ImageList -benchtime 2000x -timeout 60m ./adapters/mysqlrepo

.PHONY: bench-serve
bench-serve: build ## CPU a request of warm thumbnail, list and link beside a bare gin handler, in one run
	@$(GO) build -tags $(TAGS) -o bin/servebench ./cmd/internal/servebench
	@./bin/servebench -imagify bin/imagify

.PHONY: bench-peers
bench-peers: ## The resizer beside libvips, Pillow, djpeg and bild on real photographs, with quality and memory
	@bash cmd/internal/peerbench/run.sh

.PHONY: bench-cold
bench-cold: ## CPU of an upload and of a cold thumbnail over HTTP, with the fast and the plain resizer, and the memory of 16 at once
	@$(GO) build -tags $(TAGS) -o bin/coldbench ./cmd/internal/coldbench
	@./bin/coldbench

.PHONY: bench-lambda
bench-lambda: needs-pillow ## The function's start, its warm thumbnail beside the same by Pillow, its memory
	@$(GO) run -tags $(TAGS) ./cmd/internal/lambdabench

.PHONY: lambda
lambda: ## Pack the Lambda function, dist/imagify-lambda-{arm64,amd64}.zip
	@$(GO) run -tags $(TAGS) ./cmd/internal/lambdazip -tags '$(TAGS)' -version '$(VERSION)' -o dist

.PHONY: screenshots
screenshots: servers ## Redraw the README's pictures of the pages
	IMAGIFY_SCREENSHOTS=$(CURDIR)/adapters/ginapi/pages/web/screenshots $(GO) test -tags $(TAGS) -count 1 -run '^TestScreenshots$$' ./adapters/ginapi/

.PHONY: needs-gcc
needs-gcc:
	@command -v gcc >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev; \
		else \
			echo "the race detector needs gcc: run 'sudo apt-get install -y gcc libc6-dev' (or your system's like) and try again"; exit 1; \
		fi; }

.PHONY: needs-pillow
needs-pillow:
	@/usr/bin/python3 -c 'import PIL' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pil; \
		else \
			echo "without Pillow there is nothing to compare with: sudo apt-get install -y python3-pil"; \
		fi; }

$(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(TOOLS)/golangci-lint $@

.PHONY: clean
clean: ## Remove what was built and fetched
	rm -rf bin dist $(CACHE)
