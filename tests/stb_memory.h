/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* stb's memory, which fails at a chosen call: set stb_fails_at to 1, 2, 3 ...; stb_calls counts. Include this
   before the implementation. */
#ifndef SAL_TEST_STB_MEMORY_H
#define SAL_TEST_STB_MEMORY_H
#include <stdlib.h>

static int stb_calls, stb_fails_at;

static void *stb_resize(void *memory, size_t size) {
    return ++stb_calls == stb_fails_at ? NULL : realloc(memory, size);
}
#define STBI_MALLOC(size) stb_resize(NULL, size)
#define STBI_REALLOC(memory, size) stb_resize(memory, size)
#define STBI_FREE(memory) free(memory)

#endif
