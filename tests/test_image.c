/* Resampling, blurring, picture and map files, colours. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"

static float noise(sal_rng *rng) { return (float)sal_rng_uniform(rng); }

static double worst(const float *a, const float *b, int n) {
    double d = 0;
    int i;
    for (i = 0; i < n; i++) d = SAL__MAX(d, fabs((double)a[i] - b[i]));
    return d;
}

static void test_resize(sal_ctx *ctx) {
    static const char *const names[] = { "area", "linear", "cubic" };
    static const float ramp[4] = { 0, 1, 2, 3 };
    static const float half[3][2] = {   /* of the ramp 0 1 2 3, by hand */
        { 0.5f, 2.5f },                             /* (0+1)/2, (2+3)/2 */
        { 5 / 7.0f, 16 / 7.0f },                    /* (.75*0 + .75*1 + .25*2) / 1.75 */
        { 71 / 121.0f, 292 / 121.0f }               /* weights 111 111 29 -9 */
    };
    static const float thirds[2] = { 0.5f / 1.5f, 2.5f / 1.5f };    /* 0 1 2, 1.5 pixels each */
    static const float twice[8] = { 0, 0.25f, 0.75f, 1.25f, 1.75f, 2.25f, 2.75f, 3 };
    static const int sizes[][4] = { { 7, 5, 13, 9 }, { 40, 30, 11, 30 }, { 13, 17, 13, 4 },
                                    { 1, 1, 6, 4 }, { 300, 2, 1, 1 }, { 31, 9, 5, 40 } };
    enum { MOST = 1200 };
    float in[MOST * 3], out[MOST * 3], again[MOST * 3];
    sal_rng rng = { 1 };
    int f, i, s;
    for (f = 0; f < 3; f++) {
        sal_filter filter = (sal_filter)f;
        double off = 0, flat = 0;
        int threads = 1;
        sal_resize(ctx, out, 2, 1, ramp, 4, 1, 1, filter);
        CHECK(worst(out, half[f], 2) < 1e-6, "%s halves 0 1 2 3 to %.4f %.4f (got %.4f %.4f)",
              names[f], half[f][0], half[f][1], out[0], out[1]);
        sal_resize(ctx, again, 1, 2, ramp, 1, 4, 1, filter);
        CHECK(worst(out, again, 2) == 0, "%s treats a column as it treats a row", names[f]);
        for (s = 0; s < SAL__COUNT(sizes); s++) {
            int w = sizes[s][0], h = sizes[s][1], ow = sizes[s][2], oh = sizes[s][3];
            for (i = 0; i < w * h * 3; i++) in[i] = noise(&rng);
            ctx->threads = 1;
            sal_resize(ctx, out, ow, oh, in, w, h, 3, filter);
            ctx->threads = 3;
            sal_resize(ctx, again, ow, oh, in, w, h, 3, filter);
            if (memcmp(out, again, sizeof(float) * (size_t)(ow * oh * 3))) threads = 0;
            /* one of three interleaved channels by itself */
            for (i = 0; i < w * h; i++) again[i] = in[i * 3 + 1];
            memcpy(in, again, sizeof(float) * (size_t)(w * h));
            sal_resize(ctx, again, ow, oh, in, w, h, 1, filter);
            for (i = 0; i < ow * oh; i++) off = SAL__MAX(off, fabs(again[i] - out[i * 3 + 1]));
            for (i = 0; i < w * h; i++) in[i] = 0.7f;
            sal_resize(ctx, out, ow, oh, in, w, h, 1, filter);
            for (i = 0; i < ow * oh; i++) flat = SAL__MAX(flat, fabs(out[i] - 0.7));
        }
        CHECK(threads, "%s gives the same bits with 1 and 3 threads", names[f]);
        CHECK(off == 0, "%s treats interleaved channels alike", names[f]);
        CHECK(flat < 4e-6, "%s keeps a constant (error %.1e)", names[f], flat);
        for (i = 0; i < 60; i++) in[i] = noise(&rng);
        sal_resize(ctx, out, 5, 4, in, 5, 4, 3, filter);
        CHECK(!memcmp(in, out, 60 * sizeof(float)), "%s to the same size is an exact copy",
              names[f]);
    }
    sal_resize(ctx, out, 2, 1, ramp, 3, 1, 1, SAL_AREA);
    CHECK(worst(out, thirds, 2) < 1e-6, "area splits a pixel that two outputs share");
    sal_resize(ctx, out, 8, 1, ramp, 4, 1, 1, SAL_LINEAR);
    CHECK(worst(out, twice, 8) < 1e-6, "linear doubling takes quarters, and is flat at the ends");
    sal_resize(ctx, out, 8, 1, ramp, 4, 1, 1, SAL_CUBIC);
    CHECK(fabs(out[3] - 1.25) < 1e-6 && fabs(out[4] - 1.75) < 1e-6,
          "cubic doubling is exact on a ramp away from the ends");
    CHECK(sal_resize(ctx, out, 0, 1, ramp, 4, 1, 1, SAL_CUBIC) == SAL_ERR_ARGUMENT,
          "an output of no pixels is refused: %s", sal_error(ctx));
    CHECK(sal_resize(ctx, out, 1, 1, ramp, 100000, 100000, 1, SAL_CUBIC) == SAL_ERR_ARGUMENT,
          "an absurd input size is refused: %s", sal_error(ctx));
}

static void test_blur(sal_ctx *ctx) {
    enum { W = 41, H = 37, N = W * H };
    static float in[N], out[N], again[N];
    double sum = 0, second = 0, worst_flat = 0;
    int i, x, y;
    in[18 * W + 20] = 1;
    sal_blur(ctx, out, in, W, H, 2, 4, SAL_BORDER_ZERO);
    for (y = 0; y < H; y++)
        for (x = 0; x < W; x++) {
            sum += out[y * W + x];
            second += out[y * W + x] * (x - 20.0) * (x - 20.0);
        }
    CHECK(fabs(sum - 1) < 1e-6, "a blurred impulse still sums to 1 (%.7f)", sum);
    CHECK(fabs(second - 4) < 0.02, "its variance is sigma^2 (%.4f of 4)", second);
    CHECK(fabs(out[18 * W + 22] / out[18 * W + 20] - exp(-0.5)) < 1e-6 &&
          out[18 * W + 28] > 0 && out[18 * W + 29] == 0,
          "it falls by exp(-1/2) at one sigma and is cut at 4 sigma");
    CHECK(out[18 * W + 15] == out[18 * W + 25] && out[13 * W + 20] == out[23 * W + 20],
          "it is symmetric");
    memset(in, 0, sizeof in);
    in[0] = 1;
    sal_blur(ctx, out, in, W, H, 3, 2, SAL_BORDER_ZERO);
    for (sum = 0, i = 0; i < N; i++) sum += out[i];
    CHECK(sum > 0.25 && sum < 0.4, "with a border of zeros a corner loses what leaves (%.3f)", sum);
    for (i = 0; i < N; i++) in[i] = 3;
    sal_blur(ctx, out, in, W, H, 50, 2, SAL_BORDER_REPLICATE);
    for (i = 0; i < N; i++) worst_flat = SAL__MAX(worst_flat, fabs(out[i] - 3));
    CHECK(worst_flat < 1e-5, "a replicated border keeps a constant, even if sigma exceeds the map");
    for (i = 0; i < N; i++) in[i] = (float)(i * 7919 % 101);
    ctx->threads = 1;
    sal_blur(ctx, out, in, W, H, 2.5, 3, SAL_BORDER_REPLICATE);
    ctx->threads = 3;
    memcpy(again, in, sizeof in);
    sal_blur(ctx, again, again, W, H, 2.5, 3, SAL_BORDER_REPLICATE);
    CHECK(!memcmp(out, again, sizeof out), "in place, with 3 threads: the same bits");
    sal_blur(ctx, out, in, W, H, 0, 3, SAL_BORDER_ZERO);
    CHECK(!memcmp(in, out, sizeof in), "sigma 0 copies");
    CHECK(sal_blur(ctx, out, in, W, H, NAN, 3, SAL_BORDER_ZERO) == SAL_ERR_ARGUMENT,
          "a sigma that is no number is refused: %s", sal_error(ctx));
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    test_resize(&ctx);
    test_blur(&ctx);
    return test_done();
}
