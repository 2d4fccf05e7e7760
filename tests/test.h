/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* What every test program shares: statements that hold or do not, one line each. Include it after
   saliency.h. */
#ifndef SAL_TEST_H
#define SAL_TEST_H

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef _WIN32           /* what the tests need of other systems */
#  include <direct.h>
#  include <fcntl.h>
#  include <io.h>
#  define TEST_FOLDER "build"
#  define setenv(name, value, replace) _putenv_s(name, value)
#  define unsetenv(name) _putenv_s(name, "")
static inline char *mkdtemp(char *path) { return _mktemp(path) && !_mkdir(path) ? path : NULL; }
static inline int truncate(const char *path, long size) {
    int file = _open(path, _O_RDWR | _O_BINARY), failed = file < 0 || _chsize(file, size);
    if (file >= 0) _close(file);
    return -failed;
}
#else
#  include <unistd.h>
#  define TEST_FOLDER "/tmp"
#endif

#undef MIN
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define TRY(call) do { sal_result r_ = (call); if (r_ != SAL_OK) return r_; } while (0)
#ifdef __cplusplus      /* T x = ZEROED; */
#  define ZEROED {}
#else
#  define ZEROED { 0 }
#endif

static int test_passed, test_failed, test_skipped;

#define CHECK(condition, ...) test_check((condition) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)
#define SKIP(...) (test_skipped++, printf("skip "), printf(__VA_ARGS__), printf("\n"))

#if defined(__GNUC__)
__attribute__((format(printf, 4, 5), unused))
#endif
static int test_check(int ok, const char *file, int line, const char *format, ...) {
    va_list args;
    printf(ok ? "ok   " : "FAIL ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    if (ok) printf("\n"); else printf("   (%s:%d)\n", file, line);
    if (ok) test_passed++; else test_failed++;
    fflush(stdout);
    return ok;
}

/* FNV-1a, 64 bits. */
static inline uint64_t hash_on(uint64_t h, const void *data, size_t size) {
    const unsigned char *p = (const unsigned char *)data;
    for (size_t i = 0; i < size; i++) h = (h ^ p[i]) * 0x100000001B3u;
    return h;
}

static inline int ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static inline sal_param *param_named(const sal_net *net, const char *name) {
    for (int i = 0; i < net->params; i++)
        if (!strcmp(net->param[i].name, name)) return &net->param[i];
    return NULL;
}

static int test_done(void) {
    printf("%d passed, %d failed", test_passed, test_failed);
    if (test_skipped) printf(", %d skipped", test_skipped);
    printf("\n");
    return test_failed != 0;
}

#endif
