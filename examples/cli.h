/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* cli.h: what the programs share: options, numbers, checked output, pictures and folders of them,
   where results go, progress.

   A program defines its name, which stands in front of every sentence, and includes this behind
   saliency.h:

       static const char program[] = "predict";
       #include "cli.h"

   Functions that return int return 0, or 1 after a complaint on standard error, if nothing else
   is said. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef MIN
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
/* An array of n zeroed T, or NULL. sal_free it. */
#define NEW(ctx, T, n) ((T *)sal_alloc(ctx, (size_t)(n), sizeof(T)))

static inline double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* --- what differs between systems ---------------------------------------------------------- */

#ifdef _WIN32
#  ifndef WIN32_LEAN_AND_MEAN
#    define WIN32_LEAN_AND_MEAN
#  endif
#  ifndef NOMINMAX
#    define NOMINMAX
#  endif
#  include <windows.h>
#  include <shellapi.h>
#else
#  include <sys/stat.h>
#  include <unistd.h>
#endif

enum { PATH_ROOM = 4096 };              /* bytes of a path, with its zero */

/* Where the system wants it, a backslash is a slash, too. */
static inline int is_slash(char c) {
#ifdef _WIN32
    if (c == '\\') return 1;
#endif
    return c == '/';
}

/* Two paths with the same identity are one file, whatever links and capital letters are in the
   way. */
typedef struct identity { unsigned long long device, file, changed; } identity;

#ifdef _WIN32
#ifdef _MSC_VER
#  pragma comment(lib, "shell32")
#endif
#ifdef __MINGW32__
int _dowildcard = 0;                    /* find_pictures does it, in UTF-8 */
#endif

#  include <io.h>
#  include <fcntl.h>

/* 0, and a name in UTF-16. */
static inline int utf16(wchar_t wide[PATH_ROOM], const char *name) {
    return !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, name, -1, wide, PATH_ROOM);
}

static inline double now(void) {
    LARGE_INTEGER ticks, second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&second);
    return (double)ticks.QuadPart / (double)second.QuadPart;
}

static inline int is_terminal(int stream) { return _isatty(stream); }

static inline int is_writable(const char *path) {
    wchar_t wide[PATH_ROOM];
    return !utf16(wide, path) && _waccess(wide, 2) == 0;
}

static inline FILE *open_file(const char *path) {
    wchar_t wide[PATH_ROOM];
    return utf16(wide, path) ? NULL : _wfopen(wide, L"rb");
}

static inline int identify(const char *path, identity *id) {
    wchar_t wide[PATH_ROOM];
    BY_HANDLE_FILE_INFORMATION info;
    HANDLE file;
    BOOL ok;
    if (utf16(wide, path)) return 0;
    file = CreateFileW(wide, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                       OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (file == INVALID_HANDLE_VALUE) return 0;
    ok = GetFileInformationByHandle(file, &info);
    CloseHandle(file);
    if (!ok) return 0;
    id->device = info.dwVolumeSerialNumber;
    id->file = (unsigned long long)info.nFileIndexHigh << 32 | info.nFileIndexLow;
    id->changed = (unsigned long long)info.ftLastWriteTime.dwHighDateTime << 32 |
                  info.ftLastWriteTime.dwLowDateTime;
    return 1;
}

/* main gets its arguments in the code page of the system: here they become UTF-8. They are kept
   to the end of the program. */
static inline void utf8_arguments(int argc, char **argv) {
    int i, count, size;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    for (i = 1; wide && count == argc && i < argc; i++) {
        char *text;
        size = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        text = size > 0 ? (char *)malloc((size_t)size) : NULL;
        if (text && WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, text, size, NULL, NULL))
            argv[i] = text;
    }
    LocalFree(wide);
}

/* The folder of the program itself; 0 if that cannot be told. */
static inline int program_folder(char path[PATH_ROOM]) {
    wchar_t wide[PATH_ROOM];
    DWORD n = GetModuleFileNameW(NULL, wide, PATH_ROOM);
    if (!n || n >= PATH_ROOM ||
        !WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, PATH_ROOM, NULL, NULL)) return 0;
    path[sal_path_name(path) - path] = 0;
    return 1;
}

/* Called once, before anything is read or written. */
static inline void start_program(int argc, char **argv) {
    DWORD mode;
    HANDLE console = GetStdHandle(STD_OUTPUT_HANDLE);
    utf8_arguments(argc, argv);
    SetConsoleOutputCP(CP_UTF8);
    if (GetConsoleMode(console, &mode)) SetConsoleMode(console, mode | 4);  /* escape sequences */
    _setmode(0, _O_BINARY);             /* what - reads and writes; no line end is translated */
    _setmode(1, _O_BINARY);
}
#else
/* Seconds from some moment on; never steps back. */
static inline double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Stream 1 is standard output, 2 standard error. */
static inline int is_terminal(int stream) { return isatty(stream); }

static inline int is_writable(const char *path) { return access(path, W_OK) == 0; }

static inline FILE *open_file(const char *path) { return fopen(path, "rb"); }

/* 0 if there is no such file. */
static inline int identify(const char *path, identity *id) {
    struct stat s;
    if (stat(path, &s)) return 0;
    id->device = (unsigned long long)s.st_dev;
    id->file = (unsigned long long)s.st_ino;
    id->changed = (unsigned long long)(s.st_ctime > s.st_mtime ? s.st_ctime : s.st_mtime);
    return 1;
}

static const char *called = "";         /* how this program was started */

/* The folder of the program itself, with a slash; 0 if that cannot be told. */
static inline int program_folder(char path[PATH_ROOM]) {
    ssize_t n = readlink("/proc/self/exe", path, PATH_ROOM - 1);        /* Linux */
    if (n < 0) n = snprintf(path, PATH_ROOM, "%s", strchr(called, '/') ? called : "");
    if (n <= 0 || n >= PATH_ROOM) return 0;
    path[n] = 0;
    path[sal_path_name(path) - path] = 0;
    return 1;
}

/* Called once, before anything is read or written. */
static inline void start_program(int argc, char **argv) {
    if (argc > 0) called = argv[0];
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN);           /* a file that grows too large is an error to report */
#endif
}
#endif

static inline int same_file(const identity *a, const identity *b) {
    return a->file == b->file && a->device == b->device;
}

/* 1 if the file was changed, or came to this place, after the other one. */
static inline int is_newer(const char *path, const char *other) {
    identity a, b;
    return identify(path, &a) && identify(other, &b) && a.changed > b.changed;
}

/* FNV-1a, to know bytes again: begins with FNV_BEGIN and goes on with what it was. */
#define FNV_BEGIN 0xCBF29CE484222325u
static inline unsigned long long fnv_on(unsigned long long hash, const void *data, size_t size) {
    const unsigned char *bytes = (const unsigned char *)data;
    size_t i;
    for (i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

/* Of a file; 0 if it cannot be read. */
static inline unsigned long long file_hash(sal_ctx *ctx, const char *path) {
    unsigned long long hash;
    unsigned char *bytes;
    size_t size;
    if (sal_file_read(ctx, path, &bytes, &size)) return 0;
    hash = fnv_on(FNV_BEGIN, bytes, size);
    sal_free(ctx, bytes);
    return hash;
}

/* --- medians of times ---------------------------------------------------------------------- */

static inline int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Leaves x sorted. */
static inline double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, compare_numbers);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* --- complaints, the end ------------------------------------------------------------------- */

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static inline int complain(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    return 1;
}

/* For sal_ctx.log: warnings go where complaints go. */
static inline void print_log(void *user, const char *message) {
    (void)user;
    complain("%s", message);
}

/* The exit status of the program: that of its work, or 1 if what it printed got lost. Below 0:
   done early, as after --help. */
static inline int finish(int status) {
    errno = 0;
    if (fflush(stdout) || ferror(stdout))
        return complain("standard output could not be written to its end%s%s", errno ? ": " : "",
                        errno ? strerror(errno) : "");
    return status > 0;
}

/* The reason of a failure, as the library leaves it. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static inline sal_result fail(sal_ctx *ctx, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, args);
    va_end(args);
    return SAL_ERR_ARGUMENT;
}

/* --- text for JSON ------------------------------------------------------------------------- */

enum { JSON_ROOM = 6 * PATH_ROOM };

/* What stands between the quotes of a JSON string, and in HTML means nothing else. Bytes that are
   not UTF-8 become U+FFFD. */
static inline const char *json_text(char out[JSON_ROOM], const char *text) {
    char *to = out;
    while (*text && to < out + JSON_ROOM - 7) {
        int n = sal_utf8_length(text);
        unsigned char c = (unsigned char)*text;
        if (!n) to += sprintf(to, "\\ufffd");
        else if (c < ' ' || strchr("<>&\"'\\\x7f", c)) to += sprintf(to, "\\u%04x", c);
        else { memcpy(to, text, (size_t)n); to += n; }
        text += n ? n : 1;
    }
    *to = 0;
    return out;
}

/* --- standard input and output: the name - ------------------------------------------------- */

static inline int is_standard(const char *path) { return path[0] == '-' && !path[1]; }

/* What ctx->write is while a result goes to standard output. */
static inline int write_stdout(void *user, const char *path, const void *data, size_t size) {
    (void)user; (void)path;
    errno = 0;
    return fwrite(data, 1, size, stdout) == size ? 0 : errno ? errno : EIO;
}

/* A whole file. sal_free the data. */
static inline sal_result read_file(sal_ctx *ctx, const char *path, unsigned char **data,
                                   size_t *size) {
    size_t room = 1 << 16, n;
    unsigned char *more;
    if (!is_standard(path)) return sal_file_read(ctx, path, data, size);
    *size = 0;
    *data = (unsigned char *)sal_alloc(ctx, room + 1, 1);
    while (*data && (n = fread(*data + *size, 1, room - *size, stdin)) > 0) {
        if ((*size += n) < room) continue;
        room *= 2;
        more = (unsigned char *)sal_alloc(ctx, room + 1, 1);
        if (more) memcpy(more, *data, *size);
        sal_free(ctx, *data);
        *data = more;
    }
    if (!*data || !ferror(stdin)) return *data ? SAL_OK : SAL_ERR_MEMORY;
    sal_free(ctx, *data);
    *data = NULL;
    return fail(ctx, "standard input cannot be read to its end: %s", strerror(errno));
}

static inline sal_result load_image(sal_ctx *ctx, const char *path, sal_image *image) {
    unsigned char *data;
    size_t size;
    sal_result r;
    if (!is_standard(path)) return sal_image_load(ctx, path, image);
    r = read_file(ctx, path, &data, &size);
    if (!r) r = sal_image_load_memory(ctx, data, size, "standard input", image);
    sal_free(ctx, data);
    return r;
}

/* --- numbers and sizes --------------------------------------------------------------------- */

enum { MOST_THREADS = 256 };            /* as many as sal_threads goes up to */

static inline int read_number(const char *option, const char *text, int whole, double least,
                              double most, double *value) {
    const char *end = text;
    if (!sal_number_parse(&end, value) && !*end && *value >= least && *value <= most &&
        (!whole || *value == floor(*value))) return 0;
    return complain("%s %s: a %snumber from %.16g to %.16g, please", option, text,
                    whole ? "whole " : "", least, most);
}

static inline int read_whole(const char *option, const char *text, int least, int most,
                             int *value) {
    double x;
    if (read_number(option, text, 1, least, most, &x)) return 1;
    *value = (int)x;
    return 0;
}

static inline int read_size(const char *option, const char *text, int *h, int *w) {
    char rest;
    if (sscanf(text, "%6dx%6d%c", h, w, &rest) == 2 && *h > 0 && *w > 0) return 0;
    return complain("%s %s: HEIGHTxWIDTH, please, as 480x640", option, text);
}

/* --- options ------------------------------------------------------------------------------- */

/* What to do with the value of an option; `into` belongs to the program. */
typedef int option_fn(void *into, const char *option, const char *value);

typedef enum option_kind {
    OPTION_FLAG, OPTION_TEXT, OPTION_WHOLE, OPTION_NUMBER, OPTION_SIZE, OPTION_CALL
} option_kind;

typedef struct option {
    const char *name;
    option_kind kind;
    void *into;
    double least, most;                 /* of numbers */
    option_fn *call;
} option;

static inline option option_of(const char *name, option_kind kind, void *into, double least,
                               double most, option_fn *call) {
    option o;
    o.name = name; o.kind = kind; o.into = into; o.least = least; o.most = most; o.call = call;
    return o;
}
/* A flag becomes 1; the others take a value. A size is HxW, kept as { H, W }. */
static inline option option_flag(const char *name, int *into) {
    return option_of(name, OPTION_FLAG, into, 0, 0, NULL);
}
static inline option option_text(const char *name, const char **into) {
    return option_of(name, OPTION_TEXT, (void *)into, 0, 0, NULL);
}
static inline option option_whole(const char *name, int *into, int least, int most) {
    return option_of(name, OPTION_WHOLE, into, least, most, NULL);
}
static inline option option_number(const char *name, double *into, double least, double most) {
    return option_of(name, OPTION_NUMBER, into, least, most, NULL);
}
static inline option option_size(const char *name, int into[2]) {
    return option_of(name, OPTION_SIZE, into, 0, 0, NULL);
}
static inline option option_call(const char *name, option_fn *call, void *into) {
    return option_of(name, OPTION_CALL, into, 0, 0, call);
}

static inline int read_value(const option *o, const char *value) {
    int *size = (int *)o->into;
    switch (o->kind) {
    case OPTION_TEXT:   *(const char **)o->into = value; return 0;
    case OPTION_WHOLE:  return read_whole(o->name, value, (int)o->least, (int)o->most, size);
    case OPTION_NUMBER: return read_number(o->name, value, 0, o->least, o->most,
                                           (double *)o->into);
    case OPTION_SIZE:   return read_size(o->name, value, &size[0], &size[1]);
    case OPTION_CALL:   return o->call(o->into, o->name, value);
    case OPTION_FLAG:   break;
    }
    return 0;
}

/* The options on the command line, in its order. */
static const char *given_option[256];
static int given_options;

/* The first of the options `names` (a blank between two) that was given, or NULL. */
static inline const char *given_of(const char *names) {
    int i;
    for (i = 0; i < given_options; i++) {
        const char *at;
        size_t n;
        for (at = names; *at; at += n + (at[n] == ' ')) {
            n = strcspn(at, " ");
            if (strlen(given_option[i]) == n && !strncmp(at, given_option[i], n))
                return given_option[i];
        }
    }
    return NULL;
}

/* What somebody asked for and would not get is refused: "--strips does nothing without --html". */
static inline int refuse(const char *names, const char *why) {
    const char *option = given_of(names);
    return option ? complain("%s does nothing %s", option, why) : 0;
}

/* The place of the option of that name, n if there is none. */
static inline int find_option(const option *options, int n, const char *name, size_t length) {
    int k = 0;
    while (k < n && (strlen(options[k].name) != length || memcmp(options[k].name, name, length))) k++;
    return k;
}

/* Reads the command line: -o VALUE, --opt VALUE or --opt=VALUE, -h, --help and --version; -- ends
   the options, and - alone is none. What is no option moves to the front of argv, *count of them.
   Returns 0 to go on, -1 if all is done (--help), 1 after a complaint: leave with finish(). */
static inline int read_options(int argc, char **argv, const option *options, int n,
                               const char *help, int *count) {
    int i, k, more = 1;
    start_program(argc, argv);
    *count = 0;
    for (i = 1; i < argc; i++) {
        const char *a = argv[i], *value = NULL;
        size_t length = strlen(a);
        if (!more || a[0] != '-' || !a[1]) { argv[(*count)++] = argv[i]; continue; }
        if (!strcmp(a, "--")) { more = 0; continue; }
        if (a[1] == '-' && (value = strchr(a, '=')) != NULL) length = (size_t)(value++ - a);
        k = find_option(options, n, a, length);
        if (k == n && (!strcmp(a, "-h") || !strcmp(a, "--help"))) {
            fputs(help, stdout);
            return -1;
        }
        if (k == n && !strcmp(a, "--version")) {
            printf("%s %s\n", program, sal_version());
            return -1;
        }
        if (k == n) return complain("%s is not an option; see %s --help", a, program);
        if (given_options < COUNT(given_option)) given_option[given_options++] = options[k].name;
        if (options[k].kind == OPTION_FLAG) {
            if (value) return complain("%s takes no value; see %s --help", options[k].name,
                                       program);
            *(int *)options[k].into = 1;
            continue;
        }
        if (!value && i + 1 == argc) return complain("%s needs a value; see %s --help", a, program);
        if (!value) {
            value = argv[++i];
            if (find_option(options, n, value, strlen(value)) < n)
                return complain("%s needs a value, and %s is an option; a file of that name is "
                                "./%s", a, value, value);
        }
        if (!*value) return complain("%s \"\": an empty value (is a variable not set?)",
                                     options[k].name);
        if (read_value(&options[k], value)) return 1;
    }
    return 0;
}

/* --- the model ----------------------------------------------------------------------------- */

/* What -m, -w, --input, --domain, --steps, --center, --precision, --blur, --power and
   --viewing-distance say; zero-initialise it. */
typedef struct model_options {
    const char *name, *weights;
    int input[2], domain, steps, center, float32;
    int shared;                 /* 1: --input, --domain, --steps, --precision may be meant for
                                   another model */
    double blur, power;
} model_options;

/* --viewing-distance D: the long side of the pictures was D degrees of the viewer's sight. Densities
   are smoothed with a sigma of one degree, by custom; the maps of our networks already are with 3 %
   of the long side, which is what they learnt from. */
static inline int read_viewing(void *into, const char *option, const char *value) {
    const double learnt = 0.03;
    double degrees, share;
    if (read_number(option, value, 0, 1, 360, &degrees)) return 1;
    share = 1 / degrees;
    if (share <= learnt)
        complain("%s %s: changes nothing: the maps are already smoother than one degree there",
                 option, value);
    *(double *)into = share > learnt ? sqrt(share * share - learnt * learnt) : 0;
    return 0;
}

/* --precision: "fast" (whole numbers where the weights file has ranges) or "f32". */
static inline int read_precision(void *into, const char *option, const char *value) {
    *(int *)into = !strcmp(value, "f32");
    return *(int *)into || !strcmp(value, "fast") ? 0
         : complain("%s %s: fast or f32, please", option, value);
}

/* The weights file of a network: in the folder $SALIENCY_WEIGHTS, in weights/, beside the program,
   or where `make install` puts it. */
static inline int find_weights(const char *name, char path[PATH_ROOM]) {
    const char *folder = getenv("SALIENCY_WEIGHTS");
    char beside[PATH_ROOM];
    int known = program_folder(beside), k;
    static const char *const shape[] = { "%s/%s.safetensors", "weights/%s%s.safetensors",
                                         "%s%s.safetensors", "%s../share/saliency/%s.safetensors" };
    for (k = 0; k < 4; k++) {
        if (k == 0 ? !folder || !*folder : k > 1 && !known) continue;
        if (snprintf(path, PATH_ROOM, shape[k], k == 0 ? folder : k == 1 ? "" : beside, name) <
            PATH_ROOM && sal_path_kind(path) == 0) return 0;
    }
    return complain("%s needs weights, and there is no %s.safetensors in %s%sweights/, beside the "
                    "program or in ../share/saliency/ from there: train it, or name a file with -w",
                    name, name, folder && *folder ? folder : "", folder && *folder ? ", " : "");
}

/* Only lite has priors of data sets. */
static inline int has_domains(const sal_model *model) {
    return model->net && model->net->desc.kind == SAL_KIND_LITE;
}

static inline int open_model(sal_ctx *ctx, const model_options *o, sal_model *model) {
    char path[PATH_ROOM];
    const char *weights = o->weights;
    sal_kind kind;
    int learnt;                         /* steps of a ConvLSTM */
    if (o->name && !weights && !sal_kind_from_name(o->name, &kind) &&
        !(kind == SAL_KIND_LITE && ctx->weights)) {                          /* not built in */
        if (find_weights(o->name, path)) return 1;
        weights = path;
    }
    sal_result r = sal_model_open(ctx, o->name, weights, model);
    if (r) return complain("%s", sal_error(ctx));
    learnt = model->net ? model->net->desc.steps : 0;
    model->center = o->center;
    model->domain = o->domain;
    model->blur = o->blur;
    model->power = o->power;
    if (o->steps > learnt && !(o->shared && !learnt))
        r = fail(ctx, "--steps %d: %s has learnt %d steps of a ConvLSTM", o->steps, model->name,
                 learnt);
    if (!r && !o->shared && o->center && !model->net && model->classical == SAL_CLASSICAL_CENTER)
        r = fail(ctx, "--center: %s is the centre prior", model->name);
    if (!r && !o->shared && o->domain && !has_domains(model))
        r = fail(ctx, "--domain %d: %s has no priors of data sets", o->domain, model->name);
    if (!r && !o->shared && o->input[0] && !model->net)
        r = fail(ctx, "--input: %s is not a network, it has a size of its own", model->name);
    if (!r && !o->shared && given_of("--precision") && !model->net)
        r = fail(ctx, "--precision: %s is not a network", model->name);
    if (!r && o->steps && learnt) r = sal_net_steps(ctx, model->net, o->steps);
    if (o->float32 && model->net) model->net->desc.float32 = 1;
    if (!r && (o->input[0] || o->steps || o->float32))
        r = sal_model_resize(ctx, model, o->input[1], o->input[0]);
    if (!r) return 0;
    sal_model_close(ctx, model);
    return complain("%s", sal_error(ctx));
}

/* --- shares of the work -------------------------------------------------------------------- */

/* --part K/N: of N machines this is number K. Which pictures it takes depends on their names. */
typedef struct share { int k, n; } share;

static inline int read_part(void *into, const char *option, const char *value) {
    share *p = (share *)into;
    char rest;
    if (sscanf(value, "%6d/%6d%c", &p->k, &p->n, &rest) == 2 && p->k >= 1 && p->k <= p->n) return 0;
    return complain("%s %s: K/N, please, as 1/4 for the first of four parts", option, value);
}

static inline int in_part(const share *p, const char *name) {
    return !p->n || (int)(sal_name_share(name, 0x70617274) * p->n) == p->k - 1;
}

/* --- pictures ------------------------------------------------------------------------------ */

typedef struct list { char **item; int count, room; } list;

/* 0 without memory. */
static inline int list_add(list *l, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = (char *)malloc(size);
    if (l->count == l->room) {
        char **more = (char **)realloc(l->item, (size_t)(2 * l->room + 16) * sizeof(char *));
        if (more) { l->item = more; l->room = 2 * l->room + 16; }
    }
    if (!copy || l->count == l->room) { free(copy); return 0; }
    memcpy(copy, text, size);
    l->item[l->count++] = copy;
    return 1;
}

static inline void list_free(list *l) {
    while (l->count) free(l->item[--l->count]);
    free(l->item);
    memset(l, 0, sizeof *l);
}

/* The length of a path without its extension. */
static inline int stem_length(const char *path) {
    const char *name = sal_path_name(path), *dot = strrchr(name, '.');
    return (int)(dot && dot != name ? (size_t)(dot - path) : strlen(path));
}

static inline int has_ending(const char *path, const char *ending) {
    const char *end = path + stem_length(path);
    while (*end && (*end | 32) == (*ending | 32)) { end++; ending++; }
    return !*end && !*ending;
}

/* A picture to work on. Results of a folder keep what is below it: its sub-folder and name. */
typedef struct picture { char *path; const char *below; } picture;

typedef struct pictures {
    picture *item;
    int count, room;
    int several;                        /* a folder, or more than one picture: OUT is a folder */
    int recursive, quiet;               /* --recursive (-1: there is no such option), --quiet */
    int unlisted;                       /* standard output is for something else */
    share part;                         /* --part */
    list unread, unseen;                /* files of other kinds, sub-folders, met in folders */
    identity *taken;                    /* all pictures, then all that was written */
    int takens, takens_room;
} pictures;

static inline void pictures_free(pictures *p) {
    while (p->count) free(p->item[--p->count].path);
    free(p->item);
    free(p->taken);
    list_free(&p->unread);
    list_free(&p->unseen);
    memset(p, 0, sizeof *p);
}

/* From now on nothing may be written to this file. */
static inline int take(pictures *p, const char *path) {
    identity id;
    if (!identify(path, &id)) return 1;
    if (p->takens == p->takens_room) {
        int room = 2 * p->takens_room + 64;
        identity *more = (identity *)realloc(p->taken, (size_t)room * sizeof *more);
        if (!more) return 0;
        p->taken = more;
        p->takens_room = room;
    }
    p->taken[p->takens++] = id;
    return 1;
}

static inline int is_taken(const pictures *p, const char *path) {
    identity id;
    int i;
    if (!identify(path, &id)) return 0;
    for (i = 0; i < p->takens; i++)
        if (same_file(&p->taken[i], &id)) return 1;
    return 0;
}

/* What stands between a folder and a name in it. */
static inline const char *slash_behind(const char *folder) {
    return *folder && !is_slash(folder[strlen(folder) - 1]) ? "/" : "";
}

static inline int add_picture(pictures *p, const char *folder, const char *name, size_t below) {
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = (char *)malloc(size);
    if (p->count == p->room) {
        int room = 2 * p->room + 64;
        picture *more = (picture *)realloc(p->item, (size_t)room * sizeof *more);
        if (more) { p->item = more; p->room = room; }
    }
    if (!path || p->count == p->room) { free(path); return complain("%s: out of memory", name); }
    snprintf(path, size, "%s%s%s", folder, slash_behind(folder), name);
    p->item[p->count].path = path;
    p->item[p->count++].below = path + below;
    return is_standard(path) || take(p, path) ? 0 : complain("%s: out of memory", name);
}

/* What lies beside pictures and need not be mentioned: hidden files, texts, tables, arrays. */
static inline int is_companion(const char *name) {
    static const char *const endings[] = { ".txt", ".md", ".html", ".htm", ".xml", ".json", ".yml",
                                           ".yaml", ".csv", ".tsv", ".log", ".ini", ".db", ".mat",
                                           ".npy", ".npz", ".safetensors", ".sh", ".py", ".c" };
    size_t i;
    for (i = 0; i < sizeof endings / sizeof *endings; i++)
        if (has_ending(name, endings[i])) return 1;
    return name[0] == '.';
}

/* A folder on the way from the one that was named: a link to one of them would never end. */
typedef struct way { const struct way *up; identity here; } way;

/* The pictures of a folder; with --recursive, of all folders below it too. */
static int add_folder(sal_ctx *ctx, pictures *p, const char *folder, size_t below, const way *up) {
    way w;
    const way *u;
    char path[PATH_ROOM], **names;
    int count, i, kind, status = 0;
    w.up = up;
    if (!identify(folder, &w.here)) memset(&w.here, 0, sizeof w.here);
    for (u = up; u; u = u->up)
        if (u->here.file && !memcmp(&u->here, &w.here, sizeof w.here)) return 0;
    if (sal_dir_list(ctx, folder, &names, &count)) return complain("%s", sal_error(ctx));
    for (i = 0; i < count && !status; i++) {
        if (names[i][0] == '.') continue;
        if (snprintf(path, sizeof path, "%s%s%s", folder, slash_behind(folder), names[i]) >=
            (int)sizeof path) {
            status = complain("%s/%s: this path is too long", folder, names[i]);
            break;
        }
        kind = sal_path_kind(path);
        if (kind == 1 && p->recursive > 0) status = add_folder(ctx, p, path, below, &w);
        else if (kind == 1) status = p->recursive == 0 && !list_add(&p->unseen, path);
        else if (sal_is_picture(names[i])) status = add_picture(p, folder, names[i], below);
        else if (!is_companion(names[i])) status = !list_add(&p->unread, path);
    }
    sal_free(ctx, names);
    return status;
}

#ifdef _WIN32
/* The pictures that a pattern (*.jpg) names: the shell leaves that to the program. */
static inline int add_pattern(pictures *p, const char *pattern) {
    wchar_t wide[PATH_ROOM];
    WIN32_FIND_DATAW found;
    char folder[PATH_ROOM], name[4 * MAX_PATH];
    size_t length = (size_t)(sal_path_name(pattern) - pattern);
    int status = 0;
    HANDLE search = utf16(wide, pattern) ? INVALID_HANDLE_VALUE : FindFirstFileW(wide, &found);
    if (search == INVALID_HANDLE_VALUE || length >= sizeof folder)
        return complain("%s: no pictures of such names", pattern);
    memcpy(folder, pattern, length);
    folder[length] = 0;
    do {
        if (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) continue;
        if (WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, sizeof name, NULL, NULL))
            status = add_picture(p, folder, name, length);
    } while (!status && FindNextFileW(search, &found));
    FindClose(search);
    return status;
}
#endif

static inline int compare_pictures(const void *a, const void *b) {
    const char *x = ((const picture *)a)->below, *y = ((const picture *)b)->below;
    int m = stem_length(x), n = stem_length(y), order = memcmp(x, y, (size_t)(m < n ? m : n));
    return order ? order : m - n;
}

/* All pictures that the arguments name, sorted by name. Two of one name would have results of one
   name, so they are refused. */
static inline int find_pictures(sal_ctx *ctx, pictures *p, char **argument, int count) {
    int i, before;
    if (!count) return complain("which pictures? see %s --help", program);
    for (i = 0; i < count; i++) {
        const char *a = argument[i];
        size_t length = strlen(a);
#ifdef _WIN32
        if (strpbrk(a, "*?")) {
            if (add_pattern(p, a)) return 1;
            continue;
        }
#endif
        if (is_standard(a) || sal_path_kind(a) != 1) {
            if (add_picture(p, "", a, (size_t)(sal_path_name(a) - a))) return 1;
            continue;
        }
        before = p->count;
        p->several = 1;
        while (length > 1 && is_slash(a[length - 1])) length--;
        argument[i][length] = 0;
        if (add_folder(ctx, p, a, length + strlen(slash_behind(a)), NULL)) return 1;
        if (p->count == before) {
            return complain(p->unseen.count ? "%s: no pictures in this folder; --recursive looks "
                            "into its sub-folders" : "%s: no pictures in this folder", a);
        }
    }
    if (p->count > 1) p->several = 1;
    for (i = before = 0; i < p->count; i++)
        if (in_part(&p->part, p->item[i].below)) p->item[before++] = p->item[i];
        else free(p->item[i].path);
    p->count = before;
    qsort(p->item, (size_t)p->count, sizeof *p->item, compare_pictures);
    for (i = 1; i < p->count; i++)
        if (!compare_pictures(&p->item[i - 1], &p->item[i]))
            return complain("%s and %s would be written to one file: take them one at a time",
                            p->item[i - 1].path, p->item[i].path);
    return 0;
}

/* --- maps of other origin -------------------------------------------------------------------- */

/* Maps may be coarser or finer than their pictures, but are of the same shape: within 3 % or, for
   small ones, a pixel. */
static inline int same_shape(int w, int h, int map_w, int map_h) {
    double x = (double)map_h * w / h, y = (double)map_w * h / w;
    return fabs(map_w - x) <= fmax(1, 0.03 * x) || fabs(map_h - y) <= fmax(1, 0.03 * y);
}

/* --- where results go ---------------------------------------------------------------------- */

/* OUT is a folder if there is one of this name, or if its name ends in a slash. */
static inline int names_folder(const char *out) {
    size_t length = strlen(out);
    return sal_path_kind(out) == 1 || (length && is_slash(out[length - 1]));
}

/* It is one for several results, too, and if it is new and its name has no extension. */
static inline int is_folder(const pictures *p, const char *out) {
    return p->several || names_folder(out) ||
           (sal_path_kind(out) < 0 && stem_length(out) == (int)strlen(out));
}

/* The folders in front of a file's name; 0 if they cannot be made. */
static inline int make_folders(const char *path) {
    sal_ctx ctx;
    char folder[PATH_ROOM];
    size_t length = (size_t)(sal_path_name(path) - path);
    if (!length || length >= sizeof folder) return !length;
    memset(&ctx, 0, sizeof ctx);
    memcpy(folder, path, length);
    folder[length] = 0;
    return sal_folder_make(&ctx, folder) == SAL_OK;
}

/* Better now than after an hour: the folder that OUT may be (NULL: no such option), or that one
   result alone can go to standard output. */
static inline int check_out(pictures *p, const char *out) {
    char path[PATH_ROOM];
    if (out && is_standard(out)) {
        if (p->several || p->unlisted) return complain("-: standard output takes one result only");
        p->unlisted = 1;
        return 0;
    }
    if (!out || !is_folder(p, out)) return 0;
    if (snprintf(path, sizeof path, "%s/", out) >= (int)sizeof path || !make_folders(path))
        return complain(p->several ? "%s: cannot be made a folder (several results need one): %s"
                                   : "%s: cannot be made a folder: %s", out, strerror(errno));
    return is_writable(path) ? 0 : complain("%s: cannot be written to: %s", out, strerror(errno));
}

/* The file for a result of a picture: OUT, or OUT/SUB/NAME<number>.<end> if OUT is a folder, or
   NAME<label><number>.<end> in the current folder if there is no OUT. Never one of the pictures or
   a file that was written before. From here to the next call, what is saved goes to standard
   output if OUT is -. */
static inline sal_result result_path(sal_ctx *ctx, const pictures *p, const picture *of,
                                     const char *out, const char *label, const char *number,
                                     const char *end, char path[PATH_ROOM]) {
    const char *below = is_standard(of->below) ? "stdin" : of->below;
    int n, stem = stem_length(below), standard = out && is_standard(out);
    int folder = out && !standard && is_folder(p, out);
    ctx->write = standard ? write_stdout : NULL;
    if (standard) { snprintf(path, PATH_ROOM, "-.%s", end); return SAL_OK; }
    if (out && !folder) n = snprintf(path, PATH_ROOM, "%s", out);
    else n = snprintf(path, PATH_ROOM, "%s%s%.*s%s%s.%s", out ? out : "",
                      out ? slash_behind(out) : "", stem, below, out ? "" : label, number, end);
    if (n >= PATH_ROOM) return fail(ctx, "%s: the name of its result is too long", of->path);
    if ((!out || folder) && !make_folders(path))
        return fail(ctx, "%s: its folder cannot be made", path);
    if (!is_taken(p, path)) return SAL_OK;
    return fail(ctx, "%s: a picture or another result would be overwritten by that of %s; choose "
                "another place", path, of->path);
}

/* The file is there: it goes to the list, and stays as it is. */
static inline void written(pictures *p, const char *path) {
    if (!p->quiet && !p->unlisted) printf("%s\n", path);
    take(p, path);
}

/* The folder that a file is in, with a slash behind it. */
static inline const char *folder_of(char folder[PATH_ROOM], const char *path) {
    int length = (int)(sal_path_name(path) - path);
    snprintf(folder, PATH_ROOM, "%.*s", length ? length : 2, length ? path : "./");
    return folder;
}

/* Better now than after an hour: can a file be made there? */
static inline int check_folder(const char *path) {
    char folder[PATH_ROOM];
    if (sal_path_kind(path) == 1) return complain("%s: is a folder", path);
    folder_of(folder, path);
    return is_writable(folder) ? 0 : complain("%s: cannot be written: %s", path, strerror(errno));
}

/* OUT of a program with one result: if it is a folder, the file `name` in it. It must not be one of
   the files that were taken, and a file can be made there. */
static inline int out_path(sal_ctx *ctx, const pictures *p, const char *out, const char *name,
                           char path[PATH_ROOM]) {
    int folder = names_folder(out);
    ctx->write = is_standard(out) ? write_stdout : NULL;
    if (snprintf(path, PATH_ROOM, "%s%s%s", out, folder ? slash_behind(out) : "",
                 folder ? name : "") >= PATH_ROOM)
        return complain("%s: this path is too long", out);
    if (folder && !make_folders(path)) return complain("%s: cannot be made a folder", out);
    if (!is_standard(out) && is_taken(p, path))
        return complain("%s: is read, too; choose another place", path);
    return is_standard(out) ? 0 : check_folder(path);
}

/* A data set in a folder is read: its tables (fixations.csv, sigma.csv, .mat files) and everything
   in its folders. Other files beside these may be results. below: 0 for the set itself. */
static inline void take_set(sal_ctx *ctx, pictures *p, const char *folder, int below) {
    enum { DEPTH = 8 };
    char **names, path[PATH_ROOM];
    int i, count;
    if (sal_dir_list(ctx, folder, &names, &count)) return;
    for (i = 0; i < count; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, names[i]) >= (int)sizeof path) continue;
        if (sal_path_kind(path) == 1) {
            if (below < DEPTH) take_set(ctx, p, path, below + 1);
        }
        else if (below || has_ending(names[i], ".mat") || !strncmp(names[i], "fixations", 9) ||
                 !strncmp(names[i], "sigma", 5)) take(p, path);
    }
    sal_free(ctx, names);
}

/* 1 if both are one file, or would be. */
static inline int same_place(const char *a, const char *b) {
    identity x, y;
    char folder[PATH_ROOM];
    if (identify(a, &x) && identify(b, &y)) return same_file(&x, &y);
    return !strcmp(sal_path_name(a), sal_path_name(b)) && identify(folder_of(folder, a), &x) &&
           identify(folder_of(folder, b), &y) && same_file(&x, &y);
}

/* Results must not replace each other. Empty paths are none. */
static inline int all_different(char path[][PATH_ROOM], int count) {
    int i, k;
    for (i = 0; i < count; i++)
        for (k = 0; k < i; k++)
            if (*path[i] && *path[k] && same_place(path[i], path[k]))
                return complain("%s: two results would be this file", path[i]);
    return 0;
}

/* --- one after the other ------------------------------------------------------------------- */

/* A bar, and how long it will take. `start` is now() of the beginning. */
static inline void show_progress(int done, int count, double start) {
    int i, width = 40, full = count ? done * width / count : width;
    int left = done ? (int)((now() - start) / done * (count - done)) : 0;
    fprintf(stderr, "\r[");
    for (i = 0; i < width; i++) fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %d/%d", done, count);
    if (done == count) fprintf(stderr, "%20s\n", "");
    else if (done) fprintf(stderr, "  %d:%02d left   ", left / 60, left % 60);
}

/* What kind of file this is, by its first bytes. */
static inline const char *kind_of(const char *path) {
    unsigned char begin[1024];
    FILE *file = open_file(path);
    size_t size = file ? fread(begin, 1, sizeof begin, file) : 0;
    if (file) fclose(file);
    return file ? sal_file_kind(begin, size) : "cannot be opened";
}

static inline void name_some(const list *l, int kinds, const char *one, const char *many) {
    int i;
    if (!l->count) return;
    fprintf(stderr, "%s: %d %s: ", program, l->count, l->count > 1 ? many : one);
    for (i = 0; i < l->count && i < 5; i++) {
        fprintf(stderr, "%s%s", i ? ", " : "", l->item[i]);
        if (kinds) fprintf(stderr, " (%s)", kind_of(l->item[i]));
    }
    if (i < l->count) fprintf(stderr, " and %d more", l->count - i);
    fprintf(stderr, "\n");
}

/* What a folder had that was not taken. */
static inline void name_unread(const pictures *p) {
    name_some(&p->unread, 1, "file is of a kind that cannot be read here",
              "files are of kinds that cannot be read here");
    name_some(&p->unseen, 0, "sub-folder was left out (--recursive takes it)",
              "sub-folders were left out (--recursive takes them)");
}

typedef sal_result picture_fn(sal_ctx *ctx, void *arg, const picture *picture);

/* All pictures; what fails is reported at the end, and makes the status 1. */
static inline int for_all(sal_ctx *ctx, const pictures *p, picture_fn *fn, void *arg) {
    list failures = { NULL, 0, 0 };
    double start = now();
    int i, failed = 0;
    int bar = p->count > 1 && !p->quiet && is_terminal(2) && !is_terminal(1);   /* names go there */
    for (i = 0; i < p->count; i++) {
        if (bar) show_progress(i, p->count, start);
        if (fn(ctx, arg, &p->item[i]) == SAL_OK) continue;
        failed++;
        if (!list_add(&failures, sal_error(ctx))) complain("%s", sal_error(ctx));
    }
    if (bar) show_progress(i, p->count, start);
    for (i = 0; i < failures.count; i++) complain("%s", failures.item[i]);
    if (failed && p->count > 1) complain("%d of %d pictures failed", failed, p->count);
    name_unread(p);
    list_free(&failures);
    return failed != 0;
}
