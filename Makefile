# Every target is one line a person could type. `make demo` and `make test` are all a newcomer
# needs; both build what they use.
CARGO ?= cargo
PREFIX ?= /usr/local
SEEDS ?= 200
CASES ?= tests/conformance
MINUTES ?= 1
STATIC_TARGET := $(shell uname -m)-unknown-linux-gnu
# Relocations are packed, and equal functions are one, where linker and C library can do that: a
# program of three lines must link and run.
PACKED := -Wl,-z,pack-relative-relocs
FOLDED := -Wl,--icf=safe
LINKS = $(shell d=$$(mktemp -d) && echo 'fn main() {}' > $$d/a.rs && cd $$d && \
	rustc -C target-feature=+crt-static -C link-arg=$(1) a.rs 2>/dev/null && ./a && echo -C link-arg=$(1); rm -rf $$d)
STATIC_FLAGS = -C target-feature=+crt-static $(call LINKS,$(PACKED)) $(call LINKS,$(FOLDED))

.PHONY: demo test test-static conformance check ci sim soak bench static install clean

demo: ## Build, run a tree that breaks on purpose and heals, clean up.
	$(CARGO) build --release --bins
	config/demo/run.sh

test: ## Scenarios, conformance, simulator, real processes, command line, documents.
	$(CARGO) test --all-targets

test-static: ## The static binaries alone in an empty root, as PID 1 of a random user.
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) test --target $(STATIC_TARGET) \
		--target-dir target/static --test static_root

check: ## Formatting, lints, rules of the house.
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --test static_root --test soak -- -D warnings
	$(CARGO) test --test tidy

ci: ## What CI runs, all of it.
	.ci/run

conformance: ## Recorded OTP behaviour with real processes: make conformance CASES=DIR
	$(CARGO) run --release --example otp_conformance -- --real $(CASES)

sim: ## Seeded worlds against the invariants: make sim SEEDS=10000
	$(CARGO) run --release --example simulate_worlds -- --seeds $(SEEDS)

soak: ## A busy daemon for a while, watched: make soak MINUTES=60
	$(CARGO) test --release --test soak -- $(MINUTES)

bench: ## supd beside its peers and the physical limit.
	packaging/bench.sh

static: ## Static binaries in target/$(STATIC_TARGET)/release.
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --release --bins --target $(STATIC_TARGET)

install: ## Install supd, supctl and their manual pages below PREFIX.
	$(CARGO) build --release --bins
	install -D -m 0755 target/release/supd $(DESTDIR)$(PREFIX)/sbin/supd
	install -D -m 0755 target/release/supctl $(DESTDIR)$(PREFIX)/bin/supctl
	for page in supctl.1 supd.toml.5 supd-protocol.7 supd.8; do \
	    install -D -m 0644 packaging/man/$$page \
	        $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$page; done

clean:
	$(CARGO) clean
