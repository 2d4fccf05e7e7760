/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Networks in weights files: saving, loading, refusing, public backbones. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "counter.h"
#include "../examples/backbone.h"

#define OUT "build/test_netfiles.safetensors"
#define EDITED "build/test_netfiles_edited.safetensors"

/* A small network with random parameters, its input at the least that all accept easily. */
static sal_net *new_net(sal_ctx *ctx, sal_kind kind, int narrow, uint64_t seed) {
    sal_net_desc desc = sal_net_desc_default(kind);
    sal_net *net;
    desc.narrow = narrow;
    if (kind != SAL_KIND_JUNTINGNET && kind != SAL_KIND_WEPSAM) { desc.h = 64; desc.w = 80; }
    if (sal_net_new(ctx, &desc, &net) || sal_net_init(ctx, net, seed)) {
        printf("     %s\n", sal_error(ctx));
        exit(1);
    }
    return net;
}

static int same_desc(const sal_net_desc *a, const sal_net_desc *b) {
    return a->kind == b->kind && a->h == b->h && a->w == b->w && a->fit == b->fit &&
           a->bgr == b->bgr && a->scale == b->scale && !memcmp(a->mean, b->mean, sizeof a->mean) &&
           !memcmp(a->std, b->std, sizeof a->std) && a->stride_on_3x3 == b->stride_on_3x3 &&
           a->plain == b->plain && a->steps == b->steps && a->priors == b->priors &&
           a->narrow == b->narrow && a->power == b->power && a->floor == b->floor;
}

static float *values(sal_ctx *ctx, const sal_tensor *t) {
    float *v = (float *)sal_alloc(ctx, sal_tensor_count(t), sizeof(float));
    sal_tensor_read(t, 0, sal_tensor_count(t), v);
    return v;
}

/* How many parameters of b, by name and as float, are those of a bit for bit. */
static int same_params(sal_ctx *ctx, const sal_net *a, const sal_net *b) {
    int i, same = 0;
    for (i = 0; i < a->params; i++) {
        const sal_tensor *t = &a->param[i].value, *u = &b->param[i].value;
        float *x = values(ctx, t), *y = values(ctx, u);
        same += !strcmp(a->param[i].name, b->param[i].name) &&
                sal_tensor_count(t) == sal_tensor_count(u) &&
                !memcmp(x, y, sal_tensor_count(t) * sizeof(float));
        sal_free(ctx, x);
        sal_free(ctx, y);
    }
    return same;
}

/* Squared difference of the outputs for one random picture, relative to their variance. */
static double output_difference(sal_ctx *ctx, const sal_net *a, const sal_net *b) {
    sal_rng rng = { 5 };
    size_t n = (size_t)3 * a->desc.h * a->desc.w, i;
    float *in = (float *)sal_alloc(ctx, n, sizeof(float));
    sal_run *x, *y;
    double off = 0, sum = 0, squares = 0, spread;
    for (i = 0; i < n; i++) in[i] = (float)sal_rng_uniform(&rng);
    if (sal_run_open(ctx, a, 1, 0, 0, &x) || sal_run_open(ctx, b, 1, 0, 0, &y)) return 1;
    sal_run_forward(ctx, x, in);
    sal_run_forward(ctx, y, in);
    n = (size_t)x->shape.c * x->shape.h * x->shape.w;
    for (i = 0; i < n; i++) {
        double d = (double)x->output[i] - y->output[i];
        off += d * d;
        sum += x->output[i];
        squares += (double)x->output[i] * x->output[i];
    }
    sal_run_close(ctx, x);
    sal_run_close(ctx, y);
    sal_free(ctx, in);
    spread = squares - sum * sum / (double)n;
    return spread > 0 ? off / spread : 1;
}

static void test_round_trip(sal_ctx *ctx) {
    int k, d;
    static const double limit[] = { 0, 1e-5, 1e-3, 1e-2 };
    static const char *const extra[] = { "recipe", "none, random" };
    for (k = 0; k < SAL_KIND_COUNT; k++) {
        sal_net *net = new_net(ctx, (sal_kind)k, 8, 7), *again = NULL;
        const char *recipe = NULL;
        net->desc.fit = SAL_FIT_SQUARE;         /* nothing that is the default */
        net->desc.bgr = !net->desc.bgr;
        net->desc.scale = 127.5f;
        net->desc.mean[1] = 0.456f;
        net->desc.std[2] = 0.225f;
        net->desc.power = 1.625f;
        net->desc.floor = 0.012f;
        if (k == SAL_KIND_SAM_RESNET) net->desc.stride_on_3x3 = 1;
        sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, extra, 1);
        if (CHECK(sal_net_load(ctx, OUT, &again) == SAL_OK, "%s is saved and loaded", net->name)) {
            CHECK(same_desc(&net->desc, &again->desc), "its description comes back");
            CHECK(same_params(ctx, net, again) == net->params && again->params == net->params,
                  "all %d parameters come back bit for bit", net->params);
            recipe = sal_safetensors_meta(again->file, "recipe");
            CHECK(recipe && !strcmp(recipe, extra[1]), "metadata of the user comes back");
        } else printf("     %s\n", sal_error(ctx));
        sal_net_free(ctx, again);
        sal_net_free(ctx, net);
    }
    for (k = 0; k < SAL_KIND_COUNT; k++) {
        sal_net *net = new_net(ctx, (sal_kind)k, 8, 3);
        sal_param *bias = param_named(net, "head.readout.bias");
        if (bias) ((float *)bias->value.data)[0] = 1;   /* else the last ReLU may give only zeros */
        for (d = SAL_DTYPE_F16; d <= SAL_DTYPE_I8; d++) {
            sal_net *again = NULL;
            double off = 1;
            if (sal_net_save(ctx, net, OUT, (sal_dtype)d, NULL, 0) == SAL_OK &&
                sal_net_load(ctx, OUT, &again) == SAL_OK)
                off = output_difference(ctx, net, again);
            else printf("     %s\n", sal_error(ctx));
            CHECK(off <= limit[d] && (off > 0 || k > 1), "%s from %s is the same up to %.0e: "
                  "relative squared error %.1e", net->name, sal_dtype_name((sal_dtype)d), limit[d],
                  off);
            sal_net_free(ctx, again);
        }
        sal_net_free(ctx, net);
    }
}

/* Every variant of a network comes back, in its description and with its own parameters. */
static void test_variants(sal_ctx *ctx) {
    int k, plain, steps, priors, good = 0, tried = 0;
    for (k = SAL_KIND_MLNET; k <= SAL_KIND_SAM_RESNET; k++)
    for (plain = 0; plain < 2; plain++) for (steps = 0; steps < 5; steps++)
    for (priors = 0; priors < 3; priors++) {
        sal_net_desc desc = sal_net_desc_default((sal_kind)k);
        sal_net *net, *again = NULL;
        desc.narrow = 64; desc.h = 64; desc.w = 80;
        desc.plain = plain; desc.steps = steps; desc.priors = (sal_priors)priors;
        if (sal_net_new(ctx, &desc, &net)) continue;
        tried++;
        if (!sal_net_init(ctx, net, 7) && !sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0) &&
            !sal_net_load(ctx, OUT, &again) && same_desc(&net->desc, &again->desc) &&
            again->params == net->params && same_params(ctx, net, again) == net->params) good++;
        else printf("     %s %d %d %d: %s\n", net->name, plain, steps, priors, sal_error(ctx));
        sal_net_free(ctx, again);
        sal_net_free(ctx, net);
    }
    CHECK(good == 62 && tried == 62, "%d of 62 variants of mlnet, sam-vgg and sam-resnet are saved "
          "and loaded", good);
}

/* A mask was made for one input size and fits all. */
static void test_mask_size(sal_ctx *ctx) {
    sal_net *net = new_net(ctx, SAL_KIND_MLNET, 64, 1), *again = NULL;
    net->desc.h = 480; net->desc.w = 640;           /* as training at another size does */
    CHECK(sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0) == SAL_OK &&
          sal_net_load(ctx, OUT, &again) == SAL_OK && same_desc(&net->desc, &again->desc) &&
          same_params(ctx, net, again) == net->params, "a mask made for 64 x 80 comes back in a "
          "network of 480 x 640");
    sal_net_free(ctx, again);
    sal_net_free(ctx, net);
}

/* --- files that do not hold the network they claim -------------------------------------------- */

typedef void edit_fn(sal_named_tensor *list, int *count, const char **meta, int *metas);

static void edit_missing(sal_named_tensor *list, int *count, const char **meta, int *metas) {
    (void)meta; (void)metas;
    list[0] = list[--*count];       /* conv1.weight */
}
static void edit_extra(sal_named_tensor *list, int *count, const char **meta, int *metas) {
    (void)meta; (void)metas;
    list[*count] = list[0];
    list[(*count)++].name = "conv9.weight";
}
static void edit_shape(sal_named_tensor *list, int *count, const char **meta, int *metas) {
    int *dim = list[0].tensor.dim, first = dim[0];
    (void)count; (void)meta; (void)metas;
    dim[0] = dim[1]; dim[1] = first;
}
static void edit_flat(sal_named_tensor *list, int *count, const char **meta, int *metas) {
    sal_tensor *t = &list[0].tensor;
    (void)count; (void)meta; (void)metas;
    t->dim[0] = (int)sal_tensor_count(t);
    t->ndim = 1;
}
static void edit_bare(sal_named_tensor *list, int *count, const char **meta, int *metas) {
    (void)list; (void)count; (void)meta;
    *metas = 0;
}
static void edit_stranger(sal_named_tensor *list, int *count, const char **meta, int *metas) {
    int i;
    (void)meta;
    *metas = 0;
    for (i = 0; i < *count; i++)
        if (!strcmp(list[i].name, "fc2.weight")) list[i].name = "fc3.weight";
}
static void edit_counter(sal_named_tensor *list, int *count, const char **meta, int *metas) {
    (void)meta; (void)metas;
    list[*count] = list[0];
    list[(*count)++].name = "bn1.num_batches_tracked";
}

/* Load OUT, change it, or put a value under a key if there is one, write EDITED. */
static void edit(sal_ctx *ctx, edit_fn *change, const char *key, const char *value) {
    sal_named_tensor list[64];
    const char *meta[64];
    sal_safetensors file;
    int count, metas, i;
    sal_safetensors_load(ctx, OUT, &file);
    count = file.count; metas = file.metas;
    memcpy(list, file.tensor, (size_t)count * sizeof *list);
    memcpy(meta, file.meta, 2 * (size_t)metas * sizeof *meta);
    if (change) change(list, &count, meta, &metas);
    for (i = 0; key && i < metas && strcmp(meta[2 * i], key); i++) {}
    if (key) { meta[2 * i] = key; meta[2 * i + 1] = value; metas += i == metas; }
    if (sal_safetensors_save(ctx, EDITED, list, count, meta, metas))
        printf("     %s\n", sal_error(ctx));
    sal_safetensors_free(ctx, &file);
}

static void test_refusals(sal_ctx *ctx) {
    static const struct {
        edit_fn *change;
        const char *key, *value, *what, *part, *part2;
    } cases[] = {
        { edit_missing, NULL, NULL, "a missing tensor", "tensor conv1.weight is missing",
                                                        "wepsam" },
        { edit_extra, NULL, NULL, "a tensor too many", "tensor conv9.weight does not belong", "" },
        { edit_shape, NULL, NULL, "a transposed tensor", "tensor conv1.weight is 3 x 4 x 5 x 5",
                                                         "needs 4 x 3 x 5 x 5" },
        { edit_flat, NULL, NULL, "a flattened tensor", "tensor conv1.weight is 300",
                                                       "4 x 3 x 5 x 5" },
        { NULL, "sal.model", "mlnet", "the wrong model", "does not belong to mlnet", "" },
        { NULL, "sal.model", "alexnet", "an unknown model", "sal.model is \"alexnet\"", "" },
        { NULL, "sal.input", "128", "half an input size", "sal.input is \"128\"", "" },
        { NULL, "sal.input", "128x128x3", "text behind the size", "sal.input is \"128x128x3\"",
                                          "" },
        { NULL, "sal.input", "8x8", "an input too small", EDITED, "cannot take 4 x 2 x 2" },
        { NULL, "sal.input", "96x128", "an input of another size", "tensor fc1.weight is",
                                       "needs" },
        { NULL, "sal.fit", "tight", "an unknown fit", "sal.fit is \"tight\"", "" },
        { NULL, "sal.preprocess", "hsv/255", "unknown preprocessing",
                                             "sal.preprocess is \"hsv/255\"", "" },
        { NULL, "sal.tone", "1.5", "a tone without a floor", "sal.tone is \"1.5\"", "two numbers" },
        { NULL, "sal.tone", "1.5 0.9", "a floor near 1", EDITED, "sal.tone is 1.5 0.9" },
        { NULL, "sal.blur", "-1", "a blur below 0", EDITED, "sal.blur is -1" },
        { NULL, "sal.blur", "2,5", "a blur with a decimal comma", "sal.blur is \"2,5\"", "" },
        { NULL, "sal.narrow", "1.5", "a part of a network", "sal.narrow is \"1.5\"", "" },
        { NULL, "sal.resnet_stride", "2x2", "an unknown stride", "sal.resnet_stride is \"2x2\"",
                                            "1x1, 3x3" },
        { NULL, "sal.dropout", "1", "a dropout of everything", EDITED, "sal.dropout is 1" },
        { edit_stranger, NULL, NULL, "an unknown set of tensors without metadata",
                                     "not a network", "" }
    };
    sal_net *net = new_net(ctx, SAL_KIND_WEPSAM, 8, 1), *again = NULL;
    int i;
    sal_result r;
    net->desc.power = 1.5f;
    sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0);
    for (i = 0; i < COUNT(cases); i++) {
        edit(ctx, cases[i].change, cases[i].key, cases[i].value);
        r = sal_net_load(ctx, EDITED, &again);
        CHECK(r != SAL_OK && !again && strstr(sal_error(ctx), cases[i].part) &&
              strstr(sal_error(ctx), cases[i].part2), "%s is refused: %s", cases[i].what,
              sal_error(ctx));
        if (r == SAL_OK) sal_net_free(ctx, again);
        again = NULL;
    }
    edit(ctx, edit_counter, NULL, NULL);
    r = sal_net_load(ctx, EDITED, &again);
    CHECK(r == SAL_OK, "PyTorch's num_batches_tracked is ignored");
    sal_net_free(ctx, again);
    edit(ctx, NULL, NULL, NULL);
    again = NULL;
    r = sal_net_load(ctx, EDITED, &again);
    CHECK(r == SAL_OK && same_params(ctx, net, again) == net->params, "an unedited file loads");
    sal_net_free(ctx, again);
    sal_net_free(ctx, net);
    remove(EDITED);
    remove(OUT);
}

/* A saved network is the one in memory: every field, with one odd value after the other. */
static void test_description(sal_ctx *ctx) {
    enum { FIELDS = sizeof(sal_net_desc) / 4, ODD = 5 };    /* all of them have four bytes */
    static const float odd[ODD] = { 1.0004f, 0.0004f, 0.25f, 0.333333343f, 1e-7f };
    for (int kind = 0; kind < SAL_KIND_COUNT; kind++)
        for (int v = 0; v < ODD; v++) {
            sal_net *net = new_net(ctx, (sal_kind)kind, 32, 1), *again = NULL;
            sal_net_desc *d = &net->desc, usual = *d;
            int same = 0;
            for (size_t f = 0; f < FIELDS; f++) memcpy((char *)d + 4 * f, &odd[(f + v) % ODD], 4);
            d->kind = usual.kind; d->h = usual.h; d->w = usual.w; d->narrow = usual.narrow;
            d->float32 = usual.float32;     /* of the program that predicts, not of the file */
            d->plain = usual.plain; d->steps = usual.steps; d->priors = usual.priors;
            d->fit = (sal_fit)(v % 3); d->bgr = v & 1; d->stride_on_3x3 = v >> 1 & 1;
            d->power = MAX(d->power, .01f);
            d->floor = MIN(d->floor, .5f); d->dropout = MIN(d->dropout, .99f);
            if (sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0) == SAL_OK &&
                sal_net_load(ctx, OUT, &again) == SAL_OK)
                for (size_t f = 0; f < FIELDS; f++)
                    same += !memcmp((char *)d + 4 * f, (char *)&again->desc + 4 * f, 4);
            CHECK(same == FIELDS, "%s: all %d fields of its description are in the file, to the "
                  "last bit (%d of %d)", net->name, FIELDS, same, v + 1);
            sal_net_free(ctx, again);
            sal_net_free(ctx, net);
        }
    sal_net *net = new_net(ctx, SAL_KIND_WEPSAM, 8, 1);
    net->desc.blur = -1;
    CHECK(sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0) == SAL_ERR_ARGUMENT &&
          strstr(ctx->error, "sal.blur is -1"),
              "what could not be read again is not saved: %.60s...",
          ctx->error);
    net->desc.blur = (float)NAN;
    CHECK(sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0) == SAL_ERR_ARGUMENT, "nor is NaN");
    sal_net_free(ctx, net);
    remove(OUT);
}

/* Variants in the metadata that there are not. */
static void test_variant_refusals(sal_ctx *ctx) {
    static const char *const cases[][3] = {
        { "sal.steps", "four", "sal.steps is \"four\", not a number" },
        { "sal.steps", "5", "sal.steps is \"5\"" },
        { "sal.steps", "0", "tensor head.lstm.Wa.weight does not belong" },
        { "sal.priors", "centre", "sal.priors is \"centre\", not none, gaussian, mask" },
        { "sal.priors", "mask", "does not belong" },
        { "sal.backbone", "deep", "sal.backbone is \"deep\", not dilated, plain" }
    };
    sal_net *net = new_net(ctx, SAL_KIND_SAM_VGG, 64, 1), *again = NULL;
    int i;
    sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0);
    edit(ctx, NULL, "sal.domains", "neutral scene osie");
    CHECK(sal_net_load(ctx, EDITED, &again) == SAL_ERR_UNSUPPORTED && !again,
          "priors of data sets in another order are refused: %s", sal_error(ctx));
    for (i = 0; i < COUNT(cases); i++) {
        edit(ctx, NULL, cases[i][0], cases[i][1]);
        CHECK(sal_net_load(ctx, EDITED, &again) != SAL_OK && !again &&
              strstr(sal_error(ctx), cases[i][2]), "%s \"%s\" is refused: %s", cases[i][0],
              cases[i][1], sal_error(ctx));
    }
    sal_net_free(ctx, net);
}

static void test_set(sal_ctx *ctx) {
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_SAM_VGG), before;
    CHECK(!sal_net_desc_set(ctx, &desc, "sal.priors", "mask") && desc.priors == SAL_PRIORS_MASK &&
          !sal_net_desc_set(ctx, &desc, "sal.input", "48x64") && desc.h == 48 && desc.w == 64 &&
          !sal_net_desc_set(ctx, &desc, "sal.tone", "1.5 .25") && desc.floor == .25f,
          "fields are set by their keys");
    before = desc;
    CHECK(sal_net_desc_set(ctx, &desc, "sal.preprocess", "rgb/2, mean 1 2") == SAL_ERR_FORMAT &&
          sal_net_desc_set(ctx, &desc, "sal.priors", "mas") == SAL_ERR_FORMAT &&
          sal_net_desc_set(ctx, &desc, "sal.priors", "mask, ") == SAL_ERR_FORMAT &&
          same_desc(&before, &desc), "half a text changes nothing: %s", sal_error(ctx));
    CHECK(sal_net_desc_set(ctx, &desc, "sal.colour", "1") == SAL_ERR_ARGUMENT, "nor does an "
          "unknown key: %s", sal_error(ctx));
}

static void test_tone(sal_ctx *ctx) {
    sal_net *net = new_net(ctx, SAL_KIND_WEPSAM, 8, 1);
    float raw[16];
    sal_map plain = { 0 }, toned = { 0 };
    double worst = 0;
    for (int i = 0; i < 16; i++) raw[i] = (float)(i - 3);
    sal_postprocess(ctx, net, raw, 4, 4, 128, 128, 4, 4, &plain);
    net->desc.power = 1.5f;
    net->desc.floor = 0.02f;
    sal_postprocess(ctx, net, raw, 4, 4, 128, 128, 4, 4, &toned);
    for (int i = 0; i < 16 && plain.data && toned.data; i++) {
        double due = pow(MAX(i - 3, 0) / 12.0, 1.5), off = fabs(toned.data[i] - due);
        if (due < 0.02) off = fabs(toned.data[i] - 0.02);
        worst = MAX(worst, off);
    }
    CHECK(plain.data && plain.data[0] == 0 && toned.data && worst < 1e-6,
          "a tone of 1.5 and 0.02 makes max(m^1.5, 0.02) of the map m: off by %.0e", worst);
    sal_map_free(ctx, &plain);
    sal_map_free(ctx, &toned);
    sal_net_free(ctx, net);
}

/* Without metadata the names of the tensors tell, if the sizes are the usual ones. */
static void test_guess(sal_ctx *ctx) {
    int k;
    for (k = 0; k < SAL_KIND_WEPSAM + 1; k++) {
        sal_net *net, *again = NULL;
        sal_net_desc desc = sal_net_desc_default((sal_kind)k);
        sal_net_new(ctx, &desc, &net);
        sal_net_init(ctx, net, 1);
        sal_net_save(ctx, net, OUT, SAL_DTYPE_I8, NULL, 0);
        edit(ctx, edit_bare, NULL, NULL);
        CHECK(sal_net_load(ctx, EDITED, &again) == SAL_OK && again->desc.kind == (sal_kind)k,
              "%s without metadata is recognised", net->name);
        sal_net_free(ctx, again);
        sal_net_free(ctx, net);
    }
    remove(EDITED);
    remove(OUT);
}

/* What stands behind the backbone goes from one network to another. */
static void test_head(sal_ctx *ctx) {
    sal_net *from = new_net(ctx, SAL_KIND_SAM_VGG, 16, 31);
    sal_net *to = new_net(ctx, SAL_KIND_SAM_RESNET, 16, 32);
    sal_net *before = new_net(ctx, SAL_KIND_SAM_RESNET, 16, 32);
    int taken = 0, kept = 0, lstm = 0;
    sal_result r;
    sal_net_save(ctx, from, OUT, SAL_DTYPE_F32, NULL, 0);
    r = backbone_head_load(ctx, to, OUT);
    CHECK(r == SAL_OK, "sam-resnet takes the head of sam-vgg%s", r ? sal_error(ctx) : "");
    for (int i = 0; i < to->params; i++) {
        const char *name = to->param[i].name;
        size_t bytes = sal_tensor_count(&to->param[i].value) * sizeof(float);
        for (int k = 0; k < from->params; k++)
            taken += !strcmp(name, from->param[k].name) &&
                     !memcmp(to->param[i].value.data, from->param[k].value.data, bytes);
        kept += (!strncmp(name, "backbone.", 9) || !strncmp(name, "reduce.", 7)) &&
                !memcmp(to->param[i].value.data, before->param[i].value.data, bytes);
        lstm += !strncmp(name, "head.lstm.", 10);
    }
    CHECK(lstm > 10 && taken > lstm && taken + kept == to->params,
          "all %d parameters that both have; the other %d stay", taken, kept);
    sal_net_free(ctx, from);
    from = new_net(ctx, SAL_KIND_SAM_VGG, 8, 31);
    sal_net_save(ctx, from, OUT, SAL_DTYPE_F32, NULL, 0);
    sal_net_free(ctx, from);
    from = to;
    to = new_net(ctx, SAL_KIND_SAM_RESNET, 16, 32);
    r = backbone_head_load(ctx, to, OUT);
    CHECK(r == SAL_ERR_SHAPE && same_params(ctx, before, to) == to->params,
          "a head of another width is refused and changes nothing: %s", sal_error(ctx));
    sal_net_free(ctx, from);
    from = new_net(ctx, SAL_KIND_WEPSAM, 16, 31);
    sal_net_save(ctx, from, OUT, SAL_DTYPE_F32, NULL, 0);
    r = backbone_head_load(ctx, to, OUT);
    CHECK(r == SAL_ERR_SHAPE && same_params(ctx, before, to) == to->params,
          "a file without such a head is refused: %s", sal_error(ctx));
    sal_net_free(ctx, from);
    sal_net_free(ctx, to);
    sal_net_free(ctx, before);
    remove(OUT);
}

/* --- backbones -------------------------------------------------------------------------------- */

enum { MOST = 400 };

/* The backbone of a network as a public checkpoint would hold it. torchvision's VGG counts its
   ReLUs and poolings; names of a ResNet just lose the first word. */
static int public_tensors(const sal_net *net, sal_named_tensor *list, char names[][64]) {
    static const int position[5][3] = { { 0, 2, 0 }, { 5, 7, 0 }, { 10, 12, 14 }, { 17, 19, 21 },
                                        { 24, 26, 28 } };
    int i, count = 0, b, c;
    char end[16];
    memset(list, 0, MOST * sizeof *list);
    for (i = 0; i < net->params; i++) {
        const sal_param *p = &net->param[i];
        if (strncmp(p->name, "backbone.", 9)) continue;
        if (sscanf(p->name, "backbone.conv%d_%d.%15s", &b, &c, end) == 3)
            snprintf(names[count], 64, "features.%d.%s", position[b - 1][c - 1], end);
        else
            snprintf(names[count], 64, "%s", p->name + 9);
        list[count].name = names[count];
        list[count++].tensor = p->value;
    }
    list[count].name = "classifier.6.weight";
    list[count] = list[0];
    list[count++].name = "classifier.6.weight";
    return count;
}

static void test_backbone(sal_ctx *ctx, sal_kind kind) {
    static sal_named_tensor list[MOST];
    static char names[MOST][64];
    static const char *const strides[] = { "sal.resnet_stride", "1x1", "sal.preprocess",
                                           "bgr, mean 1 2 3" };
    sal_net *from = new_net(ctx, kind, 16, 21), *to = new_net(ctx, kind, 16, 22);
    sal_net *before = new_net(ctx, kind, 16, 22), *other;
    int count = public_tensors(from, list, names), i, k, total = 0, equal = 0, rest = 0;
    sal_result r;
    sal_safetensors_save(ctx, OUT, list, count, NULL, 0);
    r = backbone_load(ctx, to, OUT);
    CHECK(r == SAL_OK, "%s takes a backbone with torchvision's names%s", to->name,
          r == SAL_OK ? "" : sal_error(ctx));
    for (i = 0; i < to->params; i++) {
        size_t bytes = sal_tensor_count(&to->param[i].value) * sizeof(float);
        int mine = !strncmp(to->param[i].name, "backbone.", 9);
        total += mine;
        equal += mine && !memcmp(to->param[i].value.data, from->param[i].value.data, bytes);
        rest += !mine && !memcmp(to->param[i].value.data, before->param[i].value.data, bytes);
    }
    CHECK(total > 0 && equal == total, "all %d of its tensors arrive", total);
    CHECK(rest == to->params - total, "the other %d parameters stay", to->params - total);
    CHECK(!to->desc.bgr && to->desc.scale == 255 && to->desc.mean[0] == .485f &&
          to->desc.std[2] == .225f, "pictures are prepared as torchvision does");
    if (kind == SAL_KIND_SAM_RESNET) {
        CHECK(to->desc.stride_on_3x3 == 1, "the strides are torchvision's, on the 3x3");
        sal_safetensors_save(ctx, OUT, list, count, strides, 2);
        CHECK(backbone_load(ctx, to, OUT) == SAL_OK && to->desc.stride_on_3x3 == 0 &&
              to->desc.bgr && to->desc.mean[2] == 3, "metadata of the file overrides both");
    }
    sal_net_free(ctx, to);
    /* failures leave everything as it was */
    to = new_net(ctx, kind, 16, 22);
    for (k = 0; k < 4; k++) {
        static const char *const what[] = { "a missing tensor", "a foreign tensor",
                                            "a tensor of another shape", "a wrong preprocessing" };
        static const char *const parts[] = { "nothing in it is backbone.",
                                             "features.99.weight does not belong", "but",
                                             "sal.preprocess is \"magic\"" };
        static const char *const bad[] = { "sal.preprocess", "magic" };
        count = public_tensors(from, list, names);
        if (k == 0) count -= 3;
        if (k == 1) { list[count] = list[0]; list[count++].name = "features.99.weight"; }
        if (k == 2) list[count - 3].tensor = list[0].tensor;
        sal_safetensors_save(ctx, OUT, list, count, bad, k == 3);
        r = backbone_load(ctx, to, OUT);
        CHECK(r != SAL_OK && strstr(sal_error(ctx), parts[k]) &&
              same_params(ctx, before, to) == to->params && same_desc(&before->desc, &to->desc),
              "%s is refused and changes nothing: %s", what[k], sal_error(ctx));
    }
    sal_net_free(ctx, to);
    /* the other way round: a file of ours */
    to = new_net(ctx, kind, 16, 22);
    sal_net_save(ctx, from, OUT, SAL_DTYPE_F32, NULL, 0);
    r = backbone_load(ctx, to, OUT);
    CHECK(r == SAL_OK && to->desc.bgr == from->desc.bgr && to->desc.scale == from->desc.scale,
          "a backbone comes from a file of ours too%s", r == SAL_OK ? "" : sal_error(ctx));
    other = new_net(ctx, SAL_KIND_WEPSAM, 8, 1);
    CHECK(backbone_load(ctx, other, OUT) != SAL_OK, "wepsam takes no backbone: %s",
          sal_error(ctx));
    sal_net_free(ctx, other);
    sal_net_free(ctx, to);
    sal_net_free(ctx, from);
    sal_net_free(ctx, before);
    remove(OUT);
}

/* Batch-norm folded by hand gives the network that has it apart. */
static void test_folded(sal_ctx *ctx) {
    static sal_named_tensor list[MOST];
    static char names[MOST][64];
    static const char *const meta[] = { "architecture", "stride on the first 1x1", "preprocess",
                                        "bgr, mean 103.939 116.779 123.68" };
    sal_net *from = new_net(ctx, SAL_KIND_SAM_RESNET, 16, 31);
    sal_net *to = new_net(ctx, SAL_KIND_SAM_RESNET, 16, 31);
    sal_rng rng = { 9 };
    int i, k, count = 0;
    size_t j;
    double off = 1;
    memset(list, 0, sizeof list);
    for (i = 0; i < from->layers; i++) {
        const sal_layer *l = &from->layer[i], *conv = &from->layer[l->input[0]];
        sal_tensor weight, bias;
        float *norm[4];
        size_t channels, row;
        if (l->op != SAL_OP_BATCHNORM) continue;
        for (k = 0; k < 4; k++) norm[k] = (float *)from->param[l->param + k].value.data;
        sal_tensor_convert(ctx, &from->param[conv->param].value, SAL_DTYPE_F32, &weight);
        channels = (size_t)weight.dim[0];
        row = sal_tensor_count(&weight) / channels;
        sal_tensor_convert(ctx, &from->param[l->param].value, SAL_DTYPE_F32, &bias);
        for (j = 0; j < channels; j++) {
            double scale;
            size_t p;
            norm[0][j] = (float)(0.5 + sal_rng_uniform(&rng));
            norm[1][j] = (float)(0.2 * sal_rng_normal(&rng));
            norm[2][j] = (float)(0.2 * sal_rng_normal(&rng));
            norm[3][j] = (float)(0.5 + sal_rng_uniform(&rng));
            scale = norm[0][j] / sqrt((double)norm[3][j] + (double)l->eps);
            for (p = 0; p < row; p++)
                ((float *)weight.data)[j * row + p] = (float)(scale *
                                                              ((float *)weight.data)[j * row + p]);
            ((float *)bias.data)[j] = (float)(norm[1][j] - scale * norm[2][j]);
        }
        snprintf(names[count], 64, "%s.weight", conv->name + 9);
        list[count].name = names[count];
        list[count++].tensor = weight;
        snprintf(names[count], 64, "%s.bias", conv->name + 9);
        list[count].name = names[count];
        list[count++].tensor = bias;
    }
    sal_safetensors_save(ctx, OUT, list, count, meta, 2);
    if (CHECK(backbone_load(ctx, to, OUT) == SAL_OK, "a ResNet with folded batch-norm, %d "
              "tensors, is a backbone", count)) off = output_difference(ctx, from, to);
    else printf("     %s\n", sal_error(ctx));
    CHECK(off < 1e-9, "it gives the output of the unfolded one (relative squared error %.1e)", off);
    CHECK(to->desc.stride_on_3x3 == 0 && to->desc.bgr, "its strides and colours are understood");
    for (i = 0; i < count; i++) sal_free(ctx, list[i].tensor.data);
    sal_net_free(ctx, to);
    sal_net_free(ctx, from);
    remove(OUT);
}

static void test_shared_backbone(sal_ctx *ctx) {
    const char *shared = getenv("SALIENCY_SHARED");
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_SAM_RESNET);
    sal_net *net;
    char path[1024];
    sal_result r;
    snprintf(path, sizeof path, "%s/backbones/resnet50_imagenet_i8.safetensors",
             shared ? shared : "../shared");
    if (sal_path_kind(path) != 0) { SKIP("%s is not there", path); return; }
    desc.h = 64; desc.w = 64;
    sal_net_new(ctx, &desc, &net);
    r = backbone_load(ctx, net, path);
    CHECK(r == SAL_OK && net->desc.stride_on_3x3 == 0 && !net->desc.bgr &&
          net->desc.scale == 255, "SAM-ResNet takes the quantised ImageNet ResNet-50%s",
          r == SAL_OK ? "" : sal_error(ctx));
    sal_net_free(ctx, net);
}

static void test_backbone_names(void) {
    static const char *const pairs[][2] = {
        { "features.0.weight", "backbone.conv1_1.weight" },
        { "features.10.bias", "backbone.conv3_1.bias" },
        { "features.28.weight", "backbone.conv5_3.weight" },
        { "conv1.weight", "backbone.conv1.weight" },
        { "bn1.running_mean", "backbone.bn1.running_mean" },
        { "layer4.2.conv3.bias", "backbone.layer4.2.conv3.bias" },
        { "layer2.0.downsample.1.weight", "backbone.layer2.0.downsample.1.weight" },
        { "block12.project.bias", "backbone.block12.project.bias" },
        { "conv_stem.weight", "backbone.conv_stem.weight" },
        { "backbone.conv1_2.bias", "backbone.conv1_2.bias" }
    };
    static const char *const unused[] = { "fc.weight", "classifier.6.bias", "head.readout.weight",
                                          "layer1.0.bn1.num_batches_tracked" };
    static const char *const unknown[] = { "features.1.weight", "features.100.weight", "stages.0",
                                           "" };
    char ours[64];
    int i;
    for (i = 0; i < COUNT(pairs); i++)
        CHECK(backbone_name(pairs[i][0], ours, sizeof ours) == 1 && !strcmp(ours, pairs[i][1]),
              "%s becomes %s", pairs[i][0], ours);
    for (i = 0; i < COUNT(unused); i++)
        CHECK(backbone_name(unused[i], ours, sizeof ours) == 0, "a backbone has no use for %s",
              unused[i]);
    for (i = 0; i < COUNT(unknown); i++)
        CHECK(backbone_name(unknown[i], ours, sizeof ours) == -1, "'%s' is of no backbone we "
              "know", unknown[i]);
    CHECK(backbone_name("conv1.weight", ours, 21) == -1, "a name too long is refused");
}

static void test_backbones(sal_ctx *ctx) {
    static const struct { const char *name; int tensors, dtype; double parameters; } files[] = {
        { "mobilenet_v2_imagenet", 104, SAL_DTYPE_F32, 2206000 },
        { "resnet50_imagenet_i8", 106, SAL_DTYPE_I8, 23481000 }
    };
    const char *shared = getenv("SALIENCY_SHARED");
    int i, k;
    for (i = 0; i < COUNT(files); i++) {
        char path[1024], ours[64];
        sal_safetensors file;
        double parameters = 0;
        int mapped = 0, weights = 0;
        sal_result r;
        snprintf(path, sizeof path, "%s/backbones/%s.safetensors", shared ? shared : "../shared",
                 files[i].name);
        if (sal_path_kind(path) != 0) { SKIP("%s is not there", path); continue; }
        r = sal_safetensors_load(ctx, path, &file);
        if (!CHECK(r == SAL_OK, "%s is read: %s", files[i].name,
                   r ? sal_error(ctx) : "ok")) continue;
        for (k = 0; k < file.count; k++) {
            const sal_tensor *t = &file.tensor[k].tensor;
            parameters += (double)sal_tensor_count(t);
            mapped += backbone_name(file.tensor[k].name, ours, sizeof ours) == 1;
            weights += t->ndim == 4 && (int)t->dtype == files[i].dtype;
        }
        CHECK(file.count == files[i].tensors && mapped == file.count && weights * 2 == file.count,
              "it has %d tensors, half of them %s weights, all with a name of ours", file.count,
              sal_dtype_name((sal_dtype)files[i].dtype));
        CHECK(fabs(parameters / files[i].parameters - 1) < 0.01, "it has %.2f million parameters",
              parameters / 1e6);
        CHECK(sal_safetensors_meta(&file, "sal.backbone") != NULL, "its metadata names the %s",
              sal_safetensors_meta(&file, "sal.backbone"));
        sal_safetensors_free(ctx, &file);
    }
}

/* --- what is not finite ----------------------------------------------------------------------- */

/* ReLU makes 0 of what is not a number: such weights would give a map, and a wrong one. */
static void test_finite(sal_ctx *ctx) {
    static const sal_dtype types[] = { SAL_DTYPE_F32, SAL_DTYPE_F16, SAL_DTYPE_BF16, SAL_DTYPE_I8,
                                       SAL_DTYPE_F32 };
    static const double bad[] = { NAN, INFINITY, -INFINITY, NAN, -1 };
    static const char *const where[] = { "backbone.layer1.0.conv1.weight", "head.lstm.Uf.weight",
        "reduce.weight", "head.lstm.Wa.weight", "backbone.bn1.running_var" };
    for (int k = 0; k < 5; k++) {
        sal_net *net = new_net(ctx, SAL_KIND_SAM_RESNET, 8, 5), *again = NULL;
        sal_safetensors file;
        sal_param *p = param_named(net, where[k]);
        size_t last = sal_tensor_count(&p->value) - 1;
        sal_result r = sal_net_save(ctx, net, OUT, types[k], NULL, 0);
        if (!r) r = sal_safetensors_load(ctx, OUT, &file);
        if (r) { CHECK(0, "%s", sal_error(ctx)); return; }
        sal_tensor *t = (sal_tensor *)(uintptr_t)&sal_safetensors_find(&file, where[k])->tensor;
        if (t->dtype == SAL_DTYPE_F32) ((float *)t->data)[last] = (float)bad[k];
        else if (t->dtype == SAL_DTYPE_F16)
            ((uint16_t *)t->data)[last] = sal_f32_to_f16((float)bad[k]);
        else if (t->dtype == SAL_DTYPE_BF16)
            ((uint16_t *)t->data)[last] = sal_f32_to_bf16((float)bad[k]);
        else t->scale[t->dim[0] - 1] = (float)bad[k];
        sal_safetensors_save(ctx, OUT, file.tensor, file.count, file.meta, file.metas);
        r = sal_net_load(ctx, OUT, &again);
        CHECK(r == SAL_ERR_NUMERIC && !again && strstr(sal_error(ctx), where[k]),
              "%s with a value of %g as %s is refused: %s", where[k], bad[k],
              sal_dtype_name(t->dtype), r ? sal_error(ctx) : "");
        sal_net_free(ctx, again);
        sal_safetensors_free(ctx, &file);
        remove(OUT);
        ((float *)p->value.data)[last] = (float)bad[k];
        r = sal_net_save(ctx, net, OUT, SAL_DTYPE_F32, NULL, 0);
        CHECK(r == SAL_ERR_NUMERIC && strstr(sal_error(ctx), where[k]) && sal_path_kind(OUT) < 0,
              "nor is it saved: %s", r ? sal_error(ctx) : "");
        sal_net_free(ctx, net);
    }
}

/* A tensor's name of any length is too long, or not one of the network's. */
static void test_long_names(sal_ctx *ctx) {
    char name[200] = "layer";
    float one[1] = { 1 };
    sal_named_tensor t = ZEROED;
    sal_net *net = new_net(ctx, SAL_KIND_SAM_RESNET, 16, 21);
    int refused = 0, length;
    t.name = name; t.tensor.ndim = t.tensor.dim[0] = 1; t.tensor.data = one;
    for (length = 20; length < 190; length++) {     /* "backbone." comes in front: 160 fit */
        memset(name + 5, 'x', (size_t)length - 5);
        strcpy(name + length - 5, ".bias");
        sal_safetensors_save(ctx, OUT, &t, 1, NULL, 0);
        refused += backbone_load(ctx, net, OUT) == SAL_ERR_SHAPE;
    }
    CHECK(refused == length - 20, "tensors with names of %d to %d letters are no backbone's: %s",
          20,
          length - 1, sal_error(ctx));
    sal_net_free(ctx, net);
    remove(OUT);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Fail the first allocation, then the second, ... until there are no more to fail. */
static void test_memory(sal_ctx *plain) {
    counter c;
    sal_ctx ctx = counted(&c);
    sal_net *net = new_net(plain, SAL_KIND_SAM_VGG, 32, 4), *again = NULL, *to;
    sal_net_desc desc = net->desc;
    int k, clean = 1;
    sal_result r;
    for (k = 1, r = SAL_ERR_MEMORY; k < 1000 && r == SAL_ERR_MEMORY; k++) {
        c.calls = 0; c.fail_at = k;
        remove(OUT);
        r = sal_net_save(&ctx, net, OUT, SAL_DTYPE_F16, NULL, 0);
        if (c.live || (r && sal_path_kind(OUT) >= 0)) clean = 0;
    }
    CHECK(r == SAL_OK && k > 3 && clean, "saving a network without memory, at each of %d "
          "allocations, leaks nothing and leaves no file", k - 2);
    for (k = 1, r = SAL_ERR_MEMORY; k < 1000 && r == SAL_ERR_MEMORY; k++) {
        c.calls = 0; c.fail_at = k;
        r = sal_net_load(&ctx, OUT, &again);
        if (r && (c.live || again)) clean = 0;
    }
    CHECK(r == SAL_OK && k > 3 && clean, "loading, at each of %d, leaks nothing", k - 2);
    sal_net_free(&ctx, again);
    CHECK(c.live == 0, "sal_net_free releases everything");
    c.fail_at = 0;
    sal_net_new(&ctx, &desc, &to);
    sal_net_init(&ctx, to, 6);
    again = new_net(plain, SAL_KIND_SAM_VGG, 32, 6);
    for (k = 1, r = SAL_ERR_MEMORY; k < 1000 && r == SAL_ERR_MEMORY; k++) {
        int before = c.live;
        c.calls = 0; c.fail_at = k;
        r = backbone_load(&ctx, to, OUT);
        if (c.live != before || (r && same_params(plain, again, to) != to->params)) clean = 0;
    }
    CHECK(r == SAL_OK && k > 3 && clean, "loading a backbone, at each of %d, leaks nothing and "
          "changes nothing", k - 2);
    sal_net_free(plain, again);
    sal_net_free(&ctx, to);
    sal_net_free(plain, net);
    CHECK(c.live == 0, "and everything is released");
    remove(OUT);
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    test_round_trip(&ctx);
    test_description(&ctx);
    test_variants(&ctx);
    test_mask_size(&ctx);
    test_tone(&ctx);
    test_refusals(&ctx);
    test_variant_refusals(&ctx);
    test_set(&ctx);
    test_guess(&ctx);
    test_head(&ctx);
    test_backbone(&ctx, SAL_KIND_MLNET);
    test_backbone(&ctx, SAL_KIND_SAM_RESNET);
    test_folded(&ctx);
    test_shared_backbone(&ctx);
    test_backbone_names();
    test_backbones(&ctx);
    test_finite(&ctx);
    test_long_names(&ctx);
    test_memory(&ctx);
    return test_done();
}
