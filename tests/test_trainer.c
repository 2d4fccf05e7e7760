/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* What the trainer promises, on samples that are drawn in memory: it goes on only where it stopped,
   chooses the best epoch as it was told, and says what is wrong. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "pool.h"
#include "counter.h"

#define STATE "build/test_trainer.state"
#define LOG   "build/test_trainer.csv"
#define OUT   "build/test_trainer.safetensors"
enum { SIDE = 48, LEARN = 6, JUDGE = 4, ALL = -1 };

/* A bright spot on noise; people looked at the spot. `user`, an int, is the sample that cannot be
   loaded. */
static sal_result load(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    sal_rng rng = { (uint64_t)i + 1 };
    int x0 = 8 + (int)sal_rng_below(&rng, 32), y0 = 8 + (int)sal_rng_below(&rng, 32);
    if (user && (*(int *)user == i || *(int *)user == ALL))
        return snprintf(ctx->error, sizeof ctx->error, "sample %d is not there", i), SAL_ERR_IO;
    TRY(sal_image_new(ctx, SIDE, SIDE, &sample->image));
    TRY(sal_map_new(ctx, SIDE, SIDE, &sample->density));
    sample->fixation = (sal_fixation *)sal_alloc(ctx, 1, sizeof(sal_fixation));
    if (!sample->fixation) return SAL_ERR_MEMORY;
    sample->fixations = 1;
    sample->fixation[0].x = (float)x0; sample->fixation[0].y = (float)y0;
    for (int k = 0; k < SIDE * SIDE; k++) {
        int dx = k % SIDE - x0, dy = k / SIDE - y0, d = dx * dx + dy * dy;
        sample->density.data[k] = (float)exp(-d / 40.0);
        memset(sample->image.data + 3 * k, d < 30 ? 230 : 60 + (int)sal_rng_below(&rng, 60), 3);
    }
    return SAL_OK;
}

static sal_sample_info info[LEARN] = { { "a", 0, 0, 0 }, { "b", 0, 0, 0 }, { "c", 0, 0, 0 },
                                       { "d", 0, 0, 0 }, { "e", 0, 0, 0 }, { "f", 0, 0, 0 } };
static sal_source learn = { LEARN, load, NULL, info }, judge = { JUDGE, load, NULL, info };

static sal_train_desc desc(void) {
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_JUNTINGNET);
    d.train = &learn; d.val = &judge;
    d.epochs = 3; d.batch = 3; d.seed = 4;
    return d;
}

static sal_net *new_net(sal_ctx *ctx, sal_kind kind, int h, int w, int narrow) {
    sal_net_desc d = sal_net_desc_default(kind);
    sal_net *net = NULL;
    d.h = h; d.w = w; d.narrow = narrow;
    if (sal_net_new(ctx, &d, &net) || sal_net_init(ctx, net, 1)) CHECK(0, "%s", sal_error(ctx));
    return net;
}

/* --- going on --------------------------------------------------------------------------------- */

static int stop_after_two(void *user, const sal_train_progress *p) {
    (void)user;
    return !p->loading && p->epoch * p->steps + p->step == 2 ? SAL_TRAIN_STOP : SAL_TRAIN_GO_ON;
}

static sal_result resume(sal_ctx *ctx, sal_train_desc *d, float mean) {
    sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
    sal_train_result result;
    net->desc.mean[0] = mean;
    sal_result r = sal_train(ctx, net, d, &result);
    sal_net_free(ctx, net);
    return r;
}

static sal_result keep_values(void *user, float *values, size_t count) {
    (void)user; (void)values; (void)count;
    return SAL_OK;
}

static void test_resume(sal_ctx *ctx) {
    static const char long_a[] = "fc1.weight,fc1.bias,conv1.weight,conv1.bias,conv2.weight,conv2.b";
    static const char long_b[] = "fc1.weight,fc1.bias,conv1.weight,conv1.bias,conv2.weight,conv3.w";
    sal_train_desc d = desc(), base;
    d.state = STATE; d.freeze = long_a; d.progress = stop_after_two; d.loss.upsample = 1;
    remove(STATE);
    CHECK(resume(ctx, &d, 0) == SAL_OK, "a training is stopped %s", sal_error(ctx));
    d.progress = NULL; d.resume = 1;
    base = d;
#define REFUSED(change, part) do {                                                              \
        d = base;                                                                               \
        change;                                                                                 \
        CHECK(resume(ctx, &d, 0) == SAL_ERR_ARGUMENT && strstr(ctx->error, "another recipe") && \
              strstr(ctx->error, part), "not gone on with after %s: %s", #change, ctx->error);  \
        ctx->error[0] = 0;                                                                      \
    } while (0)
    REFUSED(d.epochs = 4, "epochs 3");
    REFUSED(d.batch = 2, "batch 3");
    REFUSED(d.seed = 5, "seed 4");
    REFUSED(d.freeze = long_b, "conv2.b");
    REFUSED(d.fixed_norm = 1, "norm");
    REFUSED(d.dropout = .25, "sal.dropout 0\"");
    REFUSED(d.loss.weight[SAL_LOSS_KL] = 1e-9, "loss kl 0");
    REFUSED(d.loss.upsample = 2, "enlarged 1");
    REFUSED(d.loss.peak = 1, "peak 0");
    REFUSED((d.optim.rule = SAL_RULE_ADAM, d.optim.rho = .9, d.optim.eps = .1), "rule");
    REFUSED(d.optim.nesterov = 0, "nesterov 1");
    REFUSED(d.optim.decay = 1e-5, "decay 0");
    REFUSED(d.optim.clip = 1, "clip 0");
    REFUSED(d.optim.max_norm = 1.93650001, "max-norm 1.9365");
    REFUSED(d.schedule.rate *= 1 + 1e-9, "rate 0.03");
    REFUSED(d.schedule.rate_end = 0, "last rate 0.0001");
    REFUSED(d.schedule.kind = SAL_SCHEDULE_COSINE, "schedule 1");
    REFUSED(d.schedule.factor = .5, "factor 0");
    REFUSED(d.schedule.every = 2, "every 0");
    REFUSED(d.optim.rho = .5, "rho 0");
    REFUSED(d.optim.eps = .5, "eps 0");
    REFUSED(d.momentum = .8, "momentum 0.9");
    REFUSED(d.momentum_end = .99, "last momentum 0.999");
    REFUSED((d.ranks = 2, d.reduce = keep_values), "processes 1");
    REFUSED(d.mirror = 0, "mirror 1");
    REFUSED(d.crop = .1, "crop 0");
    REFUSED(d.colour = .1, "colour 0");
    REFUSED(d.average = .9, "average 0");
    REFUSED(d.select = SAL_SELECT_CC, "select 0");
    REFUSED(d.val = NULL, "4 to validate on");
    REFUSED(info[2].name = "g", "hash of their names");
    info[2].name = "c";
    d = base;
    info[2].domain = 1;
    CHECK(resume(ctx, &d, 0) == SAL_ERR_ARGUMENT && strstr(ctx->error, "has no priors"),
          "juntingnet has no priors of data sets: %s", ctx->error);
    info[2].domain = 0;
    learn.count--;
    REFUSED((void)0, "6 samples to learn from");
    learn.count++;
    d = base;
    CHECK(resume(ctx, &d, .5f) == SAL_ERR_ARGUMENT && strstr(ctx->error, "mean 0 0 0"),
          "nor with other pixels: %s", ctx->error);

    sal_safetensors file;
    const char *meta[4];
    if (sal_safetensors_load(ctx, STATE, &file) == SAL_OK) {
        static const char *const at[] = { "1 0 2 0 0", "-1 0 0 0 0", "4 0 0 0 0", "1 9 0 0 0",
                                          "1 0 -1 0 0", "1 0 1 0", "" };
        for (int i = 0; i < COUNT(at); i++) {
            memcpy(meta, file.meta, sizeof meta);
            meta[3] = at[i];
            d.state = "build/test_trainer_bad.state";
            sal_safetensors_save(ctx, d.state, file.tensor, file.count, meta, 2);
            CHECK(resume(ctx, &d, 0) == SAL_ERR_FORMAT, "a state that claims to stand at \"%s\" is "
                  "refused: %s", at[i], ctx->error);
            remove(d.state);
        }
        char more[8192];
        memcpy(meta, file.meta, sizeof meta);
        snprintf(more, sizeof more, "%stwins 1\n", meta[1]);
        meta[1] = more;
        sal_safetensors_save(ctx, d.state, file.tensor, file.count, meta, 2);
        CHECK(resume(ctx, &d, 0) == SAL_ERR_ARGUMENT && strstr(ctx->error, "there \"twins 1\""),
              "nor is one that says more gone on with: %s", ctx->error);
        ctx->error[0] = 0;
        remove(d.state);
        sal_safetensors_free(ctx, &file);
    }
    d = base;
    d.patience = 9; d.cache_bytes = 1; d.skip = 1;
    d.out = OUT;
    remove(OUT);
    CHECK(resume(ctx, &d, 0) == SAL_OK, "patience and memory may change %s", ctx->error);
    remove(OUT);
    CHECK(resume(ctx, &d, 0) == SAL_OK && sal_path_kind(OUT) == 0, "the best weights are written "
          "to another file, even if training is over %s", ctx->error);
    remove(OUT);
    remove(STATE);
}

/* Pictures may be learnt at other sizes than the network's own. */
static void test_sizes(sal_ctx *ctx) {
    /* 64 * 31 + 96 is 32 * 31 + 1088: sums are not enough to tell sizes apart */
    static const int size[][2] = { { 64, 96 }, { 64, 64 }, { 32, 1088 }, { 64, 96 } };
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_LITE);
    d.train = &learn; d.epochs = 1; d.batch = 3; d.state = STATE; d.progress = stop_after_two;
    remove(STATE);
    for (int k = 0; k < COUNT(size); k++) {
        sal_train_result result;
        sal_net *net = new_net(ctx, SAL_KIND_LITE, 96, 64, 32);
        info[2].h = size[k][0]; info[2].w = size[k][1];
        d.resume = k > 0;
        sal_result r = sal_train(ctx, net, &d, &result);
        if (k % 3 == 0) CHECK(r == SAL_OK, "a training with a picture of %d x %d is %s %s",
                              size[k][0], size[k][1], k ? "gone on with" : "stopped", ctx->error);
        else CHECK(r == SAL_ERR_ARGUMENT && strstr(ctx->error, "sizes and domains"), "not gone on "
                   "with at %d x %d: %s", size[k][0], size[k][1], ctx->error);
        sal_net_free(ctx, net);
        ctx->error[0] = 0;
    }
    info[2].h = info[2].w = 0;
    remove(STATE);
}

/* As load; with `user`, an int: 1 for other densities, 2 for other pictures. */
static sal_result load_changed(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    TRY(load(NULL, ctx, i, sample));
    if (*(int *)user == 1) sample->density.data[7] = .5f;
    if (*(int *)user == 2) sample->image.data[7] ^= 32;
    return SAL_OK;
}

/* Other pictures under the same names are other samples. */
static void test_changed(sal_ctx *ctx) {
    static const char features[] = "build/test_trainer.features";
    int change = 0;
    sal_source source = { LEARN, load_changed, &change, info };
    sal_train_desc d = desc();
    d.train = &source; d.state = STATE; d.progress = stop_after_two;
    remove(STATE); remove(features);
    CHECK(resume(ctx, &d, 0) == SAL_OK, "a training is stopped %s", sal_error(ctx));
    d.progress = NULL; d.resume = 1;
    for (change = 1; change < 3; change++)
        CHECK(resume(ctx, &d, 0) == SAL_ERR_ARGUMENT && strstr(ctx->error, "under the same names"),
              "it does not go on with other %s: %s", change == 1 ? "densities" : "pictures",
              ctx->error);
    d = desc();
    d.train = &source; d.freeze = "conv"; d.dropout = 0; d.features = features; d.epochs = 1;
    change = 0;
    CHECK(resume(ctx, &d, 0) == SAL_OK, "features are cached %s", sal_error(ctx));
    change = 1;
    CHECK(resume(ctx, &d, 0) == SAL_OK, "they serve for other densities, too %s", sal_error(ctx));
    change = 2;
    CHECK(resume(ctx, &d, 0) == SAL_ERR_FORMAT && strstr(ctx->error, "of these pictures"),
          "but not for other pictures: %s", sal_error(ctx));
    remove(STATE); remove(features);
}

/* 1 if two networks have the same weights, bit for bit. */
static int same_weights(const sal_net *x, const sal_net *y) {
    int same = x->params == y->params;
    for (int i = 0; same && i < x->params; i++) {
        const sal_tensor *a = &x->param[i].value, *b = &y->param[i].value;
        same = !memcmp(a->data, b->data, sal_tensor_count(a) * sizeof(float));
    }
    return same;
}

/* Both sources lead to the same weights and the same NSS. */
static void same_training(sal_ctx *ctx, const sal_train_desc *base, const sal_source source[2],
                          sal_fit fit, const char *statement) {
    sal_net *net[2];
    sal_train_result result[2];
    sal_result r = SAL_OK;
    for (int k = 0; k < 2; k++) {
        sal_train_desc d = *base;
        d.train = d.val = &source[k];
        net[k] = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        net[k]->desc.fit = fit;
        if (r == SAL_OK) r = sal_loss_parse(ctx, "mse+nss", &d.loss);
        if (r == SAL_OK) r = sal_train(ctx, net[k], &d, &result[k]);
    }
    CHECK(r == SAL_OK && same_weights(net[0], net[1]) && result[0].val_nss != 0 &&
          result[0].val_nss == result[1].val_nss, "%s %s", statement, r ? ctx->error : "");
    for (int k = 0; k < 2; k++) sal_net_free(ctx, net[k]);
}

/* --- the central square ----------------------------------------------------------------------- */

/* As load, but with more at both sides, where people looked, too. */
static sal_result load_wide(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    enum { WIDE = SIDE + 30 };
    sal_sample middle = ZEROED;
    sal_result r = load(user, ctx, i, &middle);
    if (r == SAL_OK) r = sal_image_new(ctx, WIDE, SIDE, &sample->image);
    if (r == SAL_OK) r = sal_map_new(ctx, WIDE, SIDE, &sample->density);
    sample->fixation = (sal_fixation *)sal_alloc(ctx, 3, sizeof(sal_fixation));
    if (r == SAL_OK && !sample->fixation) r = SAL_ERR_MEMORY;
    for (int y = 0; r == SAL_OK && y < SIDE; y++) {
        memset(sample->image.data + 3 * y * WIDE, 255, 3 * WIDE);
        for (int x = 0; x < WIDE; x++) sample->density.data[y * WIDE + x] = .5f;
        memcpy(sample->image.data + 3 * (y * WIDE + 15), middle.image.data + 3 * y * SIDE,
               3 * SIDE);
        memcpy(sample->density.data + y * WIDE + 15, middle.density.data + y * SIDE,
               SIDE * sizeof(float));
    }
    if (r == SAL_OK) {
        sample->fixations = 3;
        sample->fixation[0] = sample->fixation[1] = sample->fixation[2] = middle.fixation[0];
        sample->fixation[0].x = 14; sample->fixation[1].x += 15; sample->fixation[2].x = 15 + SIDE;
    }
    sal_image_free(ctx, &middle.image);
    sal_map_free(ctx, &middle.density);
    sal_free(ctx, middle.fixation);
    return r;
}

static void test_square(sal_ctx *ctx) {
    const sal_source source[2] = { { LEARN, load, NULL, info }, { LEARN, load_wide, NULL, info } };
    sal_train_desc d = desc();
    d.crop = .2;
    same_training(ctx, &d, source, SAL_FIT_SQUARE,
                  "with the central square, what lies beside it is neither learnt from nor judged by");
}

/* --- the best epoch --------------------------------------------------------------------------- */

typedef struct history { float row[64][SAL_COLUMN_COUNT]; int rows; } history;

static int keep_history(void *user, const sal_train_progress *p) {
    history *h = (history *)user;
    h->rows = p->rows;
    if (p->rows) memcpy(h->row, p->history, (size_t)p->rows * sizeof h->row[0]);
    return SAL_TRAIN_GO_ON;
}

static void test_best(sal_ctx *ctx) {
    static const int column[] = { SAL_COLUMN_VAL_LOSS, SAL_COLUMN_VAL_CC, SAL_COLUMN_VAL_NSS };
    static const char *const names[] = { "loss", "CC", "NSS" };
    static history h;
    sal_train_result result;
    int best[3] = { 0, 0, 0 };
    for (int s = 0; s < 3; s++) {
        sal_train_desc d = desc();
        sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        d.select = (sal_select)s; d.progress = keep_history; d.user = &h;
        d.epochs = 16; d.schedule.rate = .6; d.schedule.rate_end = .6; d.optim.max_norm = 0;
        sal_result r = sal_train(ctx, net, &d, &result);
        for (int i = 0; i < h.rows; i++) {
            float value = h.row[i][column[s]], most = best[s] ? h.row[best[s] - 1][column[s]] : 0;
            if (!best[s] || (s ? value > most : value < most)) best[s] = i + 1;
        }
        const float *row = h.row[MAX(best[s], 1) - 1];
        CHECK(r == SAL_OK && result.best_epoch == best[s] && h.rows == 16 &&
              (float)result.best == (s ? -row[column[s]] : row[column[s]]) &&
              (float)result.val_cc == row[SAL_COLUMN_VAL_CC] &&
              (float)result.val_nss == row[SAL_COLUMN_VAL_NSS],
              "selected by %s, epoch %d of %d is the best %s", names[s], best[s], h.rows,
              r ? ctx->error : "");
        sal_net_free(ctx, net);
    }
    CHECK(best[0] != best[1] || best[0] != best[2], "and it is not always the same");
    for (int patience = 1; patience < 4; patience++) {  /* nothing moves: the first is the best */
        sal_train_desc d = desc();
        sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        d.epochs = 9; d.patience = patience; d.schedule.rate = d.schedule.rate_end = 0;
        d.optim.max_norm = 0;
        sal_result r = sal_train(ctx, net, &d, &result);
        CHECK(r == SAL_OK && result.epochs == 1 + patience && result.best_epoch == 1,
              "with a patience of %d, training ends after epoch %d", patience, result.epochs);
        d.state = STATE; d.resume = 1; d.progress = stop_after_two;
        remove(STATE);
        for (int again = 0; again < 3 && r == SAL_OK; again++) {
            r = sal_train(ctx, net, &d, &result);
            d.progress = NULL;
        }
        CHECK(r == SAL_OK && result.epochs == 1 + patience && result.best_epoch == 1 &&
              result.loss > 0, "also if it is stopped and gone on with, and then no more (%d)",
              result.epochs);
        remove(STATE);
        sal_net_free(ctx, net);
    }
}

/* --- several processes, here threads ---------------------------------------------------------- */

typedef struct rank { int rank; sal_net *net; sal_result result; float *values; double loss; } rank;
static pthread_barrier_t barrier;
static rank ranks[2];

static sal_result add_up(void *user, float *values, size_t count) {
    rank *me = (rank *)user;
    me->values = (float *)malloc(count * sizeof(float));
    memcpy(me->values, values, count * sizeof(float));
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < count; i++) values[i] = ranks[0].values[i] + ranks[1].values[i];
    pthread_barrier_wait(&barrier);
    free(me->values);
    return SAL_OK;
}

/* One step that changes no weight: only the statistics of the batch-norms move. */
static sal_result one_step(sal_ctx *ctx, sal_net *net, rank *me) {
    sal_train_desc d = desc();
    sal_train_result result;
    sal_source four = learn;
    four.count = 4;
    d.train = &four; d.val = NULL; d.epochs = 1; d.batch = me ? 2 : 4; d.mirror = 0;
    d.schedule.rate = d.schedule.rate_end = 0; d.optim.max_norm = 0; d.dropout = 0;
    if (me) { d.ranks = 2; d.rank = me->rank; d.reduce = add_up; d.user = me; }
    sal_result r = sal_train(ctx, net, &d, &result);
    if (me) me->loss = result.loss;
    return r;
}

static void *run_rank(void *arg) {
    rank *me = (rank *)arg;
    sal_ctx ctx = { 0 };
    ctx.threads = 1;
    me->net = new_net(&ctx, SAL_KIND_SAM_RESNET, 48, 64, 32);
    me->result = one_step(&ctx, me->net, me);
    return NULL;
}

static void test_norm(sal_ctx *ctx) {
    sal_net *net = new_net(ctx, SAL_KIND_SAM_RESNET, 48, 64, 32);
    pthread_t thread[2];
    int first = 0, same = 1, moved = 0;
    double off = 0;
    sal_result r = one_step(ctx, net, NULL);
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++) {
        ranks[i].rank = i;
        pthread_create(&thread[i], NULL, run_rank, &ranks[i]);
    }
    for (int i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    for (int i = 0; i < net->params; i++) {
        const sal_tensor *a = &ranks[0].net->param[i].value, *b = &ranks[1].net->param[i].value;
        same &= !memcmp(a->data, b->data, sal_tensor_count(a) * sizeof(float));
        if (!ends_with(net->param[i].name, "running_mean") || first++) continue;
        for (size_t k = 0; k < sal_tensor_count(a); k++) {
            float all = ((float *)net->param[i].value.data)[k], half = ((float *)a->data)[k];
            off = MAX(off, fabs((double)all - half));
            moved += all != 0;
        }
    }
    CHECK(r == SAL_OK && !ranks[0].result && !ranks[1].result && same && first > 10,
          "after a step, two processes have the same statistics of %d batch-norms", first);
    CHECK(ranks[0].loss > 0 && ranks[0].loss == ranks[1].loss, "and one loss");
    CHECK(moved > 0 && off < 1e-6, "and the first mean is that of both batches (off by %.0e)", off);
    sal_net_free(ctx, net);
    for (int i = 0; i < 2; i++) sal_net_free(ctx, ranks[i].net);

    sal_train_desc d = desc();
    sal_train_result result;
    net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
    d.ranks = 2;
    CHECK(sal_train(ctx, net, &d, &result) == SAL_ERR_ARGUMENT && strstr(ctx->error, "reduce"),
          "several processes need a function that adds up: %s", ctx->error);
    d.reduce = add_up; d.rank = 2;
    CHECK(sal_train(ctx, net, &d, &result) == SAL_ERR_ARGUMENT && strstr(ctx->error, "2 of 2"),
          "and count from 0: %s", ctx->error);
    d = desc();
    memset(&d.loss, 0, sizeof d.loss);
    CHECK(sal_train(ctx, net, &d, &result) == SAL_ERR_ARGUMENT && strstr(ctx->error, "loss"),
          "without a loss nothing is learnt: %s", ctx->error);
    sal_net_free(ctx, net);
}

/* --- what is not finite ----------------------------------------------------------------------- */

static void test_gradient(sal_ctx *ctx) {
    static const float bad[] = { (float)NAN, (float)INFINITY };
    static const sal_rule rules[] = { SAL_RULE_SGD, SAL_RULE_RMSPROP, SAL_RULE_ADAM,
                                      SAL_RULE_ADAMW };
    for (int k = 0; k < 8; k++) {
        sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        sal_run_desc rd = ZEROED;
        sal_optim_desc od = ZEROED;
        sal_run *run = NULL;
        sal_optim *optim = NULL;
        od.rule = rules[k / 2]; od.rho = .9; od.eps = 1e-7;
        rd.training = 1;
        if (sal_net_to_float(ctx, net) || sal_run_open_desc(ctx, net, &rd, &run) ||
            sal_optim_open(ctx, &od, run, &optim)) CHECK(0, "%s", sal_error(ctx));
        int p = 4 + k % 2;
        size_t n = sal_tensor_count(&net->param[p].value) * sizeof(float);
        float *before = (float *)malloc(n);
        memcpy(before, net->param[p].value.data, n);
        run->gradient[p][1] = bad[k % 2];
        sal_result r = sal_optim_step(ctx, optim, net, run, .1, .9, NULL);
        int untouched = !memcmp(before, net->param[p].value.data, n) && optim->step == 0;
        for (size_t i = 0; i < optim->slots * optim->floats; i++) untouched &= !optim->state[i];
        CHECK(r == SAL_ERR_NUMERIC && strstr(ctx->error, net->param[p].name) && untouched,
              "rule %d, without clipping: a gradient of %g changes nothing: %s", (int)od.rule,
              (double)bad[k % 2], ctx->error);
        run->gradient[p][1] = 0;
        CHECK(sal_optim_step(ctx, optim, net, run, bad[k % 2], .9, NULL) == SAL_ERR_NUMERIC &&
              sal_optim_step(ctx, optim, net, run, 1e39, .9, NULL) == SAL_ERR_NUMERIC &&
              !memcmp(before, net->param[p].value.data, n), "nor does such a learning rate");
        r = sal_optim_step(ctx, optim, net, run, .1, (double)bad[k % 2], NULL);
        if (k > 3 && r == SAL_ERR_NUMERIC) r = sal_optim_step(ctx, optim, net, run, .1, 1, NULL);
        CHECK(r == SAL_ERR_NUMERIC && strstr(ctx->error, "momentum") &&
              !memcmp(before, net->param[p].value.data, n), "nor such a momentum, 1 for Adam: %s",
              ctx->error);
        sal_optim *none;
        od.eps = od.rule == SAL_RULE_SGD ? .1 : 0; od.decay = od.rule == SAL_RULE_SGD ? -1 : 0;
        CHECK(sal_optim_open(ctx, &od, run, &none) == SAL_ERR_ARGUMENT && !none,
              "what would make NaN of a gradient of 0, or is below 0, is refused: %.60s...",
              ctx->error);
        free(before);
        sal_optim_close(ctx, optim);
        sal_run_close(ctx, run);
        sal_net_free(ctx, net);
    }
}

static int warnings;

/* Samples that cannot be read and are overlooked, while several threads make batches to learn from
   and to validate on (which have them twice). The thread sanitizer looks on. */
static void count_warnings(void *user, const char *message) {
    (void)user;
    warnings += strstr(message, "left out") != NULL;
}

static void test_overlooked(sal_ctx *ctx) {
    int missing = 0, warned[2];
    sal_source some = learn, few = judge;
    some.user = few.user = &missing;
    few.count = 3;
    info[0].h = info[0].w = SIDE; info[1].h = info[1].w = 96;
    for (int i = 2; i < LEARN; i++) info[i].h = info[i].w = 64;
    sal_result r[2];
    float loss[2][2];
    for (int k = 0; k < 2; k++) {
        sal_train_desc d = sal_train_desc_paper(SAL_KIND_LITE);
        sal_net *net = new_net(ctx, SAL_KIND_LITE, 96, 96, 32);
        sal_train_result result;
        d.train = &some; d.val = &few; d.skip = 1; d.cache_bytes = 1; d.epochs = 2; d.batch = 4;
        sal_ctx own = { 0 };
        own.threads = 1;
        if (k) pool_use(&own, 4);
        own.log = count_warnings;
        warnings = 0;
        r[k] = sal_train(&own, net, &d, &result);
        if (r[k]) CHECK(0, "%s", own.error);
        warned[k] = warnings;
        loss[k][0] = (float)result.loss; loss[k][1] = (float)result.val_cc;
        sal_net_free(ctx, net);
    }
    CHECK(!r[0] && !r[1] && !memcmp(loss[0], loss[1], sizeof loss[0]) && loss[0][0] == loss[0][0],
          "a sample that is not there is overlooked, whatever the number of threads (loss %g, CC "
          "%g)", (double)loss[0][0], (double)loss[0][1]);
    CHECK(warned[0] == 2 && warned[1] == 2, "but not without a word: once where it is learnt from, "
          "and once where it is judged by");
    for (int i = 0; i < LEARN; i++) info[i].h = info[i].w = 0;
    for (int k = 0; k < 4; k++) {       /* kept in memory or not; to learn from, to judge by */
        sal_train_desc d = desc();
        sal_train_result result;
        sal_source none = k / 2 ? judge : learn;
        int all = ALL;
        sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        none.user = &all;
        if (k / 2) d.val = &none; else d.train = &none;
        d.skip = 1; d.cache_bytes = k % 2;
        sal_result one = sal_train(ctx, net, &d, &result);
        CHECK(one == SAL_ERR_IO && strstr(ctx->error, k / 2 ? "to validate on" : "none of"),
              "if there is none that can be read, that is said: %s", ctx->error);
        sal_net_free(ctx, net);
    }
}

static sal_result load_nothing(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    (void)user; (void)sample;
    return snprintf(ctx->error, sizeof ctx->error, "no memory for sample %d", i), SAL_ERR_MEMORY;
}

/* Where memory ends, samples are not what is wrong. */
static void test_memory(sal_ctx *ctx) {
    for (int k = 0; k < 2; k++) {
        sal_train_desc d = desc();
        sal_train_result result;
        sal_source source = { LEARN, load_nothing, NULL, info };
        sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        d.train = &source; d.skip = 1; d.cache_bytes = k;
        CHECK(sal_train(ctx, net, &d, &result) == SAL_ERR_MEMORY, "no sample is overlooked for lack "
              "of memory%s: %s", k ? ", nor when they are read again" : "", ctx->error);
        sal_net_free(ctx, net);
    }
}

static sal_result load_never(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    static const sal_result kind[] = { SAL_ERR_IO, SAL_ERR_SHAPE, SAL_ERR_FORMAT, SAL_ERR_NUMERIC,
                                       SAL_ERR_ARGUMENT, SAL_ERR_UNSUPPORTED };
    (void)user; (void)sample;
    return snprintf(ctx->error, sizeof ctx->error, "error %d.", kind[i]), kind[i];
}

/* Of several samples that fail, each in its own way, one is reported. */
static void test_failures(void) {
    for (int k = 0; k < 2; k++) {
        sal_ctx one = { 0 };
        sal_train_desc d = desc();
        sal_train_result result;
        sal_source source = { LEARN, load_never, NULL, info };
        sal_net *net = new_net(&one, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        char text[20];
        one.threads = 1;
        d.train = &source; d.cache_bytes = k;
        snprintf(text, sizeof text, "error %d.", sal_train(&one, net, &d, &result));
        CHECK(strstr(one.error, text), "the message is that of the %s which is returned%s: %s", text,
              k ? ", also when samples are read again" : "", one.error);
        sal_net_free(&one, net);
    }
}

/* A list of pictures that there is no memory for. */
static void test_no_list(void) {
    enum { MANY = 2000 };
    int wrong = 0, leaks = 0;
    for (int k = 1; k < 12; k++) {
        counter c;
        sal_ctx few = counted(&c);
        sal_train_desc d = desc();
        sal_train_result result;
        sal_source source = { MANY, load, NULL, NULL };
        sal_net *net = new_net(&few, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        int before = c.live;
        d.train = &source;
        c.calls = 0; c.fail_at = k;
        wrong += sal_train(&few, net, &d, &result) != SAL_ERR_MEMORY;
        c.fail_at = 0;
        leaks += c.live != before;
        sal_net_free(&few, net);
    }
    CHECK(!wrong && !leaks, "where there is no memory for the list of pictures, it is said so, and "
          "nothing leaks");
}

/* As load, but it only claims that people looked. */
static sal_result load_unseen(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    sal_result r = load(NULL, ctx, i, sample);
    sal_free(ctx, sample->fixation);
    sample->fixation = NULL;
    sample->fixations = *(int *)user;
    return r;
}

static void test_unseen(sal_ctx *ctx) {
    for (int claimed = -1; claimed < 2; claimed++) {
        sal_train_desc d = desc();
        sal_train_result result;
        sal_source source = { LEARN, load_unseen, &claimed, info };
        sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        d.train = &source; d.val = NULL; d.epochs = 1;
        sal_result r = sal_train(ctx, net, &d, &result);
        if (!claimed) CHECK(r == SAL_OK, "samples need no fixations %s", r ? ctx->error : "");
        else CHECK(r == SAL_ERR_ARGUMENT && strstr(ctx->error, "no list"), "but fixations that are "
                   "claimed must be there: %s", ctx->error);
        sal_net_free(ctx, net);
    }
}

/* The upper half of load's pictures; with `user`, an int that is 1, people looked below them, too. */
static sal_result load_upper(void *user, sal_ctx *ctx, int i, sal_sample *sample) {
    sal_result r = load(NULL, ctx, i, sample);
    sal_free(ctx, sample->fixation);
    sample->image.h = sample->density.h = SIDE / 2;
    sample->fixation = (sal_fixation *)sal_alloc(ctx, 2, sizeof(sal_fixation));
    if (r != SAL_OK || !sample->fixation) return SAL_ERR_MEMORY;
    sample->fixations = 1 + *(int *)user;
    sample->fixation[0].x = sample->fixation[0].y = sample->fixation[1].x = 9;
    sample->fixation[1].y = SIDE / 2 + 6;
    return SAL_OK;
}

static void test_below(sal_ctx *ctx) {
    int inside = 0, below = 1;
    const sal_source source[2] = { { LEARN, load_upper, &inside, info },
                                   { LEARN, load_upper, &below, info } };
    sal_train_desc d = desc();
    d.epochs = 1;
    same_training(ctx, &d, source, SAL_FIT_LETTERBOX,
                  "fixations outside the picture are left out, also where the frame goes on");
}

/* What no training comes of is refused at once, and weights that were lost in the last step. */
static void test_senseless(sal_ctx *ctx) {
    for (int k = 0; k < 10; k++) {
        sal_train_desc d = desc();
        sal_train_result result;
        sal_net *net = new_net(ctx, SAL_KIND_JUNTINGNET, SIDE, SIDE, 24);
        d.val = NULL; d.epochs = 1;
        if (k == 0) d.average = 1;
        if (k == 1) d.average = NAN;
        if (k == 2) d.colour = INFINITY;
        if (k == 3) d.colour = -1;
        if (k == 4) d.dropout = 1;
        if (k == 5) d.dropout = NAN;
        if (k == 6) { d.batch = LEARN; d.optim.max_norm = 0; d.schedule.rate = 1e60; }
        if (k == 7) net->desc.blur = 1000;
        if (k == 8) d.loss.upsample = 1 << 30;
        if (k == 9) { d.val = &judge; judge.count = -1; }
        sal_result r = sal_train(ctx, net, &d, &result);
        judge.count = JUDGE;
        if (k < 6 || k > 7) CHECK(r == SAL_ERR_ARGUMENT && strstr(ctx->error, "training needs"),
                         "training without sense is refused (%d)", k);
        else if (k == 7) CHECK(r == SAL_ERR_ARGUMENT && strstr(ctx->error, "sal.blur"),
                               "nor is a network trained that could not be saved: %s", ctx->error);
        else CHECK(r == SAL_ERR_NUMERIC && strstr(ctx->error, "learning rate"),
                   "one step of a rate of 1e60 leaves no weights to work with: %s", ctx->error);
        sal_net_free(ctx, net);
    }
}

/* The paper's recipe of every kind makes two epochs of finite weights out of random ones. */
static void test_recipes(sal_ctx *ctx) {
    for (int kind = 0; kind < SAL_KIND_COUNT; kind++) {
        int deep = kind > SAL_KIND_WEPSAM, good = 1;
        sal_net *net = new_net(ctx, (sal_kind)kind, deep ? 48 : 64, 64, 32);
        sal_train_desc d = sal_train_desc_paper((sal_kind)kind);
        sal_train_result result;
        d.train = &learn; d.epochs = 2; d.batch = 3; d.schedule.rate *= .1;
        sal_result r = sal_train(ctx, net, &d, &result);
        for (int i = 0; i < net->params; i++)
            for (size_t k = 0; k < sal_tensor_count(&net->param[i].value); k++)
                good &= fabsf(((float *)net->param[i].value.data)[k]) <= FLT_MAX;
        CHECK(r == SAL_OK && good, "%s learns by its own recipe %s", net->name,
              r ? ctx->error : "");
        sal_net_free(ctx, net);
    }
}

/* Batch-norms that are not the identity. */
static void shake_norms(sal_net *net) {
    sal_rng rng = { 9 };
    for (int i = 0; i < net->params; i++) {
        const char *name = net->param[i].name;
        float *p = (float *)net->param[i].value.data;
        if (net->param[i].value.ndim != 1 || !strncmp(name, "head", 4)) continue;
        for (size_t k = 0, n = sal_tensor_count(&net->param[i].value); k < n; k++)
            p[k] = (float)sal_rng_uniform(&rng) + (strstr(name, "var") || strstr(name, "weight")
                                                   ? .5f : -.5f);
    }
}

/* The loss of one epoch of SAM-ResNet, and its weights where `net` is not NULL. */
static sal_result learn_epoch(sal_ctx *ctx, const sal_train_desc *d, int stride_on_3x3,
                              sal_train_result *result, sal_net **net) {
    sal_net_desc n = sal_net_desc_default(SAL_KIND_SAM_RESNET);
    sal_net *own = NULL;
    n.w = n.h = 64; n.narrow = 32; n.stride_on_3x3 = stride_on_3x3;
    sal_result r = sal_net_new(ctx, &n, &own);
    if (!r) r = sal_net_init(ctx, own, 1);
    if (!r) shake_norms(own);
    if (!r) r = sal_train(ctx, own, d, result);
    if (net) *net = own; else sal_net_free(ctx, own);
    return r;
}

static void test_features(sal_ctx *ctx) {
    static const char features[] = "build/test_trainer.features";
    static const char *const frozen[] = { "backbone.conv1", "backbone.conv1,backbone.bn1,"
        "backbone.layer1,backbone.layer2.0.downsample,backbone.layer2.0.conv1" };
    sal_sample_info twins[LEARN];
    int bad = 2;
    sal_source same = { LEARN, load, NULL, twins }, holed = { LEARN, load, &bad, info };
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_SAM_RESNET);
    sal_train_result plain, cached;
    sal_net *net[2] = { NULL, NULL };
    ctx->error[0] = 0;
    d.train = &learn; d.epochs = 1; d.batch = 2; d.mirror = 0; d.fixed_norm = 1; d.loss.upsample = 1;
    for (int k = 0; k < 2; k++) {
        d.freeze = frozen[k];
        d.features = NULL;
        sal_result r = learn_epoch(ctx, &d, 0, &plain, NULL);
        remove(features);
        d.features = features;
        if (!r) r = learn_epoch(ctx, &d, 0, &cached, NULL);
        CHECK(!r && fabs(plain.loss - cached.loss) < 1e-2 * fabs(plain.loss), "frozen between a "
              "convolution and its norm, it learns the same from features: loss %.4f and %.4f %s",
              plain.loss, cached.loss, ctx->error);
    }
    memcpy(twins, info, sizeof twins);
    for (int k = LEARN / 2; k < LEARN; k++) twins[k].name = twins[k - LEARN / 2].name;
    d.freeze = "backbone.";
    for (int k = 0; k < 2; k++) {
        d.train = k ? &same : &learn;
        remove(features);
        CHECK(learn_epoch(ctx, &d, 0, &cached, &net[k]) == SAL_OK, "features are cached %s",
              ctx->error);
    }
    CHECK(net[0] && net[1] && same_weights(net[0], net[1]),
          "two pictures of one name have features of their own");
    sal_net_free(ctx, net[0]); sal_net_free(ctx, net[1]);
    CHECK(learn_epoch(ctx, &d, 1, &cached, NULL) == SAL_ERR_FORMAT, "features of ResNet v1 are not "
          "those of v1.5");
    d.train = &holed; d.skip = 1; d.cache_bytes = 1;
    remove(features);
    CHECK(learn_epoch(ctx, &d, 0, &cached, NULL) == SAL_OK && cached.epochs == 1,
          "a picture that cannot be read is left out of the features, too %s", ctx->error);
    remove(features);
}

int main(void) {
    sal_ctx ctx = { 0 };
    pool_use(&ctx, 2);
    test_recipes(&ctx);
    test_resume(&ctx);
    test_changed(&ctx);
    test_sizes(&ctx);
    test_square(&ctx);
    test_best(&ctx);
    test_norm(&ctx);
    test_gradient(&ctx);
    test_overlooked(&ctx);
    test_features(&ctx);
    test_memory(&ctx);
    test_failures();
    test_no_list();
    test_unseen(&ctx);
    test_below(&ctx);
    test_senseless(&ctx);
    remove(LOG);
    return test_done();
}
