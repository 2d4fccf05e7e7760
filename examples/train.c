/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* train: a network learns from photographs and what people looked at in them.

       gcc -O2 -fopenmp examples/train.c -o train -lm

   Several processes that average their gradients (Debian: libopenmpi-dev):
       mpicc -O2 -fopenmp -DSALIENCY_MPI examples/train.c -o train -lm
       mpirun -np 2 ./train ...

   Run  train --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#define DATASET_IMPLEMENTATION
#include "dataset.h"
#include "backbone.h"
#ifdef SALIENCY_MPI
#  include <mpi.h>
#endif

static const char program[] = "train";
#include "cli.h"

static const char help[] =
    "train: a network learns where people look\n"
    "\n"
    "usage: train -m NETWORK --data FOLDER[@HxW][,FOLDER...] [options]\n"
    "\n"
    "  -m NETWORK           juntingnet wepsam mlnet sam-vgg sam-resnet lite (not with --init)\n"
    "  --data FOLDER,...    fixation data sets to learn from; FOLDER@HxW: with pictures of this\n"
    "                       size (else --input); the same folder may come in several sizes\n"
    "  --out FILE           the best weights (default NETWORK.safetensors); FILE.state is what\n"
    "                       --resume goes on from\n"
    " pictures\n"
    "  --domain N,...       lite: which prior each folder trains: 0 neutral, 1 osie, 2 scene,\n"
    "                       3 mit1003, 4 figrim\n"
    "  --val FOLDER,...     data sets to validate on (default: --val-split 0.2)\n"
    "  --val-split F        share of the pictures to validate on\n"
    "  --test-share F       leave this share out altogether, by a hash of the file names\n"
    "  --skip-missing       leave out what is missing or cannot be read instead of stopping\n"
    "  --no-mirror          do not mirror half of the pictures\n"
    "  --crop F             cut off up to this share of the sides\n"
    "  --colour F           vary brightness, contrast and saturation by up to this share\n"
    " network\n"
    "  --init FILE          start from these weights instead of random ones\n"
    "  --start S            random weights: paper, or he (He et al. 2015; the input is centred)\n"
    "  --backbone FILE      load the backbone from a public checkpoint or a network of ours\n"
    "  --head FILE          load what stands behind it, as far as this network of ours has it\n"
    "  --plain              sam-vgg, sam-resnet: the backbone's own strides, 32 in all, not 8\n"
    "  --steps N            of their ConvLSTM, 1 to 4; 0: without it (default 4, or --init's)\n"
    "  --priors P           none, gaussian or mask (mlnet: none or mask)\n"
    "  --freeze PREFIX,...  parameters whose names begin so do not learn\n"
    "  --fixed-norm         batch-norms keep their statistics\n"
    "  --features FILE      keep what the frozen beginning makes of the pictures in this file; it\n"
    "                       is continued if it is not whole (half as large with --no-mirror)\n"
    "  --dropout F          rate of the dropout layers\n"
    "  --input HxW          size of the input\n"
    "  --blur F             sigma of the blur after the network, in pixels of its map (SAM: of\n"
    "                       the picture)\n"
    " recipe (defaults: the paper's)\n"
    "  --loss L             sam, or a sum: mse mlnet mlnet_code nss cc kl tvd chi2 cosine bce,\n"
    "                       as in 10*kl-2*cc-nss; peak:mse: of the map divided by its maximum\n"
    "  --opt O              sgd nesterov rmsprop adam adamw\n"
    "  --epochs N  --batch N  --seed N\n"
    "  --lr A[:B]           learning rate, from A to B (without --schedule: A stays A)\n"
    "  --schedule S         constant linear step:FACTOR:EPOCHS time:DECAY cosine onecycle;\n"
    "                       linear and cosine end at B, or at 0\n"
    "  --momentum A[:B]     of sgd; beta1 of adam\n"
    "  --decay F            weight decay       --clip F      longest gradient\n"
    "  --max-norm F         of each unit in front of maxout layers\n"
    "  --average F          keep a moving average of the weights, as 0.99\n"
    "  --select S           best by loss, cc or nss on validation (default loss)\n"
    "  --patience N         stop after N epochs without a better validation\n"
    " running\n"
    "  --resume             go on where FILE.state stands\n"
    "  --checkpoint S       write FILE and FILE.state every S seconds (default 300)\n"
    "  --log FILE.csv       a line per epoch     --plot FILE.svg   the learning curves\n"
    "  --memory MB          refuse to start if more is needed\n"
    "  --threads N  --quiet  -h, --help  --version\n";

/* The command line. Texts are NULL, numbers below 0 for options that are not given. */
typedef struct options {
    const char *model, *data, *val, *domain;
    const char *init, *start, *backbone, *head, *priors, *freeze, *features;
    const char *loss, *rule, *rate, *schedule, *momentum, *select;
    const char *out, *log, *plot;
    int input[2], plain, steps, skip, no_mirror, fixed_norm, resume, quiet;
    double val_split, test_share, crop, colour, dropout, blur, decay, clip, max_norm, average;
    double memory, checkpoint;
    int epochs, batch, patience, seed;
} options;

typedef struct view {
    int quiet, terminal;
    double checkpoint, last_checkpoint, last_line, start;
    int start_step, announced, started, rows, failed;
    const char *log, *plot;
    sal_ctx *ctx;
} view;

/* --- the history as CSV, a line per epoch --------------------------------------------------- */

static sal_result write_log(sal_ctx *ctx, const char *path, const sal_train_progress *t) {
    static const char head[] = "epoch,loss,val_loss,val_cc,val_nss,rate,momentum\n";
    char *out = (char *)sal_alloc(ctx, sizeof head + (size_t)t->rows * SAL_COLUMN_COUNT * 33, 1);
    char number[32], *to = out;
    if (!out) return SAL_ERR_MEMORY;
    to += sprintf(to, "%s", head);
    for (int i = 0; i < t->rows; i++)
        for (int k = 0; k < SAL_COLUMN_COUNT; k++)
            to += sprintf(to, "%s%c", sal_number_print(number, t->history[i][k], 6),
                          k + 1 < SAL_COLUMN_COUNT ? ',' : '\n');
    sal_result r = sal_file_write(ctx, path, out, (size_t)(to - out));
    sal_free(ctx, out);
    return r;
}

/* --- learning curves as SVG ---------------------------------------------------------------- */

typedef struct panel { double left, top, width, height, low, high; int epochs; } panel;

static double px(const panel *p, int epoch) {
    return p->left + p->width * (epoch - 1) / (p->epochs > 1 ? p->epochs - 1 : 1);
}
static double py(const panel *p, double value) {
    return p->top + p->height * (p->high - value) / (p->high - p->low);
}

/* One column of the history as a line. */
static int curve(char *out, size_t size, const panel *p, const sal_train_progress *t, int column,
                 const char *colour) {
    int i, used = snprintf(out, size, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" "
                           "points=\"", colour);
    for (i = 0; i < t->rows; i++)
        if (fabs((double)t->history[i][column]) < 1e30)
            used += snprintf(out + used, size - (size_t)used, "%.1f,%.2f ",
                             px(p, (int)t->history[i][0]), py(p, t->history[i][column]));
    return used + snprintf(out + used, size - (size_t)used, "\"/>\n");
}

/* A frame with ticks around the range of two columns, and both curves. */
static int draw_panel(char *out, size_t size, panel p, const sal_train_progress *t, int a, int b,
                      const char *title, const char *name_a, const char *name_b) {
    int i, used = 0;
    double low = 1e30, high = -1e30;
    for (i = 0; i < 2 * t->rows; i++) {
        double v = t->history[i / 2][i % 2 ? b : a];
        if (fabs(v) < 1e30) { low = v < low ? v : low; high = v > high ? v : high; }
    }
    if (!(high > low)) { low = low < 1e30 ? low - .5 : 0; high = low + 1; }
    p.low = low; p.high = high;
    p.epochs = t->rows > 1 ? t->rows : 2;
    used += snprintf(out + used, size - (size_t)used, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" "
                     "height=\"%.0f\" fill=\"none\" stroke=\"#888\"/>\n<text x=\"%.0f\" y=\"%.0f\" "
                     "font-weight=\"bold\">%s</text>\n", p.left, p.top, p.width, p.height, p.left,
                     p.top - 8, title);
    for (i = 0; i <= 4; i++) {
        double v = low + (high - low) * i / 4;
        int epoch = 1 + (p.epochs - 1) * i / 4;
        used += snprintf(out + used, size - (size_t)used, "<text x=\"%.0f\" y=\"%.1f\" "
                         "text-anchor=\"end\">%.3g</text><text x=\"%.1f\" y=\"%.0f\" "
                         "text-anchor=\"middle\">%d</text>\n", p.left - 6, py(&p, v) + 4, v,
                         px(&p, epoch), p.top + p.height + 16, epoch);
    }
    used += curve(out + used, size - (size_t)used, &p, t, a, "#d95f02");
    used += curve(out + used, size - (size_t)used, &p, t, b, "#1b6ca8");
    return used + snprintf(out + used, size - (size_t)used, "<text x=\"%.0f\" y=\"%.0f\" "
                           "text-anchor=\"end\"><tspan fill=\"#d95f02\">%s</tspan>  <tspan "
                           "fill=\"#1b6ca8\">%s</tspan></text>\n", p.left + p.width, p.top - 8,
                           name_a, name_b);
}

static sal_result plot(sal_ctx *ctx, const char *path, const sal_train_progress *t) {
    size_t size = 8192 + 128 * (size_t)t->rows;
    char *out = (char *)sal_alloc(ctx, size, 1);
    panel left = { 70, 40, 380, 260, 0, 0, 0 }, right = { 520, 40, 380, 260, 0, 0, 0 };
    int used;
    sal_result r;
    if (!out) return SAL_ERR_MEMORY;
    used = snprintf(out, size, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"930\" "
                    "height=\"350\" font-family=\"sans-serif\" font-size=\"12\">\n"
                    "<rect width=\"930\" height=\"350\" fill=\"white\"/>\n");
    used += draw_panel(out + used, size - (size_t)used, left, t, SAL_COLUMN_LOSS,
                       SAL_COLUMN_VAL_LOSS, "loss", "training", "validation");
    used += draw_panel(out + used, size - (size_t)used, right, t, SAL_COLUMN_VAL_CC,
                       SAL_COLUMN_VAL_NSS, "validation", "CC", "NSS");
    used += snprintf(out + used, size - (size_t)used, "<text x=\"465\" y=\"340\" "
                     "text-anchor=\"middle\">epoch</text>\n</svg>\n");
    r = sal_file_write(ctx, path, out, (size_t)used);
    sal_free(ctx, out);
    return r;
}

/* --- progress ------------------------------------------------------------------------------- */

static void print_time(double seconds) {
    if (seconds < 90) printf("%.0f s", seconds);
    else if (seconds < 5400) printf("%.0f min", seconds / 60);
    else printf("%.1f h", seconds / 3600);
}

/* NaN: no picture to validate on has fixations. */
static const char *print_nss(char text[32], double nss) {
    snprintf(text, 32, isnan(nss) ? "-" : "%.3f", nss);
    return text;
}

static void print_line(view *v, const sal_train_progress *p, double t, int whole) {
    const float *row = p->rows ? p->history[p->rows - 1] : NULL;
    int done = p->epoch * p->steps + p->step, run = done - v->start_step;
    double rate = run > 0 ? run / (t - v->start) : 0;
    char nss[32];
    if (v->terminal) printf("\r\033[K");
    printf("epoch %d/%d", whole ? p->epoch : p->epoch + 1, p->epochs);
    if (!whole) printf(" %d/%d", p->step, p->steps);
    printf("  loss %.5g", whole ? (double)row[SAL_COLUMN_LOSS] : p->loss);
    if (row && p->val_pictures)
        printf("  validation %.5g  CC %.3f  NSS %s%s", (double)row[SAL_COLUMN_VAL_LOSS],
               (double)row[SAL_COLUMN_VAL_CC], print_nss(nss, (double)row[SAL_COLUMN_VAL_NSS]),
               whole && p->best_epoch == p->epoch ? " *" : "");
    if (run > 0) {
        double pictures = rate * p->pictures / p->steps;
        printf("  %.*f pictures/s", pictures < 9.95, pictures);
    }
    printf("  ");
    if (rate > 0) { print_time((p->epochs * p->steps - done) / rate); printf(" left"); }
    if (whole || !v->terminal) printf("\n");
    fflush(stdout);
}

static int progress(void *user, const sal_train_progress *p) {
    view *v = (view *)user;
    double t = now();
    if (p->loading) {
        if (!v->quiet && !v->announced) printf("%.0f MB of memory\n", p->bytes / 1e6);
        v->announced = 1;
        if (!v->quiet && v->terminal && p->pictures) {
            printf("\r\033[K%d pictures read", p->pictures);
            fflush(stdout);
        }
        return SAL_TRAIN_GO_ON;
    }
    if (!v->started) {          /* the first step: what came before does not count in the rate */
        v->started = 1;
        v->start = v->last_checkpoint = t;
        v->start_step = p->epoch * p->steps + p->step;
        v->rows = p->rows - (p->step == 0);     /* an epoch of one step is over by now */
        if (!v->quiet)
            printf("%s%d pictures to learn from, %d to validate on%s\n",
                   v->terminal ? "\r\033[K" : "", p->pictures, p->val_pictures,
                   p->skipped ? ", some left out" : "");
    }
    if (p->rows > v->rows) {            /* an epoch is over */
        v->rows = p->rows;
        if (!v->quiet) print_line(v, p, t, 1);
        if ((v->log && write_log(v->ctx, v->log, p)) || (v->plot && plot(v->ctx, v->plot, p))) {
            v->failed = complain("%s", sal_error(v->ctx));
            return SAL_TRAIN_STOP;
        }
    } else if (!v->quiet && v->terminal && t > v->last_line + .2) {
        v->last_line = t;
        print_line(v, p, t, 0);
    }
    if (t > v->last_checkpoint + v->checkpoint) {
        v->last_checkpoint = t;
        return SAL_TRAIN_CHECKPOINT;
    }
    return SAL_TRAIN_GO_ON;
}

#ifdef SALIENCY_MPI
static sal_result reduce(void *user, float *values, size_t count) {
    size_t done, most = 1 << 28;
    (void)user;
    for (done = 0; done < count; done += most) {
        int n = (int)(count - done < most ? count - done : most);
        if (MPI_Allreduce(MPI_IN_PLACE, values + done, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD))
            return SAL_ERR_IO;
    }
    return SAL_OK;
}
#endif

/* --- options -------------------------------------------------------------------------------- */

/* Cut a list at its commas, in place; more than `most` if it is longer. */
static int split(char *text, const char **items, int most) {
    int count = 0;
    while (text && *text && count < most) {
        char *comma = strchr(text, ',');
        items[count++] = text;
        if (comma) *comma++ = 0;
        text = comma;
    }
    return text && *text ? most + 1 : count;
}

/* "A" or "A:B" */
static int range(const char *option, const char *text, double *a, double *b) {
    const char *at = text;
    int ok = !sal_number_parse(&at, a);
    *b = *a;
    if (ok && *at == ':') {
        at++;
        ok = !sal_number_parse(&at, b);
    }
    if (ok && !*at && *a >= 0 && *b >= 0) return 0;
    return complain("%s %s: a number, or two with a colon between, please", option, text);
}

static int parse_rule(sal_train_desc *d, const char *name) {
    static const char *const names[] = { "sgd", "nesterov", "rmsprop", "adam", "adamw" };
    static const sal_rule rules[] = { SAL_RULE_SGD, SAL_RULE_SGD, SAL_RULE_RMSPROP, SAL_RULE_ADAM,
                                      SAL_RULE_ADAMW };
    int i;
    for (i = 0; i < 5 && strcmp(name, names[i]); i++) {}
    if (i == 5) return complain("--opt %s: sgd, nesterov, rmsprop, adam or adamw, please", name);
    d->optim.rule = rules[i];
    d->optim.nesterov = i == 1;
    d->optim.rho = i == 2 ? .9 : .999;
    d->optim.eps = i == 2 ? 1e-7 : 1e-8;
    if (i > 2) d->optim.max_norm = 0;
    return 0;
}

static int parse_schedule(sal_schedule *s, const char *text) {
    const char *colon = strchr(text, ':'), *at = colon ? colon + 1 : text;
    double every = 0;
    if (!strcmp(text, "constant")) s->kind = SAL_SCHEDULE_CONSTANT;
    else if (!strcmp(text, "linear")) s->kind = SAL_SCHEDULE_LINEAR;
    else if (!strcmp(text, "cosine")) s->kind = SAL_SCHEDULE_COSINE;
    else if (!strcmp(text, "onecycle")) s->kind = SAL_SCHEDULE_ONE_CYCLE;
    else if (!strncmp(text, "time:", 5) && !sal_number_parse(&at, &s->factor) && !*at &&
             s->factor >= 0) s->kind = SAL_SCHEDULE_TIME_DECAY;
    else if (!strncmp(text, "step:", 5) && !sal_number_parse(&at, &s->factor) && *at++ == ':' &&
             !sal_number_parse(&at, &every) && !*at && s->factor >= 0 && every >= 1 &&
             every <= INT_MAX && every == floor(every)) {
        s->kind = SAL_SCHEDULE_STEP;
        s->every = (int)every;
    } else
        return complain("--schedule %s: constant, linear, cosine, onecycle, step:FACTOR:EPOCHS or "
                        "time:DECAY, please", text);
    return 0;
}

/* The papers' N(0, 0.01^2) lets shallow networks see little of the picture for thousands of steps:
   here N(0, 2 / inputs), but for the last layer, and no biases. The input runs from -2 to 2, as the
   description now says. */
static void start_he(sal_net *net) {
    int i;
    size_t k, n;
    for (i = 0; i < net->params; i++) {
        const sal_tensor *p = &net->param[i].value;
        float gain = i < net->params - 2, *w = (float *)p->data;
        n = sal_tensor_count(p);
        if (p->ndim < 2) gain = 0;
        else if (gain > 0) gain = (float)(100 * sqrt(2.0 * p->dim[0] / (double)n));
        for (k = 0; k < n; k++) w[k] *= gain;
    }
}

/* A new network with random weights. */
static int new_network(sal_ctx *ctx, const options *o, sal_net **net) {
    sal_net_desc desc;
    sal_kind kind = SAL_KIND_JUNTINGNET;
    sal_result r;
    int he = o->start && !strcmp(o->start, "he");
    if (sal_kind_from_name(o->model, &kind))
        return complain("%s is not a network; see train --help", o->model);
    if (o->start && (kind > SAL_KIND_WEPSAM || (!he && strcmp(o->start, "paper"))))
        return complain("--start %s: paper or he, for juntingnet and wepsam only", o->start);
    desc = sal_net_desc_default(kind);
    desc.plain = o->plain;
    if (o->steps >= 0) desc.steps = o->steps;
    if (o->priors && sal_net_desc_set(ctx, &desc, "sal.priors", o->priors))
        return complain("--priors %s: none, gaussian or mask, please", o->priors);
    if (o->input[0]) { desc.h = o->input[0]; desc.w = o->input[1]; }
    for (int i = 0; he && i < 3; i++) { desc.mean[i] = .5f; desc.std[i] = .25f; }
    r = sal_net_new(ctx, &desc, net);
    if (!r) r = sal_net_init(ctx, *net, (uint64_t)o->seed);
    if (!r && he) start_he(*net);
    return r ? complain("%s", sal_error(ctx)) : 0;
}

/* The network: from a file, or new and perhaps with a backbone. */
static int make_network(sal_ctx *ctx, const options *o, sal_net **net) {
    if (o->init) {
        if (o->plain || o->priors)
            return complain("--plain and --priors are for a new network; that of --init %s says "
                            "what it has", o->init);
        if (sal_net_load(ctx, o->init, net) ||
            (o->steps >= 0 && sal_net_steps(ctx, *net, o->steps)))
            return complain("%s", sal_error(ctx));
        if (o->input[0]) {                                      /* sal_run_open checks it */
            (*net)->desc.h = o->input[0];
            (*net)->desc.w = o->input[1];
        }
    } else if (new_network(ctx, o, net)) return 1;
    if (o->blur >= 0) (*net)->desc.blur = (float)o->blur;
    if ((o->backbone && backbone_load(ctx, *net, o->backbone)) ||
        (o->head && backbone_head_load(ctx, *net, o->head)))
        return complain("%s", sal_error(ctx));
    return 0;
}

/* "N,N,...": a number for each folder. */
static int read_domains(const char *text, int folders, int domain[64]) {
    const char *from = text;
    double number;
    int count = 0;
    for (; from && *from; from += *from == ',') {
        if (count == 64 || sal_number_parse(&from, &number) || (*from && *from != ',') ||
            !(number >= 0 && number < SAL_DOMAIN_COUNT && number == floor(number)))
            return complain("--domain %s: a number from 0 to %d for each folder, please", text,
                            SAL_DOMAIN_COUNT - 1);
        domain[count++] = (int)number;
    }
    if (!text || count == folders) return 0;
    return complain("--domain %s: a number for each folder of --data, which names %d", text, folders);
}

/* What the command line changes of the paper's recipe. */
static int change_recipe(sal_ctx *ctx, sal_train_desc *d, const options *o) {
    int falls;
    if (o->loss && sal_loss_parse(ctx, o->loss, &d->loss)) return complain("%s", sal_error(ctx));
    if (o->rule && parse_rule(d, o->rule)) return 1;
    if (o->schedule && parse_schedule(&d->schedule, o->schedule)) return 1;
    if (o->rate && range("--lr", o->rate, &d->schedule.rate, &d->schedule.rate_end)) return 1;
    if (o->rate && !o->schedule && strchr(o->rate, ':')) d->schedule.kind = SAL_SCHEDULE_LINEAR;
    falls = d->schedule.kind == SAL_SCHEDULE_LINEAR || d->schedule.kind == SAL_SCHEDULE_COSINE;
    if (o->rate && strchr(o->rate, ':') && !falls)
        return complain("--lr %s: two rates are for --schedule linear and cosine", o->rate);
    if (o->rate && !strchr(o->rate, ':') && o->schedule && falls) d->schedule.rate_end = 0;
    if (d->optim.rule == SAL_RULE_RMSPROP && refuse("--momentum", "with rmsprop")) return 1;
    if (o->momentum && range("--momentum", o->momentum, &d->momentum, &d->momentum_end)) return 1;
    if (o->epochs >= 0) d->epochs = o->epochs;
    if (o->batch >= 0) d->batch = o->batch;
    if (o->crop >= 0) d->crop = o->crop;
    if (o->colour >= 0) d->colour = o->colour;
    if (o->dropout >= 0) d->dropout = o->dropout;
    if (o->decay >= 0) d->optim.decay = o->decay;
    if (o->clip >= 0) d->optim.clip = o->clip;
    if (o->max_norm >= 0) d->optim.max_norm = o->max_norm;
    if (o->average >= 0) d->average = o->average;
    if (o->patience >= 0) d->patience = o->patience;
    if (o->memory >= 0) d->memory_limit = o->memory * 1e6;
    if (o->fixed_norm) d->fixed_norm = 1;
    if (o->no_mirror) d->mirror = 0;
    d->skip = o->skip; d->resume = o->resume; d->seed = (uint64_t)o->seed;
    d->freeze = o->freeze; d->features = o->features;
    if (!o->select) return 0;
    if (!strcmp(o->select, "cc")) d->select = SAL_SELECT_CC;
    else if (!strcmp(o->select, "nss")) d->select = SAL_SELECT_NSS;
    else if (!strcmp(o->select, "loss")) d->select = SAL_SELECT_LOSS;
    else return complain("--select %s: loss, cc or nss, please", o->select);
    return 0;
}

/* FOLDER@HxW: cuts the size off, or leaves 0 x 0. */
static void cut_size(const char *folder, int size[2]) {
    char *at = (char *)(uintptr_t)strrchr(folder, '@'), rest;
    if (at && sscanf(at, "@%6dx%6d%c", &size[0], &size[1], &rest) == 2 && size[0] > 0 &&
        size[1] > 0) *at = 0;
    else size[0] = size[1] = 0;
}

static int read_command_line(sal_ctx *ctx, options *o, int argc, char **argv) {
    const option table[] = {
        option_text("-m", &o->model),
        option_text("--data", &o->data),
        option_text("--out", &o->out),
        option_text("--domain", &o->domain),
        option_text("--val", &o->val),
        option_number("--val-split", &o->val_split, 0, 1),
        option_number("--test-share", &o->test_share, 0, 1),
        option_flag("--skip-missing", &o->skip),
        option_flag("--skip", &o->skip),        /* its former name */
        option_flag("--no-mirror", &o->no_mirror),
        option_number("--crop", &o->crop, 0, 1),
        option_number("--colour", &o->colour, 0, 1),
        option_text("--init", &o->init),
        option_text("--start", &o->start),
        option_text("--backbone", &o->backbone),
        option_text("--head", &o->head),
        option_text("--freeze", &o->freeze),
        option_flag("--plain", &o->plain),
        option_whole("--steps", &o->steps, 0, 4),
        option_text("--priors", &o->priors),
        option_flag("--fixed-norm", &o->fixed_norm),
        option_text("--features", &o->features),
        option_number("--dropout", &o->dropout, 0, 1),
        option_size("--input", o->input),
        option_number("--blur", &o->blur, 0, 100),
        option_text("--loss", &o->loss),
        option_text("--opt", &o->rule),
        option_whole("--epochs", &o->epochs, 1, 1000000),
        option_whole("--batch", &o->batch, 1, 1000000),
        option_whole("--seed", &o->seed, 0, INT_MAX),
        option_text("--lr", &o->rate),
        option_text("--schedule", &o->schedule),
        option_text("--momentum", &o->momentum),
        option_number("--decay", &o->decay, 0, 1e6),
        option_number("--clip", &o->clip, 0, 1e9),
        option_number("--max-norm", &o->max_norm, 0, 1e9),
        option_number("--average", &o->average, 0, 1),
        option_text("--select", &o->select),
        option_whole("--patience", &o->patience, 0, 1000000),
        option_flag("--resume", &o->resume),
        option_number("--checkpoint", &o->checkpoint, 0, 1e9),
        option_text("--log", &o->log),
        option_text("--plot", &o->plot),
        option_number("--memory", &o->memory, 1, 1e9),
        option_whole("--threads", &ctx->threads, 1, MOST_THREADS),
        option_flag("--quiet", &o->quiet),
    };
    int count, status;
    o->val_split = 0.2;
    o->crop = o->colour = o->dropout = o->blur = -1;
    o->decay = o->clip = o->max_norm = o->average = o->memory = -1;
    o->epochs = o->batch = o->patience = o->steps = -1;
    o->seed = 1;
    o->checkpoint = 300;
    status = read_options(argc, argv, table, COUNT(table), help, &count);
    if (status) return status;
    if (count) return complain("%s is not an option; see train --help", argv[0]);
    if (!o->data) return complain("which --data? see train --help");
    if (!o->model && !o->init) return complain("which network (-m)? see train --help");
    if (o->init && refuse("-m --start", "with --init, which says where the network begins")) return 1;
    if (o->val && refuse("--val-split", "with --val")) return 1;
    return 0;
}

/* The folders to learn from and to validate on. */
typedef struct folders {
    const char *data[64], *val[64];
    int size[64][2], domain[64];
} folders;

static int choose_folders(sal_folders_desc *sets, const options *o, folders *f) {
    int i;
    memset(sets, 0, sizeof *sets);
    sets->data = f->data;
    sets->val = f->val;
    sets->datas = split((char *)(uintptr_t)o->data, f->data, 64);
    sets->vals = split((char *)(uintptr_t)o->val, f->val, 64);
    if (sets->datas > 64 || sets->vals > 64)
        return complain("%s: at most 64 folders", sets->datas > 64 ? "--data" : "--val");
    for (i = 0; i < sets->datas; i++) cut_size(f->data[i], f->size[i]);
    sets->size = (const int (*)[2])f->size;
    sets->val_split = o->val_split;
    sets->test_share = o->test_share;
    sets->skip = o->skip;
    sets->seed = (uint64_t)o->seed;
    if (o->domain) sets->domain = f->domain;
    return read_domains(o->domain, sets->datas, f->domain);
}

/* Where the results go: files, or folders for them, but none that is read. The weights, --log,
   --plot, the state of the training, --features. */
static int choose_files(sal_ctx *ctx, const char *network, const sal_folders_desc *sets,
                        const options *o, char file[5][PATH_ROOM]) {
    const char *given[3];
    char name[PATH_ROOM];
    pictures read;
    int i, status = 0;
    memset(&read, 0, sizeof read);
    snprintf(name, sizeof name, "%s.safetensors", network);
    given[0] = o->out ? o->out : name; given[1] = o->log; given[2] = o->plot;
    memset(file, 0, 5 * sizeof *file);
    if (o->init) take(&read, o->init);
    if (o->backbone) take(&read, o->backbone);
    if (o->head) take(&read, o->head);
    for (i = 0; i < sets->datas; i++) take_set(ctx, &read, sets->data[i], 0);
    for (i = 0; i < sets->vals; i++) take_set(ctx, &read, sets->val[i], 0);
    for (i = 0; i < 3 && !status; i++) {
        if (!given[i]) continue;
        if (is_standard(given[i])) status = complain("-: train writes files only");
        else status = out_path(ctx, &read, given[i],
                               i == 0 ? name : i == 1 ? "train.csv" : "train.svg",
                               file[i]);
    }
    if (!status && snprintf(file[3], PATH_ROOM, "%s.state", file[0]) >= PATH_ROOM)
        status = complain("%s: this path is too long", file[0]);
    if (o->features) snprintf(file[4], PATH_ROOM, "%s", o->features);
    if (!status) status = all_different(file, 5);
    pictures_free(&read);
    return status;
}

static int has_layer(const sal_net *net, sal_op op) {
    int i;
    for (i = 0; i < net->layers; i++) if (net->layer[i].op == op) return 1;
    return 0;
}

static int train(sal_ctx *ctx, sal_net *net, sal_train_desc *d, const sal_folders_desc *sets,
                 const options *o) {
    sal_train_result result;
    view v;
    char file[5][PATH_ROOM], *out = file[0], *state = file[3], nss[32];
    memset(&v, 0, sizeof v);
    if ((!has_layer(net, SAL_OP_BATCHNORM) && refuse("--fixed-norm", "without batch-norms")) ||
        (!has_layer(net, SAL_OP_MAXOUT) && refuse("--max-norm", "without a maxout layer"))) return 1;
    if (choose_files(ctx, net->name, sets, o, file)) return 1;
    if (o->resume && sal_path_kind(state) < 0 && sal_path_kind(out) == 0)
        return complain("%s: there is no %s to resume from, and what was trained would be lost; begin "
                        "without --resume, or from it by --init", out, state);
    d->out = out; d->state = state;
    v.log = o->log && !d->rank ? file[1] : NULL;
    v.plot = o->plot && !d->rank ? file[2] : NULL;
    v.ctx = ctx; v.checkpoint = o->checkpoint;
    v.quiet = o->quiet || d->rank;
    v.terminal = is_terminal(1);
    d->progress = progress; d->user = &v;
    if (sal_train_folders(ctx, net, d, sets, &result)) return complain("%s", sal_error(ctx));
    if (v.quiet || v.failed) return v.failed;
    printf("%s: %d epochs", out, result.epochs);
    if (result.best_epoch)
        printf(", best after %d: CC %.3f, NSS %s on validation", result.best_epoch,
               result.val_cc, print_nss(nss, result.val_nss));
    printf("\n");
    return 0;
}

int main(int argc, char **argv) {
    sal_ctx ctx = { 0 };
    options o = { 0 };
    folders f;
    sal_net *net = NULL;
    sal_train_desc d;
    sal_folders_desc sets;
    int status = read_command_line(&ctx, &o, argc, argv);
    ctx.log = print_log;
    if (!status) status = make_network(&ctx, &o, &net);
    if (status) { sal_net_free(&ctx, net); return finish(status); }
    d = sal_train_desc_paper(net->desc.kind);
    status = change_recipe(&ctx, &d, &o) || choose_folders(&sets, &o, &f);
#ifdef SALIENCY_MPI
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &d.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &d.ranks);
    d.reduce = reduce;
#endif
    if (!status) status = train(&ctx, net, &d, &sets, &o);
    sal_net_free(&ctx, net);
#ifdef SALIENCY_MPI
    if (status) MPI_Abort(MPI_COMM_WORLD, status);      /* the others wait for this one */
    MPI_Finalize();
#endif
    return finish(status);
}
