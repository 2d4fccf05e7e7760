/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* The trainer on small pictures that the test draws itself: all networks learn them, the same bits
   come out however training is run, stopped or killed, and what is wrong with data, disk, memory or
   numbers is said. Works in build/test_train_files/. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "test.h"
#include <pthread.h>
#ifndef _WIN32
#  include <signal.h>
#  include <sys/resource.h>
#  include <sys/wait.h>
#endif

#define FOLDER "build/test_train_files"
enum { PICTURES = 12, SIDE = 48 };

/* --- a data set: a bright spot on noise; people looked at the spot ---------------------------- */

static void make_set(sal_ctx *ctx, const char *folder, int pictures) {
    char path[128], *csv = (char *)malloc(65536);
    int i, k, used = sprintf(csv, "image,subject,x,y,duration_ms\n");
    snprintf(path, sizeof path, "%s", folder);
    snprintf(path, sizeof path, "%s/images", folder);
    sal_folder_make(ctx, path);
    for (i = 0; i < pictures; i++) {
        sal_image image;
        sal_rng rng;
        int x0, y0;
        rng.state = (uint64_t)i + 1;
        x0 = 8 + (int)sal_rng_below(&rng, 32); y0 = 8 + (int)sal_rng_below(&rng, 32);
        sal_image_new(ctx, SIDE, SIDE, &image);
        for (k = 0; k < SIDE * SIDE; k++) {
            int dx = k % SIDE - x0, dy = k / SIDE - y0, spot = dx * dx + dy * dy < 30;
            image.data[3 * k] = image.data[3 * k + 1] = image.data[3 * k + 2] =
                (unsigned char)(spot ? 230 : 60 + sal_rng_below(&rng, 60));
        }
        snprintf(path, sizeof path, "%s/images/p%02d.png", folder, i);
        sal_image_save(ctx, path, &image);
        sal_image_free(ctx, &image);
        for (k = 0; k < 8; k++)
            used += sprintf(csv + used, "p%02d.png,s%02d,%.2f,%.2f,200\n", i, k + 1,
                            x0 + 2 * sal_rng_normal(&rng), y0 + 2 * sal_rng_normal(&rng));
    }
    snprintf(path, sizeof path, "%s/fixations.csv", folder);
    sal_file_write(ctx, path, csv, (size_t)used);
    snprintf(path, sizeof path, "%s/sigma.csv", folder);
    used = sprintf(csv, "image,sigma_px\n");
    for (i = 0; i < pictures; i++) used += sprintf(csv + used, "p%02d.png,4\n", i);
    sal_file_write(ctx, path, csv, (size_t)used);
    free(csv);
}

static const char *const small_set[] = { FOLDER "/set" };

static sal_net *make_net(sal_ctx *ctx, sal_kind kind, int h, int w, int narrow) {
    sal_net_desc d = sal_net_desc_default(kind);
    sal_net *net = NULL;
    d.h = h; d.w = w; d.narrow = narrow;
    if (sal_net_new(ctx, &d, &net) || sal_net_init(ctx, net, 1)) CHECK(0, "%s", sal_error(ctx));
    return net;
}

static sal_train_desc short_desc(void) {
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_JUNTINGNET);
    d.epochs = 5; d.batch = 3; d.dropout = .3;
    d.seed = 4;
    return d;
}

static sal_folders_desc short_data(void) {
    sal_folders_desc data;
    memset(&data, 0, sizeof data);
    data.data = small_set; data.datas = 1;
    data.val_split = .3; data.seed = 4;
    return data;
}

static uint64_t digest(const sal_net *net) {
    uint64_t h = 1;
    int i;
    size_t k;
    for (i = 0; i < net->params; i++) {
        const unsigned char *b = (const unsigned char *)net->param[i].value.data;
        for (k = 0; k < sal_tensor_count(&net->param[i].value) * 4; k++)
            h = (h ^ b[k]) * 1099511628211u;
    }
    return h;
}

static uint64_t bytes_digest(const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *)data;
    uint64_t h = 1;
    for (size_t k = 0; k < size; k++) h = (h ^ bytes[k]) * 1099511628211u;
    return h;
}

static uint64_t file_digest(sal_ctx *ctx, const char *path) {
    unsigned char *bytes;
    size_t size;
    if (sal_file_read(ctx, path, &bytes, &size) != SAL_OK) return 0;
    uint64_t h = bytes_digest(bytes, size);
    sal_free(ctx, bytes);
    return h;
}

/* --- learning --------------------------------------------------------------------------------- */

static void test_overfit(void) {
    static const struct { sal_kind kind; int h, w, narrow, epochs; double rate, goal; } cases[] = {
        { SAL_KIND_JUNTINGNET, 48, 48, 4, 120, 1e-3, .06 },
            { SAL_KIND_WEPSAM, 64, 64, 4, 60, 1e-3, .06 },
        { SAL_KIND_MLNET, 48, 64, 16, 100, 4e-3, .02 },
            { SAL_KIND_SAM_VGG, 48, 64, 32, 160, 4e-3, .1 },
        { SAL_KIND_SAM_RESNET, 48, 64, 32, 150, 4e-3, .1 }   /* 0.004 to 0.04 by rounding and seed */
    };
    int k;
    for (k = 0; k < COUNT(cases); k++) {
        sal_ctx ctx;
        sal_train_desc d = sal_train_desc_paper(cases[k].kind);
        sal_folders_desc data = short_data();
        sal_train_result result;
        sal_net *net;
        sal_result r;
        int deep = cases[k].kind > SAL_KIND_WEPSAM, i;
        size_t j;
        memset(&ctx, 0, sizeof ctx);
        ctx.threads = 1;
        net = make_net(&ctx, cases[k].kind, cases[k].h, cases[k].w, cases[k].narrow);
        for (i = 0; !deep && i < net->params; i++) {    /* the papers' start takes its time */
            const sal_tensor *w = &net->param[i].value;
            for (j = 0; w->ndim > 1 && j < sal_tensor_count(w); j++) ((float *)w->data)[j] *= 8;
        }
        d.mirror = 0; d.batch = 8; d.epochs = cases[k].epochs; d.dropout = 0;
        data.val_split = 0; data.test_share = .2;      /* 8 to 10 pictures are left */
        d.optim.rule = SAL_RULE_ADAM; d.optim.rho = .999; d.optim.eps = 1e-8; d.optim.max_norm = 0;
        d.schedule.kind = SAL_SCHEDULE_COSINE; d.schedule.rate = cases[k].rate;
        d.schedule.rate_end = 0;
        if (deep) sal_loss_parse(&ctx, "kl", &d.loss);
        r = sal_train_folders(&ctx, net, &d, &data, &result);
        {
            double zero = 0;    /* what the untrained network's loss would be */
            sal_train_result first = { 0, 0, 0, 0, 0, 0, 0 };
            sal_net *fresh = make_net(&ctx, cases[k].kind, cases[k].h, cases[k].w, cases[k].narrow);
            d.epochs = 1; d.schedule.rate = 0;
            if (r == SAL_OK) r = sal_train_folders(&ctx, fresh, &d, &data, &first);
            zero = first.loss;
            CHECK(r == SAL_OK && result.loss < cases[k].goal * zero,
                  "%s learns a few pictures by heart: %s from %.4f to %.4f %s",
                  sal_kind_name(cases[k].kind), deep ? "KL" : "squared error", zero, result.loss,
                  r ? sal_error(&ctx) : "");
            sal_net_free(&ctx, fresh);
        }
        sal_net_free(&ctx, net);
    }
}

/* --- same bits -------------------------------------------------------------------------------- */

/* history: a digest of all its rows so far */
typedef struct stopper { int stop_at, checkpoint, calls; uint64_t history; } stopper;

static int stop_at(void *user, const sal_train_progress *p) {
    stopper *s = (stopper *)user;
    int step = p->epoch * p->steps + p->step;
    if (p->loading) return SAL_TRAIN_GO_ON;
    s->calls++;
    s->history = p->rows ? bytes_digest(p->history, (size_t)p->rows * sizeof *p->history) : 0;
    if (s->stop_at > 0 && step == s->stop_at) return SAL_TRAIN_STOP;
    return s->checkpoint ? SAL_TRAIN_CHECKPOINT : SAL_TRAIN_GO_ON;
}

/* Train from scratch (or resume); the digest of the weights, 0 on failure. */
static uint64_t train_kind(sal_kind kind, int height, int width, int narrow, sal_train_desc *d,
                           const sal_folders_desc *data, int threads, sal_train_result *result,
                           char *error) {
    sal_ctx ctx;
    sal_net *net;
    uint64_t h = 0;
    memset(&ctx, 0, sizeof ctx);
    ctx.threads = threads;
    net = make_net(&ctx, kind, height, width, narrow);
    if (sal_train_folders(&ctx, net, d, data, result) == SAL_OK) h = digest(net);
    if (error) snprintf(error, 300, "%.299s", h ? "" : ctx.error);
    sal_net_free(&ctx, net);
    return h;
}

static uint64_t run_training(sal_train_desc *d, int threads, sal_train_result *result,
                             char *error) {
    sal_folders_desc data = short_data();
    return train_kind(SAL_KIND_JUNTINGNET, 48, 48, 8, d, &data, threads, result, error);
}

static void test_same_bits(void) {
    sal_ctx ctx;
    sal_train_desc d = short_desc();
    sal_train_result result;
    uint64_t whole, history, other;
    stopper s = ZEROED;
    char error[300];
    int k, same = 1, steps;
    memset(&ctx, 0, sizeof ctx);
    d.progress = stop_at; d.user = &s; d.average = .9; d.crop = .2; d.colour = .2;
    whole = run_training(&d, 1, &result, error);
    history = s.history;
    CHECK(whole && result.epochs == 5 && result.best_epoch > 0, "a short training runs %s", error);
    other = run_training(&d, 3, &result, error);
    CHECK(other == whole && history && s.history == history,
          "one thread and three give the same bits, weights and history");
    d.cache_bytes = 1;
    CHECK(run_training(&d, 2, &result, error) == whole,
          "pictures read again and again give the same bits as pictures kept in memory");
    d.cache_bytes = 0;
    d.seed++;
    CHECK(run_training(&d, 1, &result, error) != whole, "another seed gives other bits");
    d.seed--;
    steps = 5 * 3;      /* 9 or fewer pictures, batches of 3 */
    for (k = 1; k < steps; k += 2) {
        s.stop_at = k;
        remove(FOLDER "/a.state");
        d.state = FOLDER "/a.state"; d.resume = 1;
        run_training(&d, 1, &result, error);
        if (!result.stopped && k < 10) same = 0;
        s.stop_at = 0;
        if (run_training(&d, 2, &result, error) != whole) same = 0;
        if (s.history != history) same = 0;
    }
    CHECK(same, "stopped after any step and resumed: the same weights and history, bit for bit %s",
          error);
    d.batch = 4;
    CHECK(run_training(&d, 1, &result, error) == 0 && strstr(error, "another recipe"),
          "a state of another recipe is refused: %.60s...", error);
}

#ifdef _WIN32
static void test_kill(void) { SKIP("killed and resumed: not on Windows"); }
#else
/* Killed from outside, again and again, at whatever it is doing. */
static void test_kill(void) {
    sal_ctx ctx;
    sal_train_desc d = short_desc();
    sal_train_result result;
    stopper s = { 0, 1, 0, 0 };
    sal_net *net;
    uint64_t whole, out;
    char error[300];
    int kills = 0, status = -1, round;
    memset(&ctx, 0, sizeof ctx);
    d.epochs = 12;
    d.out = FOLDER "/b.safetensors"; d.state = FOLDER "/b.state";
    d.progress = stop_at; d.user = &s;
    whole = run_training(&d, 1, &result, error);
    out = file_digest(&ctx, d.out);
    remove(d.out);
    remove(d.state);
    d.resume = 1;
    for (round = 0; round < 100 && status != 0; round++) {
        pid_t child = fork();
        if (child == 0) {
            uint64_t h = run_training(&d, 1, &result, NULL);
            _exit(h == whole ? 0 : 1);
        }
        usleep(20000 + 11000 * (unsigned)(round % 7) + 400 * (unsigned)(round * round));
        if (waitpid(child, &status, WNOHANG) == child) { status = WEXITSTATUS(status); continue; }
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        status = -1;
        kills++;
    }
    CHECK(status == 0 && kills > 0, "killed %d times and resumed, training ends with the same bits",
          kills);
    CHECK(whole && file_digest(&ctx, d.out) == out, "and with the same best weights in its file");
    CHECK(sal_net_load(&ctx, d.out, &net) == SAL_OK, "which is a weights file %s", sal_error(&ctx));
    sal_net_free(&ctx, net);
}
#endif

/* --- two processes (here: threads) as one ----------------------------------------------------- */

typedef struct rank {
    int rank;
    sal_net *net;
    sal_result result;
    float *values;
} rank;
static pthread_barrier_t barrier;
static rank ranks[2];

static sal_result add_up(void *user, float *values, size_t count) {
    rank *me = (rank *)user;
    float *mine = (float *)malloc(count * sizeof(float));
    size_t i;
    memcpy(mine, values, count * sizeof(float));
    me->values = mine;
    pthread_barrier_wait(&barrier);
    for (i = 0; i < count; i++) values[i] = ranks[0].values[i] + ranks[1].values[i];
    pthread_barrier_wait(&barrier);
    free(mine);
    return SAL_OK;
}

static void *run_rank(void *arg) {
    rank *me = (rank *)arg;
    sal_ctx ctx;
    sal_train_desc d = short_desc();
    sal_folders_desc data = short_data();
    sal_train_result result;
    memset(&ctx, 0, sizeof ctx);
    ctx.threads = 1;
    d.batch = 2; d.ranks = 2; d.rank = me->rank; d.reduce = add_up; d.user = me; d.dropout = 0;
    me->net = make_net(&ctx, SAL_KIND_JUNTINGNET, 48, 48, 8);
    me->result = sal_train_folders(&ctx, me->net, &d, &data, &result);
    return NULL;
}

static void test_ranks(void) {
    sal_ctx ctx;
    sal_train_desc d = short_desc();
    sal_folders_desc data = short_data();
    sal_train_result result;
    sal_net *net;
    pthread_t thread[2];
    double worst = 0, most = 0;
    int i, r;
    size_t k;
    memset(&ctx, 0, sizeof ctx);
    ctx.threads = 1;
    d.batch = 4; d.dropout = 0;
    net = make_net(&ctx, SAL_KIND_JUNTINGNET, 48, 48, 8);
    r = sal_train_folders(&ctx, net, &d, &data, &result);
    pthread_barrier_init(&barrier, NULL, 2);
    for (i = 0; i < 2; i++) {
        ranks[i].rank = i;
        pthread_create(&thread[i], NULL, run_rank, &ranks[i]);
    }
    for (i = 0; i < 2; i++) pthread_join(thread[i], NULL);
    for (i = 0; i < net->params; i++)
        for (k = 0; k < sal_tensor_count(&net->param[i].value); k++) {
            float a = ((float *)net->param[i].value.data)[k];
            float b = ((float *)ranks[1].net->param[i].value.data)[k];
            worst = MAX(worst, fabs((double)a - b));
            most = MAX(most, fabs((double)a));
        }
    CHECK(r == SAL_OK && !ranks[0].result && !ranks[1].result && worst < 1e-5 * most,
          "two that share batches of 2 learn what one learns with batches of 4 (off by %.1e of "
          "%.1e)", worst, most);
    CHECK(digest(ranks[0].net) == digest(ranks[1].net), "and both have the same bits");
    sal_net_free(&ctx, net);
    for (i = 0; i < 2; i++) sal_net_free(&ctx, ranks[i].net);
}

/* --- features --------------------------------------------------------------------------------- */

static int stop_loading(void *user, const sal_train_progress *p) {
    int *calls = (int *)user;
    return p->loading && ++*calls == 7 ? SAL_TRAIN_STOP : SAL_TRAIN_GO_ON;
}

static void test_features(void) {
    static const char path[] = FOLDER "/features";
    sal_ctx ctx;
    sal_train_desc d = short_desc(), other;
    sal_folders_desc data = short_data();
    sal_train_result plain, cached, again;
    memset(&plain, 0, sizeof plain); memset(&cached, 0, sizeof cached);
    memset(&ctx, 0, sizeof ctx);
    char error[300];
    struct stat whole, part, single;
    uint64_t bytes;
    int done, calls = 0;
    d.freeze = "conv"; d.dropout = 0;
    CHECK(run_training(&d, 1, &plain, error) != 0, "a network with frozen convolutions learns %s",
          error);
    remove(path);
    d.features = path;
    done = run_training(&d, 1, &cached, error) != 0;
    CHECK(done && fabs(cached.loss - plain.loss) < 1e-3 * plain.loss,
          "from features on disk it learns the same: loss %.6f and %.6f %s", plain.loss,
          cached.loss, error);
    stat(path, &whole);
    bytes = file_digest(&ctx, path);
    other = d;
    other.seed = data.seed = 5; other.schedule.rate /= 2; other.mirror = 0; data.val_split = .1;
    done = train_kind(SAL_KIND_JUNTINGNET, 48, 48, 8, &other, &data, 1, &again, error) != 0;
    CHECK(done && file_digest(&ctx, path) == bytes,
          "another recipe, seed and share of validation use the file that is there %s", error);
    run_training(&d, 1, &again, error);
    CHECK(again.loss == cached.loss && file_digest(&ctx, path) == bytes,
          "a second training does too, and ends with the same loss");
    remove(path);
    other = d;
    other.progress = stop_loading; other.user = &calls;
    done = run_training(&other, 1, &again, error) != 0;
    stat(path, &part);
    CHECK(!done && part.st_size < whole.st_size && part.st_size > 128,
          "stopped while it makes features: %.40s...", error);
    CHECK(truncate(path, part.st_size - 11) == 0 && run_training(&d, 2, &again, error) != 0 &&
          file_digest(&ctx, path) == bytes && again.loss == cached.loss,
          "the next training makes the rest, after half a record too: the same bytes %s", error);
    other = d;
    other.freeze = "conv1";
    done = run_training(&other, 1, &again, error) != 0;
    CHECK(!done && strstr(error, "delete it") && file_digest(&ctx, path) == bytes,
          "features of other layers are refused, and the file stays: %.60s...", error);
    remove(path);
    other = d;
    other.mirror = 0;
    done = run_training(&other, 1, &again, error) != 0;
    stat(path, &single);
    CHECK(done && single.st_size - 128 == (whole.st_size - 128) / 2,
          "without mirrored pictures the file is half as large %s", error);
    CHECK(run_training(&d, 1, &again, error) == 0, "and not enough for a training with them");
    d.crop = .1;
    CHECK(run_training(&d, 1, &again, error) == 0 && strstr(error, "features"),
          "features and crops together are refused: %.50s...", error);
    remove(path);
}

/* --- inputs of several sizes ------------------------------------------------------------------ */

typedef struct counter { int steps, vals; sal_train_result result; char error[300]; } counter;

static int count_steps(void *user, const sal_train_progress *p) {
    counter *c = (counter *)user;
    if (!p->loading) { c->steps = p->steps; c->vals = p->val_pictures; }
    return SAL_TRAIN_GO_ON;
}

/* lite learns from the same folder at several sizes; the digest of its weights, 0 on failure. */
static uint64_t run_sizes(const int (*size)[2], int sizes, int threads, int stop, counter *c) {
    static const char *const sets[] = { FOLDER "/set", FOLDER "/set", FOLDER "/set", FOLDER "/set",
                                        FOLDER "/set", FOLDER "/set", FOLDER "/set", FOLDER "/set",
                                        FOLDER "/set" };
    sal_train_desc d = short_desc();
    sal_folders_desc data = short_data();
    stopper s = { 0, 0, 0, 0 };
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    data.data = sets; data.datas = sizes; data.size = size;
    d.fixed_norm = 1; d.epochs = 2; d.crop = .2; d.optim.max_norm = 0;
    d.progress = count_steps; d.user = c;
    sal_loss_parse(&ctx, "kl-cc", &d.loss);
    d.schedule.rate = .01;
    if (stop) {
        s.stop_at = stop > 0 ? stop : 0;
        d.state = FOLDER "/sizes.state"; d.resume = 1; d.progress = stop_at; d.user = &s;
    }
    return train_kind(SAL_KIND_LITE, 48, 64, 16, &d, &data, threads, &c->result, c->error);
}

static void test_sizes(void) {
    static const int sizes[][2] = { { 0, 0 }, { 32, 40 }, { 48, 64 }, { 64, 48 } };
    static const int many[][2] = { { 16, 16 }, { 16, 24 }, { 16, 32 }, { 16, 40 }, { 16, 48 },
                                   { 16, 56 }, { 16, 64 }, { 24, 16 }, { 32, 16 } };
    static const int odd[][2] = { { 33, 40 } };
    counter one, c, again;
    uint64_t h;
    int k, same = 1;
    memset(&again, 0, sizeof again);
    run_sizes(sizes, 1, 1, 0, &one);
    h = run_sizes(sizes, 2, 1, 0, &c);
    CHECK(h && c.steps == 2 * one.steps && c.vals == one.vals, "a folder at two sizes is learnt in "
          "twice the batches, %d, and validated once, %d pictures %s", c.steps, c.vals, c.error);
    h = run_sizes(sizes, 3, 1, 0, &c);
    CHECK(h && c.steps > 2 * one.steps && c.steps <= 3 * one.steps,
          "folders of one size share their batches (%d) %s", c.steps, c.error);
    h = run_sizes(sizes, 4, 1, 0, &c);
    CHECK(h && h == run_sizes(sizes, 4, 3, 0, &c),
          "three sizes: one thread and three give the same bits %s", c.error);
    for (k = 1; k < 2 * c.steps; k += 5) {
        remove(FOLDER "/sizes.state");
        run_sizes(sizes, 4, 1, k, &again);
        same &= run_sizes(sizes, 4, 2, -1, &again) == h;
    }
    CHECK(same, "and so does a training that was stopped and resumed %s", again.error);
    CHECK(!run_sizes(many, 9, 1, 0, &c) && strstr(c.error, "more than 8 sizes"),
          "nine sizes are refused: %.60s", c.error);
    CHECK(!run_sizes(odd, 1, 1, 0, &c) && strstr(c.error, "33"),
          "a size that the network cannot take is refused: %.90s", c.error);
}

/* --- what can go wrong ------------------------------------------------------------------------ */

static int warnings;
static void count_warnings(void *user, const char *message) {
    (void)user; (void)message;
    warnings++;
}

/* Pictures with maps and no fixations. */
static void make_maps(sal_ctx *ctx, const char *folder, int pictures) {
    char path[128];
    sal_image image;
    sal_map map;
    int i;
    snprintf(path, sizeof path, "%s/images", folder);
    sal_folder_make(ctx, path);
    snprintf(path, sizeof path, "%s/maps", folder);
    sal_folder_make(ctx, path);
    sal_image_new(ctx, SIDE, SIDE, &image);
    sal_map_new(ctx, SIDE, SIDE, &map);
    for (i = 0; i < pictures; i++) {
        map.data[100 * i + 99] = 1;
        image.data[3 * (100 * i + 99)] = 255;
        snprintf(path, sizeof path, "%s/images/m%02d.jpg", folder, i);
        sal_image_save(ctx, path, &image);
        snprintf(path, sizeof path, "%s/maps/m%02d.png", folder, i);
        sal_map_save_png(ctx, path, &map);
    }
    sal_map_free(ctx, &map);
    sal_image_free(ctx, &image);
}

#define TRAIN sal_train_folders(&ctx, net, &d, &data, &result)
static void test_bad_data(void) {
    static const char *const map_set[] = { FOLDER "/maps" };
    static const char *const bad_set[] = { FOLDER "/bad" };
    static const char *const no_set[] = { FOLDER "/nothing" };
    sal_ctx ctx;
    sal_train_desc d = short_desc();
    sal_folders_desc data = short_data();
    sal_train_result result;
    sal_net *net;
    sal_map map;
    unsigned char *jpeg = NULL;
    size_t size;
    memset(&ctx, 0, sizeof ctx);
    ctx.log = count_warnings;
    make_set(&ctx, FOLDER "/bad", 8);
    sal_file_write(&ctx, FOLDER "/bad/images/p03.png", "\x89PNG\r\n\x1a\nnothing", 15);
    net = make_net(&ctx, SAL_KIND_JUNTINGNET, 48, 48, 8);
    data.data = bad_set; data.val_split = 0; d.epochs = 1;
    CHECK(TRAIN != SAL_OK && strstr(ctx.error, "p03.png"),
          "a damaged picture is refused by name: %.70s", ctx.error);
    d.skip = data.skip = 1;
    CHECK(TRAIN == SAL_OK && warnings == 1,
          "or left out with a warning, when asked for");
    d.cache_bytes = 1;
    CHECK(TRAIN == SAL_OK, "also when pictures are not kept in memory");
    d.cache_bytes = 0;
    make_maps(&ctx, FOLDER "/maps", 8);
    data.data = map_set;
    d.skip = data.skip = 0;
    remove(FOLDER "/maps/maps/m05.png");
    CHECK(TRAIN != SAL_OK && strstr(ctx.error, "m05"),
          "a missing map is refused by name: %.80s", ctx.error);
    warnings = 0;
    d.skip = data.skip = 1;
    CHECK(TRAIN == SAL_OK && warnings == 1, "or its picture left out");
    sal_map_new(&ctx, SIDE, SIDE / 2, &map);
    map.data[0] = 1;
    sal_map_save_png(&ctx, FOLDER "/maps/maps/m06.png", &map);
    sal_map_free(&ctx, &map);
    if (sal_file_read(&ctx, FOLDER "/maps/images/m07.jpg", &jpeg, &size) == SAL_OK)
        sal_file_write(&ctx, FOLDER "/maps/images/m07.jpg", jpeg, size / 2);
    sal_free(&ctx, jpeg);
    warnings = 0;
    CHECK(TRAIN == SAL_OK && warnings == 3,
          "so are a picture with a map of another size and half a JPEG");
    d.skip = data.skip = 0;
    make_maps(&ctx, FOLDER "/maps", 6);
    remove(FOLDER "/maps/images/m07.jpg");
    remove(FOLDER "/maps/maps/m07.png");
    CHECK(TRAIN != SAL_OK && strstr(ctx.error, "m06") &&
          strstr(ctx.error, "48 x 24"), "a map of another size is otherwise refused: %.100s",
          ctx.error);
    data.data = no_set;
    CHECK(TRAIN != SAL_OK && strstr(ctx.error, "nothing"),
          "a folder that is not there is named: %.60s", ctx.error);
    data.datas = 0;
    CHECK(TRAIN == SAL_ERR_ARGUMENT, "no data set is refused: %.60s...",
          ctx.error);
    sal_net_free(&ctx, net);
}
#undef TRAIN

/* A source of two samples without names, with something wrong in the second, or nothing. */
typedef struct source { int density_w; float value; sal_result result; } source;

static sal_result load_sample(void *user, sal_ctx *ctx, int i, sal_sample *s) {
    source *from = (source *)user;
    TRY(sal_image_new(ctx, 20, 16, &s->image));
    TRY(sal_map_new(ctx, i ? from->density_w : 20, 16, &s->density));
    s->image.data[30] = 255;
    s->density.data[10] = i ? from->value : 7;          /* any positive maximum is taken as 1 */
    if (i && from->result) snprintf(ctx->error, sizeof ctx->error, "the camera is off");
    return i ? from->result : SAL_OK;
}

static uint64_t run_source(source *from, int threads, char *error) {
    sal_source two = { 2, load_sample, NULL, NULL };
    sal_train_desc d = short_desc();
    sal_train_result result;
    uint64_t h = 0;
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    ctx.threads = threads;
    two.user = from;
    d.train = &two; d.epochs = 2; d.batch = 2;
    sal_net *net = make_net(&ctx, SAL_KIND_JUNTINGNET, 48, 48, 8);
    if (sal_train(&ctx, net, &d, &result) == SAL_OK) h = digest(net);
    snprintf(error, 300, "%.299s", h ? "" : ctx.error);
    sal_net_free(&ctx, net);
    return h;
}

static void test_source(void) {
    source good = { 20, 1, SAL_OK }, s;
    char error[300];
    uint64_t h = run_source(&good, 1, error);
    CHECK(h && h == run_source(&good, 2, error), "a source without names, fixations and validation "
          "trains, to the same bits with two threads %s", error);
    s = good; s.value = 3;
    CHECK(run_source(&s, 1, error) == h, "densities are scaled to a maximum of 1");
    s = good; s.density_w = 19;
    CHECK(!run_source(&s, 1, error) && strstr(error, "19 x 16") && strstr(error, "20 x 16"),
          "a density of another size is refused: %s", error);
    s = good; s.value = NAN;
    CHECK(!run_source(&s, 1, error) && strstr(error, "finite"),
          "a density that is no number is refused: %s", error);
    s = good; s.value = -1;
    CHECK(!run_source(&s, 1, error) && strstr(error, "-1"), "and a negative one: %s", error);
    s = good; s.value = 0;
    CHECK(!run_source(&s, 1, error) && strstr(error, "0 everywhere"),
          "and one without any mass: %s", error);
    s = good; s.result = SAL_ERR_IO;
    CHECK(!run_source(&s, 1, error) && !strcmp(error, "the camera is off"),
          "what a source says went wrong is what is said: %s", error);
}

/* One step of each recipe as it comes leaves finite weights. */
static void test_recipes(void) {
    source good = { 20, 1, SAL_OK };
    sal_source two = { 2, load_sample, NULL, NULL };
    sal_ctx ctx;
    int kind, i, wrong = 0;
    size_t k;
    memset(&ctx, 0, sizeof ctx);
    two.user = &good;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) {
        sal_train_desc d = sal_train_desc_paper((sal_kind)kind);
        sal_train_result result;
        sal_net *net = make_net(&ctx, (sal_kind)kind, kind == SAL_KIND_WEPSAM ? 64 : 48,
                                kind == SAL_KIND_JUNTINGNET ? 48 : 64, 16);
        d.train = &two; d.epochs = 2;
        wrong += sal_train(&ctx, net, &d, &result) != SAL_OK;
        for (i = 0; i < net->params; i++)
            for (k = 0; k < sal_tensor_count(&net->param[i].value); k++)
                wrong += !(fabs(((float *)net->param[i].value.data)[k]) < 1e6);
        sal_net_free(&ctx, net);
    }
    CHECK(!wrong, "every network's own recipe trains to finite weights");
}

static void test_limits(void) {
    sal_train_desc d = short_desc();
    sal_train_result result;
    char error[300];
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    d.memory_limit = 1e5;
    CHECK(run_training(&d, 1, &result, error) == 0 && strstr(error, "the limit is 0 MB"),
          "more memory than allowed is refused before the start: %.70s", error);
    d.memory_limit = 0;
    d.schedule.kind = SAL_SCHEDULE_CONSTANT; d.schedule.rate = 1e20; d.optim.max_norm = 0;
    CHECK(run_training(&d, 1, &result, error) == 0 && strstr(error, "no longer finite") &&
          strstr(error, "lower the learning rate"),
          "an exploding training stops and says where: %.90s", error);
    d = short_desc();
    d.out = FOLDER "/c.safetensors"; d.state = FOLDER "/c.state";
    CHECK(run_training(&d, 1, &result, error) != 0, "a training writes its files %s", error);
#ifdef _WIN32
    SKIP("a full disk: cannot be had here");
#else
    struct rlimit old, tight;
    uint64_t before = file_digest(&ctx, d.state);
    signal(SIGXFSZ, SIG_IGN);           /* a full disk: files may not grow beyond 100 kB */
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = 100000;
    setrlimit(RLIMIT_FSIZE, &tight);
    d.epochs = 6;
    CHECK(run_training(&d, 1, &result, error) == 0 && strstr(error, "cannot be written"),
          "a full disk is reported: %.80s", error);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(file_digest(&ctx, d.state) == before, "and the files of before are still whole");
#endif
}

static void test_names(void) {
    int i, in = 0;
    char name[32];
    for (i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%d.jpg", 1000 + i);
        in += sal_name_share(name, 0) < .1;
    }
    CHECK(in > 70 && in < 130, "a tenth of all names is a tenth (%d of 1000)", in);
    CHECK(sal_name_share("a/b/1002.jpg", 0) == sal_name_share("1002.jpg", 0) &&
          sal_name_share("1002.jpg", 0) != sal_name_share("1002.jpg", 1),
          "folders do not matter, the seed does");
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    make_set(&ctx, FOLDER "/set", PICTURES);
    test_names();
    test_kill();
    test_same_bits();
    test_ranks();
    test_features();
    test_sizes();
    test_bad_data();
    test_source();
    test_recipes();
    test_limits();
    test_overfit();
    return test_done();
}
