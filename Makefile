# The repository's own commands. `make` alone lists them.

SHELL := /bin/bash
# CI must build what was committed; a person may be in the middle of changing a dependency.
LOCKED := $(if $(CI),--locked)
# Where cargo puts the programs that it builds along with the tests; the scenarios start those.
BUILT := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

.DEFAULT_GOAL := help
.PHONY: help setup build demo test check bindings screenshots fmt soak bench bench-refresh clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

setup: ## install what build, demo, tests, checks and benchmarks need
	scripts/setup all

build: ## the programs and the desktop application, optimised, in target/release
	scripts/setup desktop
	npm --prefix ui run build --silent
	cargo build --release $(LOCKED) --package doorward --package doorward-desktop

demo: ## the whole story on this machine, with no account
	scripts/setup demo
	scripts/demo

test: ## every test that ends in reasonable time; starts what it needs by itself
	scripts/setup test
	npm --prefix tests/peers test --silent
	npm --prefix ui test --silent
	cargo build --workspace --bins $(LOCKED)
	DOORWARD_PROGRAMS=$(BUILT)/debug cargo test --workspace $(LOCKED)

check: ## format, lints, architecture, licences, unused dependencies, documentation, scripts
	scripts/setup check
	npm --prefix ui run check --silent
	npm --prefix ui run build --silent
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(LOCKED) -- -D warnings
	cargo deny $(LOCKED) --log-level error --exclude-dev check --allow unused-wrapper bans
	cargo deny $(LOCKED) --log-level error check licenses sources
	cargo machete
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items $(LOCKED)
	git grep --untracked -lE '^#!.*bash' | xargs shellcheck
	scripts/check-repo

bindings: ## write the window's types from the program's
	DOORWARD_WRITE_BINDINGS=1 cargo test $(LOCKED) --package doorward-desktop bindings

screenshots: ## the pictures in docs/screenshots, taken from the application
	scripts/setup test
	npm --prefix ui run build --silent
	cargo build --workspace --bins $(LOCKED)
	DOORWARD_PROGRAMS=$(BUILT)/debug cargo test --workspace $(LOCKED) --test it -- --ignored pictures_of_every_page

fmt: ## format the code
	cargo fmt --all

soak: ## the long tests: those whose names begin with soak
	scripts/setup test
	cargo test --release $(LOCKED) --package doorward-e2e -- --ignored --nocapture soak

bench: ## measure against a bare floor on this machine
	scripts/setup bench
	scripts/bench
	scripts/bench-desktop
	scripts/bench-proxy

bench-refresh: ## what becomes of a grant when a refresh goes wrong; writes docs/BENCHMARKS-REFRESH.md
	scripts/setup test
	DOORWARD_BENCH_DOCUMENT=docs/BENCHMARKS-REFRESH.md cargo test $(LOCKED) --package doorward-e2e -- --ignored --nocapture bench_refresh

clean: ## remove what was built or fetched into this folder
	cargo clean
	rm -rf tests/peers/node_modules tests/peers/mcp/node_modules tests/python/.venv ui/node_modules ui/dist
