#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# make install into an empty prefix whose name has a blank, programs built from what lies there in an
# empty folder by pkg-config and by CMake, and make uninstall, which takes away exactly that.
top=$(cd "$(dirname "$0")/.." && pwd)
here=$(mktemp -d) || exit 1
trap 'rm -rf "$here"' EXIT
passed=0 failed=0 skipped=0
prefix="$here/a prefix"
says() {        # says STATUS STATEMENT: one line for a statement that holds if STATUS is 0
    if [ "$1" = 0 ]; then passed=$((passed + 1)); echo "ok   $2"
    else failed=$((failed + 1)); echo "FAIL $2"; tail -n 5 "$here/log"; fi
}
skip() { skipped=$((skipped + 1)); echo "skip $1"; }

mkdir -p "$prefix/share/saliency" "$prefix/bin" && echo mine >"$prefix/share/saliency/mine" && echo mine >"$prefix/bin/mine"
make -s -C "$top" install PREFIX="$prefix" >"$here/log" 2>&1
says $? "make install, to a prefix with a blank"
for file in include/saliency.h include/saliency_lite.h bin/saliency-predict share/saliency/lite.safetensors \
            lib/pkgconfig/saliency.pc lib/cmake/saliency/saliency-config.cmake; do
    [ -s "$prefix/$file" ]
    says $? "$file is there"
done

mkdir "$here/empty" && cp "$top/examples/hello.c" "$here/empty" && cd "$here/empty" || exit 1
photo=$top/examples/photos/coffee.jpg
"$prefix/bin/saliency-predict" -m juntingnet --threads 1 -o map.png "$photo" >"$here/log" 2>&1 && [ -s map.png ]
says $? "the installed program finds the installed weights from an empty folder"
if command -v pkg-config >/dev/null; then
    PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs saliency >flags 2>"$here/log" &&
        eval "${CC:-gcc} hello.c -o hello $(cat flags)" >"$here/log" 2>&1 && ./hello "$photo" hello.png && [ -s hello.png ]
    says $? "hello.c builds with the flags of pkg-config, in an empty folder, and runs"
    version=$(sed -n 's/^.define SAL_VERSION "\(.*\)"/\1/p' "$top/saliency.h")
    [ "$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --modversion saliency)" = "$version" ]
    says $? "pkg-config knows the version, $version"
else skip "pkg-config is not installed"
fi
if command -v cmake >/dev/null; then
    cat >CMakeLists.txt <<'LISTS'
cmake_minimum_required(VERSION 3.10)
project(hello C)
find_package(saliency 0.1 REQUIRED)
add_executable(hello hello.c)
target_link_libraries(hello saliency::saliency)
LISTS
    cmake -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug -S . -B out >"$here/log" 2>&1 &&
        cmake --build out >>"$here/log" 2>&1 && out/hello "$photo" cmake.png && [ -s cmake.png ]
    says $? "hello.c builds with CMake's find_package(saliency), and runs"
    sed -i 's/saliency 0.1/saliency 99/' CMakeLists.txt && ! cmake -DCMAKE_PREFIX_PATH="$prefix" -S . -B out2 >"$here/log" 2>&1
    says $? "which refuses a later version than there is"
else skip "cmake is not installed"
fi

make -s -C "$top" uninstall PREFIX="$prefix" >"$here/log" 2>&1
[ "$(cd "$prefix" && find . ! -type d | sort | tr '\n' ' ')" = "./bin/mine ./share/saliency/mine " ]
says $? "make uninstall removes exactly what was installed"
[ ! -d "$prefix/include/saliency" ] && [ ! -d "$prefix/lib/cmake/saliency" ]
says $? "and the folders that were its own"

if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
