# `make` or `make help` says what there is.
.DEFAULT_GOAL := help
.PHONY: help run test bench check clean image install uninstall

target := $(or $(CARGO_TARGET_DIR),target)

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

# A debug build: two minutes on two cores instead of five, and quick enough for the samples.
run: ## Install what is missing, build, and keep manifests/ running in the foreground
	@dev/prepare run
	cargo build --locked
	@dev/sample-image
	@dev/run $(target)/debug/evenkeel

test: ## Install what is missing, and run every check and test, those on the real Docker Engine included
	@dev/prepare test
	@$(MAKE) --no-print-directory check
	cargo test --locked --doc
	compose=$$(dev/compose) && if [ -n "$$compose" ]; then export EVENKEEL_COMPOSE="$$compose"; fi && cargo nextest run --locked

bench: ## Measure on the real engine and on the fake one, beside docker compose and Docker itself
	@dev/bench

check: ## Format, lints, documentation, dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	dev/deny

clean: ## Remove what `make run` made on Docker and in .evenkeel/
	@dev/clean

install: ## Build for release, and install evenkeel as a service of this host (as root)
	cargo build --locked --release
	deploy/install.sh $(target)/release/evenkeel

image: ## Build the image evenkeel:VERSION from a release build, for deploy/compose.yaml
	cargo build --locked --release
	deploy/image.sh $(target)/release/evenkeel

uninstall: ## Give the containers back to Docker, and remove the service
	deploy/uninstall.sh
