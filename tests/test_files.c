/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* How files are written: to a new name beside the old file, which then takes its place. */
#include "stb_memory.h"
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"

#define PLACE "build/test_files_place"

/* How many files in the folder have names that end so. */
static int count_files(sal_ctx *ctx, const char *end) {
    char **names;
    int n = 0, all;
    if (sal_dir_list(ctx, PLACE, &names, &all)) return -1;
    for (int i = 0; i < all; i++) n += ends_with(names[i], end);
    sal_free(ctx, names);
    return n;
}

/* What an earlier test, perhaps one that was stopped, has left. */
static void clear(sal_ctx *ctx, const char *folder) {
    char path[300], **names;
    int n;
    if (sal_dir_list(ctx, folder, &names, &n)) return;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    sal_free(ctx, names);
}

/* Whichever of stb's calls for memory fails: the result says memory, not damage, and nothing is lost. */
static void test_stb_memory(sal_ctx *ctx) {
    static const unsigned char abc[] = { 0x78, 1, 1, 3, 0, 0xFC, 0xFF, 'a', 'b', 'c', 2, 0x4D, 1, 0x27 };
    static const char *const names[] = { PLACE "/a.png", PLACE "/a.jpg" };
    sal_image image, back;
    unsigned char *data;
    size_t n;
    int damaged = 0, other = 0, failed = 0, silent = 0;
    if (sal_image_new(ctx, 20, 12, &image)) return;
    for (int i = 0; i < 720; i++) image.data[i] = (unsigned char)(i * 7 % 251);
    for (int k = 0; k < 2; k++) {
        CHECK(!sal_image_save(ctx, names[k], &image), "%s is saved", names[k]);
        stb_calls = 0;
        CHECK(!sal_image_load(ctx, names[k], &back) && stb_calls > 3, "and takes memory to load");
        for (int calls = stb_calls, i = 1; i <= calls; i++) {
            sal_image again;
            stb_calls = 0; stb_fails_at = i;
            ctx->error[0] = 0;
            sal_result r = sal_image_load(ctx, names[k], &again);
            stb_fails_at = 0;
            silent += r != SAL_OK && !strstr(ctx->error, "memory");
            failed += r == SAL_ERR_MEMORY;
            damaged += r != SAL_OK && r != SAL_ERR_MEMORY;
            other += r == SAL_OK && memcmp(again.data, back.data, 720) != 0;
            sal_image_free(ctx, &again);
        }
        sal_image_free(ctx, &back);
        remove(names[k]);
    }
    CHECK(failed > 5 && !damaged && !other, "lack of memory is no damage (%d: %d, %d)", failed, damaged,
          other);
    CHECK(!silent, "and always comes with a sentence (%d)", silent);
    failed = damaged = 0;
    for (int i = 1; i <= 9; i++) {
        stb_calls = 0; stb_fails_at = i;
        sal_result r = sal_inflate(ctx, abc, sizeof abc, "abc", &data, &n);
        stb_fails_at = 0;
        failed += r == SAL_ERR_MEMORY;
        damaged += r != SAL_OK && r != SAL_ERR_MEMORY;
        sal_free(ctx, data);
    }
    CHECK(failed && !damaged, "nor is it in a zlib stream (%d, %d)", failed, damaged);
    sal_image_free(ctx, &image);
}

/* Two writers of one file, at the same time. */
static void test_temporary(sal_ctx *ctx) {
    sal__output a, b;
    unsigned char *data;
    size_t size = 0;
    char first[200], longest[400] = "";
    CHECK(!sal__output_begin(ctx, PLACE "/file", &a) && !sal__output_begin(ctx, PLACE "/file", &b) &&
          strcmp(a.temporary, b.temporary) && count_files(ctx, ".tmp") == 2 &&
          count_files(ctx, "file") == 0, "each writer has a file of its own, beside the one that it "
          "will be");
    errno = 0;
    CHECK(sal__create_file(a.temporary) < 0 && errno == EEXIST, "which nobody else had, or gets");
    snprintf(first, sizeof first, "%s", a.temporary);
    sal__output_append(&a, "first", 5);
    sal__output_append(&b, "second", 6);
    CHECK(!sal__output_end(&b) && !sal__output_end(&a) &&
          !sal_file_read(ctx, PLACE "/file", &data, &size) && size == 5 && !memcmp(data, "first", 5)
          && count_files(ctx, ".tmp") == 0, "the last one is what is there at the end");
    if (size) sal_free(ctx, data);
    CHECK(!sal__output_begin(ctx, PLACE "/file", &a) && strcmp(a.temporary, first),
          "the next one's name is another");
    a.reason = ENOSPC;
    CHECK(sal__output_end(&a) == SAL_ERR_IO && count_files(ctx, ".tmp") == 0 &&
          sal_path_kind(PLACE "/file") == 0, "after a failure the old file stays, and nothing else");
    CHECK(!sal_folder_make(ctx, PLACE "/folder") &&
          sal_file_write(ctx, PLACE "/folder", "x", 1) == SAL_ERR_IO &&
          count_files(ctx, ".tmp") == 0, "so it is where a folder has the name: %s", ctx->error);
    remove(PLACE "/file");
    memset(longest + snprintf(longest, sizeof longest, PLACE "/"), 'n', 250);
    CHECK(!sal_file_write(ctx, longest, "x", 1), "a name may be as long as names can be: %s", ctx->error);
    remove(longest);
}

#ifndef _WIN32
static void test_modes(sal_ctx *ctx) {
    struct stat s;
    mode_t was = umask(027);
    int ok = !sal_file_write(ctx, PLACE "/file", "x", 1) && !stat(PLACE "/file", &s);
    umask(was);
    CHECK(ok && (s.st_mode & 0777) == 0640, "a file may be read by whom umask says (%o)",
          ok ? (unsigned)(s.st_mode & 0777) : 0);
    remove(PLACE "/file");
    ok = !sal_file_write(ctx, PLACE "/folder/file", "old", 3) &&
         !symlink("folder/file", PLACE "/link") && !sal_file_write(ctx, PLACE "/link", "new", 3);
    unsigned char *data = NULL;
    size_t size;
    CHECK(ok && !lstat(PLACE "/link", &s) && S_ISLNK(s.st_mode) &&
          !sal_file_read(ctx, PLACE "/folder/file", &data, &size) && !memcmp(data, "new", 3),
          "a link stays a link: the file that it names is written");
    sal_free(ctx, data);
    remove(PLACE "/link"); remove(PLACE "/folder/file");
}
#endif

int main(void) {
    sal_ctx ctx = ZEROED;
    sal_folder_make(&ctx, PLACE);
    clear(&ctx, PLACE "/folder");
    clear(&ctx, PLACE);
    test_stb_memory(&ctx);
    test_temporary(&ctx);
#ifndef _WIN32
    test_modes(&ctx);
#endif
    CHECK(count_files(&ctx, "file") == 0, "nothing is left");
    remove(PLACE "/folder"); remove(PLACE);
    return test_done();
}
