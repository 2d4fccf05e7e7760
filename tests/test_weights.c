/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Weights files: reading, refusing, writing and converting safetensors. */
#define SALIENCY_IMPLEMENTATION
#include "../saliency.h"
#include "test.h"
#include "counter.h"

/* For a statement about something that worked: nothing, or the error if it did not. */
static const char *why(const sal_ctx *ctx, sal_result r) {
    static char text[600];
    snprintf(text, sizeof text, ": %s", sal_error(ctx));
    return r == SAL_OK ? "" : text;
}

/* --- files in memory ------------------------------------------------------------------------ */

enum { MOST = 1 << 16 };
typedef struct bytes { size_t size; unsigned char at[MOST]; } bytes;

/* Header length, header, then `data` numbered bytes. */
static void build(bytes *b, const char *header, size_t data) {
    size_t n = strlen(header), i;
    for (i = 0; i < 8; i++) b->at[i] = (unsigned char)((uint64_t)n >> 8 * i);
    memcpy(b->at + 8, header, n);
    for (i = 0; i < data; i++) b->at[8 + n + i] = (unsigned char)(i * 7 + 1);
    b->size = 8 + n + data;
}

/* Parsing must fail with that code, a sentence naming the file and containing `part`, and leave
   neither memory nor anything in the result. */
static void refuse_bytes(const bytes *b, sal_result code, const char *part, const char *what) {
    counter c;
    sal_ctx ctx = counted(&c);
    sal_safetensors file, none;
    sal_result r;
    /* a block of exactly that size, so that a sanitizer sees any step beyond it */
    unsigned char *exact = (unsigned char *)malloc(b->size + !b->size);
    memcpy(exact, b->at, b->size);
    memset(&none, 0, sizeof none);
    r = sal_safetensors_parse(&ctx, exact, b->size, "bad.safetensors", &file);
    free(exact);
    CHECK(r == code && !strncmp(sal_error(&ctx), "bad.safetensors: ", 17) &&
          strstr(sal_error(&ctx), part) && c.live == 0 && !memcmp(&file, &none, sizeof none),
          "%s is refused: %s", what, sal_error(&ctx));
}

static void refuse(const char *header, size_t data, sal_result code, const char *part,
                   const char *what) {
    static bytes b;
    build(&b, header, data);
    refuse_bytes(&b, code, part, what);
}

static int parses(const char *header, size_t data) {
    static bytes b;
    counter c;
    sal_ctx ctx = counted(&c);
    sal_safetensors file;
    sal_result r;
    build(&b, header, data);
    r = sal_safetensors_parse(&ctx, b.at, b.size, "good", &file);
    if (r != SAL_OK) printf("     %s\n", sal_error(&ctx));
    else sal_safetensors_free(&ctx, &file);
    return r == SAL_OK && c.live == 0;
}

#define F4(name, from, to) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1]," \
                           "\"data_offsets\":[" #from "," #to "]}"
#define I8(shape, to) "\"w\":{\"dtype\":\"I8\",\"shape\":" shape ",\"data_offsets\":[0," #to "]}"

static void test_refusals(void) {
    static bytes b;
    char header[4000];
    size_t i;
    /* the prefix */
    b.size = 0;
    refuse_bytes(&b, SAL_ERR_FORMAT, "0 bytes are too few", "an empty file");
    build(&b, "{}", 0);
    b.size = 7;
    refuse_bytes(&b, SAL_ERR_FORMAT, "7 bytes are too few", "half a length");
    b.size = 9;
    refuse_bytes(&b, SAL_ERR_FORMAT, "header of 2 bytes, and 1 follow", "a truncated header");
    memset(b.at, 255, 8);
    refuse_bytes(&b, SAL_ERR_FORMAT, "18446744073709551616 bytes", "a header of 2^64-1 bytes");
    memcpy(b.at, "PK\3\4....xxxx", 12); b.size = 12;
    refuse_bytes(&b, SAL_ERR_FORMAT, "zip archive; if PyTorch wrote it", "a .pth file");
    memcpy(b.at, "\211HDF\r\n\032\nxxxx", 12);
    refuse_bytes(&b, SAL_ERR_FORMAT, "HDF5", "an .h5 file");
    b.size = (size_t)snprintf((char *)b.at, 200, "version https://git-lfs.github.com/spec/v1\noid "
                              "sha256:12\nsize 345\n");
    refuse_bytes(&b, SAL_ERR_FORMAT, "a Git LFS pointer, not the file itself", "a Git LFS pointer");
    b.size = (size_t)snprintf((char *)b.at, 200, "\n<!DOCTYPE html><html><head><title>Sign in");
    refuse_bytes(&b, SAL_ERR_FORMAT, "not a safetensors file but an HTML page", "an HTML page");
    build(&b, "{   }", 0);
    b.at[10] = 0;
    refuse_bytes(&b, SAL_ERR_FORMAT, "zero byte", "a zero byte in the header");
    /* the grammar */
    refuse("", 0, SAL_ERR_FORMAT, "'{' expected", "an empty header");
    refuse("[]", 0, SAL_ERR_FORMAT, "byte 0: '{' expected", "a list as header");
    refuse("{", 0, SAL_ERR_FORMAT, "'\"' expected", "a header that stops after the brace");
    refuse("{}}", 0, SAL_ERR_FORMAT, "byte 2: text behind the end", "a second closing brace");
    refuse("{} x", 0, SAL_ERR_FORMAT, "text behind the end", "text behind the header");
    refuse("{\"a\"}", 0, SAL_ERR_FORMAT, "':' expected", "a name without value");
    refuse("{\"a\":1}", 0, SAL_ERR_FORMAT, "'{' expected", "a number as tensor");
    refuse("{\"a\":{}}", 0, SAL_ERR_FORMAT, "'\"' expected", "a tensor without fields");
    refuse("{" F4("a", 0, 4) ",}", 4, SAL_ERR_FORMAT, "'\"' expected", "a comma too many");
    refuse("{" F4("a", 0, 4) " " F4("b", 4, 8) "}", 8, SAL_ERR_FORMAT, "'}' expected",
           "a missing comma");
    refuse("{\"a", 0, SAL_ERR_FORMAT, "not closed", "a name without end");
    refuse("{\"a\n\":1}", 0, SAL_ERR_FORMAT, "control character", "a line break in a name");
    refuse("{\"a\\", 0, SAL_ERR_FORMAT, "no such escape", "a header that stops in an escape");
    refuse("{\"a\\x\":1}", 0, SAL_ERR_FORMAT, "no such escape", "the escape \\x");
    refuse("{\"\\u12g4\":1}", 0, SAL_ERR_FORMAT, "four digits", "the escape \\u12g4");
    refuse("{\"\\u00", 0, SAL_ERR_FORMAT, "four digits", "a header that stops in \\u00");
    refuse("{\"\\u0000\":1}", 0, SAL_ERR_FORMAT, "other than zero", "\\u0000 in a name");
    refuse("{\"\\ud800\":1}", 0, SAL_ERR_FORMAT, "half of a surrogate pair", "a lone high surrogate");
    refuse("{\"\\ud800\\u0041\":1}", 0, SAL_ERR_FORMAT, "four digits", "a high surrogate and an A");
    refuse("{\"\\udc00\":1}", 0, SAL_ERR_FORMAT, "four digits", "a lone low surrogate");
    refuse("{\"\x80\":1}", 0, SAL_ERR_FORMAT, "UTF-8", "a lone continuation byte");
    refuse("{\"\xC0\x80\":1}", 0, SAL_ERR_FORMAT, "UTF-8", "an overlong zero");
    refuse("{\"\xE0\x9F\xBF\":1}", 0, SAL_ERR_FORMAT, "UTF-8", "an overlong character");
    refuse("{\"\xED\xA0\x80\":1}", 0, SAL_ERR_FORMAT, "UTF-8", "a surrogate in UTF-8");
    refuse("{\"\xF4\x90\x80\x80\":1}", 0, SAL_ERR_FORMAT, "UTF-8", "a character beyond Unicode");
    refuse("{\"\xE2\x82", 0, SAL_ERR_FORMAT, "UTF-8", "a header that stops in a character");
    /* numbers and fields */
#define SHAPE(text) "{\"a\":{\"dtype\":\"F32\",\"shape\":" text ",\"data_offsets\":[0,4]}}"
    refuse(SHAPE("[-1]"), 4, SAL_ERR_FORMAT, "whole number", "a negative dimension");
    refuse(SHAPE("[1.5]"), 4, SAL_ERR_FORMAT, "']' expected", "a broken dimension");
    refuse(SHAPE("[1e0]"), 4, SAL_ERR_FORMAT, "']' expected", "a dimension with an exponent");
    refuse(SHAPE("[01]"), 4, SAL_ERR_FORMAT, "whole number", "a dimension with a leading zero");
    refuse(SHAPE("[1,]"), 4, SAL_ERR_FORMAT, "whole number", "a shape with a comma too many");
    refuse(SHAPE("[18446744073709551616]"), 4, SAL_ERR_FORMAT, "too large", "a dimension of 2^64");
    refuse(SHAPE("[2147483648]"), 4, SAL_ERR_FORMAT, "tensor a: dimension 0 is 2147483648",
           "a dimension of 2^31");
    refuse(SHAPE("[2000000000,2000000000,2000000000]"), 4, SAL_ERR_FORMAT, "too large",
           "a shape whose size overflows");
    refuse(SHAPE("[1,1,1,1,1]"), 4, SAL_ERR_UNSUPPORTED, "5 dimensions", "a fifth dimension");
    refuse(SHAPE("[2]"), 4, SAL_ERR_FORMAT, "tensor a: bytes 0 to 4, but its shape and type F32 "
           "take 8 bytes", "a shape that needs more bytes");
    refuse(SHAPE("[0]"), 4, SAL_ERR_FORMAT, "take 0 bytes", "a shape that needs fewer bytes");
    refuse("{" F4("a", 4, 0) "}", 4, SAL_ERR_FORMAT, "bytes 4 to 0", "an end before the begin");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, SAL_ERR_FORMAT, "data_offsets expected",
           "a tensor without offsets");
    refuse("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, SAL_ERR_FORMAT, "shape",
           "a tensor without shape");
    refuse("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SAL_ERR_FORMAT, "dtype",
           "a tensor without type");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, SAL_ERR_FORMAT,
           "two data_offsets", "a third offset");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
           SAL_ERR_FORMAT, "unknown field 'shape'", "a second shape");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"x\":[1],\"data_offsets\":[0,4]}}", 4,
           SAL_ERR_FORMAT, "unknown field 'x'", "an unknown field");
    refuse("{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
           SAL_ERR_UNSUPPORTED, "tensor a: numbers of type 'F33'", "an unknown type");
    refuse("{\"a\":{\"dtype\":\"F4\",\"shape\":[8],\"data_offsets\":[0,4]}}", 4,
           SAL_ERR_UNSUPPORTED, "tensor a: numbers of type 'F4'", "numbers of four bits");
    refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
           SAL_ERR_UNSUPPORTED, "has 5 dimensions, at most 4", "five dimensions");
    /* the data */
    refuse("{" F4("a", 0, 4) "," F4("b", 4, 8) "}", 7, SAL_ERR_FORMAT,
           "tensor b ends at byte 8 of the data, but the file has only 7", "truncated data");
    refuse("{" F4("a", 0, 4) "}", 5, SAL_ERR_FORMAT, "ends at byte 4 of the data, but the file "
           "has 5", "a byte behind the last tensor");
    refuse("{}", 1, SAL_ERR_FORMAT, "has 1", "data without tensors");
    refuse("{" F4("a", 0, 4) "," F4("b", 2, 6) "}", 8, SAL_ERR_FORMAT, "tensor b begins at byte 2 "
           "of the data, but what is before it ends at byte 4: they overlap", "an overlap");
    refuse("{" F4("a", 0, 4) "," F4("b", 0, 4) "}", 4, SAL_ERR_FORMAT, "overlap",
           "the same bytes for two tensors");
    refuse("{" F4("a", 0, 4) "," F4("b", 8, 12) "}", 12, SAL_ERR_FORMAT, "belong to no tensor",
           "a gap");
    refuse("{" F4("a", 4, 8) "}", 8, SAL_ERR_FORMAT, "belong to no tensor", "a gap at the start");
    refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[2147483647,2147483647,2],\"data_offsets\":"
           "[0,9223372028264841218]}}", 4, SAL_ERR_FORMAT,
           sizeof(size_t) > 4 ? "cut off" : "too large",
           "an announced tensor of 9 exabytes");
    refuse("{" F4("a", 0, 4) "," F4("b", 4, 8) "," F4("a", 8, 12) "}", 12, SAL_ERR_FORMAT,
           "two tensors are called a", "a name twice");
    refuse("{" F4("a", 0, 4) "," F4("\\u0061", 4, 8) "}", 8, SAL_ERR_FORMAT,
           "two tensors are called a", "a name twice, once in disguise");
    /* metadata */
    refuse("{\"__metadata__\":[]}", 0, SAL_ERR_FORMAT, "'{' expected", "metadata as list");
    refuse("{\"__metadata__\":{\"a\":1}}", 0, SAL_ERR_FORMAT, "'\"' expected",
           "a number in the metadata");
    refuse("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, SAL_ERR_FORMAT,
           "metadata: the key 'a'", "a metadata key twice");
    refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, SAL_ERR_FORMAT, "second __metadata__",
           "metadata twice");
    {
        static char many[MOST / 2];
        int k, at = sprintf(many, "{\"__metadata__\":{");
        for (k = 0; k <= 1000; k++) at += sprintf(many + at, "%s\"%d\":\"\"", k ? "," : "", k);
        strcpy(many + at, "}}");
        refuse(many, 0, SAL_ERR_FORMAT, "too much metadata", "metadata with 1001 keys");
    }
    /* I8 and its scale */
#define SCALE(type, shape, from, to) ",\"w.scale\":{\"dtype\":\"" type "\",\"shape\":" shape \
        ",\"data_offsets\":[" #from "," #to "]}"
    refuse("{" I8("[2,3]", 6) "}", 6, SAL_ERR_FORMAT, "tensor w.scale, which is not there",
           "I8 without scale");
    refuse("{" I8("[2,3]", 6) SCALE("F32", "[3]", 6, 18) "}", 18, SAL_ERR_FORMAT,
           "tensor w has 2 rows, so w.scale must be F32 of that length: it is F32 with 1 "
           "dimensions, the first of length 3", "I8 with a scale of the wrong length");
    refuse("{" I8("[2,3]", 6) SCALE("F32", "[2,1]", 6, 14) "}", 14, SAL_ERR_FORMAT,
           "2 dimensions", "I8 with a matrix as scale");
    refuse("{" I8("[2,3]", 6) SCALE("F16", "[2]", 6, 10) "}", 10, SAL_ERR_FORMAT, "it is F16",
           "I8 with a scale in F16");
    refuse("{" I8("[]", 1) SCALE("F32", "[1]", 1, 5) "}", 5, SAL_ERR_FORMAT, "needs rows",
           "I8 without rows");
    /* every prefix of a good file */
    strcpy(header, "{\"__metadata__\":{\"k\\u00e9y\":\"\\ud83d\\ude00\"}," F4("a", 0, 4) "}");
    build(&b, header, 4);
    {
        counter c;
        sal_ctx ctx = counted(&c);
        sal_safetensors file;
        size_t size = b.size, refused = 0;
        for (i = 0; i < size; i++) {
            unsigned char *exact = (unsigned char *)malloc(i + !i);
            memcpy(exact, b.at, i);
            refused += sal_safetensors_parse(&ctx, exact, i, "cut", &file) == SAL_ERR_FORMAT;
            free(exact);
        }
        CHECK(refused == size && c.live == 0, "all %d proper prefixes of a good file are refused "
              "and nothing leaks", (int)size);
    }
}

static void test_accepted(sal_ctx *ctx) {
    static bytes b;
    sal_safetensors file;
    const sal_named_tensor *t;
    sal_result r;
    CHECK(parses("{}", 0), "a file without tensors parses");
    CHECK(parses(" \t\r\n{ \"__metadata__\" : { } , \n" F4("a", 0, 4) " } \n", 4),
          "blanks may stand between the parts of the header");
    CHECK(parses("{\"a\":{\"data_offsets\":[0,4],\"shape\":[],\"dtype\":\"F32\"}}", 4),
          "fields come in any order, and a single number has an empty shape");
    CHECK(parses("{\"a\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]}," F4("b", 0, 4)
          "," F4("c", 4, 8) "}", 8), "an empty tensor takes no place between two others");
    CHECK(parses("{" I8("[0,3]", 0) SCALE("F32", "[0]", 0, 0) "}", 0), "I8 may have no rows");
    CHECK(parses("{\"a.scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4),
          "a tensor may be called .scale without belonging to another");
    /* I64 between the others, an odd header length and odd places */
    build(&b, "{\"__metadata__\":{\"k\\u00e9y\":\"\\ud83d\\ude00 \\\"\\\\\\/\\b\\f\\n\\r\\t\"},"
          "\"flag\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]},"
          "\"bn1.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[3,11]},"
          "\"z\":{\"dtype\":\"I8\",\"shape\":[1,2],\"data_offsets\":[11,13]},"
          "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[13,21]},"
          "\"z.scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[21,25]}} ", 25);
    r = sal_safetensors_parse(ctx, b.at, b.size, "odd", &file);
    if (!CHECK(r == SAL_OK, "types that cannot be used do not disturb%s", why(ctx, r))) return;
    CHECK(file.count == 4 && !strcmp(file.tensor[0].name, "flag") &&
          !strcmp(file.tensor[3].name, "a"), "tensors are listed in the order of their bytes");
    t = sal_safetensors_find(&file, "bn1.num_batches_tracked");
    CHECK(t && !strcmp(t->type, "I64") && !t->tensor.data && t->tensor.ndim == 0 &&
          t->end - t->begin == 8, "an I64 tensor is listed without data");
    t = sal_safetensors_find(&file, "a");
    CHECK(t && (uintptr_t)t->tensor.data % 64 == 0 &&
          !memcmp(t->tensor.data, b.at + b.size - 12, 8),
          "numbers at an odd place in the file are aligned in memory");
    t = sal_safetensors_find(&file, "z");
    CHECK(t && t->tensor.dtype == SAL_DTYPE_I8 && !memcmp(t->tensor.scale, b.at + b.size - 4, 4),
          "an I8 tensor has its scale");
    CHECK(!sal_safetensors_find(&file, "z.scale") && !sal_safetensors_find(&file, "") &&
          !sal_safetensors_find(&file, "aa"), "scales and unknown names are not found");
    CHECK(sal_safetensors_meta(&file, "k\xC3\xA9y") && !strcmp(sal_safetensors_meta(&file,
          "k\xC3\xA9y"), "\xF0\x9F\x98\x80 \"\\/\b\f\n\r\t"), "metadata is unescaped to UTF-8");
    CHECK(!sal_safetensors_meta(&file, "key"), "an unknown metadata key gives NULL");
    sal_safetensors_free(ctx, &file);
}

/* --- conversions ---------------------------------------------------------------------------- */

static sal_tensor vector(void *data, sal_dtype dtype, int rows, int columns) {
    sal_tensor t;
    memset(&t, 0, sizeof t);
    t.ndim = 2; t.dim[0] = rows; t.dim[1] = columns; t.dtype = dtype; t.data = data;
    return t;
}

static void test_convert(sal_ctx *ctx) {
    static uint16_t half[65536];
    static float value[5 * 64], part[200];
    const char *const names[] = { "", "F16", "BF16" };
    sal_tensor from, wide, back;
    sal_rng rng = { 3 };
    int d, i, k, same;
    for (i = 0; i < 65536; i++) half[i] = (uint16_t)i;
    for (d = SAL_DTYPE_F16; d <= SAL_DTYPE_BF16; d++) {
        uint16_t fraction = d == SAL_DTYPE_F16 ? 0x03FF : 0x007F;
        uint16_t exponent = (uint16_t)(0x7FFF - fraction);
        from = vector(half, (sal_dtype)d, 256, 256);
        sal_tensor_convert(ctx, &from, SAL_DTYPE_F32, &wide);
        sal_tensor_convert(ctx, &wide, (sal_dtype)d, &back);
        for (i = same = 0; i < 65536; i++) {
            uint16_t now = ((uint16_t *)back.data)[i];
            int nan = (i & exponent) == exponent && (i & fraction);
            same += nan ? (now & exponent) == exponent && (now & fraction) : now == i;
        }
        CHECK(same == 65536, "all 65536 patterns of %s become float and come back (%d do)",
              names[d], same);
        sal_free(ctx, wide.data);
        sal_free(ctx, back.data);
    }
    /* I8: five rows */
    for (i = 0; i < 5 * 64; i++) value[i] = (float)sal_rng_normal(&rng);
    for (i = 0; i < 64; i++) {
        value[64 + i] = 0;
        value[128 + i] = (float)(i * 4 - 127) / 64;     /* the scale is 1/64: all are exact */
        value[192 + i] = ((float)i + 0.5f) / 4;         /* ties */
        value[256 + i] *= 1e-42f;                       /* subnormal */
    }
    value[128] = -127.0f / 64;
    value[192 + 63] = 127.0f / 4;
    from = vector(value, SAL_DTYPE_F32, 5, 64);
    CHECK(sal_tensor_convert(ctx, &from, SAL_DTYPE_I8, &back) == SAL_OK && back.scale,
          "F32 becomes I8");
    if (back.data) {
        const int8_t *q = (const int8_t *)back.data;
        double worst = 0;
        for (i = 0; i < 64; i++)
            worst = MAX(worst, fabs(q[i] * (double)back.scale[0] - value[i]));
        CHECK(worst <= back.scale[0] * 0.5000001, "I8 is at most half a step off (%.3f steps)",
              worst / back.scale[0]);
        for (i = same = k = 0; i < 64; i++) {
            same += (float)q[128 + i] * back.scale[2] == value[128 + i];
            k += i == 63 || (q[192 + i] % 2 == 0 && fabs(q[192 + i] - i - 0.5) == 0.5);
        }
        CHECK(same == 64, "I8 keeps multiples of its step exactly");
        CHECK(k == 64, "I8 rounds ties to even");
        for (i = same = 0; i < 64; i++) same += q[64 + i] == 0 && q[256 + i] == 0;
        CHECK(same == 64 && back.scale[1] == 1 && back.scale[4] == 1,
              "a row of zeros, or of nearly zeros, has scale 1 and zeros");
        sal_tensor_read(&back, 60, 200, part);
        for (i = same = 0; i < 200; i++) {
            volatile float product = (float)q[60 + i] * back.scale[(60 + i) / 64];  /* as stored */
            same += part[i] == product;
        }
        CHECK(same == 200, "reading I8 across rows scales each of them");
        sal_tensor_convert(ctx, &back, SAL_DTYPE_I8, &wide);
        CHECK(wide.data && !memcmp(wide.data, q, 5 * 64) && !memcmp(wide.scale, back.scale, 20),
              "I8 to I8 keeps the bits");
        sal_free(ctx, wide.data);
        sal_tensor_convert(ctx, &back, SAL_DTYPE_F16, &wide);
        CHECK(wide.data && ((uint16_t *)wide.data)[128 + 1] == sal_f32_to_f16(-123.0f / 64),
              "I8 becomes F16");
        sal_free(ctx, wide.data);
        sal_free(ctx, back.data);
    }
    value[70] = 65519;
    CHECK(sal_tensor_convert(ctx, &from, SAL_DTYPE_F16, &back) == SAL_OK &&
          ((uint16_t *)back.data)[70] == 0x7BFF, "65519 becomes 65504, the largest of F16");
    sal_free(ctx, back.data);
    value[70] = 65520;
    CHECK(sal_tensor_convert(ctx, &from, SAL_DTYPE_F16, &back) == SAL_ERR_NUMERIC && !back.data &&
          strstr(sal_error(ctx), "element 70 is 65520"), "65520 does not: %s", sal_error(ctx));
    value[70] = FLT_MAX;
    CHECK(sal_tensor_convert(ctx, &from, SAL_DTYPE_BF16, &back) == SAL_ERR_NUMERIC,
          "FLT_MAX does not become BF16: %s", sal_error(ctx));
    value[70] = (float)HUGE_VAL;
    CHECK(sal_tensor_convert(ctx, &from, SAL_DTYPE_BF16, &back) == SAL_OK &&
          ((uint16_t *)back.data)[70] == 0x7F80, "infinity becomes infinity in BF16");
    sal_free(ctx, back.data);
    CHECK(sal_tensor_convert(ctx, &from, SAL_DTYPE_I8, &back) == SAL_ERR_NUMERIC && !back.data,
          "infinity does not become I8: %s", sal_error(ctx));
    from.ndim = 0;
    CHECK(sal_tensor_convert(ctx, &from, SAL_DTYPE_I8, &back) == SAL_ERR_ARGUMENT,
          "a number without rows does not become I8: %s", sal_error(ctx));
}

/* --- writing -------------------------------------------------------------------------------- */

#define OUT "build/test_weights.safetensors"

static int equal_tensors(const sal_tensor *a, const sal_tensor *b) {
    size_t bytes = sal_tensor_count(a) * sal_dtype_size(a->dtype);
    return a->ndim == b->ndim && a->dtype == b->dtype && !memcmp(a->dim, b->dim, sizeof a->dim) &&
           !memcmp(a->data, b->data, bytes) &&
           (a->dtype != SAL_DTYPE_I8 || !memcmp(a->scale, b->scale, (size_t)a->dim[0] * 4));
}

/* One tensor of each type, odd sizes, and a few special shapes. Release with free_samples. */
enum { SAMPLES = 7 };
static void new_samples(sal_ctx *ctx, sal_named_tensor *list) {
    static const struct { const char *name; sal_dtype type; int ndim, dim[4]; } samples[SAMPLES] = {
        { "conv.weight", SAL_DTYPE_F32, 4, { 3, 2, 5, 1 } },
        { "half", SAL_DTYPE_F16, 1, { 13 } },
        { "bhalf", SAL_DTYPE_BF16, 2, { 3, 5 } },
        { "quoted \"\\ \1 \xC3\xA9", SAL_DTYPE_F32, 3, { 2, 2, 2 } },
        { "bytes", SAL_DTYPE_I8, 2, { 3, 5 } },
        { "number", SAL_DTYPE_F32, 0, { 0 } },
        { "empty", SAL_DTYPE_F32, 2, { 0, 4 } }
    };
    sal_rng rng = { 11 };
    int i, d;
    memset(list, 0, SAMPLES * sizeof *list);
    for (i = 0; i < SAMPLES; i++) {
        sal_tensor *t = &list[i].tensor, f32;
        float value[64];
        for (d = 0; d < 64; d++) value[d] = (float)sal_rng_normal(&rng);
        list[i].name = samples[i].name;
        memset(&f32, 0, sizeof f32);
        f32.ndim = samples[i].ndim;
        memcpy(f32.dim, samples[i].dim, sizeof f32.dim);
        f32.data = value;
        sal_tensor_convert(ctx, &f32, samples[i].type, t);
    }
}

static void free_samples(sal_ctx *ctx, sal_named_tensor *list) {
    int i;
    for (i = 0; i < SAMPLES; i++) sal_free(ctx, list[i].tensor.data);
}

static const char *const meta[] = { "sal.model", "mlnet", "a", "line\nbreak \"quoted\"" };

static void test_round_trip(sal_ctx *ctx) {
    sal_named_tensor list[SAMPLES];
    sal_safetensors file;
    unsigned char *first = NULL, *second = NULL;
    size_t n = 0, m = 0, header, i;
    int k, same = 0, aligned = 1;
    sal_result r;
    new_samples(ctx, list);
    r = sal_safetensors_save(ctx, OUT, list, SAMPLES, meta, 2);
    CHECK(r == SAL_OK, "a file is written%s", why(ctx, r));
    sal_file_read(ctx, OUT, &first, &n);
    r = sal_safetensors_load(ctx, OUT, &file);
    if (!CHECK(r == SAL_OK, "and read%s", why(ctx, r))) return;
    for (k = 0; k < SAMPLES; k++) {
        const sal_named_tensor *t = sal_safetensors_find(&file, list[k].name);
        same += t && equal_tensors(&t->tensor, &list[k].tensor);
    }
    CHECK(file.count == SAMPLES && same == SAMPLES, "all types and shapes come back bit for bit "
          "(%d of %d)", same, file.count);
    CHECK(file.metas == 2 && !strcmp(file.meta[0], meta[0]) && !strcmp(file.meta[3], meta[3]),
          "metadata comes back, in its order");
    for (k = 0; k < file.count; k++)
        if (file.tensor[k].begin % sal_dtype_size(file.tensor[k].tensor.dtype)) aligned = 0;
    for (header = 0, i = 8; i--; ) header = header << 8 | first[i];
    CHECK(aligned && header % 8 == 0, "numbers are aligned in the file");
    CHECK(sal_safetensors_save(ctx, OUT, file.tensor, file.count, file.meta, file.metas) == SAL_OK,
          "what was loaded can be saved");
    sal_file_read(ctx, OUT, &second, &m);
    CHECK(n == m && !memcmp(first, second, n), "and gives the same %d bytes", (int)n);
    sal_safetensors_free(ctx, &file);
    sal_free(ctx, first);
    sal_free(ctx, second);
    CHECK(sal_safetensors_save(ctx, OUT, NULL, 0, NULL, 0) == SAL_OK &&
          sal_safetensors_load(ctx, OUT, &file) == SAL_OK && file.count == 0 && file.metas == 0,
          "a file of nothing is written and read");
    sal_safetensors_free(ctx, &file);
    remove(OUT);
    free_samples(ctx, list);
}

static int refuses_to_save(const sal_named_tensor *list, int count, const char *const *strings,
                           int metas, const char *part) {
    counter c;
    sal_ctx ctx = counted(&c);
    sal_result r = sal_safetensors_save(&ctx, OUT, list, count, strings, metas);
    int ok = r != SAL_OK && strstr(sal_error(&ctx), part) && !strncmp(sal_error(&ctx), OUT, 10) &&
             c.live == 0 && sal_path_kind(OUT) < 0;
    if (!ok) printf("     %d: %s\n", (int)r, sal_error(&ctx));
    return ok;
}

static void test_save_refusals(sal_ctx *ctx) {
    static const char *const twice[] = { "a", "1", "a", "2" }, *const latin[] = { "a", "\xE9." };
    sal_safetensors file;
    sal_named_tensor list[SAMPLES];
    void *bytes;
    char **names;
    int count, i, left = 0;
    new_samples(ctx, list);
    remove(OUT);
    list[1].name = list[0].name;
    CHECK(refuses_to_save(list, SAMPLES, meta, 2, "two tensors are called conv.weight"),
          "a name twice is not written");
    list[1].name = "bytes.scale";
    CHECK(refuses_to_save(list, SAMPLES, meta, 2, "two tensors are called bytes.scale"),
          "a name that a scale has is not written");
    list[1].name = "\xFF";
    CHECK(refuses_to_save(list, SAMPLES, meta, 2, "UTF-8"), "a name in Latin-1 is not written");
    list[1].name = "__metadata__";
    CHECK(refuses_to_save(list, SAMPLES, meta, 2, "__metadata__") ||
          refuses_to_save(list, SAMPLES, meta, 2, "expected"), "nor a tensor called __metadata__");
    list[1].name = "half";
    CHECK(refuses_to_save(list, SAMPLES, twice, 2, "metadata: the key 'a'"), "nor a key twice");
    CHECK(sal_safetensors_save(ctx, OUT, list, SAMPLES, latin, 1) == SAL_OK &&
          sal_safetensors_load(ctx, OUT, &file) == SAL_OK &&
          !strcmp(sal_safetensors_meta(&file, "a"), "\xEF\xBF\xBD."),
          "metadata in Latin-1 get U+FFFD for what is not UTF-8");
    sal_safetensors_free(ctx, &file);
    remove(OUT);
    list[0].tensor.dim[1] = -2;
    CHECK(refuses_to_save(list, SAMPLES, meta, 2, "whole number"), "nor a negative dimension");
    list[0].tensor.dim[1] = 2;
    list[0].tensor.ndim = 5;
    CHECK(refuses_to_save(list, SAMPLES, meta, 2, "conv.weight cannot be"), "nor five dimensions");
    list[0].tensor.ndim = 4;
    list[4].tensor.scale = NULL;
    CHECK(refuses_to_save(list, SAMPLES, meta, 2, "bytes cannot be"), "nor I8 without scale");
    bytes = list[4].tensor.data;
    list[4].tensor.data = NULL;
    CHECK(refuses_to_save(list + 4, 1, meta, 2, "bytes cannot be"), "nor a tensor without data");
    list[4].tensor.data = bytes;
    CHECK(sal_safetensors_save(ctx, "build/no such folder/x", list, 4, meta, 2) == SAL_ERR_IO &&
          strstr(sal_error(ctx), "build/no such folder/x: cannot be written"),
          "a folder that does not exist is an error: %s", sal_error(ctx));
    CHECK(sal_safetensors_save(ctx, "build", list, 4, meta, 2) == SAL_ERR_IO,
          "so is a folder in the place of the file: %s", sal_error(ctx));
    sal_dir_list(ctx, "build", &names, &count);
    for (i = 0; i < count; i++) left += strstr(names[i], ".tmp") != NULL;
    CHECK(left == 0, "failed writes leave no temporary file");
    sal_free(ctx, names);
    free_samples(ctx, list);
}

#define SHORT "/sys/devices/system/cpu/online"   /* its size is always 4096 */

static void test_load_errors(sal_ctx *ctx) {
    sal_safetensors file;
    CHECK(sal_safetensors_load(ctx, "build/not there", &file) == SAL_ERR_IO && !file.count,
          "a file that is not there is an error: %s", sal_error(ctx));
    CHECK(sal_safetensors_load(ctx, "build", &file) == SAL_ERR_IO, "a folder too: %s",
          sal_error(ctx));
    unsigned char *data;
    size_t size;
    if (sal_path_kind(SHORT)) SKIP("no file here that is shorter than the system says");
    else CHECK(sal_safetensors_load(ctx, SHORT, &file) == SAL_ERR_IO &&
               sal_file_read(ctx, SHORT, &data, &size) == SAL_ERR_IO && !data &&
               strstr(sal_error(ctx), "to its end"), "a file that ends early is an error: %s",
               sal_error(ctx));
    if (sal_path_kind("/dev/full")) SKIP("no full device here");
    else CHECK(sal_file_write(ctx, "/dev/full", "x", 1) == SAL_ERR_IO, "so is what cannot be "
               "written: %s", sal_error(ctx));
    sal_file_write(ctx, OUT, "{\"a\":1}", 7);
    CHECK(sal_safetensors_load(ctx, OUT, &file) == SAL_ERR_FORMAT &&
          !strncmp(sal_error(ctx), OUT ": ", sizeof OUT), "a broken file is named: %s",
          sal_error(ctx));
    remove(OUT);
}

/* Fail the first allocation, then the second, ... until there are no more to fail. */
static void test_memory(void) {
    sal_named_tensor list[SAMPLES];
    sal_ctx plain;
    counter c;
    sal_ctx ctx = counted(&c);
    sal_safetensors file;
    int k, clean = 1;
    sal_result r = SAL_ERR_MEMORY;
    memset(&plain, 0, sizeof plain);
    new_samples(&plain, list);
    for (k = 1; k < 100 && r == SAL_ERR_MEMORY; k++) {
        c.calls = 0; c.fail_at = k;
        remove(OUT);
        r = sal_safetensors_save(&ctx, OUT, list, SAMPLES, meta, 2);
        if (c.live || (r != SAL_OK && sal_path_kind(OUT) >= 0)) clean = 0;
    }
    CHECK(r == SAL_OK && k > 3 && clean, "saving without memory, at each of %d allocations, leaks "
          "nothing and leaves no file", k - 2);
    for (k = 1, r = SAL_ERR_MEMORY; k < 100 && r == SAL_ERR_MEMORY; k++) {
        c.calls = 0; c.fail_at = k;
        r = sal_safetensors_load(&ctx, OUT, &file);
        if (r != SAL_OK && (c.live || file.tensor)) clean = 0;
    }
    CHECK(r == SAL_OK && k > 3 && clean, "loading, at each of %d, leaks nothing", k - 2);
    sal_safetensors_free(&ctx, &file);
    CHECK(c.live == 0, "sal_safetensors_free releases everything");
    for (k = 1, r = SAL_ERR_MEMORY; k < 100 && r == SAL_ERR_MEMORY; k++) {
        sal_tensor t;
        c.calls = 0; c.fail_at = k;
        r = sal_tensor_convert(&ctx, &list[0].tensor, SAL_DTYPE_I8, &t);
        if (r == SAL_OK) sal_free(&ctx, t.data);
        if (c.live) clean = 0;
    }
    CHECK(r == SAL_OK && k > 2 && clean, "converting, at each of %d, leaks nothing", k - 2);
    free_samples(&plain, list);
    remove(OUT);
}

/* A header that announces much more than there is must not cost much memory. */
static size_t largest;
static void *watched_alloc(void *user, size_t size) {
    (void)user;
    largest = MAX(largest, size);
    return malloc(size);
}
static void watched_free(void *user, void *memory) { (void)user; free(memory); }

static void test_lies(void) {
    static bytes b;
    sal_ctx ctx;
    sal_safetensors file;
    memset(&ctx, 0, sizeof ctx);
    ctx.alloc = watched_alloc; ctx.free = watched_free;
    build(&b, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1000000000],\"data_offsets\":[0,4000000000]}}",
          4);
    sal_safetensors_parse(&ctx, b.at, b.size, "lie", &file);
    CHECK(largest > 0 && largest < 4096, "4 GB announced in %d bytes allocate at most %d at once",
          (int)b.size, (int)largest);
}

/* --- files of others ------------------------------------------------------------------------ */

/* Written by Python's safetensors package, see tests/golden/weights/make.py. */
static void test_python_file(sal_ctx *ctx) {
    sal_safetensors file;
    const sal_named_tensor *t;
    float value[24];
    int i, good = 0;
    sal_result r = sal_safetensors_load(ctx, "tests/golden/weights/python.safetensors", &file);
    if (!CHECK(r == SAL_OK, "a file written by Python is read%s", why(ctx, r))) return;
    t = sal_safetensors_find(&file, "f32");
    if (CHECK(t && t->tensor.ndim == 3 && t->tensor.dim[0] == 2 && t->tensor.dim[1] == 3 &&
              t->tensor.dim[2] == 4, "its tensor f32 is 2 x 3 x 4")) {
        sal_tensor_read(&t->tensor, 0, 24, value);
        for (i = 0; i < 24; i++) good += value[i] == (float)(i * i) / 8 - 3;
        CHECK(good == 24, "and holds i * i / 8 - 3");
    }
    for (i = 0; i < 2; i++) {
        int k;
        t = sal_safetensors_find(&file, i ? "bf16" : "f16");
        if (!CHECK(t && sal_tensor_count(&t->tensor) == 7, "its tensor %s has 7 values",
                   i ? "bf16" : "f16")) continue;
        sal_tensor_read(&t->tensor, 0, 7, value);
        for (k = good = 0; k < 7; k++) good += value[k] == (float)k / 4 - 1;
        CHECK(good == 7, "which are k / 4 - 1");
    }
    t = sal_safetensors_find(&file, "i8");
    if (CHECK(t && t->tensor.dtype == SAL_DTYPE_I8 && t->tensor.dim[0] == 3 &&
              t->tensor.dim[1] == 5,
              "its tensor i8 is 3 x 5")) {
        sal_tensor_read(&t->tensor, 0, 15, value);
        for (i = good = 0; i < 15; i++) good += value[i] == (float)(i * 17 - 119) * (0.5f + i / 5);
        CHECK(good == 15, "and its rows are scaled");
    }
    t = sal_safetensors_find(&file, "bn.num_batches_tracked");
    CHECK(t && !strcmp(t->type, "I64") && !t->tensor.data, "its I64 counter is listed");
    CHECK(sal_safetensors_meta(&file, "name") && !strcmp(sal_safetensors_meta(&file, "name"),
          "Mot\xC3\xB6rhead \"\\\" \xF0\x9F\x91\x80"), "its metadata is read");
    sal_safetensors_free(ctx, &file);
}

int main(void) {
    sal_ctx ctx;
    memset(&ctx, 0, sizeof ctx);
    test_refusals();
    test_accepted(&ctx);
    test_convert(&ctx);
    test_round_trip(&ctx);
    test_save_refusals(&ctx);
    test_load_errors(&ctx);
    test_memory();
    test_lies();
    test_python_file(&ctx);
    return test_done();
}
