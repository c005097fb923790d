# The few commands that a newcomer needs. `make test` is what CI runs.
SHELL := /bin/bash
CARGO ?= cargo
.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench soak herd churn interleavings fuzz compare tools

help: ## list these commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

# pingora-core builds zlib-ng with cmake, in every configuration. Nothing else is needed beside Rust, make and a C compiler.
tools:
	@command -v cmake >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing cmake (needed to build zlib-ng)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq cmake >/dev/null; \
	  else \
	    echo "cmake is missing (needed to build zlib-ng). Install it, then call make again:"; \
	    echo "    sudo apt-get install cmake"; exit 1; \
	  fi; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: sudo apt-get install gcc libc6-dev"; exit 1; }

demo: tools ## proxy, origin and sample policy on loopback; prints what to try
	$(CARGO) run --quiet --bin copal -- demo

test: tools ## format, clippy, structure, unit, end-to-end, examples, docs
	.ci/test

lint: tools ## rustfmt, clippy with warnings denied, and the house rules
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --quiet -- -D warnings
	$(CARGO) run --quiet -p copal-xtask -- tidy

docs: tools ## write the generated reference pages and build the API documentation
	$(CARGO) run --quiet -p copal-xtask -- docs
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

bench: tools ## micro benches, then the same load against Copal and its installed peers
	$(CARGO) bench --bench hit
	$(CARGO) build --release --quiet
	benches/peers/run.sh

soak: tools ## 1,000 connections for a minute while the origin dies and returns (not part of test)
	$(CARGO) build --release --quiet
	ulimit -n 8192 && COPAL_SOAK_SECONDS=60 COPAL_BIN=target/release/copal $(CARGO) test --test e2e -- --ignored --nocapture soak

herd: tools ## a thousand clients on one slow page, uncacheable and then cacheable (not part of test)
	$(CARGO) test --test e2e -- --ignored --nocapture herd_of

CHURN_SECONDS ?= 600

churn: tools ## memory over ten minutes of everything at once, Copal's and an installed varnishd's (not part of test)
	$(CARGO) build --release --quiet
	ulimit -n 8192 && COPAL_CHURN_SECONDS=$(CHURN_SECONDS) COPAL_BIN=target/release/copal $(CARGO) test --test e2e -- --ignored --nocapture churn_of_copal
	@command -v varnishd >/dev/null || { echo "varnishd is missing, so there is nothing beside it: sudo apt-get install varnish"; exit 0; }; \
	  ulimit -n 8192 && COPAL_CHURN_SECONDS=$(CHURN_SECONDS) $(CARGO) test --test e2e -- --ignored --nocapture churn_of_varnish

INTERLEAVINGS ?= 100000

interleavings: ## the waiting list and the bodies under a scheduler that tries interleavings, minutes (a short run is part of test)
	COPAL_INTERLEAVINGS=$(INTERLEAVINGS) $(CARGO) test -p copal-store --features shuttle --lib shuttle_

# Each target: the bytes it may try, and how long. `make fuzz FUZZ_SECONDS=600 FUZZ_TARGETS="date etag"` for more of less.
FUZZ_SECONDS ?= 180
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/targets/*.rs)))
FUZZ_TOOLCHAIN ?= nightly

fuzz: ## feed every parser with mutated bytes, minutes each (needs nightly Rust and cargo-fuzz; not part of test)
	@$(CARGO) +$(FUZZ_TOOLCHAIN) fuzz --version >/dev/null 2>&1 || { \
	  echo "missing: rustup toolchain install $(FUZZ_TOOLCHAIN) && cargo install cargo-fuzz"; exit 1; }
	@for target in $(FUZZ_TARGETS); do \
	  echo "== $$target"; mkdir -p fuzz/corpus/$$target; \
	  $(CARGO) +$(FUZZ_TOOLCHAIN) fuzz run --fuzz-dir fuzz $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=10 -rss_limit_mb=3000 -dict=fuzz/http.dict -verbosity=0 -print_final_stats=1 || exit 1; \
	done

compare: ## the same exchanges and policies through Copal and an installed varnishd; writes docs/varnish-*.md
	@command -v varnishd >/dev/null || { echo "varnishd is missing: sudo apt-get install varnish"; exit 1; }
	$(CARGO) test --test e2e -- --ignored --nocapture compare
