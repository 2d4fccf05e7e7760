/* What the programs do with their command line: numbers and sizes that are read whole and within
   their range, and one sentence for whatever is wrong. Include it after saliency.h; `program` is
   the name in front of every sentence. */
#include <stdarg.h>

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

enum { MOST_THREADS = 256 };            /* as many as sal_threads goes up to */

/* These return 0, or 1 after a complaint. */

static inline int read_number(const char *option, const char *text, int whole, double least,
                              double most, double *value) {
    char *end;
    *value = strtod(text, &end);
    if (end != text && !*end && *value >= least && *value <= most &&
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
