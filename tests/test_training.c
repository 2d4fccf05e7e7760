/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* What learning is made of, against PyTorch (golden/make_training.py): losses, optimisers,
   schedules, gradients of whole networks on both backends; and the same bits for any number of
   threads. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "seeded.h"

static sal_safetensors golden;

static const sal_tensor *find(const char *group, const char *key, const char *more) {
    char text[128];
    const sal_named_tensor *t;
    snprintf(text, sizeof text, "%s.%s%s", group, key, more);
    t = sal_safetensors_find(&golden, text);
    return t ? &t->tensor : NULL;
}
static const float *want(const char *group, const char *key, const char *more) {
    const sal_tensor *t = find(group, key, more);
    return t ? (const float *)t->data : NULL;
}

/* max |got - want| / max |want| */
static double off(const float *got, const float *want, size_t n) {
    double most = 0, d = 0;
    size_t i;
    for (i = 0; i < n; i++) {
        double e = fabs((double)got[i] - want[i]);
        if (e > d || e != e) d = e;       /* keeps a NaN */
        most = MAX(most, fabs((double)want[i]));
    }
    return d / most;
}

#define LOSS(ENUM, name, text) { text, sal_loss_##name },
static const struct {
    const char *name;
    double (*value)(float *dx, const float *x, const float *y, size_t n, double weight);
} losses[SAL_LOSS_COUNT] = { SAL_LOSSES(LOSS) };

static void test_losses(void) {
    static float dx[64], scratch[2 * 48 * 64];
    sal_ctx ctx;
    sal_loss loss;
    int k;
    double value, d, want_value;
    memset(&ctx, 0, sizeof ctx);
    for (k = 0; k < SAL_LOSS_COUNT; k++) {
        const char *name = losses[k].name;
        const float *y = want("loss", k == SAL_LOSS_NSS ? "fixations" : "density", "");
        memset(dx, 0, sizeof dx);
        value = losses[k].value(dx, want("loss", "x", ""), y, 63, 1);
        want_value = want("loss", name, ".value")[0];
        d = off(dx, want("loss", name, ".dx"), 63);
        CHECK(fabs(value - want_value) < 1e-6 * (1 + fabs(want_value)) && d < 2e-6,
              "%s is %.5g as in PyTorch (%.5g), gradient off by %.1e", name, value, want_value, d);
    }
    for (int k = 0; k < SAL_LOSS_COUNT; k++) {
        float lost[63];
        memcpy(lost, want("loss", "x", ""), sizeof lost);
        lost[40] = (float)NAN;
        value = losses[k].value(NULL, lost, want("loss", k == SAL_LOSS_NSS ? "fixations" : "density",
                                                 ""), 63, 1);
        CHECK(!(fabs(value) <= DBL_MAX), "%s of a map with a NaN is %g", losses[k].name, value);
    }
    CHECK(sal_loss_parse(&ctx, "kl+foo", &loss) == SAL_ERR_ARGUMENT && loss.upsample == 0 &&
          loss.weight[SAL_LOSS_KL] == 0, "of a loss that is refused nothing is left: %s", ctx.error);
    memset(dx, 0, sizeof dx);
    CHECK(sal_loss_parse(&ctx, "sam", &loss) == SAL_OK && loss.upsample == 16, "sam compares maps "
          "enlarged 16 times");
    value = sal_loss_map(&loss, dx, want("sam", "x", ""), want("sam", "density", ""),
                         want("sam", "fixations", ""), 4, 3, 1, scratch);
    want_value = want("sam", "value", "")[0];
    d = off(dx, want("sam", "dx", ""), 12);
    CHECK(fabs(value - want_value) < 1e-5 * fabs(want_value) && d < 1e-5,
          "SAM's loss is %.5g as in PyTorch (%.5g), gradient off by %.1e", value, want_value, d);
    static const char *const no_loss[] = { "", "0*kl", "kl-kl", "1e999*kl", "kl+", "2", "-", "." };
    for (size_t i = 0; i < sizeof no_loss / sizeof *no_loss; i++)
        CHECK(sal_loss_parse(&ctx, no_loss[i], &loss) == SAL_ERR_ARGUMENT && *sal_error(&ctx),
              "\"%s\" is no loss: %s", no_loss[i], sal_error(&ctx));
    CHECK(sal_loss_parse(&ctx, "kl+ccc", &loss) == SAL_ERR_ARGUMENT && strstr(ctx.error, "ccc"),
          "an unknown loss is refused by name: %.60s...", ctx.error);
}

static void test_optimisers(void) {
    static const struct rule {
        const char *name;
        sal_rule rule;
        int nesterov;
        double rho, decay;
    } rules[] = {
        { "sgd", SAL_RULE_SGD, 0, 0, .01 }, { "nesterov", SAL_RULE_SGD, 1, 0, 0 },
        { "rmsprop", SAL_RULE_RMSPROP, 0, .9, 0 }, { "adam", SAL_RULE_ADAM, 0, .99, .01 },
        { "adamw", SAL_RULE_ADAMW, 0, .99, .01 }
    };
    sal_schedule cycle = { SAL_SCHEDULE_ONE_CYCLE, .1, 0, 0, 0 };
    double worst = 0;
    int i, t;
    for (i = 0; i < COUNT(rules); i++) {
        float w[20], g[20], m[20], a[20];
        double d;
        memcpy(w, want("optim", "w", ""), sizeof w);
        memset(m, 0, sizeof m);
        memset(a, 0, sizeof a);
        for (t = 0; t < 5; t++) {
            memcpy(g, want("optim", "g", "") + 20 * t, sizeof g);
            if (rules[i].rule != SAL_RULE_ADAMW) sal_weight_decay(g, w, 20, rules[i].decay);
            if (rules[i].rule == SAL_RULE_SGD)
                sal_sgd_update(w, m, g, 20, .1, .9, rules[i].nesterov);
            else if (rules[i].rule == SAL_RULE_RMSPROP)
                sal_rmsprop_update(w, a, g, 20, .1, rules[i].rho, 1e-3);
            else sal_adam_update(w, m, a, g, 20, .1, .9, rules[i].rho, 1e-3,
                                 rules[i].rule == SAL_RULE_ADAMW ? rules[i].decay : 0, t + 1);
        }
        d = off(w, want("optim", rules[i].name, ""), 20);
        CHECK(d < 1e-6, "five steps of %s end where PyTorch's do (off by %.1e)", rules[i].name, d);
    }
    for (t = 0; t < 50; t++)
        worst = MAX(worst, fabs(sal_schedule_rate(&cycle, t, 10, 50) * 1e6 -
                                     want("schedule", "one_cycle", "")[t]));
    CHECK(worst < .02, "one-cycle rates as PyTorch's (off by %.1e of 1e5)", worst);
}

static void test_schedules(void) {
    sal_schedule s = { SAL_SCHEDULE_LINEAR, .03, .0001, .1, 3 };
    double first = sal_schedule_rate(&s, 0, 10, 101), last = sal_schedule_rate(&s, 100, 10, 101);
    CHECK(first == .03 && fabs(last - .0001) < 1e-15 &&
          fabs(sal_schedule_rate(&s, 50, 10, 101) - .01505) < 1e-12,
          "the linear schedule runs from 0.03 over 0.01505 to 0.0001");
    s.kind = SAL_SCHEDULE_STEP;
    CHECK(sal_schedule_rate(&s, 29, 10, 101) == .03 &&
          fabs(sal_schedule_rate(&s, 30, 10, 101) - .003) < 1e-15 &&
          fabs(sal_schedule_rate(&s, 60, 10, 101) - .0003) < 1e-15,
          "the step schedule divides by ten every three epochs");
    s.kind = SAL_SCHEDULE_TIME_DECAY;
    CHECK(fabs(sal_schedule_rate(&s, 10, 10, 101) - .015) < 1e-15,
          "the time decay halves the rate when decay * updates is one");
    s.kind = SAL_SCHEDULE_COSINE;
    CHECK(sal_schedule_rate(&s, 0, 10, 101) == .03 &&
          fabs(sal_schedule_rate(&s, 50, 10, 101) - .01505) < 1e-12 &&
          fabs(sal_schedule_rate(&s, 100, 10, 101) - .0001) < 1e-15,
          "the cosine schedule has the same ends and middle as the linear one");
}

/* --- gradients of whole networks -------------------------------------------------------------- */

typedef struct made { sal_net *net; sal_run *run; float *input, *dout; } made;

static sal_result make_run(sal_ctx *ctx, sal_kind kind, const sal_backend *backend, made *m) {
    int deep = kind > SAL_KIND_WEPSAM, h = deep ? 56 : kind == SAL_KIND_WEPSAM ? 128 : 96,
        w = deep ? 40 : h;
    sal_run_desc desc;
    size_t n, k;
    memset(m, 0, sizeof *m);
    memset(&desc, 0, sizeof desc);
    ctx->backend = backend;
    TRY(make(ctx, kind, 8, 0, h, w, &m->net));
    for (k = 0; k < (size_t)m->net->layers; k++) m->net->layer[k].rate = 0;     /* no dropout */
    desc.n = 2; desc.training = desc.fixed_norm = desc.input_gradient = 1;
    TRY(sal_run_open_desc(ctx, m->net, &desc, &m->run));
    n = (size_t)2 * 3 * h * w; k = (size_t)2 * m->run->shape.h * m->run->shape.w;
    m->input = (float *)malloc(n * sizeof(float));
    m->dout = (float *)malloc(k * sizeof(float));
    fill(m->input, n, "input", -1, 1);
    fill(m->dout, k, "dout", -1, 1);
    return SAL_OK;
}

static sal_result step(sal_ctx *ctx, made *m) {
    sal_run_clear(m->run);
    TRY(sal_run_forward(ctx, m->run, m->input));
    return sal_run_backward(ctx, m->run, m->dout);
}

static void unmake(sal_ctx *ctx, made *m) {
    sal_run_close(ctx, m->run);
    sal_net_free(ctx, m->net);
    free(m->input);
    free(m->dout);
}

static void test_networks(void) {
    int kind, b, i;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++)
    for (b = 0; b < 2; b++) {
        sal_ctx ctx;
        made m;
        sal_result r;
        double worst = 0;
        int compared = 0, learn = 0;
        char group[32], probe_name[80];
        const char *where = "";
        memset(&ctx, 0, sizeof ctx);
        ctx.threads = 1;
        r = make_run(&ctx, (sal_kind)kind, b ? sal_backend_cpu() : sal_backend_ref(), &m);
        if (r == SAL_OK) r = step(&ctx, &m);
        snprintf(group, sizeof group, "net.%s", sal_kind_name((sal_kind)kind));
        for (i = -1; r == SAL_OK && i < m.net->params; i++) {
            const char *name = i < 0 ? "input" : m.net->param[i].name;
            const float *golden_pair = want(group, name, "");
            const float *g = i < 0 ? m.run->value[0].grad : m.run->gradient[i];
            size_t n = i < 0 ? (size_t)2 * 3 * m.run->h * m.run->w
                             : sal_tensor_count(&m.net->param[i].value), k;
            float *probe;
            double squares = 0, dot = 0, d;
            if (!g) continue;
            learn++;
            if (!golden_pair) continue;
            probe = (float *)malloc(n * sizeof(float));
            snprintf(probe_name, sizeof probe_name, "probe.%s", name);
            fill(probe, n, probe_name, -1, 1);
            for (k = 0; k < n; k++) {
                squares += (double)g[k] * g[k];
                dot += (double)g[k] * probe[k];
            }
            free(probe);
            d = fabs(sqrt(squares) - golden_pair[0]) + fabs(dot - golden_pair[1]);
            d /= golden_pair[0] + 1e-3;     /* a few gradients are zero but for rounding */
            compared++;
            if (d > worst || d != d) { worst = d; where = name; }
        }
        CHECK(r == SAL_OK && compared == learn && compared > 8 && worst < 2e-4,
              "%s, %s backend: the gradients of %d parameters and of the input are PyTorch's "
              "(off by %.1e at %s)%s", sal_kind_name((sal_kind)kind), b ? "default" : "textbook",
              compared - 1, worst, where, r ? sal_error(&ctx) : "");
        unmake(&ctx, &m);
    }
}

/* What lay in the gradients before sal_run_clear has no influence; without it they add up. */
static void test_clear(void) {
    static const sal_kind kind[] = { SAL_KIND_JUNTINGNET, SAL_KIND_LITE, SAL_KIND_SAM_VGG };
    for (int c = 0; c < 2 * COUNT(kind); c++) {
        sal_ctx ctx;
        made m;
        float *first = NULL;
        double sum = 0, twice = 0;
        int same = 0;
        memset(&ctx, 0, sizeof ctx);
        ctx.threads = 1;
        sal_result r = make_run(&ctx, kind[c / 2], c % 2 ? sal_backend_cpu() : sal_backend_ref(), &m);
        if (r == SAL_OK) r = step(&ctx, &m);
        if (r == SAL_OK) {
            size_t bytes = m.run->gradient_floats * sizeof(float);
            first = (float *)malloc(bytes);
            memcpy(first, m.run->gradients, bytes);
            for (int i = 0; i < m.net->params; i++)
                for (size_t k = 0; m.run->gradient[i] && k < sal_tensor_count(&m.net->param[i].value); k++)
                    m.run->gradient[i][k] = NAN;
            r = step(&ctx, &m);
            same = !memcmp(first, m.run->gradients, bytes);
            if (r == SAL_OK) r = sal_run_forward(&ctx, m.run, m.input);
            if (r == SAL_OK) r = sal_run_backward(&ctx, m.run, m.dout);
            for (size_t k = 0; k < m.run->gradient_floats; k++) {
                sum += fabs(first[k]);
                twice += fabs(m.run->gradients[k] - 2 * first[k]);
            }
        }
        CHECK(r == SAL_OK && same && sum > 0 && twice < 1e-5 * sum,
              "%s, %s backend: gradients begin with 0 after sal_run_clear, whatever was there, and "
              "else they add up %s", sal_kind_name(kind[c / 2]), c % 2 ? "default" : "textbook",
              r ? sal_error(&ctx) : "");
        free(first);
        unmake(&ctx, &m);
    }
}

/* A run for predicting has no gradients to clear, and none to compute. */
static void test_predicting(void) {
    sal_net_desc d = sal_net_desc_default(SAL_KIND_JUNTINGNET);
    sal_ctx ctx;
    sal_net *net = NULL;
    sal_run *run = NULL;
    memset(&ctx, 0, sizeof ctx);
    d.h = d.w = 48; d.narrow = 4;
    sal_result r = sal_net_new(&ctx, &d, &net);
    if (r == SAL_OK) r = sal_run_open(&ctx, net, 1, 0, 0, &run);
    if (r == SAL_OK) sal_run_clear(run);
    CHECK(r == SAL_OK && sal_run_backward(&ctx, run, NULL) == SAL_ERR_ARGUMENT,
          "a run for predicting has nothing to clear, and does not go backward: %s", ctx.error);
    sal_run_close(&ctx, run);
    sal_net_free(&ctx, net);
}

static void test_threads(void) {
    static const int threads[] = { 1, 2, 3, 7 };
    int kind;
    for (kind = 0; kind < SAL_KIND_COUNT; kind++) {
        sal_ctx ctx;
        made m[4];
        sal_result r = SAL_OK;
        int k, made_runs = 0, same = 1;
        for (k = 0; k < 4 && r == SAL_OK; k++) {
            memset(&ctx, 0, sizeof ctx);
            ctx.threads = threads[k];
            r = make_run(&ctx, (sal_kind)kind, NULL, &m[k]);
            made_runs++;
            if (r == SAL_OK) r = step(&ctx, &m[k]);
            same = same && r == SAL_OK && !memcmp(m[0].run->gradients, m[k].run->gradients,
                                                  m[0].run->gradient_floats * sizeof(float));
        }
        CHECK(same, "%s: 1, 2, 3 and 7 threads give the same bits of all gradients",
              sal_kind_name((sal_kind)kind));
        for (k = 0; k < made_runs; k++) unmake(&ctx, &m[k]);
    }
}

/* Batch statistics, dropout, frozen beginnings. */
static void test_modes(void) {
    sal_ctx ctx;
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_JUNTINGNET);
    sal_run_desc all, frozen, features;
    sal_net *net;
    sal_run *a, *b, *c;
    float *input, *dout;
    int values[8], count = 0, i, same = 1, v;
    memset(&ctx, 0, sizeof ctx);
    memset(&all, 0, sizeof all);
    desc.h = desc.w = 48; desc.narrow = 4; desc.dropout = .5f;
    all.n = 3; all.training = 1;
    frozen = all; frozen.freeze = "conv,fc1";
    features = frozen; features.from_features = 1;
    input = (float *)malloc(3 * 3 * 48 * 48 * sizeof(float));
    dout = (float *)malloc(3 * 24 * 24 * sizeof(float));
    fill(input, 3 * 3 * 48 * 48, "input", 0, 1);
    fill(dout, 3 * 24 * 24, "dout", -1, 1);
    if (sal_net_new(&ctx, &desc, &net) || sal_net_init(&ctx, net, 1) ||
        sal_run_open_desc(&ctx, net, &all, &a) || sal_run_open_desc(&ctx, net, &frozen, &b) ||
        sal_run_open_desc(&ctx, net, &features, &c)) {
        CHECK(0, "small networks are made: %s", sal_error(&ctx));
        return;
    }
    a->seed = b->seed = c->seed = 77;
    sal_run_forward(&ctx, a, input);
    sal_run_backward(&ctx, a, dout);
    sal_run_forward(&ctx, b, input);
    count = sal_run_features(c, values);
    for (i = 0; i < count; i++) {
        v = values[i];
        memcpy(c->value[v].data, b->value[v].data, 3 * sizeof(float) *
               b->value[v].shape.c * b->value[v].shape.h * b->value[v].shape.w);
    }
    sal_run_backward(&ctx, b, dout);
    for (i = 0; i < net->params; i++) {
        int head = !strncmp(net->param[i].name, "fc2", 3);
        size_t n = sal_tensor_count(&net->param[i].value) * sizeof(float);
        if (head != (b->gradient[i] != NULL)) same = 0;
        if (head && memcmp(a->gradient[i], b->gradient[i], n)) same = 0;
    }
    CHECK(same, "frozen layers get no gradient, the others the same bits");
    CHECK(sal_run_bytes(b) < sal_run_bytes(a), "freezing the convolutions needs less memory "
          "(%.1f of %.1f MB)", sal_run_bytes(b) / 1e6, sal_run_bytes(a) / 1e6);
    sal_run_forward(&ctx, c, NULL);
    sal_run_backward(&ctx, c, dout);
    CHECK(count == 1 && b->gradient_floats == c->gradient_floats &&
          !memcmp(b->gradients, c->gradients, b->gradient_floats * sizeof(float)),
          "started from the features of the frozen beginning, a run learns the same bits");
    CHECK(sal_run_bytes(c) < sal_run_bytes(b), "and needs less memory (%.1f of %.1f MB)",
          sal_run_bytes(c) / 1e6, sal_run_bytes(b) / 1e6);
    memcpy(c->gradients, b->gradients, b->gradient_floats * sizeof(float));
    b->seed = 78;
    sal_run_clear(b);
    sal_run_forward(&ctx, b, input);
    sal_run_backward(&ctx, b, dout);
    CHECK(memcmp(b->gradients, c->gradients, b->gradient_floats * sizeof(float)) != 0,
          "another seed drops out other values");
    sal_run_close(&ctx, a);
    frozen.freeze = "conv,fc1x";
    CHECK(sal_run_open_desc(&ctx, net, &frozen, &a) == SAL_ERR_ARGUMENT && !a &&
          strstr(sal_error(&ctx), "\"fc1x\" freezes nothing"),
              "a name that no parameter has freezes "
          "nothing, and is refused: %s", sal_error(&ctx));
    frozen.freeze = "conv,fc";
    CHECK(sal_run_open_desc(&ctx, net, &frozen, &a) == SAL_ERR_ARGUMENT &&
          strstr(ctx.error, "nothing is left to learn"), "a network frozen as a whole is refused: "
          "%s", ctx.error);
    sal_run_close(&ctx, b);
    sal_run_close(&ctx, c);
    sal_net_free(&ctx, net);
    free(input);
    free(dout);
}

/* 30 steps of each rule must bring the loss of a small network down. */
static void test_descent(void) {
    static const sal_optim_desc rules[] = {
        { SAL_RULE_SGD, 1, 0, 0, 1e-4, 1, 2 }, { SAL_RULE_RMSPROP, 0, .9, 1e-7, 0, 0, 0 },
        { SAL_RULE_ADAM, 0, .999, 1e-8, 0, 0, 0 }, { SAL_RULE_ADAMW, 0, .999, 1e-8, .01, 0, 0 }
    };
    static const double rates[] = { .03, 1e-3, 1e-3, 1e-3 };
    static const char *const names[] = { "SGD with clipping, decay and max-norm", "RMSprop", "Adam",
                                         "AdamW" };
    int k, t;
    for (k = 0; k < 4; k++) {
        sal_ctx ctx;
        sal_net_desc desc = sal_net_desc_default(SAL_KIND_JUNTINGNET);
        sal_run_desc all;
        sal_net *net = NULL;
        sal_run *run = NULL;
        sal_optim *optim = NULL;
        enum { N = 2 * 24 * 24 };
        static float input[2 * 3 * 48 * 48], y[N], dx[N];
        double first = 0, last = 0, norm = 0;
        sal_result r;
        memset(&ctx, 0, sizeof ctx);
        ctx.threads = 1;
        memset(&all, 0, sizeof all);
        desc.h = desc.w = 48; desc.narrow = 4;
        all.n = 2; all.training = 1;
        fill(input, COUNT(input), "input", 0, 1);
        fill(y, N, "y", 0, 1);
        r = sal_net_new(&ctx, &desc, &net);
        if (r == SAL_OK) r = sal_net_init(&ctx, net, 1);
        if (r == SAL_OK) r = sal_run_open_desc(&ctx, net, &all, &run);
        if (r == SAL_OK) r = sal_optim_open(&ctx, &rules[k], run, &optim);
        for (t = 0; t < 30 && r == SAL_OK; t++) {
            r = sal_run_forward(&ctx, run, input);
            memset(dx, 0, sizeof dx);
            last = sal_loss_mse(dx, run->output, y, N, 100);
            if (t == 0) first = last;
            sal_run_clear(run);
            if (r == SAL_OK) r = sal_run_backward(&ctx, run, dx);
            if (r == SAL_OK) r = sal_optim_step(&ctx, optim, net, run, rates[k], .9, &norm);
        }
        CHECK(r == SAL_OK && last < .7 * first && norm > 0, "30 steps of %s bring the loss from "
              "%.2f to %.2f %s", names[k], first, last, r ? sal_error(&ctx) : "");
        sal_optim_close(&ctx, optim);
        sal_run_close(&ctx, run);
        sal_net_free(&ctx, net);
    }
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    if (!CHECK(sal_safetensors_load(&ctx, "tests/golden/training.safetensors", &golden) == SAL_OK,
               "the golden values are read%s", ctx.error)) return test_done();
    test_losses();
    test_optimisers();
    test_schedules();
    test_networks();
    test_clear();
    test_predicting();
    test_threads();
    test_modes();
    test_descent();
    sal_safetensors_free(&ctx, &golden);
    return test_done();
}
