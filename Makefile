# Two commands do all the set-up: `make run` and `make test`.
.PHONY: run build test gen check unit api crash asan fuzz-smoke fuzz soak conformance bench clean format

export MILLRACE_CACHE ?= $(HOME)/.cache/millrace
JOBS ?= $(shell nproc)

run: build
	@exec build/millrace serve

build:
	@scripts/setup
	@cmake --preset release >/dev/null
	@ninja -C build/release -j$(JOBS) millrace
	@cp -f build/release/millrace build/millrace

test:
	@scripts/test all

gen:
	@scripts/setup --dev
	@"$(MILLRACE_CACHE)/venv/bin/python" tools/gen_api.py

check unit api crash asan fuzz-smoke:
	@scripts/test $@

fuzz:
	@scripts/fuzz 1000000

soak:
	@scripts/soak

conformance:
	@scripts/conformance

bench:
	@scripts/bench

format:
	@clang-format -i $$(git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' | grep -v '/gen_')

clean:
	@rm -rf build
