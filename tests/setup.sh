#!/bin/sh
# SPDX-License-Identifier: Unlicense OR MIT-0
# Are a C compiler and the stb headers here? If not, install them (Debian, as root) or say what to do.
probe() {
    command -v "${CC:-gcc}" >/dev/null 2>&1 &&
    printf '#if __has_include(<stb/stb_image.h>)\n#include <stb/stb_image_write.h>\n#else\n#include "stb_image.h"\n#include "stb_image_write.h"\n#endif\n' |
        "${CC:-gcc}" $(pkg-config --cflags stb 2>/dev/null) -E -x c - >/dev/null 2>&1
}

probe && exit 0
packages="gcc libc6-dev make libstb-dev"
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "setting up: $packages"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages; } >/dev/null ||
        echo "apt-get could not install them" >&2
fi
probe && exit 0
echo "A C compiler and the stb headers (stb_image.h, stb_image_write.h) are needed." >&2
echo "Debian, Ubuntu:  sudo apt-get install $packages" >&2
echo "elsewhere: put the two files of github.com/nothings/stb on the include path" >&2
exit 1
