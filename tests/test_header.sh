#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# The header as people compile it: C99 and C++11, gcc and clang, every configuration macro, without a
# warning; several files in one program; nothing printed, nothing exported but sal_... With ALL=1 each
# configuration in each language by each compiler, else each configuration once by each.
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
strict="-Wall -Wextra -Wpedantic -Werror -I. $(pkg-config --cflags stb 2>/dev/null)"

# check STATEMENT COMMAND...: does the command succeed? If not, show what it says.
check() {
    statement=$1
    shift
    if "$@" >"$dir/log" 2>&1; then passed=$((passed + 1)); echo "ok   $statement"
    else failed=$((failed + 1)); echo "FAIL $statement"; head -n 20 "$dir/log"
    fi
}

# The header alone, as an implementation and as declarations.
printf '#define SALIENCY_IMPLEMENTATION\n#include "saliency.h"\n' >"$dir/whole.c"
printf '#include "saliency.h"\nint nothing;\n' >"$dir/api.c"

# dataset.h needs nothing but the public functions: here the others are in another file.
cat >"$dir/sets.c" <<'END'
#include "saliency.h"
#define DATASET_IMPLEMENTATION
#include "examples/dataset.h"
#ifdef __cplusplus
extern "C"
#endif
int sets(sal_ctx *ctx);
int sets(sal_ctx *ctx) { sal_dataset set; return sal_dataset_open(ctx, "no such", NULL, &set); }
END
cat >"$dir/sets_main.c" <<'END'
#include <string.h>
#include "saliency.h"
#ifdef __cplusplus
extern "C"
#endif
int sets(sal_ctx *ctx);
int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    return sets(&ctx) == SAL_ERR_IO && strstr(sal_error(&ctx), "no such folder") ? 0 : 1;
}
END

# What the programs share is C++, too.
cat >"$dir/shared.c" <<'END'
#define SALIENCY_IMPLEMENTATION
#include "saliency.h"
#define DATASET_IMPLEMENTATION
#include "examples/dataset.h"
static const char program[] = "shared";
#include "examples/cli.h"
int main(void) { return complain("%d", sal_path_kind(".")); }
END

# A program of two files and the implementation, and one more with stb_image of its own.
cat >"$dir/one.c" <<'END'
#include <string.h>
#ifdef BOTH
#define SALIENCY_IMPLEMENTATION
#endif
#include "saliency.h"
#ifdef __cplusplus
extern "C"
#endif
int two(sal_ctx *ctx);
int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    return two(&ctx) == 10 && strstr(sal_error(&ctx), "644") ? 0 : 1;
}
END
cat >"$dir/two.c" <<'END'
#include <string.h>
#ifdef BOTH
#define SALIENCY_IMPLEMENTATION
#endif
#include "saliency.h"
#ifdef __cplusplus
extern "C"
#endif
int two(sal_ctx *ctx);
int two(sal_ctx *ctx) {
    sal_net *net;
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_MLNET);
    float a[2] = { 1, 2 }, b[2] = { 3, 4 }, c[2];
    sal_add_forward(c, a, b, 2);
    desc.w = 644;
    return sal_net_new(ctx, &desc, &net) == SAL_ERR_SHAPE ? (int)(c[0] + c[1]) : 0;
}
END
cat >"$dir/stb.c" <<'END'
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#if defined(__has_include)
#if __has_include(<stb/stb_image.h>)
#define FOLDER
#endif
#endif
#ifdef FOLDER
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#else
#include "stb_image.h"
#include "stb_image_write.h"
#endif
END

# stb with its implementation in the same file, and turned upside down there: pictures stay upright.
cat >"$dir/stb.h" <<'END'
#if defined(__has_include)
#if __has_include(<stb/stb_image.h>)
#define STB(name) <stb/name>
#endif
#endif
#ifndef STB
#define STB(name) #name
#endif
#include STB(stb_image.h)
#include STB(stb_image_write.h)
#if defined(__has_include)
#if __has_include(STB(stb_image_resize.h))
#include STB(stb_image_resize.h)
#endif
#endif
END
cat >"$dir/macros.h" <<'END'
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_IMPLEMENTATION
END
cat >"$dir/same.c" <<'END'
#ifdef PRIVATE          /* (stb wants this with the declarations, too) */
#define STB_IMAGE_STATIC
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_RESIZE_STATIC
#endif
#if ORDER == 0          /* implementation, header */
#include "macros.h"
#include "stb.h"
#elif ORDER == 1        /* declarations, header, implementation */
#include "stb.h"
#elif ORDER == 2        /* all macros first; header, stb */
#include "macros.h"
#endif                  /* 3: header, macros, stb */
#define SALIENCY_IMPLEMENTATION
#include "saliency.h"
#if ORDER == 1 || ORDER == 3
#include "macros.h"
#endif
#if ORDER
#include "stb.h"
#endif
int main(void) {
    unsigned char pixels[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, small[3];
    unsigned char gif[] = "GIF89a\1\0\1\0\x80\0\0\xFF\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";
    int w, h, n, flip;
    sal_ctx ctx;
    sal_image image;
    memset(&ctx, 0, sizeof ctx);
    if (!stbi_write_png("same.png", 2, 2, 3, pixels, 6) || !stbi_info("same.png", &w, &h, &n) ||
        w != 2 || h != 2 || n != 3 ||
#ifdef STBIR_INCLUDE_STB_IMAGE_RESIZE_H
        !stbir_resize_uint8(pixels, 2, 2, 6, small, 1, 1, 3, 3) ||
#endif
        !stbi_info_from_memory(gif, sizeof gif, &w, &h, &n) || w != 1) return 1;
    for (flip = 0; flip < 4; flip++) {
        stbi_set_flip_vertically_on_load(flip & 1);
        stbi_flip_vertically_on_write(flip >> 1);
        if (sal_image_load(&ctx, "same.png", &image) || memcmp(image.data, pixels, 12) ||
            sal_image_save(&ctx, "same.png", &image)) return 2 + flip;
        sal_image_free(&ctx, &image);
    }
    return 0;
}
END

# What windows.h and math.h define, to the annoyance of everybody's names.
{ for name in near far small hyper huge pascal cdecl interface IN OUT OPTIONAL CONST VOID ERROR \
              DELETE DOMAIN OVERFLOW I; do
      echo "#define $name +"
  done
  printf '#define min(a,b) +\n#define max(a,b) +\n'; cat "$dir/whole.c"; } >"$dir/windows.c"

program() {     # compiler and flags, then the files
    compiler=$1
    shift
    $compiler $strict "$@" -o "$dir/program" -lm && "$dir/program"
}

for compiler in gcc clang; do
    if ! command -v $compiler >/dev/null; then
        echo "skip $compiler is not installed"
        skipped=$((skipped + 1))
        continue
    fi
    for standard in c99 c++11; do
        case $standard in c99) language="$compiler -x c -std=c99" ;;
                          *) language="$compiler -x c++ -std=c++11" ;; esac
        check "$compiler, $standard: the declarations alone" \
            $language $strict -fsyntax-only "$dir/api.c"
        flags="-fopenmp" rest="'' -DSALIENCY_NO_STB -DSALIENCY_NO_STDIO -DSALIENCY_NO_SIMD -DSALIENCY_STATIC"
        case $ALL$compiler$standard in 1*|gccc99|clangc++11) flags="$flags $rest" ;; esac
        for flag in $flags; do
            [ "$flag" = "''" ] && flag=
            if [ "$flag" = -fopenmp ] &&
               ! echo '#include <omp.h>' | $language -fopenmp -fsyntax-only - 2>/dev/null; then
                echo "skip $compiler, $standard has no OpenMP here"
                skipped=$((skipped + 1))
                continue
            fi
            check "$compiler, $standard: no warning${flag:+ with $flag}" \
                $language $strict $flag -fsyntax-only "$dir/whole.c"
        done
        if [ $standard = c++11 ]; then
            check "$compiler, c++20: no warning" $compiler -x c++ -std=c++20 $strict -fsyntax-only \
                "$dir/whole.c"
        fi
        for order in 0 1 2 3; do
            for private in "" -DPRIVATE; do
                [ $compiler = gcc ] || continue         # (clang: below)
                case $ALL$standard$private$order in 1*|c99?|c++11-DPRIVATE[03]) ;; *) continue ;; esac
                check "$standard: stb's implementations in the same file, order $order $private" \
                    sh -c "cd '$dir' && $language -I '$PWD' -w -DSALIENCY_NO_SIMD -DORDER=$order \
                           $private same.c -o same -lm && ./same"
            done
        done
        check "$compiler, $standard: no warning in dataset.h" \
            $language $strict -fsyntax-only "$dir/sets.c"
        case $ALL$compiler$standard in 1*|gccc++11|clangc99) ;; *) continue ;; esac
        check "$compiler, $standard: nor in cli.h beside it" \
            $language $strict -D_DEFAULT_SOURCE -fsyntax-only "$dir/shared.c"
    done
done

# The manual: its sections are those of the file, and what students are to read is there, in this order.
awk '/FINDING YOUR WAY/ { on = 1; next } on && /^       / { $1 = $1; gsub(" ", "\n"); print; next }
     on && /FOR STUDENTS/ { exit }' saliency.h >"$dir/listed"
sed -n 's/^   >>\([a-z]*\)  *.*/\1/p' saliency.h >"$dir/sections"
check "the manual lists the sections in the order of the file" diff "$dir/listed" "$dir/sections"
awk '/FOR STUDENTS/ { on = 1 } /CONTRACTS/ { exit } on && /^       [a-z0-9]/ { print $1 }' saliency.h >"$dir/stops"
while read -r stop; do grep -n -m 1 ">>$stop\b" saliency.h | sed "s/:.*/ $stop/"; done <"$dir/stops" >"$dir/found"
check "ten stops for students stand in the order of the file" sh -c "[ \$(wc -l <'$dir/found') = 10 ] &&
    sort -n -c '$dir/found'"

if command -v clang >/dev/null; then
    check "clang: stb's implementations behind the header" sh -c "cd '$dir' && clang -I '$PWD' -w \
        -DSALIENCY_NO_SIMD -DORDER=3 same.c -o same -lm && ./same"
fi
if command -v gcc >/dev/null; then
    stb=$(pkg-config --cflags stb 2>/dev/null)
    whole=build/saliency.o                              # the implementation, if `make` has compiled it
    [ -e $whole ] || { whole=$dir/whole.o; gcc $strict -fopenmp -c "$dir/whole.c" -o $whole; }
    gcc -c "$dir/stb.c" $stb -o "$dir/stb.o"
    check "C files, the implementation and stb_image of their own make one program" \
        program "gcc -fopenmp" "$dir/one.c" "$dir/two.c" $whole "$dir/stb.o"
    check "dataset.h works apart from the implementation" \
        program "gcc -fopenmp" "$dir/sets.c" "$dir/sets_main.c" $whole
    gcc $strict -DSALIENCY_STATIC -DSALIENCY_NO_SIMD -DBOTH -c "$dir/two.c" -o "$dir/private.o"
    check "a file can have a private copy beside the implementation" \
        program "gcc -fopenmp" "$dir/one.c" "$dir/private.o" $whole
    check "each of two files can have a private copy" \
        program "gcc -DSALIENCY_STATIC -DSALIENCY_NO_SIMD -DBOTH" "$dir/one.c" "$dir/private.o"
    check "macros of windows.h do not clash" gcc -I. -fsyntax-only "$dir/windows.c"
    visible='-fPIC -shared -fvisibility=hidden -DSALIENCY_NO_STB -DSALIENCY_NO_SIMD'
    check "a shared library exports what SALDEF says" sh -c "gcc -I. $visible '$dir/whole.c' \
        -DSALDEF='__attribute__((visibility(\"default\")))' -o '$dir/lib.so' -lm &&
        nm -D '$dir/lib.so' | grep -q ' T sal_saliency'"
    gcc $strict -fno-pic -DSALIENCY_NO_STB -c "$dir/whole.c" -o "$dir/alone.o"
    check "two C files make one program without stb" \
        program "gcc -no-pie -DSALIENCY_NO_STB" "$dir/one.c" "$dir/two.c" "$dir/alone.o"
    check "stb can be cut down to JPEG" \
        program "gcc -DSTBI_ONLY_JPEG -DSALIENCY_NO_SIMD -Wno-unused-function" "$dir/one.c" "$dir/two.c" "$dir/whole.c"
    check "nothing is exported but sal_..." sh -c "! nm '$dir/alone.o' | grep ' [TDBCRVW] ' |
        grep -v ' [TDBCRVW] sal_'"
    check "there are no mutable globals" sh -c "! nm '$dir/alone.o' | grep ' [bBdDC] '"
    check "the library never prints, exits, aborts or asserts" sh -c "! nm -u '$dir/alone.o' |
        grep -E ' (_?_?v?f?printf(_chk)?|puts|putchar|fputs|perror|_?exit|abort|__assert_fail)$'"
    gcc $strict -DSALIENCY_NO_STDIO $stb -c "$dir/whole.c" -o "$dir/memory.o"
    check "without stdio there is nothing of files in it" sh -c "nm -u '$dir/memory.o' | grep -q ' memcpy$' &&
        ! nm -u '$dir/memory.o' | grep -E ' _?_?(f(open|read|write|seeko?|tello?|close|getc|puts|flush|eof|error|printf)|ungetc|open|read|write|close|rename|unlink|remove|stat|opendir|readdir|fsync|getenv|getpid)(64)?(_chk)?(@.*)?$'"
    if command -v g++ >/dev/null; then
        check "g++ with optimisation: no warning, not even of its own AVX-512 header" \
            g++ -x c++ -std=c++11 $strict -O1 -c "$dir/whole.c" -o "$dir/optimised.o"
        check "C++ files use an implementation compiled as C" \
            program "g++ -fopenmp" $whole -x c++ "$dir/one.c" "$dir/two.c"
        check "so does dataset.h in a C++ file" \
            program "g++ -fopenmp" $whole -x c++ "$dir/sets_main.c" "$dir/sets.c"
    else
        echo "skip g++ is not installed"
        skipped=$((skipped + 1))
    fi
fi

if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"
else echo "$passed passed, $failed failed, $skipped skipped"; fi
[ "$failed" = 0 ]
