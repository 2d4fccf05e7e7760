/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* hello: the shortest complete program. A photograph in, a saliency map out.

       gcc -O2 examples/hello.c -o hello -lm  &&  ./hello examples/photos/coffee.jpg map.png */
#include <stdio.h>
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"

int main(int argc, char **argv) {
    sal_ctx ctx = { 0 };
    sal_image photo = { 0 };
    sal_map map = { 0 };
    sal_result r = argc == 3 ? SAL_OK : SAL_ERR_ARGUMENT;
    sal_use_lite(&ctx);
    if (!r) r = sal_image_load(&ctx, argv[1], &photo);
    if (!r) r = sal_saliency(&ctx, &photo, &map);
    if (!r) r = sal_map_save_png(&ctx, argv[2], &map);
    if (r) fprintf(stderr, "%s\n", argc == 3 ? sal_error(&ctx) : "usage: hello PHOTO MAP.png");
    sal_map_free(&ctx, &map);
    sal_image_free(&ctx, &photo);
    return r != SAL_OK;
}
