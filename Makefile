# SPDX-License-Identifier: Unlicense OR MIT-0
# saliency.h is one header: nothing here is needed to use it. This file is a menu.
#
#   make            the programs in build/
#   make demo       set up, build, and turn the sample photographs into maps and overlays
#   make test       set up, build and run all tests
#   make bench      how fast is each network, layer by layer; crops and scores
#   make web        build/web/saliency.html: the page, one file with program and model inside (Debian: emscripten)
#   make install    headers, programs, weights, saliency.pc and a CMake package, under PREFIX (/usr/local)
#   make uninstall  removes what make install puts there
#   make lint       compilers' warnings, cppcheck and clang-tidy over the header (as far as installed)
#   make check-all  the tests again: sanitizers, other compilers, other processors
#   make test-windows   all programs and tests, as Windows programs in wine
#   make reproduce-wepsam   WEPSAM's Fig. 2 on the data sets in DATA (about 20 minutes on two cores)
#   make reproduce-sam      SAM's tables, on DATA and the VGG-16 in VGG (under three hours on two cores)
#   make reproduce-mlnet    ML-Net's loss, prior and features (likewise)
#   make ladder     scores, milliseconds and parameters of the trained networks in one plot (some minutes)
#   make cuda       the GPU backend for every architecture that nvcc knows (needs no GPU)
#   make test-cuda  its tests, on a GPU
#   make bench-cuda how fast it is there, beside PyTorch if that is installed
#   make clean

CC      = gcc
CFLAGS  = -O2 -fopenmp -Wall -Wextra
STB     = $(shell pkg-config --cflags stb 2>/dev/null)
STB_CROSS = $(addprefix -isystem ,$(firstword $(wildcard /usr/include/stb /usr/local/include/stb)))
PREFIX  = /usr/local
BUILD   = build
DATA    = ../shared/data
VGG     = ../shared/backbones/vgg16_imagenet_f16.safetensors
NVCC    = nvcc

PROGRAMS = $(patsubst examples/%.c,$(BUILD)/%,$(wildcard examples/*.c))
TESTS    = $(patsubst tests/%.c,$(BUILD)/%,$(filter-out %/test_cuda.c,$(wildcard tests/test_*.c)))
EMULATED = $(if $(shell command -v $(CXX)),$(BUILD)/test_cuda)
SCRIPTS  = $(wildcard tests/test_*.sh)

all: $(PROGRAMS)

# The everyday model as a C array: the same bytes as its weights file.
weights/saliency_lite.h: weights/lite.safetensors weights/embed.sh
	sh weights/embed.sh weights/lite.safetensors > $@.tmp && mv $@.tmp $@

# Each program and test compiles by itself with one line. Here the implementation is compiled once and linked to all of
# them: SALIENCY_IMPLEMENTED says so. Tests that look inside the header are one program, which goes by its name.
LIBRARY = $(BUILD)/saliency.o
INSIDE  = $(patsubst %,$(BUILD)/test_%,$(shell sed -n 's/^.include "test_\(.*\)\.c"/\1/p' tests/inside.c))
HEADERS = weights/saliency_lite.h $(wildcard tests/*.h examples/*.h)

$(LIBRARY): saliency.h
	@mkdir -p $(BUILD)
	$(CC) $(CFLAGS) -I. $(STB) -DSALIENCY_IMPLEMENTATION -x c -c saliency.h -o $@

$(BUILD)/%: examples/%.c $(LIBRARY) $(HEADERS)
	$(CC) $(CFLAGS) -I. $(STB) -DSALIENCY_IMPLEMENTED $< $(LIBRARY) -o $@ -lm

$(BUILD)/test_%: tests/test_%.c $(LIBRARY) $(HEADERS)
	$(CC) $(CFLAGS) -I. $(STB) -DSALIENCY_IMPLEMENTED $< $(LIBRARY) -o $@ -lm -pthread

$(BUILD)/inside $(BUILD)/test_gradcheck: $(BUILD)/%: tests/%.c saliency.h $(HEADERS)
	@mkdir -p $(BUILD)
	$(CC) $(CFLAGS) -I. $(STB) $< -o $@ -lm -pthread

$(BUILD)/inside: $(INSIDE:$(BUILD)/%=tests/%.c) $(wildcard tests/fuzz/*.[ch])

$(INSIDE): $(BUILD)/inside
	ln -f $< $@

# The GPU backend. Its tests also run without a GPU, in an emulation (see tests/cuda_on_cpu.h).
comma := ,
KNOWN  = $(shell $(NVCC) --list-gpu-code)
ARCHITECTURES = $(foreach a,70 75 80 86 89 90 100 120,$(if $(filter sm_$(a),$(KNOWN)), \
                    -gencode arch=compute_$(a)$(comma)code=sm_$(a)))

$(BUILD)/saliency_cuda.o: saliency_cuda.cu saliency.h
	@mkdir -p $(BUILD)
	$(NVCC) -O3 $(ARCHITECTURES) -c $< -o $@

$(BUILD)/test_cuda: tests/test_cuda.c saliency_cuda.cu saliency.h $(wildcard tests/*.h)
	@mkdir -p $(BUILD)
	$(CXX) -O2 -std=c++14 -x c++ -include tests/cuda_on_cpu.h -fno-strict-aliasing -Wall -Wextra \
	    -Wno-unknown-pragmas -I. -c saliency_cuda.cu -o $@.cu.o
	$(CC) $(CFLAGS) -DCUDA_ON_CPU -I. $(STB) -c $< -o $@.o
	$(CXX) $(CFLAGS) $@.o $@.cu.o -o $@ -lm -pthread

$(BUILD)/%_gpu: tests/%.c $(BUILD)/saliency_cuda.o $(wildcard tests/*.h) examples/cli.h
	$(CC) $(CFLAGS) -I. $(STB) -c $< -o $@.o
	$(NVCC) -Xcompiler -fopenmp $@.o $(BUILD)/saliency_cuda.o -o $@ -lm

cuda: $(BUILD)/saliency_cuda.o

test-cuda: $(BUILD)/test_cuda_gpu
	@$<

bench-cuda: $(BUILD)/bench_cuda_gpu
	@python3 tests/bench_cuda.py $< || $<

# A C compiler and the stb headers are all that is needed; install them where that is allowed.
setup:
	@sh tests/setup.sh

demo: setup
	@$(MAKE) -s $(BUILD)/predict
	@mkdir -p $(BUILD)/demo
	@for photo in examples/photos/*.jpg; do \
	    name=$$(basename $$photo .jpg); \
	    $(BUILD)/predict --quiet -o $(BUILD)/demo/$$name-map.png \
	        --overlay $(BUILD)/demo/$$name-overlay.png $$photo || exit 1; \
	    echo "$$photo -> $(BUILD)/demo/$$name-map.png, $(BUILD)/demo/$$name-overlay.png"; \
	done

tests: $(TESTS)

test: setup
	@$(MAKE) -s -j$$(nproc) tests all $(EMULATED)
	@sh tests/run.sh $(SCRIPTS) $(EMULATED) $(TESTS)

bench: setup
	@$(MAKE) -s $(BUILD)/bench
	@$(BUILD)/bench

# Debian's emcc asks node for acorn, which a node from elsewhere does not find by itself.
$(BUILD)/web/saliency.js: examples/web/web.c saliency.h weights/saliency_lite.h
	@mkdir -p $(BUILD)/web
	NODE_PATH=$${NODE_PATH:-/usr/share/nodejs} emcc -O2 -msimd128 -Wall -Wextra $(STB_CROSS) $< -o $@ -sSINGLE_FILE=1 \
	    -sMODULARIZE=1 -sEXPORT_NAME=saliency -sENVIRONMENT=web -sALLOW_MEMORY_GROWTH=1 -sFILESYSTEM=0 \
	    -sEXPORTED_FUNCTIONS=_malloc,_free -sEXPORTED_RUNTIME_METHODS=UTF8ToString

$(BUILD)/web/saliency.html: examples/web/page.html $(BUILD)/web/saliency.js
	sed -e '/^saliency.js$$/{r $(BUILD)/web/saliency.js' -e 'd;}' $< > $@.tmp && mv $@.tmp $@

web: setup
	@$(MAKE) -s $(BUILD)/web/saliency.html

test-windows: setup
	@ALL=1 sh tests/test_windows.sh

lint:
	@sh tests/lint.sh

check-all: setup
	@sh tests/check-all.sh

ladder: setup $(BUILD)/evaluate $(BUILD)/bench $(BUILD)/inspect
	@sh examples/ladder.sh $(DATA) $(BUILD)/ladder $(BUILD)

reproduce-wepsam: setup $(BUILD)/train $(BUILD)/pretrain
	@sh examples/reproduce_wepsam.sh $(DATA) $(BUILD)/wepsam $(BUILD)

reproduce-sam: setup $(BUILD)/train $(BUILD)/evaluate $(BUILD)/predict
	@sh examples/reproduce_sam.sh $(DATA) $(VGG) $(BUILD)/sam $(BUILD)

reproduce-mlnet: setup $(BUILD)/train $(BUILD)/evaluate $(BUILD)/predict
	@sh examples/reproduce_mlnet.sh $(DATA) $(VGG) $(BUILD)/mlnet $(BUILD)

# As programs find it: pkg-config --cflags --libs saliency, or find_package(saliency) and saliency::saliency. The one-line
# headers in include/saliency lead from the places that the examples name, so these build unchanged.
VERSION   = $(shell sed -n 's/^.define SAL_VERSION "\(.*\)"/\1/p' saliency.h)
DEST      = $(DESTDIR)$(PREFIX)
SHARED    = $(notdir $(wildcard weights/*.safetensors))
COMMANDS  = $(notdir $(filter-out %/hello %/train_yours,$(PROGRAMS)))
INSTALLED = include/saliency.h include/saliency_lite.h include/saliency/saliency.h include/saliency/weights/saliency_lite.h \
            lib/pkgconfig/saliency.pc lib/cmake/saliency/saliency-config.cmake lib/cmake/saliency/saliency-config-version.cmake \
            $(addprefix bin/saliency-,$(COMMANDS)) $(addprefix share/saliency/,$(SHARED))

define PKG_CONFIG
prefix=$(PREFIX)
includedir=$${prefix}/include

Name: saliency
Description: where people look in a picture; one C header
Version: $(VERSION)
Cflags: -I"$${includedir}" -I"$${includedir}/saliency/weights"
Libs: -lm
endef

define CMAKE_CONFIG
get_filename_component(_prefix "$${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(saliency_WEIGHTS "$${_prefix}/share/saliency")
if(NOT TARGET saliency::saliency)
    add_library(saliency::saliency INTERFACE IMPORTED)
    set_target_properties(saliency::saliency PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
                          "$${_prefix}/include;$${_prefix}/include/saliency/weights")
    if(NOT WIN32)
        set_target_properties(saliency::saliency PROPERTIES INTERFACE_LINK_LIBRARIES m)
    endif()
endif()
unset(_prefix)
endef

define CMAKE_VERSION
set(PACKAGE_VERSION $(VERSION))
if(NOT PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
    set(PACKAGE_VERSION_COMPATIBLE TRUE)
    if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
        set(PACKAGE_VERSION_EXACT TRUE)
    endif()
endif()
endef
export PKG_CONFIG CMAKE_CONFIG CMAKE_VERSION

install: $(addprefix $(BUILD)/,$(COMMANDS))
	@for folder in bin include/saliency/weights lib/pkgconfig lib/cmake/saliency share/saliency; do \
	    install -d "$(DEST)/$$folder" || exit 1; \
	done
	install -m 644 saliency.h weights/saliency_lite.h "$(DEST)/include"
	for program in $(COMMANDS); do \
	    install $(BUILD)/$$program "$(DEST)/bin/saliency-$$program" || exit 1; \
	done
	install -m 644 $(addprefix weights/,$(SHARED)) "$(DEST)/share/saliency"
	@echo '#include "../saliency.h"' > "$(DEST)/include/saliency/saliency.h"
	@echo '#include "../../saliency_lite.h"' > "$(DEST)/include/saliency/weights/saliency_lite.h"
	@echo "$$PKG_CONFIG" > "$(DEST)/lib/pkgconfig/saliency.pc"
	@echo "$$CMAKE_CONFIG" > "$(DEST)/lib/cmake/saliency/saliency-config.cmake"
	@echo "$$CMAKE_VERSION" > "$(DEST)/lib/cmake/saliency/saliency-config-version.cmake"

uninstall:
	@for file in $(INSTALLED); do rm -f "$(DEST)/$$file" || exit 1; done
	@for folder in include/saliency/weights include/saliency lib/cmake/saliency share/saliency; do \
	    rmdir "$(DEST)/$$folder" 2>/dev/null || :; \
	done

clean:
	rm -rf $(BUILD)

.PHONY: all setup demo tests test bench cuda test-cuda bench-cuda check-all lint test-windows web \
        reproduce-wepsam reproduce-sam reproduce-mlnet ladder install uninstall clean
