/* fuzz_image: any bytes as a JPEG, PNG, BMP, PPM or PGM picture.

       clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
             -fno-sanitize=pointer-overflow,nonnull-attribute -I. \
             tests/fuzz/fuzz_image.c -o build/fuzz_image -lm
       build/fuzz_image -max_len=2048 -timeout=10 build/corpus tests/fuzz/corpus/image

   (build/corpus is an empty folder for what is found. An empty IDAT chunk makes stb_image copy 0
   bytes to a null pointer: the checks for that are off.) */
#ifndef SALIENCY_IMPLEMENTATION
#define SALIENCY_IMPLEMENTATION
#endif
#include "../../saliency.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_use use = { 0, 0 };
    sal_ctx ctx;
    sal_image image;
    volatile unsigned char last;
    int w = 0, h = 0;
    /* large pictures are right, but slow to try */
    if (sal__stb_size(data, size, &w, &h) && (double)w * h > 1 << 20) return 0;
    fuzz_start(&ctx, &use);
    if (sal_image_load_memory(&ctx, data, size, "fuzz", &image) == SAL_OK) {
        fuzz_must(image.w > 0 && image.h > 0);
        last = image.data[(size_t)image.w * (size_t)image.h * 3 - 1];
        (void)last;
        sal_image_free(&ctx, &image);
    } else {
        fuzz_must(!image.data && !strncmp(sal_error(&ctx), "fuzz: ", 6));
    }
    fuzz_must(use.live == 0);
    return 0;
}
