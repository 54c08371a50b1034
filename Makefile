# A thin face over Meson; every line here can be typed by hand. docs/decisions/0001 says why there are two.
.PHONY: demo build test bench hunt mutants install clean format
BUILD = build/demo
PREFIX = /usr/local
SUITE = mapping

demo: build
	$(BUILD)/quire tour

# As it is measured (bench/run): a release without the asserts of the tests, optimised as one piece: mapping and unmapping
# takes 6 % less time so.
build:
	tools/setup build
	test -f $(BUILD)/build.ninja || meson setup $(BUILD) -Dbuildtype=release -Db_lto=true -Dtests=false --prefix=$(PREFIX)
	ninja -C $(BUILD)

test:
	tools/setup test
	tests/run

# Everything that takes longer: full counts, all files through static analysis, the slow tests.
hunt:
	tools/setup test
	tests/run --hunt

# Removes one promise at a time and expects a test to notice.
mutants:
	tools/setup test
	@test -x tests/mutants/run || { echo 'there is no tests/mutants/run yet: no mutant was tried' >&2; exit 1; }
	tests/mutants/run

# make bench SUITE=store
bench:
	tools/setup bench
	bench/run $(SUITE)

install: build
	meson install -C $(BUILD) --no-rebuild

format:
	git ls-files '*.c' '*.h' | xargs clang-format-14 -i

clean:
	rm -rf build
