/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* What a machine of one byte order writes, a machine of the other one reads: `byte_order write
   FOLDER` on one, `byte_order read FOLDER` on the other. tests/test_byte_order.sh does it both
   ways. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "../weights/saliency_lite.h"
#define DATASET_IMPLEMENTATION
#include "../examples/dataset.h"
#include "test.h"
#include "mat_writer.h"

enum { PICTURES = 4, SIDE = 48, EPOCHS = 4, ROWS = 3, COLUMNS = 5 };

static const char *folder;

static const char *in_folder(const char *name) {
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

/* A grey spot on black, whose place depends on the number. */
static void draw(sal_image *image, int number) {
    int i;
    for (i = 0; i < SIDE * SIDE; i++) {
        int dx = i % SIDE - 10 - 8 * number, dy = i / SIDE - 30 + 6 * number;
        memset(image->data + 3 * i, dx * dx + dy * dy < 40 ? 200 : 30, 3);
    }
}

static void numbers(float value[ROWS * COLUMNS]) {
    int i;
    for (i = 0; i < ROWS * COLUMNS; i++) value[i] = (float)(i - 7) * 0.3712f;
}

/* --- a data set as MATLAB wrote it: OSIE's layout -------------------------------------------- */

static void write_set(sal_ctx *ctx, int big) {
    mat_writer w;
    sal_image image;
    char name[64];
    size_t cell, element, subjects, subject;
    int i, s;
    memset(&w, 0, sizeof w);
    w.big = big;
    CHECK(sal_folder_make(ctx, in_folder("set/images")) == SAL_OK, "a folder is made");
    cell = mat_begin(&w, 1, 0, 1, PICTURES, "fixations");
    for (i = 0; i < PICTURES; i++) {
        snprintf(name, sizeof name, "p%d.png", i);
        element = mat_begin_struct(&w, "", 1, 1, "img|subjects");
        mat_text(&w, "", name);
        subjects = mat_begin(&w, 1, 0, 1, 2, "");
        for (s = 0; s < 2; s++) {
            double x[2], y[2], ms[2] = { 200, 300 };
            x[0] = 10 + 8 * i; x[1] = 11.5 + 8 * i;
            y[0] = 30 - 6 * i; y[1] = 29.25 - 6 * i + s;
            subject = mat_begin_struct(&w, "", 1, 1, "fix_x|fix_y|fix_duration");
            mat_matrix(&w, "", 6, 9, 1, 2, x);
            mat_matrix(&w, "", 6, 9, 1, 2, y);
            mat_matrix(&w, "", 6, 9, 1, 2, ms);
            mat_end(&w, subject);
        }
        mat_end(&w, subjects);
        mat_end(&w, element);
        snprintf(name, sizeof name, "set/images/p%d.png", i);
        if (sal_image_new(ctx, SIDE, SIDE, &image) == SAL_OK) draw(&image, i);
        CHECK(sal_image_save(ctx, in_folder(name), &image) == SAL_OK, "%s is written", name);
        sal_image_free(ctx, &image);
    }
    mat_end(&w, cell);
    mat_save(&w, in_folder("set/fixations.mat"), 0);
}

static void read_set(sal_ctx *ctx) {
    sal_dataset set;
    sal_item item;
    sal_image image;
    sal_score_desc score = { 0 };
    float x[4], y[4];
    double auc = 0;
    int i;
    memset(&set, 0, sizeof set);
    if (!CHECK(sal_dataset_open(ctx, in_folder("set"), NULL, &set) == SAL_OK && set.count ==
               PICTURES, "the MAT file is read (%s)", sal_error(ctx))) return;
    if (sal_dataset_item(ctx, &set, 1, SAL_ITEM_ALL, &item) == SAL_OK) {
        CHECK(item.fixations == 4 && item.fixation[1].x == 18.5f && item.fixation[1].y == 22.25f,
              "with its coordinates, counted from 0 (%d: %g %g)", item.fixations,
              (double)item.fixation[1].x, (double)item.fixation[1].y);
        sal_image_new(ctx, SIDE, SIDE, &image);
        draw(&image, 1);
        CHECK(!memcmp(image.data, item.image.data, 3 * SIDE * SIDE), "and the picture's bytes");
        for (i = 0; i < 4; i++) { x[i] = item.fixation[i].x; y[i] = item.fixation[i].y; }
        score.w = score.h = SIDE;
        score.map = item.density.data;
        score.fixations.x = x; score.fixations.y = y; score.fixations.count = 4;
        sal_metric(ctx, SAL_METRIC_AUC_JUDD, &score, &auc);
        CHECK(auc > .95, "the density map predicts the fixations: AUC %.3f", auc);
        sal_image_free(ctx, &image);
        sal_item_free(ctx, &item);
    } else CHECK(0, "%s", sal_error(ctx));
    sal_dataset_close(ctx, &set);
}

/* --- tensors and maps ------------------------------------------------------------------------- */

static void tensors(sal_ctx *ctx, int write) {
    static const char *const names[] = { "a32", "b16", "c16", "d8" };
    sal_named_tensor list[4];
    sal_safetensors file;
    sal_map map;
    float value[ROWS * COLUMNS], back[ROWS * COLUMNS];
    int i, k;
    sal_tensor plain;
    memset(list, 0, sizeof list); memset(&plain, 0, sizeof plain); memset(&file, 0, sizeof file);
    numbers(value);
    plain.ndim = 2; plain.dim[0] = ROWS; plain.dim[1] = COLUMNS; plain.data = value;
    for (i = 0; i < 4; i++) {
        list[i].name = names[i];
        if (sal_tensor_convert(ctx, &plain, (sal_dtype)i, &list[i].tensor)) CHECK(0, "memory");
    }
    map.w = COLUMNS; map.h = ROWS; map.data = value;
    if (write) {
        CHECK(sal_safetensors_save(ctx, in_folder("tensors.safetensors"), list, 4, NULL, 0) ==
              SAL_OK, "F32, F16, BF16 and I8 are written");
        CHECK(sal_map_save_npy(ctx, in_folder("map.npy"), &map) == SAL_OK, "a map is written");
    } else {
        CHECK(sal_safetensors_load(ctx, in_folder("tensors.safetensors"), &file) == SAL_OK,
              "safetensors are read");
        for (i = 0; i < 4; i++) {
            const sal_named_tensor *t = sal_safetensors_find(&file, names[i]);
            int same = 0;
            float wanted[ROWS * COLUMNS];
            sal_tensor_read(&list[i].tensor, 0, ROWS * COLUMNS, wanted);
            if (t) sal_tensor_read(&t->tensor, 0, ROWS * COLUMNS, back);
            for (k = 0; t && k < ROWS * COLUMNS; k++) same += back[k] == wanted[k];
            CHECK(same == ROWS * COLUMNS, "%s: %d of %d numbers", names[i], same, ROWS * COLUMNS);
        }
        sal_safetensors_free(ctx, &file);
        if (CHECK(sal_map_load_npy(ctx, in_folder("map.npy"), &map) == SAL_OK, "a map is read")) {
            CHECK(!memcmp(map.data, value, sizeof value), "with its numbers");
            sal_map_free(ctx, &map);
        }
    }
    for (i = 0; i < 4; i++) sal_free(ctx, list[i].tensor.data);
}

/* --- prediction: built in, and from a file -------------------------------------------------- */

static void predict(sal_ctx *ctx, int write) {
    static const char *const files[] = { "built-in.npy", "file.npy" };
    sal_image image;
    sal_model model;
    sal_map map, other;
    int i, k;
    sal_image_new(ctx, SIDE, SIDE, &image);
    draw(&image, 2);
    sal_use_lite(ctx);
    for (i = 0; i < 2; i++) {
        double most = 0;
        if (!CHECK(sal_model_open(ctx, i ? NULL : "lite", i ? "weights/lite.safetensors" : NULL,
                                  &model) == SAL_OK && !sal_model_resize(ctx, &model, 64, 64) &&
                   !sal_model_predict(ctx, &model, &image, &map), "lite predicts, %s (%s)",
                   i ? "from its file" : "built in", sal_error(ctx))) continue;
        if (write) CHECK(!sal_map_save_npy(ctx, in_folder(files[i]), &map), "its map is written");
        else if (!sal_map_load_npy(ctx, in_folder(files[i]), &other)) {
            for (k = 0; k < map.w * map.h; k++)
                most = MAX(most, fabs(map.data[k] - other.data[k]));
            CHECK(most < 1e-5, "and its map is that of the other machine to %.1e", most);
            sal_map_free(ctx, &other);
        } else CHECK(0, "%s", sal_error(ctx));
        sal_map_free(ctx, &map);
        sal_model_close(ctx, &model);
    }
    sal_image_free(ctx, &image);
}

/* --- training: half of it here, half there ---------------------------------------------------- */

static int stop_halfway(void *user, const sal_train_progress *p) {
    (void)user;
    return p->epoch >= EPOCHS / 2 ? SAL_TRAIN_STOP : SAL_TRAIN_GO_ON;
}

static sal_net *train(sal_ctx *ctx, int half, int resume) {
    const char *data[1];
    sal_net_desc desc = sal_net_desc_default(SAL_KIND_JUNTINGNET);
    sal_train_desc d = sal_train_desc_paper(SAL_KIND_JUNTINGNET);
    sal_folders_desc folders;
    sal_train_result result;
    sal_net *net = NULL;
    sal_result r;
    memset(&folders, 0, sizeof folders);
    data[0] = in_folder("set");
    folders.data = data; folders.datas = 1;
    desc.h = desc.w = SIDE; desc.narrow = 4;
    d.epochs = EPOCHS; d.batch = 2; d.seed = 4; d.dropout = 0.3;
    if (half || resume) d.state = in_folder("half.state");
    if (half) d.progress = stop_halfway;
    d.resume = resume;
    r = sal_net_new(ctx, &desc, &net);
    if (!r) r = sal_net_init(ctx, net, 1);
    if (!r) r = sal_train_folders(ctx, net, &d, &folders, &result);
    CHECK(r == SAL_OK, "%s (%s)", half ? "the first half of a training" : resume ? "the rest of "
          "the other machine's training" : "a whole training", sal_error(ctx));
    return net;
}

static void train_on(sal_ctx *ctx, int write) {
    sal_net *net = NULL, *whole = NULL;
    double error = 0, power = 0;
    int i;
    size_t k;
    if (write) {
        sal_net_free(ctx, train(ctx, 1, 0));
        net = train(ctx, 0, 0);
        CHECK(!sal_net_save(ctx, net, in_folder("whole.safetensors"), SAL_DTYPE_F32, NULL, 0),
              "its weights are written");
    } else if (!sal_net_load(ctx, in_folder("whole.safetensors"), &whole)) {
        net = train(ctx, 0, 1);
        for (i = 0; i < net->params; i++) {
            const float *a = (const float *)net->param[i].value.data;
            const float *b = (const float *)whole->param[i].value.data;
            for (k = 0; k < sal_tensor_count(&net->param[i].value); k++) {
                error += (a[k] - b[k]) * (a[k] - b[k]);
                power += b[k] * b[k];
            }
        }
        CHECK(error < 1e-9 * power,
              "ends where the other machine's training ends: relative squared "
              "error %.1e", error / power);
    } else CHECK(0, "%s", sal_error(ctx));
    sal_net_free(ctx, whole);
    sal_net_free(ctx, net);
}

int main(int argc, char **argv) {
    sal_ctx ctx;
    const int one = 1;
    int write = argc == 3 && !strcmp(argv[1], "write");
    if (argc != 3) return 1;
    memset(&ctx, 0, sizeof ctx);
    folder = argv[2];
    if (write) write_set(&ctx, !*(const char *)&one);
    else read_set(&ctx);
    tensors(&ctx, write);
    predict(&ctx, write);
    train_on(&ctx, write);
    return test_done();
}
