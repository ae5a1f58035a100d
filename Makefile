# A front for CMake: `make help` lists what there is. Packages that are missing are
# installed once, by apt, those for tests and benchmarks only when they are asked for.

BUILD := build/release
BIN := $(BUILD)/ridgeline
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
SOAK_MINUTES ?= 30
# What `make run` passes on; without a model the program takes the one in models/.
ARGS ?= -p "Once upon a time" -n 200
MODEL ?= models/fireside-q8_0.gguf

BUILD_PACKAGES := cmake g++ ninja-build pkg-config libfmt-dev libexpected-dev libcli11-dev \
  nlohmann-json3-dev libpcre2-dev libutf8proc-dev libcurl4-openssl-dev libssl-dev libedit-dev libboost1.81-dev
TEST_PACKAGES := libgtest-dev libgmock-dev
BENCH_PACKAGES := libbenchmark-dev
LINT_PACKAGES := clang-format clang-tidy

CONFIGURE := cmake $(if $(shell command -v ccache),-D CMAKE_CXX_COMPILER_LAUNCHER=ccache)
# Without tests and benchmarks, and so without their packages, until they are asked for;
# then the same folder gets them, and nothing is compiled twice.
configured = { [ -f $(BUILD)/build.ninja ] || $(CONFIGURE) --preset release -D RIDGELINE_TESTS=OFF; }

# Test programs are one per floor: parsers run under the address sanitizer, what has
# threads under the thread sanitizer.
test_programs = $(foreach floor,$(1),$(if $(wildcard tests/$(floor)/*_test.cpp),test_$(floor)))
empty :=
space := $(empty) $(empty)
ASAN_FLOORS := base platform tensor quant format kv text engine server
TSAN_FLOORS := platform ops engine server

.PHONY: help build run test bench asan-ubsan tsan format lint soak install clean \
  packages test-packages bench-packages lint-packages
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 — /p' $(MAKEFILE_LIST)

build: packages ## build/release/ridgeline, the program
	@$(configured) 1>&2
	@cmake --build $(BUILD) -j $(JOBS) --target ridgeline_cli 1>&2

run: build ## a tale by the demo model, or what ARGS say: ARGS='-m MODEL.gguf -p "..." -n 100'
	@$(BIN) run $(ARGS)

test: packages test-packages ## build everything and run all tests
	@$(configured) && cmake $(BUILD) -D RIDGELINE_TESTS=ON
	@cmake --build $(BUILD) -j $(JOBS)
	@ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure --no-tests=error

asan-ubsan: packages test-packages ## parsers, engine, server under the address and undefined-behaviour sanitizers
	@$(CONFIGURE) --preset asan-ubsan
	@cmake --build build/$@ -j $(JOBS) --target $(call test_programs,$(ASAN_FLOORS))
	@ctest --test-dir build/$@ -j $(JOBS) --output-on-failure --no-tests=error \
	  -R '^($(subst $(space),|,$(ASAN_FLOORS)))\.'

tsan: packages test-packages ## everything with threads under the thread sanitizer
	@$(CONFIGURE) --preset tsan
	@cmake --build build/$@ -j $(JOBS) --target $(call test_programs,$(TSAN_FLOORS))
	@ctest --test-dir build/$@ -j $(JOBS) --output-on-failure --no-tests=error \
	  -R '^($(subst $(space),|,$(TSAN_FLOORS)))\.'

soak: test ## the tests over and over in random order, for SOAK_MINUTES
	@end=$$(($$(date +%s) + 60 * $(SOAK_MINUTES))); rounds=0; \
	while [ $$(date +%s) -lt $$end ]; do \
	  RIDGELINE_TEST_EFFORT=4 \
	  ctest --test-dir $(BUILD) -j $(JOBS) --schedule-random --output-on-failure --stop-on-failure \
	    --no-tests=error > $(BUILD)/soak.log 2>&1 || { tail -n 60 $(BUILD)/soak.log; exit 1; }; \
	  rounds=$$((rounds + 1)); echo "soak: $$rounds rounds passed"; \
	done

bench: packages bench-packages ## micro-benchmarks, then prefill and decode of MODEL
	@$(configured) && cmake $(BUILD) -D RIDGELINE_BENCH=ON
	@cmake --build $(BUILD) -j $(JOBS) --target ridgeline_cli ridgeline_benchmarks
	@for program in $(BUILD)/bench/*_bench; do $$program || exit 1; done
	@$(BIN) bench model -m $(MODEL)

format: lint-packages ## rewrite the sources as .clang-format says
	@git ls-files '*.cpp' '*.h' | xargs clang-format -i

# clang-tidy takes seconds a file: those that differ from main, or all with ALL=1.
lint: packages test-packages lint-packages ## clang-format and clang-tidy, on changed files or ALL=1
	@git ls-files '*.cpp' '*.h' | xargs clang-format --dry-run -Werror
	@{ $(configured) && cmake $(BUILD) -D RIDGELINE_TESTS=ON; } > /dev/null
	@files=$$($(if $(ALL),git ls-files,{ git diff --name-only --diff-filter=d $(or $(BASE),HEAD); \
	  git ls-files --others --exclude-standard; }) | grep -E '^(ridgeline|tests)/.*\.cpp$$' || true); \
	[ -z "$$files" ] || printf '%s\n' $$files | xargs -P $(JOBS) -n 4 clang-tidy -p $(BUILD) --quiet

install: build ## program, library, headers and CMake package, to PREFIX
	@cmake --build $(BUILD) -j $(JOBS) --target ridgeline_library
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## remove everything that was built
	@rm -rf build

# $(call need,PACKAGES): installs those that are missing. --no-remove: an installed
# package that conflicts is the owner's to resolve.
define need
@command -v dpkg-query > /dev/null || exit 0; \
missing=; for package in $(1); do \
  dpkg-query -W -f='$${db:Status-Status}\n' $$package 2> /dev/null | grep -qx installed \
    || missing="$$missing $$package"; \
done; \
[ -n "$$missing" ] || exit 0; \
if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo > /dev/null; then sudo=sudo; else \
  echo "These packages are missing; as root: apt-get install$$missing" >&2; exit 1; fi; \
echo "Installing$$missing"; \
{ $$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
    --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300 $$missing; } \
  || { echo "apt-get could not install:$$missing" >&2; exit 1; }
endef

packages:
	$(call need,$(BUILD_PACKAGES))
test-packages:
	$(call need,$(TEST_PACKAGES))
bench-packages:
	$(call need,$(BENCH_PACKAGES))
lint-packages:
	$(call need,$(LINT_PACKAGES))
