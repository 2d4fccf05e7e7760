/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* fuzz_image: any bytes as a JPEG, PNG, BMP, PPM or PGM picture.

       clang -g -O1 -fsanitize=fuzzer,address,undefined,float-cast-overflow \
             -fno-sanitize-recover=all -I. tests/fuzz/fuzz_image.c -o build/fuzz_image -lm
       build/fuzz_image -dict=tests/fuzz/image.dict -max_len=2048 -timeout=10 build/corpus \
             tests/fuzz/corpus/image

   (build/corpus is an empty folder for what is found.) */
#include "fuzz.h"

/* What mutations do to a PNG file stays behind its checksums, so they are made right again. */
static void repair_png(uint8_t *p, size_t size) {
    size_t at = 8, length;
    for (; size >= 20 && size - at >= 12; at += 12 + length) {
        length = (size_t)sal__uint(p + at, 4, 1);
        if (length > size - at - 12) return;
        sal__put_u32_be(p + at + 8 + length, sal__crc32(p + at + 4, length + 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_use use = { 0, 0 };
    sal_ctx ctx;
    sal_image image;
    sal__about about;
    volatile unsigned char last;
    uint8_t *copy = (uint8_t *)malloc(size > 0 ? size : 1);
    int w = 0, h = 0, png = size > 14 && data[0] == 0x89;
    memcpy(copy, data, size);
    if (png) repair_png(copy, size);
    fuzz_start(&ctx, &use);
    memset(&about, 0, sizeof about);
    /* large pictures are right, but slow to try */
    if (png || (size > 14 && data[0] == 0xFF)) {
        sal__stb_open(&ctx, copy, size, "fuzz", &about, &w, &h);
        sal_free(&ctx, about.profile);
    } else if (size > 26 && data[0] == 'B') {
        w = SAL__MIN(abs((int32_t)sal__u32_le(copy + 18) / 2), 1 << 29);
        h = SAL__MIN(abs((int32_t)sal__u32_le(copy + 22) / 2), 1 << 29);
        if (sal__u32_le(copy + 14) < 16) w = h = 0;
    }
    if ((double)w * h <= 1 << 20) {
        if (sal_image_load_memory(&ctx, copy, size, "fuzz", &image) == SAL_OK) {
            fuzz_must(image.w > 0 && image.h > 0);
            last = image.data[(size_t)image.w * (size_t)image.h * 3 - 1];
            if (image.rgba) last = image.rgba[(size_t)image.w * (size_t)image.h * 4 - 1];
            if (image.profile) last = image.profile[image.profile_size - 1];
            (void)last;
            sal_image_free(&ctx, &image);
        } else {
            fuzz_must(!image.data && !strncmp(sal_error(&ctx), "fuzz: ", 6));
        }
    }
    free(copy);
    fuzz_must(use.live == 0);
    return 0;
}
