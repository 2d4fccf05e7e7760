/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* train_yours: lite learns from your own pictures, wherever they come from; here it draws them.

       gcc -O2 -fopenmp examples/train_yours.c -o train_yours -lm  &&  ./train_yours

   Replace draw() by what loads yours. Pictures in folders: train.c and dataset.h. */
#include <stdio.h>
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"

/* Picture i: noise with a bright spot, which five people look at. Many threads call this. */
static sal_result draw(void *first, sal_ctx *ctx, int i, sal_sample *s) {
    enum { W = 128, H = 96, PEOPLE = 5 };
    sal_rng rng = { (uint64_t)(*(int *)first + i) };
    int k, x = 16 + (int)sal_rng_below(&rng, W - 32), y = 16 + (int)sal_rng_below(&rng, H - 32);
    sal_result r = sal_image_new(ctx, W, H, &s->image);
    for (k = 0; !r && k < 3 * W * H; k++) {
        int dx = k / 3 % W - x, dy = k / 3 / W - y;
        s->image.data[k] = (unsigned char)(dx * dx + dy * dy < 100 ? 220
                                           : 60 + sal_rng_below(&rng, 80));
    }
    s->fixation = r ? NULL : (sal_fixation *)sal_alloc(ctx, PEOPLE, sizeof *s->fixation);
    if (!s->fixation) return SAL_ERR_MEMORY;
    for (s->fixations = 0; s->fixations < PEOPLE; s->fixations++) {
        s->fixation[s->fixations].x = (float)(x + 3 * sal_rng_normal(&rng));
        s->fixation[s->fixations].y = (float)(y + 3 * sal_rng_normal(&rng));
    }
    return sal_density(ctx, s->fixation, PEOPLE, W, H, 5, &s->density);     /* sigma: 5 pixels */
}

int main(int argc, char **argv) {
    int first = 1, later = 1001;
    sal_source mine = { 48, draw, &first, NULL }, others = { 12, draw, &later, NULL };
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_LITE);
    sal_train_result result;
    sal_ctx ctx = { 0 };
    sal_net *net = NULL;
    (void)argv;
    if (argc > 1) return fprintf(stderr, "usage: train_yours (it writes yours.safetensors)\n"), 2;
    d.train = &mine; d.val = &others;
    d.freeze = "backbone."; d.epochs = 3; d.out = "yours.safetensors";
    sal_result r = sal_net_load_lite(&ctx, &net);
    if (!r) { net->desc.h = 96; net->desc.w = 128; }    /* learnt at this size of the input */
    if (!r) r = sal_train(&ctx, net, &d, &result);
    if (!r) printf("%s: CC %.3f on pictures that it did not learn from\n", d.out, result.val_cc);
    else fprintf(stderr, "%s\n", sal_error(&ctx));
    sal_net_free(&ctx, net);
    return r != SAL_OK;
}
