/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* evaluate: how well do saliency maps predict where people looked?

       gcc -O2 examples/evaluate.c -o evaluate -lm          (add -fopenmp to use all cores)

   Runs models over a data set of fixations, or reads their maps from a folder, scores every picture
   with the metrics of saliency.h, and writes a table, CSV, JSON and a report for the browser.
   Run  evaluate --help  for the options. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"
#define DATASET_IMPLEMENTATION
#include "dataset.h"

static const char program[] = "evaluate";
#include "cli.h"
#include "evaluate_score.h"
#include "evaluate_fit.h"
#include "evaluate_table.h"
#include "evaluate_merge.h"
#include "evaluate_report.h"

static const char help[] =
    "evaluate: how well do saliency maps predict where people looked?\n"
    "\n"
    "usage: evaluate [-m MODEL | -w WEIGHTS | --maps DIR] ... --data DIR [options]\n"
    "       evaluate --merge PART.json ... [--csv OUT] [--json OUT]\n"
    "\n"
    "What is scored (repeat them for one table side by side; default: the best model there is):\n"
    "  -m MODEL       a model by name; MODEL+center multiplies it by the centre prior\n"
    "                   without weights: center spectral itti gbvs bms\n"
    "                   networks:        lite juntingnet wepsam mlnet sam-vgg sam-resnet\n"
    "  -w WEIGHTS     a network from a .safetensors file\n"
    "  --maps DIR     maps somebody made: DIR/NAME.npy, .png, .jpg ..., NAME as the pictures';\n"
    "                 maps of another size are resized (bilinear) to the picture\n"
    "  --any-size     also maps of another shape (else refused: perhaps they are transposed)\n"
    "  --baselines    three more: the centre prior (density of the fixations on all other\n"
    "                 pictures), and how well viewers predict each other: each one from all\n"
    "                 others (mean over viewers), one random half from the other (both ways)\n"
    "  --crop         how many fixations stay when the best half of the area is cut out, in\n"
    "                 three shapes; beside the models, the half in the middle, and that which\n"
    "                 the fixations of other viewers choose\n"
    "\n"
    "On what:\n"
    "  --data DIR     a data set as published: plain images/ maps/ fixations.csv, OSIE, Scene,\n"
    "                 SALICON, iSUN, MIT1003, CAT2000, Toronto\n"
    "  --split NAME   one part of it (train, val, a category)\n"
    "  --skip-missing leave out what is missing or cannot be read instead of stopping\n"
    "  --limit N      the first N pictures only\n"
    "  --part K/N     score only share K of N, by the pictures' names, for several machines; the\n"
    "                 JSON keeps every score. The others still serve as other pictures\n"
    "  --merge        the JSON files of all parts become the results of one run\n"
    "  --test-share F only the pictures that train --test-share F does not learn from; only these\n"
    "                 serve as other pictures, too (centre prior, shuffled AUC)\n"
    "  --input HxW    the size of pictures as the networks see them (default: their own)\n"
    "  --steps N      sam-vgg, sam-resnet: stop the ConvLSTM after N steps\n"
    "  --precision T  fast (default): networks in whole numbers where their files allow it; f32\n"
    "  --domain N     lite: with the prior of 1 osie, 2 scene, 3 mit1003, 4 figrim\n"
    "                 (default 0: any picture)\n"
    "  --blur F       smooth maps with a Gaussian, sigma as a share of the long side\n"
    "  --power F      raise maps to this power: above 1 peaks are steeper\n"
    "  --viewing-distance D   --blur for pictures whose long side was D degrees of sight\n"
    "  --fit N        choose --domain, --blur and --power by CC on the first N pictures; the\n"
    "                 others are scored. --blur, --power, --fit: models' and folders' maps\n"
    "\n"
    "How:\n"
    "  --metrics LIST names separated by commas (default: all; with --crop, its three)\n"
    "  --prior MAP    baseline of IG, .npy or picture, stretched to each picture's size (default:\n"
    "                 the centre prior as above)\n"
    "  --seed N       of everything drawn: AUC_Borji, AUC_shuffled, halves of viewers (default 1)\n"
    "  --threads N    use N threads (default: all cores)\n"
    "\n"
    "Results (OUT is a file, a folder, or - for standard output):\n"
    "  --csv OUT      one line for each model and picture\n"
    "  --json OUT     mean and standard error of each metric for each model\n"
    "  --html OUT     a report in one file: table, distributions, best and worst pictures\n"
    "  --strips N     how many pictures it shows (default 100: the 50 best and the 50 worst by\n"
    "                 the first metric of the first model)\n"
    "  --per-image    print the scores of every picture, too\n"
    "  --quiet        no table, no progress\n"
    "  -h, --help     this text; --version: the version\n"
    "\n"
    "Metrics:\n";
static const char help_end[] =
    "NSS, CC, SIM, KL, IG and AUC_... are computed as the MIT benchmark's MATLAB code does; AUC\n"
    "and sAUC are exact. sAUC takes the fixations on all other pictures evaluated as negatives,\n"
    "AUC_shuffled those on ten of them, with coordinates scaled to the picture's size. Scores\n"
    "not defined for a picture (no fixations) are left out of the means.\n";

/* --- a block of pictures ------------------------------------------------------------------- */

static void job_failed(picture_job *j, const sal_ctx *ctx, sal_result r) {
    if (!r || j->result) return;
    j->result = r;
    snprintf(j->error, sizeof j->error, "%s", sal_error(ctx));
}

/* Load the picture; make the maps that need no network. */
static void prepare(void *arg, int index, int worker) {
    evaluation *e = (evaluation *)arg;
    picture_job *j = &e->job[index];
    sal_ctx *ctx = &e->worker[worker];
    sal_result r;
    int k, parts = SAL_ITEM_DENSITY | (e->html ? SAL_ITEM_IMAGE : 0);
    for (k = 0; k < e->rows; k++) if (e->row[k].kind == MODEL) parts |= SAL_ITEM_IMAGE;
    r = sal_dataset_item(ctx, &e->set, j->image, parts, &j->item);
    for (k = 0; k < e->rows && !r; k++) {
        score_row *row = &e->row[k];
        if (row->kind <= MAPS && !row->of.net) r = row_map(ctx, e, row, &j->item, &j->map[k]);
        if (!r && j->map[k].data) r = fit_map(ctx, &j->map[k], j->item.w, j->item.h);
    }
    job_failed(j, ctx, r);
}

static void score_all(void *arg, int index, int worker) {
    evaluation *e = (evaluation *)arg;
    picture_job *j = &e->job[index];
    sal_ctx *ctx = &e->worker[worker];
    sal_result r = score_picture(ctx, e, j);
    if (!r && e->html) r = make_thumbs(ctx, e, j);
    job_failed(j, ctx, r);
}

/* `count` of the pictures to do, from number `first` on. */
static int evaluate_block(evaluation *e, int first, int count) {
    int i, k, status = 0;
    memset(e->job, 0, sizeof e->job);
    for (i = 0; i < count; i++) e->job[i].image = e->todo[first + i];
    sal_parallel_for(&e->ctx, count, prepare, e);
    for (i = 0; i < count; i++)             /* a network uses all threads for one picture */
        for (k = 0; k < e->rows && !e->job[i].result; k++)
            if (e->row[k].of.net)
                job_failed(&e->job[i], &e->ctx, row_map(&e->ctx, e, &e->row[k], &e->job[i].item,
                                                        &e->job[i].map[k]));
    for (i = 0; i < count; i++) if (e->job[i].result) status = 1;
    if (!status) sal_parallel_for(&e->ctx, count, score_all, e);
    status = 0;
    for (i = 0; i < count; i++) {
        picture_job *j = &e->job[i];
        if (j->result && !status) status = complain("%s: %s", j->item.name ? j->item.name :
                                                    e->set.entry[j->image].name, j->error);
        for (k = 0; k < e->rows; k++) sal_map_free(&e->ctx, &j->map[k]);
        sal_map_free(&e->ctx, &j->prior);
        sal_item_free(&e->ctx, &j->item);
    }
    return status;
}

static int evaluate(evaluation *e) {
    int i, first, bar = !e->quiet && is_terminal(2);
    double start = now();
    for (i = 0; i < e->images; i++) {
        sal_item *g = &e->gaze[i];
        if (sal_dataset_item(&e->ctx, &e->set, i, SAL_ITEM_FIXATIONS, g))
            return complain("%s", sal_error(&e->ctx));
        for (first = 0; first < g->fixations; first++) {    /* up to a pixel may be outside */
            sal_fixation *f = &g->fixation[first];
            f->x = (float)clamp(f->x, 0, g->w - 1);
            f->y = (float)clamp(f->y, 0, g->h - 1);
        }
    }
    for (first = 0; first < e->scored; first += BLOCK) {
        if (bar) show_progress(first, e->scored, start);
        if (evaluate_block(e, first, MIN(BLOCK, e->scored - first))) {
            if (bar) fprintf(stderr, "\n");
            return 1;
        }
    }
    if (bar) show_progress(e->scored, e->scored, start);
    return 0;
}

/* --- results ------------------------------------------------------------------------------- */

/* To a file, or to standard output for - and instead of a file in a folder: out_path says which. */
static int write_text(evaluation *e, const char *out, const char *name,
                      void (*make)(const evaluation *e, text *t)) {
    text t = { NULL, 0, 0, 0 };
    char path[PATH_ROOM];
    int status = out_path(&e->ctx, &e->read, out, name, path);
    if (!status) make(e, &t);
    if (t.failed) status = complain("%s: out of memory", name);
    if (!status && sal_file_write(&e->ctx, path, t.data ? t.data : "", t.size))
        status = complain("%s", sal_error(&e->ctx));
    free(t.data);
    return status;
}

static int write_results(evaluation *e) {
    int status = write_text(e, "-", "table", make_table);   /* each, whatever became of the others */
    if (e->csv) status |= write_text(e, e->csv, "evaluate.csv", make_csv);
    if (e->json) status |= write_text(e, e->json, "evaluate.json", make_json);
    if (e->html) status |= write_text(e, e->html, "evaluate.html", make_html);
    return status;
}

/* --- options ------------------------------------------------------------------------------- */

/* The last part of a path, without .safetensors. */
static void short_name(char *name, size_t size, const char *path) {
    size_t end = strlen(path), start;
    char *dot;
    while (end > 1 && is_slash(path[end - 1])) end--;
    for (start = end; start > 0 && !is_slash(path[start - 1]); ) start--;
    snprintf(name, size, "%.*s", (int)(end - start), path + start);
    dot = strrchr(name, '.');
    if (dot && !strcmp(dot, ".safetensors")) *dot = 0;
}

static int add_row(evaluation *e, row_kind kind, const char *model, const char *weights,
                   const char *folder) {
    static const char *const baseline[] = { "", "", "centre prior", "centre box",
                                            "viewer vs others", "half vs half" };
    score_row *row = &e->row[e->rows];
    size_t length = model ? strlen(model) : 0;
    if (e->rows == MAX_ROWS) return complain("at most %d models in one table", MAX_ROWS);
    row->kind = kind; row->weights = weights; row->folder = folder; row->model = model;
    row->center = length > 7 && !strcmp(model + length - 7, "+center");
    snprintf(row->name, sizeof row->name, "%s", model ? model : baseline[kind]);
    if (weights || folder) short_name(row->name, sizeof row->name, weights ? weights : folder);
    e->rows++;
    return 0;
}

static int open_row(evaluation *e, score_row *row) {
    model_options which;
    char name[128];
    memset(&which, 0, sizeof which);
    snprintf(name, sizeof name, "%s", row->name);
    if (row->center) name[strlen(name) - 7] = 0;
    which.name = row->model ? name : NULL;
    which.weights = row->weights;
    which.center = row->center;
    which.domain = e->domain;
    which.blur = e->blur;
    which.power = e->power;
    which.steps = e->steps;
    which.float32 = e->float32;
    which.shared = 1;
    memcpy(which.input, e->input, sizeof which.input);
    if (open_model(&e->ctx, &which, &row->of)) return 1;
    row->open = 1;
    snprintf(name, sizeof name, "%s", row->of.name);
    if (!*row->name) memcpy(row->name, name, sizeof name);
    return 0;
}

/* NaN: not scored. */
static double (*new_values(int images))[SCORES] {
    double (*value)[SCORES] = (double (*)[SCORES])calloc((size_t)images, sizeof *value);
    int i, m;
    for (i = 0; value && i < images; i++) for (m = 0; m < SCORES; m++) value[i][m] = NAN;
    return value;
}

/* Rows of one name become NAME, NAME (2), NAME (3). Names that another row has already are passed over. */
static void own_name(const evaluation *e, score_row *row) {
    size_t end = MIN(strlen(row->name), sizeof row->name - sizeof " (32)");
    const score_row *other = e->row;
    int same = 1;
    while (other < row) {
        if (strcmp(other->name, row->name)) { other++; continue; }
        snprintf(row->name + end, sizeof row->name - end, " (%d)", ++same);
        other = e->row;
    }
}

static int open_rows(evaluation *e) {
    int k, networks = 0, domains = 0, maps = 0, learnt = 0;
    for (k = 0; k < e->rows; k++) {
        score_row *row = &e->row[k];
        if (row->kind == MAPS && sal_path_kind(row->folder) != 1)
            return complain("%s: is not a folder", row->folder);
        if (row->kind == MODEL && open_row(e, row)) return 1;
        if (row->kind == MAPS) { row->of.blur = e->blur; row->of.power = e->power; }
        networks += row->of.net != NULL;
        domains += has_domains(&row->of);
        maps += row->kind == MAPS;
        learnt += row->of.net && row->of.net->desc.steps > 0;
        own_name(e, row);
        row->value = new_values(e->images);
        row->thumb = (bytes *)calloc((size_t)e->images, sizeof(bytes));
        if (!row->value || !row->thumb) return complain("out of memory");
    }
    if (e->domain && !domains)
        return complain("--domain %d: nothing here has priors of data sets", e->domain);
    return (!networks && refuse("--input --precision", "without a network")) ||
           (!learnt && refuse("--steps", "without a network that has a ConvLSTM")) ||
           (!maps && refuse("--any-size", "without --maps"));
}

/* The default model if none was named, and the rows that options ask for. */
static int add_baselines(evaluation *e) {
    int viewers = e->baselines || e->crop;
    if (!e->rows && add_row(e, MODEL, NULL, NULL, NULL)) return 1;
    if (e->baselines && add_row(e, PRIOR, NULL, NULL, NULL)) return 1;
    if (e->crop && add_row(e, CENTER_BOX, NULL, NULL, NULL)) return 1;
    if (viewers && e->set.subjects < 2)
        complain("%s does not tell viewers apart: no rows for them", e->data);
    else if (viewers && (add_row(e, LEAVE_ONE_OUT, NULL, NULL, NULL) ||
                         add_row(e, SPLIT_HALF, NULL, NULL, NULL))) return 1;
    return 0;
}

static int has_fixations(const sal_dataset_entry *e) { return e->fixations || e->count; }

/* The pictures of the test share to the front; returns how many they are. */
static int test_share_first(sal_dataset *set, double share) {
    int i, count = 0, people = 0;
    for (i = 0; i < set->count; i++) people |= has_fixations(&set->entry[i]);
    for (i = 0; i < set->count; i++)
        if (sal_name_share(set->entry[i].name, 0) < share &&
            (!people || has_fixations(&set->entry[i]))) {
            sal_dataset_entry entry = set->entry[i];
            memmove(&set->entry[count + 1], &set->entry[count],
                    (size_t)(i - count) * sizeof entry);
            set->entry[count++] = entry;
        }
    return count;
}

/* Before an hour of work: a place for each result, and only one on standard output? */
static int check_output(evaluation *e, const char *out, const char *name, char *path) {
    *path = 0;
    if (!out) return 0;
    if (!is_standard(out)) return out_path(&e->ctx, &e->read, out, name, path);
    if (e->standard++) return complain("-: standard output takes one result only");
    e->quiet = 1;
    return 0;
}

/* The files of the data set, which no result may replace. */
static void protect_set(evaluation *e) {
    int i;
    for (i = 0; i < e->set.count; i++) {
        const sal_dataset_entry *entry = &e->set.entry[i];
        take(&e->read, entry->image);
        if (entry->map) take(&e->read, entry->map);
        if (entry->fixations) take(&e->read, entry->fixations);
    }
    take_set(&e->ctx, &e->read, e->data, 0);
    for (i = 0; i < e->rows; i++) if (e->row[i].folder) take_set(&e->ctx, &e->read, e->row[i].folder, 1);
}

static int load_prior(evaluation *e) {
    sal_result r = has_ending(e->prior_path, ".npy")
                       ? sal_map_load_npy(&e->ctx, e->prior_path, &e->prior)
                       : sal_map_load_image(&e->ctx, e->prior_path, &e->prior);
    return r ? complain("%s", sal_error(&e->ctx)) : 0;
}

static int check_outputs(evaluation *e) {
    char path[3][PATH_ROOM];
    if (check_output(e, e->csv, "evaluate.csv", path[0]) ||
        check_output(e, e->json, "evaluate.json", path[1]) ||
        check_output(e, e->html, "evaluate.html", path[2]) || all_different(path, 3)) return 1;
    return e->per_image && e->standard
           ? complain("-: standard output takes one result only; leave --per-image out") : 0;
}

/* Which pictures are scored. */
static int choose_pictures(evaluation *e) {
    int i;
    e->todo = (int *)malloc((size_t)e->images * sizeof *e->todo);
    if (!e->todo) return complain("out of memory");
    for (i = 0; i < e->images; i++)
        if (in_part(&e->part, e->set.entry[i].name)) e->todo[e->scored++] = i;
    return 0;
}

/* 1 if every folder of --maps has a map of the picture; else ctx->error says which has not. */
static int has_maps(evaluation *e, const char *name) {
    int k, ok = 1;
    for (k = 0; ok && k < e->rows; k++) {
        sal_map map = { 0 };
        if (e->row[k].kind == MAPS) ok = !read_map(&e->ctx, e, e->row[k].folder, name, &map);
        sal_map_free(&e->ctx, &map);
    }
    return ok;
}

/* --skip-missing: of the first `count` pictures those that can be read, with their maps, to the
   front, as many as are to be scored; the others are named. Returns how many there are. */
static int readable_first(evaluation *e, int count) {
    int i, kept = 0;
    for (i = 0; i < count && !(e->limit && kept == e->limit); i++) {
        sal_dataset_entry *entry = &e->set.entry[i];
        int parts = SAL_ITEM_IMAGE | SAL_ITEM_FIXATIONS | (entry->map ? SAL_ITEM_DENSITY : 0);
        sal_item item;
        if (sal_dataset_item(&e->ctx, &e->set, i, parts, &item) || !has_maps(e, entry->name))
            complain("%s; left out", sal_error(&e->ctx));
        else e->set.entry[kept++] = *entry;
        sal_item_free(&e->ctx, &item);
    }
    return kept;
}

static int open_all(evaluation *e) {
    sal_dataset_options options;
    int i, count;
    memset(&options, 0, sizeof options);
    options.split = e->split;
    options.skip_missing = e->skip_missing;
    if (!e->data) return complain("which data set? --data DIR; see evaluate --help");
    if (sal_dataset_open(&e->ctx, e->data, &options, &e->set))
        return complain("%s", sal_error(&e->ctx));
    e->set_open = 1;
    protect_set(e);
    if (e->prior_path) take(&e->read, e->prior_path);
    for (i = 0; i < e->rows; i++) if (e->row[i].weights) take(&e->read, e->row[i].weights);
    if (check_outputs(e)) return 1;
    count = e->test_share > 0 ? test_share_first(&e->set, e->test_share) : e->set.count;
    if (e->skip_missing) count = readable_first(e, count);
    e->images = e->limit ? MIN(e->limit, count) : count;
    if (e->images < 1) return complain("%s: no pictures in this data set", e->data);
    if (e->prior_path && load_prior(e)) return 1;
    if (add_baselines(e)) return 1;
    e->gaze = (sal_item *)calloc((size_t)e->images, sizeof(sal_item));
    e->photo = (bytes *)calloc((size_t)e->images, sizeof(bytes));
    e->human = (bytes *)calloc((size_t)e->images, sizeof(bytes));
    e->worker = (sal_ctx *)calloc((size_t)sal_threads(&e->ctx), sizeof(sal_ctx));
    if (!e->gaze || !e->photo || !e->human || !e->worker) return complain("out of memory");
    for (i = 0; i < sal_threads(&e->ctx); i++) e->worker[i].threads = 1;
    return choose_pictures(e) || open_rows(e);
}

static void close_all(evaluation *e) {
    int i, k;
    for (k = 0; k < e->rows; k++) {
        for (i = 0; e->row[k].thumb && i < e->images; i++) free(e->row[k].thumb[i].data);
        free(e->row[k].thumb);
        free(e->row[k].value);
        if (e->row[k].open) sal_model_close(&e->ctx, &e->row[k].of);
    }
    for (i = 0; i < e->images; i++) {
        if (e->gaze) sal_item_free(&e->ctx, &e->gaze[i]);
        if (e->photo) free(e->photo[i].data);
        if (e->human) free(e->human[i].data);
    }
    for (i = 0; e->name && i < e->images; i++) free(e->name[i]);
    free(e->name); free(e->todo);
    pictures_free(&e->read);
    free(e->worker); free(e->human); free(e->photo); free(e->gaze);
    sal_map_free(&e->ctx, &e->prior);
    if (e->set_open) sal_dataset_close(&e->ctx, &e->set);
    free(e);
}

/* The text of --help, with the metrics. */
static const char *whole_help(char *text, size_t size) {
    int m, used = snprintf(text, size, "%s", help);
    for (m = 0; m < SCORES; m++)
        used += snprintf(text + used, size - (size_t)used, "  %-18s %s\n", metric_name(m),
                         metric_about(m)->text);
    snprintf(text + used, size - (size_t)used, "%s", help_end);
    return text;
}

static int read_metrics(void *into, const char *option, const char *list) {
    evaluation *e = (evaluation *)into;
    e->metrics = 0; e->columns = 0;
    while (*list) {
        int length = (int)strcspn(list, ","), m, found = -1;
        for (m = 0; m < SCORES; m++)
            if ((int)strlen(metric_name(m)) == length && !strncmp(metric_name(m), list, length))
                found = m;
        if (found < 0) return complain("%.*s is not a metric; see evaluate --help", length, list);
        if (!(e->metrics >> found & 1)) e->order[e->columns++] = found;
        e->metrics |= SAL_METRIC_BIT(found);
        list += length + (list[length] == ',');
    }
    return e->columns ? 0 : complain("%s needs names; see evaluate --help", option);
}

/* What is scored if nobody says: all metrics; those of --crop. */
static void choose_metrics(evaluation *e) {
    int m, given = e->metrics != 0;
    for (m = 0; m < SCORES; m++) {
        if (e->metrics >> m & 1 || (m < SAL_METRIC_COUNT ? given || e->crop : !e->crop)) continue;
        e->order[e->columns++] = m;
        e->metrics |= SAL_METRIC_BIT(m);
    }
}

/* -m, -w and --maps: a row for each. */
static int read_row(void *into, const char *option, const char *value) {
    evaluation *e = (evaluation *)into;
    if (option[1] == 'm') return add_row(e, MODEL, value, NULL, NULL);
    if (option[1] == 'w') return add_row(e, MODEL, NULL, value, NULL);
    return add_row(e, MAPS, NULL, NULL, value);
}

static int merge_parts(evaluation *e, char **file, int count) {
    int i;
    if (!count) return complain("--merge: which JSON files? see evaluate --help");
    if (given_of("-m -w --maps --baselines --crop --data --split --skip-missing --any-size --limit "
                 "--part --test-share --input --precision --domain --blur --power "
                 "--viewing-distance --fit --steps --metrics --prior --seed --html --strips"))
        return complain("--merge takes JSON files, --csv, --json, --per-image and --quiet only");
    for (i = 0; i < count; i++) take(&e->read, file[i]);
    return check_outputs(e) || merge(e, file, count);
}

/* All up to the results. */
static int run(evaluation *e, int argc, char **argv) {
    const option table[] = {
        option_call("-m", read_row, e),
        option_call("-w", read_row, e),
        option_call("--maps", read_row, e),
        option_flag("--baselines", &e->baselines),
        option_flag("--crop", &e->crop),
        option_text("--data", &e->data),
        option_text("--split", &e->split),
        option_flag("--skip-missing", &e->skip_missing),
        option_flag("--any-size", &e->any_size),
        option_whole("--limit", &e->limit, 1, INT_MAX),
        option_call("--part", read_part, &e->part),
        option_flag("--merge", &e->merge),
        option_number("--test-share", &e->test_share, 0, 1),
        option_size("--input", e->input),
        option_call("--precision", read_precision, &e->float32),
        option_whole("--domain", &e->domain, 0, SAL_DOMAIN_COUNT - 1),
        option_number("--blur", &e->blur, 0, 1),
        option_number("--power", &e->power, 0.01, 100),
        option_call("--viewing-distance", read_viewing, &e->blur),
        option_whole("--fit", &e->fit, 1, INT_MAX),
        option_whole("--steps", &e->steps, 1, 4),
        option_call("--metrics", read_metrics, e),
        option_text("--prior", &e->prior_path),
        option_whole("--seed", &e->seed, 1, INT_MAX),
        option_whole("--threads", &e->ctx.threads, 1, MOST_THREADS),
        option_text("--csv", &e->csv),
        option_text("--json", &e->json),
        option_text("--html", &e->html),
        option_whole("--strips", &e->strips, 1, INT_MAX),
        option_flag("--per-image", &e->per_image),
        option_flag("--quiet", &e->quiet),
    };
    char text[8192];
    int count, status;
    e->seed = 1;
    e->strips = 100;
    status = read_options(argc, argv, table, COUNT(table), whole_help(text, sizeof text),
                          &count);
    if (status) return status;
    e->ctx.seed = (uint64_t)e->seed;
    if (e->merge) return merge_parts(e, argv, count);
    if (count) return complain("%s: what to do with it? see evaluate --help", argv[0]);
    if ((!e->html && refuse("--strips", "without --html")) ||
        (e->fit && refuse("--blur --power --viewing-distance --domain", "beside --fit, which chooses "
                          "it")) ||
        (given_of("--viewing-distance") && refuse("--blur", "beside --viewing-distance, which sets "
                                                  "it")))
        return 1;
    if (given_of("--test-share") && e->test_share == 0)
        return complain("--test-share 0: a share of 0 has no pictures");
    if (e->part.n && e->html)
        return complain("--html shows all pictures: it cannot be had of a part");
    if (e->part.n && e->fit)
        return complain("--fit looks at the first pictures of all, not of a part: fit first, then "
                        "give its settings to every part");
    choose_metrics(e);
    if (!(e->metrics & SAL_METRIC_BIT(SAL_METRIC_IG)) && refuse("--prior", "without the metric IG"))
        return 1;
    return open_all(e) || fit_rows(e) || evaluate(e);
}

int main(int argc, char **argv) {
    evaluation *e = (evaluation *)calloc(1, sizeof *e);
    int status;
    if (!e) return complain("out of memory");
    sal_use_lite(&e->ctx);
    e->ctx.log = print_log;
    status = run(e, argc, argv);
    if (!status) status = write_results(e);
    close_all(e);
    return finish(status);
}
