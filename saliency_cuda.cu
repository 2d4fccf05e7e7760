/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* saliency_cuda.cu - the GPU backend of saliency.h                                 >>about

   An optional companion. Build it beside any program that uses saliency.h:

       nvcc -O3 -arch=native -c saliency_cuda.cu
       g++ program.o saliency_cuda.o -o program -lcudart -lm

   and in the program, before networks are run:

       const sal_backend *gpu;
       if (sal_backend_cuda_open(&ctx, 0, &gpu) == SAL_OK) ctx.backend = gpu;
       ...
       sal_backend_cuda_close(&ctx, gpu);           (after the last run is closed)

   It needs the CUDA runtime and nothing else: no cuBLAS, no cuDNN. It runs from compute capability
   7.0 on (TF32 from 8.0 on). `make cuda` builds for every architecture that the toolkit knows.
   Code that was built for an older architecture than the device has does what the older one can.

   STATUS. No line of this file has run on a GPU yet. It compiles with nvcc, no kernel spills
   registers (7.5, 8.0, 9.0; tests/test_cuda_build.sh), and tests/cuda_on_cpu.h runs every kernel on
   the CPU, thread by thread, against the reference of saliency.h: indices, bounds, barriers and
   the order of copies are tested, speed is not. What is said of registers and instructions was
   read in the machine code for 9.0. Wherever a share of a vendor library's speed should stand it
   says "not yet run".

   HOW IT WORKS. A run keeps one block of memory for all its values, gradients and helpers (the
   arena), planned by lifetime. The device has a copy of that block with the same layout, so a
   device address is a host address plus a constant. Parameters are uploaded once for each network,
   gradients and the optimiser's state stay on the device. A forward pass moves the input up and
   the output down and nothing else; sal_run_fetch brings what else you want to see. A layer
   without a kernel here is done by the CPU and counted (sal_cuda.fallbacks).
   All runs of a backend share one stream of work; a second stream uploads what sal_run_prefetch
   announces. Predictions of the same shape are recorded as a CUDA graph when they come a second
   time and replayed from then on.

   DETERMINISM. The same input gives the same bits on the same device: every sum has one order, and
   pieces of long sums are added by a second kernel. The option `atomics` gives that up for speed.

   FINDING YOUR WAY. Search for >>NAME:
       ladder    matrix products: naive, tiled, registers, tensor cores, asynchronous copies;
                 convolution is one of them
       layers    the other operators
       convlstm  losses  optim
       host      memory, launches, errors      run  forward, backward, the table */
#include "saliency.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef SAL_CUDA_ON_CPU         /* tests/cuda_on_cpu.h stands in for these */
#  include <cuda_runtime.h>
#  include <cuda_fp16.h>
#  include <mma.h>
#  define LAUNCH(grid, block, shared, stream, ...) __VA_ARGS__<<<grid, block, shared, stream>>>
#  define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif
#if defined(SAL_CUDA_ON_CPU) || !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#  define ASYNC                 /* the fifth rung of the ladder */
#endif

namespace {

/* ============================================================================================
   >>ladder  matrix products
   ========================================================================================== */

/* Nearly all work of a network is products of matrices:  C (M, N) = A (M, K) * B (K, N). What
   differs is where the elements of A and B come from and where those of C go. So a kernel is a
   template of a problem P, which has
       M, N, K
       Col col(n)                 what is worth keeping about column n of B
       Depth depth(k)             what is worth keeping about position k of the sum
       float a(m, k, depth)       elements; 0 outside of the matrix
       float b(col, k, depth)
       COLUMNS                    1: neighbouring threads read neighbouring columns of B, so that
                                  memory is read in runs; 0: neighbouring k
       Out to                     where C goes
   and the ladder of kernels, each faster than the one before, knows nothing of convolutions. */

/* x / d by one multiplication, for 0 <= x < 2^31 (Granlund, Montgomery 1994). */
struct FastDiv {
    unsigned d, factor, shift;
    FastDiv(int divisor = 1) {
        d = (unsigned)divisor;
        for (shift = 0; (1ull << shift) < d; shift++) {}
        factor = (unsigned)((((1ull << shift) - d) << 32) / d + 1);
    }
    __device__ int div(int x) const {
        return (int)((__umulhi((unsigned)x, factor) + (unsigned)x) >> shift);
    }
};

/* Of kernels with a thread for each element; beyond the range of int it stays at its end. */
__device__ int index_of_thread() {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    return i < 0x7FFFFFFFu ? (int)i : 0x7FFFFFFF;
}

enum Act { IDENTITY, RELU, RELU6, SIGMOID, TANH };      /* the first three are sal_act */

__device__ float activate(float x, int act) {
    switch (act) {
    case RELU:    return x > 0 ? x : 0;
    case RELU6:   return x < 0 ? 0 : x > 6 ? 6 : x;
    case SIGMOID: return 1 / (1 + expf(-x));
    case TANH:    return tanhf(x);
    default:      return x;
    }
}

/* Element (m, n) of a product lies at  m * row + (n / columns) * sample + n % columns;  for a
   convolution m is a channel and n runs over the positions of all samples. What happens before it
   is stored is a sal_epilogue, with a second bias for the ConvLSTM. */
struct Out {
    float *out;
    const float *scale, *bias, *bias2, *add;
    int act, adds;              /* adds: out += value, for gradients */
    int along_n;                /* scale and bias belong to n, not to m */
    FastDiv columns;
    size_t row, sample;
    __device__ size_t at(int m, int n) const {
        int s = columns.div(n);
        return m * row + s * sample + (n - s * (int)columns.d);
    }
    __device__ void store(int m, int n, float v) const {
        size_t i = at(m, n);
        int c = along_n ? n : m;
        if (adds) { out[i] += v; return; }
        if (scale) v *= scale[c];
        if (bias) v += bias[c];
        if (bias2) v += bias2[c];
        if (add) v += add[i];
        out[i] = activate(v, act);
    }
#ifdef ASYNC
    /* Four neighbours at once, where out and add are aligned to 16 bytes at i; not along_n. */
    __device__ void store_4(int m, size_t i, float4 v) const {
        float4 *o = (float4 *)(out + i), more = { 0, 0, 0, 0 };
        if (adds) more = *o;
        else {
            float k = scale ? scale[m] : 1, b = bias ? bias[m] : 0;
            if (bias2) b += bias2[m];
            if (add) more = *(const float4 *)(add + i);
            v.x = v.x * k + b; v.y = v.y * k + b; v.z = v.z * k + b; v.w = v.w * k + b;
        }
        v.x += more.x; v.y += more.y; v.z += more.z; v.w += more.w;
        if (!adds) {
            v.x = activate(v.x, act); v.y = activate(v.y, act);
            v.z = activate(v.z, act); v.w = activate(v.w, act);
        }
        *o = v;
    }
#endif
};

/* Element i of weights of any type; those of I8 are to be multiplied by the scale of their row. */
__device__ float element(const void *data, int dtype, size_t i) {
    switch (dtype) {
    case SAL_DTYPE_F16:  return __half2float(((const __half *)data)[i]);
    case SAL_DTYPE_BF16: return __uint_as_float((unsigned)((const unsigned short *)data)[i] << 16);
    case SAL_DTYPE_I8:   return (float)((const signed char *)data)[i];
    default:       return ((const float *)data)[i];
    }
}

/* Plain matrices:  a[m * am + k * ak],  b[k * bk + n * bn];  b of any type. ALONG_N: bn is 1. */
template <bool ALONG_N> struct Product {
    enum { COLUMNS = ALONG_N };
    typedef int Col;
    typedef int Depth;
    int M, N, K, am, ak, bk, bn, b_type, b_row;     /* b_row: elements that share an I8 scale */
    const float *A, *b_scale;
    const void *B;
    Out to;
    __device__ Col col(int n) const { return n; }
    __device__ Depth depth(int k) const { return k; }
    __device__ float a(int m, int k, Depth) const {
        return m < M && k < K ? A[(size_t)m * am + (size_t)k * ak] : 0;
    }
    __device__ float b(Col n, int k, Depth) const {
        size_t i = (size_t)k * bk + (size_t)n * bn;
        if (n >= N || k >= K) return 0;
        return element(B, b_type, i) * (b_scale ? b_scale[i / b_row] : 1);
    }
};

/* Convolution as a product (implicit GEMM): row k = (c, i, j) of B is what tap (i, j) of the kernel
   sees of channel c, column n = (sample, y, x) is a position of the output. B is never made, its
   elements are looked up: a table says for each k how far its tap lies from the corner's tap. */
struct __align__(8) Tap { int offset; short dy, dx; };     /* of in, for channel and tap together */
struct Window { int base, y, x; };                  /* the corner of the window of one output */

/* A backward convolution with stride looks up every div-th position only: output y saw input v if
   y = (v + top - i * dilation) / stride has no remainder. Else div is 1. */
struct Lookup {
    const float *in;
    int ih, iw, div;
    __device__ int at(const Window &w, const Tap &t) const {    /* -1: outside */
        int v = w.y + t.dy, u = w.x + t.dx, i = w.base + t.offset;
        if (div > 1) {
            if (v % div || u % div) return -1;
            v /= div; u /= div;
            i += v * iw + u;
        }
        return (unsigned)v < (unsigned)ih && (unsigned)u < (unsigned)iw ? i : -1;
    }
    __device__ float get(const Window &w, const Tap &t) const {
        int i = at(w, t);
        return i >= 0 ? in[i] : 0;
    }
};

enum { FAR_OUT = -(1 << 24) };          /* a coordinate that no tap brings back inside */

/* Forward, and backward into the input (with the weights of convolution turned over, see
   turn_weights): weight (M, K), both ways. */
struct Conv {
    enum { COLUMNS = 1 };
    typedef Window Col;
    typedef Tap Depth;
    int M, N, K;
    const float *weight;
    const Tap *tap;
    Lookup from;
    int in_sample, mul, top, left;      /* corner: y * mul + top */
    FastDiv plane, width;               /* of the output */
    Out to;
    __device__ Col col(int n) const {
        Window w;
        int s = plane.div(n), p = n - s * (int)plane.d, y = width.div(p);
        w.y = y * mul + top;
        w.x = (p - y * (int)width.d) * mul + left;
        w.base = s * in_sample + (from.div == 1 ? w.y * from.iw + w.x : 0);
        if (n >= N) { w.y = FAR_OUT; w.base = 0; }
        return w;
    }
    __device__ Depth depth(int k) const {
        Tap outside;
        outside.offset = 0; outside.dy = outside.dx = -32768;
        return k < K ? tap[k] : outside;
    }
    __device__ float a(int m, int k, const Depth &) const {
        return m < M && k < K ? weight[(size_t)m * K + k] : 0;
    }
    __device__ float b(const Col &w, int, const Depth &t) const { return from.get(w, t); }
};

/* Backward into the weights: M = channels of the output, N = (c, i, j), and the sum runs over the
   positions k = (sample, y, x) of the output. */
struct ConvWeight {
    enum { COLUMNS = 0 };
    typedef Tap Col;
    struct Depth { Window window; int at; };
    int M, N, K;
    const float *dout;
    const Tap *tap;
    Lookup from;
    int in_sample, out_sample, mul, top, left;
    FastDiv plane, width;
    Out to;
    __device__ Col col(int n) const {
        Tap outside;
        outside.offset = 0; outside.dy = outside.dx = -32768;
        return n < N ? tap[n] : outside;
    }
    __device__ Depth depth(int k) const {
        Depth d;
        int s = plane.div(k), p = k - s * (int)plane.d, y = width.div(p);
        d.window.y = y * mul + top;
        d.window.x = (p - y * (int)width.d) * mul + left;
        d.window.base = s * in_sample + d.window.y * from.iw + d.window.x;
        d.at = s * out_sample + p;
        if (k >= K) { d.window.y = FAR_OUT; d.at = -1; }
        return d;
    }
    __device__ float a(int m, int, const Depth &d) const {
        return m < M && d.at >= 0 ? dout[d.at + (size_t)m * plane.d] : 0;
    }
    __device__ float b(const Col &t, int, const Depth &d) const { return from.get(d.window, t); }
};

/* A long sum may be cut into `count` pieces of `length`, one for each z of the grid: more blocks
   for small outputs. The pieces are stored in sums (z, M, N) and added by add_pieces; without sums
   each block adds its piece to the output when it is done, in any order. */
struct Split { float *sums; int length, count; };

template <class P>
__device__ void put(const P &p, const Out &to, const Split &s, int m, int n, float v) {
    if (m >= p.M || n >= p.N) return;
    if (s.count == 1) to.store(m, n, v);
    else if (s.sums) s.sums[((size_t)blockIdx.z * p.M + m) * p.N + n] = v;
    else atomicAdd(to.out + to.at(m, n), v);
}

template <class P> __device__ int first_k(const P &, const Split &s) {
    return (int)blockIdx.z * s.length;
}
template <class P> __device__ int last_k(const P &p, const Split &s) {
    int end = (int)(blockIdx.z + 1) * s.length;
    return end < p.K ? end : p.K;
}

__global__ void add_pieces(Out to, const float *sums, int M, int N, int count) {
    int i = index_of_thread(), z;
    float v = 0;
    if (i >= M * N) return;
    for (z = 0; z < count; z++) v += sums[(size_t)z * M * N + i];
    to.store(i / N, i % N, v);
}

/* First rung: one thread for each element of C. Every element of A is read N times, every element
   of B M times, from the cache at best. Blocks of 16 x 16 threads. 34 registers.
   Share of cuBLAS/cuDNN: not yet run. */
template <class P> __global__ void product_naive(P p, Split s) {
    int n = (int)(blockIdx.x * 16 + threadIdx.x), m = (int)(blockIdx.y * 16 + threadIdx.y);
    int k, end = last_k(p, s);
    typename P::Col col = p.col(n);
    float sum = 0;
    for (k = first_k(p, s); k < end; k++) {
        typename P::Depth d = p.depth(k);
        sum += p.a(m, k, d) * p.b(col, k, d);
    }
    put(p, p.to, s, m, n, sum);
}

/* Second rung: the 256 threads of a block fetch 16 x 16 tiles of A and B into shared memory
   together, then each uses them 16 times. Global memory is read 16 times less often. The columns
   have 17 places, so that the 16 elements of a column lie in different banks. 35 registers, 2 KB.
   Share of cuBLAS/cuDNN: not yet run. */
template <class P> __global__ void product_tiled(P p, Split s) {
    __shared__ float a[16][17], b[16][17];      /* [m][k], [k][n] */
    int x = (int)threadIdx.x, y = (int)threadIdx.y, k, q, end = last_k(p, s);
    int m = (int)blockIdx.y * 16 + y, n0 = (int)blockIdx.x * 16;
    typename P::Col col = p.col(n0 + x);
    float sum = 0;
    for (k = first_k(p, s); k < end; k += 16) {
        typename P::Depth dx = p.depth(k + x);
        a[y][x] = p.a(m, k + x, dx);
        if (P::COLUMNS) b[y][x] = p.b(col, k + y, p.depth(k + y));
        else b[x][y] = p.b(p.col(n0 + y), k + x, dx);
        __syncthreads();
        for (q = 0; q < 16; q++) sum += a[y][q] * b[q][x];
        __syncthreads();
    }
    put(p, p.to, s, m, n0 + x, sum);
}

/* What one of 256 threads carries from global to shared memory: its part of a TILE x DEPTH piece of
   A and a DEPTH x TILE piece of B. Fetching into registers early and storing late hides the time
   that global memory takes behind the arithmetic on the pieces before. */
template <class P, int TILE, int DEPTH> struct Carry {
    enum { EACH = TILE * DEPTH / 256 };
    float a[EACH], b[EACH];
    __device__ static int am(int e) { return (int)threadIdx.x / DEPTH + e * (256 / DEPTH); }
    __device__ static int ak() { return (int)threadIdx.x % DEPTH; }
    __device__ static int bn(int e) {
        return P::COLUMNS ? (int)threadIdx.x % TILE : (int)threadIdx.x / DEPTH + e * (256 / DEPTH);
    }
    __device__ static int bk(int e) {
        return P::COLUMNS ? (int)threadIdx.x / TILE + e * (256 / TILE) : (int)threadIdx.x % DEPTH;
    }
    __device__ void fetch(const P &p, int m0, int n0, int k0, const typename P::Col &mine) {
        typename P::Depth d = p.depth(k0 + ak());
        #pragma unroll
        for (int e = 0; e < EACH; e++) a[e] = p.a(m0 + am(e), k0 + ak(), d);
        #pragma unroll
        for (int e = 0; e < EACH; e++)
            b[e] = P::COLUMNS ? p.b(mine, k0 + bk(e), p.depth(k0 + bk(e)))
                              : p.b(p.col(n0 + bn(e)), k0 + ak(), d);
    }
};

/* Third rung: a block of 256 threads makes TILE x TILE elements of C, each thread R x R of them in
   registers (R = TILE / 16): for R + R numbers read from shared memory it multiplies R * R times.
   Two buffers: while one is used the other is filled, so one barrier a step is enough. Each thread
   owns R/4 groups of 4 rows, 64 rows apart, and columns likewise: reads are 16 bytes wide and
   neighbouring threads read neighbouring places.
   The fastest of the float32 kernels. 127 registers and 17 KB, so two blocks fit; half of the 1048
   instructions of a step are multiplications (FFMA), 32 read shared memory by 16 bytes; looking up
   elements is most of the rest. Share of cuBLAS/cuDNN: not yet run. */
template <class P, int TILE>
__global__ void __launch_bounds__(256, 2) product_registers(P p, Split s) {
    enum { DEPTH = 1024 / TILE, R = TILE / 16, LINE = TILE + 4 };
    __shared__ __align__(16) float a[2][DEPTH][LINE], b[2][DEPTH][LINE];
    int tx = (int)threadIdx.x % 16 * 4, ty = (int)threadIdx.x / 16 * 4, now = 0, k, q, i, j, e;
    int m0 = (int)blockIdx.y * TILE, n0 = (int)blockIdx.x * TILE, end = last_k(p, s);
    typedef Carry<P, TILE, DEPTH> C;
    typename P::Col col = p.col(n0 + C::bn(0));
    C carry;
    float sum[R][R] = { { 0 } }, u[R], v[R];
    for (k = first_k(p, s) - DEPTH; k < end; k += DEPTH, now ^= 1) {
        bool more = k + DEPTH < end;
        if (more) carry.fetch(p, m0, n0, k + DEPTH, col);
        if (k >= first_k(p, s)) {
            #pragma unroll
            for (q = 0; q < DEPTH; q++) {
                #pragma unroll
                for (i = 0; i < R; i += 4) {
                    *(float4 *)(u + i) = *(const float4 *)&a[now][q][i / 4 * 64 + ty];
                    *(float4 *)(v + i) = *(const float4 *)&b[now][q][i / 4 * 64 + tx];
                }
                #pragma unroll
                for (i = 0; i < R; i++)
                    #pragma unroll
                    for (j = 0; j < R; j++) sum[i][j] += u[i] * v[j];
            }
        }
        if (more) {
            #pragma unroll
            for (e = 0; e < C::EACH; e++) {
                a[now ^ 1][C::ak()][C::am(e)] = carry.a[e];
                b[now ^ 1][C::bk(e)][C::bn(e)] = carry.b[e];
            }
        }
        __syncthreads();
    }
    /* By way of shared memory, which has indices, as registers have not: R places to store from
       instead of R * R, each of which is long. A thread reads what it wrote itself. */
    float *mine = &a[0][0][0] + threadIdx.x;
    #pragma unroll
    for (i = 0; i < R; i++) {
        #pragma unroll
        for (j = 0; j < R; j++) mine[j * 256] = sum[i][j];
        #pragma unroll 1
        for (j = 0; j < R; j++)
            put(p, p.to, s, m0 + i / 4 * 64 + ty + i % 4, n0 + j / 4 * 64 + tx + j % 4,
                mine[j * 256]);
    }
}

/* Fourth rung: tensor cores multiply 16 x 16 tiles by one instruction of a whole warp. Their inputs
   are float32 rounded to 10 bits of fraction (TF32) or half, their sums float32. */
namespace wmma = nvcuda::wmma;
struct Half {
    typedef __half Number;
    enum { K = 16, PAD = 8, DEPTH = 32 };
    typedef wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> A;
    typedef wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> B;
    typedef wmma::fragment<wmma::accumulator, 16, 16, 16, float> C;
    __device__ static Number round(float x) { return __float2half(x); }
};
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
struct Tf32 {
    typedef float Number;
    enum { K = 8, PAD = 4, DEPTH = 16 };
    typedef wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> A;
    typedef wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::row_major> B;
    typedef wmma::fragment<wmma::accumulator, 16, 16, 8, float> C;
    __device__ static Number round(float x) { return wmma::__float_to_tf32(x); }
};
#else
struct Tf32 : Half {};          /* so that it compiles; never launched below 8.0 */
#endif

/* A block of 8 warps makes TILE x TILE elements of C; warp (r, c) of 2 x 4 those of rows TILE/2 * r
   and columns TILE/4 * c on. Buffers as before. The lines in shared memory are PAD longer than
   needed, which spreads the rows of a tile over the banks and keeps them aligned. At the end the
   tiles pass through shared memory, because only there it is known which element lies where.
   Up to 210 registers, 37 KB. Halves are read by LDSM and multiplied 16 deep (HMMA.16816), but of
   TF32 wmma makes the small instruction (HMMA.1684) and reads of 4 bytes by way of generic
   addresses: one more reason for the next rung. Share of cuBLAS/cuDNN: not yet run. */
template <class P, class T, int TILE>
__global__ void __launch_bounds__(256, TILE == 128 ? 1 : 2)
product_tensor(P p, Split s) {
    enum { DEPTH = T::DEPTH, LA = DEPTH + T::PAD, LB = TILE + T::PAD, ROWS = TILE / 32,
           COLS = TILE / 64 };
    typedef typename T::Number Number;
    __shared__ __align__(128) Number a[2][TILE * LA], b[2][DEPTH * LB];
    int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32, now = 0, k, q, i, j, e;
    int row = warp / 4 * (TILE / 2), column = warp % 4 * (TILE / 4);
    int m0 = (int)blockIdx.y * TILE, n0 = (int)blockIdx.x * TILE, end = last_k(p, s);
    typedef Carry<P, TILE, DEPTH> C;
    typename P::Col col = p.col(n0 + C::bn(0));
    C carry;
    typename T::A fa;
    typename T::B fb[COLS];
    typename T::C sum[ROWS][COLS];
    float *tile = (float *)a + warp * 16 * 20;      /* at the end: 16 x 16 values of this warp */
    #pragma unroll
    for (i = 0; i < ROWS; i++)
        #pragma unroll
        for (j = 0; j < COLS; j++) wmma::fill_fragment(sum[i][j], 0.0f);
    for (k = first_k(p, s) - DEPTH; k < end; k += DEPTH, now ^= 1) {
        bool more = k + DEPTH < end;
        if (more) carry.fetch(p, m0, n0, k + DEPTH, col);
        if (k >= first_k(p, s)) {
            #pragma unroll
            for (q = 0; q < DEPTH; q += T::K) {
                #pragma unroll
                for (j = 0; j < COLS; j++)
                    wmma::load_matrix_sync(fb[j], b[now] + q * LB + column + j * 16, LB);
                #pragma unroll
                for (i = 0; i < ROWS; i++) {
                    wmma::load_matrix_sync(fa, a[now] + (row + i * 16) * LA + q, LA);
                    #pragma unroll
                    for (j = 0; j < COLS; j++) wmma::mma_sync(sum[i][j], fa, fb[j], sum[i][j]);
                }
            }
        }
        if (more) {
            #pragma unroll
            for (e = 0; e < C::EACH; e++) {
                a[now ^ 1][C::am(e) * LA + C::ak()] = T::round(carry.a[e]);
                b[now ^ 1][C::bk(e) * LB + C::bn(e)] = T::round(carry.b[e]);
            }
        }
        __syncthreads();
    }
    #pragma unroll
    for (i = 0; i < ROWS; i++)
        #pragma unroll
        for (j = 0; j < COLS; j++) {
            wmma::store_matrix_sync(tile, sum[i][j], 20, wmma::mem_row_major);
            __syncwarp();
            #pragma unroll 1
            for (e = lane; e < 256; e += 32)
                put(p, p.to, s, m0 + row + i * 16 + e / 16, n0 + column + j * 16 + e % 16,
                    tile[e / 16 * 20 + e % 16]);
            __syncwarp();
        }
}

/* Fifth rung, from 8.0 on: what the hardware can do while it multiplies. Convolutions only, with
   channels in sixteens, which is nearly all the work of a deep network.
     - Copies from global to shared memory go past the registers and past the arithmetic (cp.async).
       Three steps of them are under way while a fourth is multiplied; a step has one barrier.
     - A step is one tap of the kernel in 16 channels. So each thread looks once where its position
       lies under that tap, inside or outside, and then only walks from channel to channel. All
       taps of 16 channels follow one another: what one tap has fetched the next finds in the cache.
     - mma instead of wmma: there it is documented which thread holds which element of a tile. The
       weights are packed in just this order beforehand, see pack_weights: a thread reads its four
       by one instruction. Of the other factor it reads 4 neighbours of a line, and so works on
       every fourth column: any order of columns, and of k, serves if all follow it. Lines of 8 mod
       32 words (4 lines times 2 groups of 4 words are the 32 banks) have no conflicts.
   Tiles of 128 x 128: 220 registers, 68 KB, so two blocks fit into a multiprocessor of 8.0 or 9.0.
   A step of a warp is 64 multiplications (HMMA.1688) in about 280 instructions, with 16 reads of 16
   bytes and 20 copies (8 if the kernel is 1x1). Two warps share an issue slot: that makes 560
   cycles of instructions beside 1024 (8.0) of the tensor cores, or some 800 where mma.sync reaches
   what is said of it on 9.0, so the tensor cores should set the pace; wgmma, which 9.0 wants for
   its full speed, is not used.
   Share of cuDNN: not yet run. */

#ifdef ASYNC
#ifndef SAL_CUDA_ON_CPU
/* Begin to copy 4 or 16 bytes to shared memory, or zeros if !there. They have arrived, for the
   thread that asked, when wait says that all but the last LATER groups have. */
__device__ void copy_4(float *to, const float *from, bool there) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::
                 "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(there ? 4 : 0)
                 : "memory");
}
__device__ void copy_16(float *to, const float *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::
                 "r"((unsigned)__cvta_generic_to_shared(to)), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
}
__device__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LATER> __device__ void wait_for_groups() {
    asm volatile("cp.async.wait_group %0;" :: "n"(LATER) : "memory");
}
/* c (16, 8) += a (16, K) * b (K, 8), shared out among the threads of a warp: with g = lane / 4 and
   t = lane % 4 a thread holds rows g and g + 8 of a at k = t (a[0], a[1]) and k = t + 4 (a[2],
   a[3]), column g of b at the same k, and of c columns 2t and 2t + 1 of row g, then of row g + 8.
   Of halves there are two in each register, k = 2t, 2t + 1, then 2t + 8, 2t + 9. */
__device__ void multiply_tf32(float *c, const unsigned *a, const unsigned *b) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};" : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ void multiply_half(float *c, const unsigned *a, const unsigned *b) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};" : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ unsigned pack_halves(float low, float high) {
    __half2 h = __floats2half2_rn(low, high);
    return *(unsigned *)&h;
}
#endif

/* The hardware cuts off 13 bits; adding half of that rounds. (Not so much that NaN, which is
   0x7FFFFFFF on a GPU, becomes a zero.) */
__device__ unsigned rounded(float x) {
    return (unsigned)(min((int)__float_as_uint(x), 0x7FFFEFFF) + 0x1000);
}

/* 4 neighbours of a line, as one instruction wants them; halves in pairs with those 4 lines on. */
struct AsyncTf32 {
    enum { K = 8 };
    __device__ static void read_4(unsigned *to, const float *from, int) {
        const float4 x = *(const float4 *)from;
        to[0] = rounded(x.x); to[1] = rounded(x.y); to[2] = rounded(x.z); to[3] = rounded(x.w);
    }
    __device__ static void multiply(float *c, const unsigned *a, const unsigned *b) {
        multiply_tf32(c, a, b);
    }
};
struct AsyncHalf {
    enum { K = 16 };
    __device__ static void read_4(unsigned *to, const float *from, int line) {
        const float4 x = *(const float4 *)from, y = *(const float4 *)(from + 4 * line);
        to[0] = pack_halves(x.x, y.x); to[1] = pack_halves(x.y, y.y);
        to[2] = pack_halves(x.z, y.z); to[3] = pack_halves(x.w, y.w);
    }
    __device__ static void multiply(float *c, const unsigned *a, const unsigned *b) {
        multiply_half(c, a, b);
    }
};
#else
struct AsyncTf32 { enum { K = 8 }; };           /* never launched below 8.0 */
struct AsyncHalf { enum { K = 16 }; };
#endif

/* Weights (oc, ic, taps), or turned over, as (ic / 16, taps, 16 / K, tiles, 32 lanes, 4): a step of
   16 channels under a tap, one instruction after the other; tiles of 16 results m. Number r of a
   lane is row lane / 4 + r % 2 * 8 of its tile at k = lane % 4 + r / 2 * 4 (TF32, rounded here once
   and for all), or a pair of halves at k = lane % 4 + r / 2 * 8 and 4 further. Element (m, c, t) is
   weight[m * by_m + c * by_c + t]. */
__global__ void pack_weights(unsigned *out, const float *weight, int half, int M, int tiles,
                             int taps, int by_m, int by_c, int n) {
#ifdef ASYNC
    int i = index_of_thread(), r = i % 4, lane = i / 4 % 32, tile = i / 128 % tiles;
    int step = i / 128 / tiles, k = lane % 4 + r / 2 * (half ? 8 : 4);
    if (!half) { k += step % 2 * 8; step /= 2; }
    int m = tile * 16 + lane / 4 + r % 2 * 8, c = step / taps * 16 + k;
    if (i >= n) return;
    const float *from = weight + (size_t)m * by_m + (size_t)c * by_c + step % taps;
    if (m >= M) out[i] = 0;
    else if (half) out[i] = pack_halves(*from, from[4 * (size_t)by_c]);
    else out[i] = rounded(*from) & 0xFFFFE000u;
#endif
}

/* Up to 5 convolutions of one input in one launch, for the gates of the ConvLSTM: block z does the
   one of that number. A single one may be split instead. */
enum { TOGETHER = 5 };
struct Packed {
    Conv conv;                          /* with tables of all taps of the first channel, at least */
    const float *weight[TOGETHER];      /* packed */
    Out to[TOGETHER];
    int tiles, taps;
    int pointwise;                      /* 1x1: neighbours in the output are neighbours in the
                                           input, aligned to copies of 16 bytes */
    int wide;                           /* where results go is aligned for stores of 16 bytes */
};

/* TM x TN results by 4 warps, 2 x 2 of them; sizes in words of 4 bytes. */
template <class T, int TM, int TN> struct Tiles {
    enum { DEPTH = 16, STAGES = 4, A = TM * DEPTH * 8 / T::K, LINE = TN + 8,
           STAGE = A + DEPTH * LINE, WM = TM / 2, WN = TN / 2, OUT_LINE = WN + 4,
           OUT = 4 * WM * OUT_LINE, WORDS = STAGES * STAGE > OUT ? STAGES * STAGE : OUT,
           BYTES = WORDS * 4 };
};

template <class T, int TM, int TN>
__global__ void __launch_bounds__(128, TM == 128 ? 2 : TN == 128 ? 3 : 5)
convolve_async(Packed p, Split s) {
#ifdef ASYNC
    typedef Tiles<T, TM, TN> S;
    enum { DEPTH = S::DEPTH, I = S::WM / 16, J = S::WN / 8 };   /* tiles of a warp */
    DYNAMIC_SHARED(float4, memory);
    float *stage = (float *)memory;
    int id = (int)threadIdx.x, warp = id / 32, lane = id % 32, g = lane / 4, t = lane % 4;
    int row = warp / 2 * S::WM, column = warp % 2 * S::WN, i, j, h, q, e, k;
    int m0 = (int)blockIdx.y * TM, n0 = (int)blockIdx.x * TN;
    int which = s.count == 1 ? (int)blockIdx.z : 0, piece = s.count == 1 ? 0 : (int)blockIdx.z;
    int first = piece * s.length / DEPTH, last = min((piece + 1) * s.length, p.conv.K) / DEPTH;
    int steps = last - first;
    const Out &to = p.to[which];
    int tap = first % p.taps, channel = first / p.taps * DEPTH;     /* of the next copy */
    int plane = p.conv.from.ih * p.conv.from.iw, left = p.tiles - m0 / 16;
    int mine = p.pointwise ? id % (TN / 4) * 4 : id % TN;       /* column */
    const Window window = p.conv.col(n0 + mine);
    const float *all = p.weight[which];
    const float *weight = all + ((size_t)first * (DEPTH / T::K) * p.tiles + m0 / 16) * 128;
    Tap where = p.conv.tap[tap];
    float sum[I][J][4];
    #pragma unroll
    for (i = 0; i < I; i++)
        #pragma unroll
        for (j = 0; j < J; j++) sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;

    auto fetch = [&](float *buffer) {
        #pragma unroll
        for (e = 0; e < S::A / 4; e += 128) {
            int part = (e + id) / (2 * TM), at = (e + id) % (2 * TM);   /* 32 of 4 words a tile */
            bool there = at / 32 < left;
            copy_16(buffer + 4 * (e + id),
                    there ? weight + (size_t)part * p.tiles * 128 + 4 * at : all, there);
        }
        int at = p.conv.from.at(window, where);
        int line = p.pointwise ? id / (TN / 4) : id / TN;
        const float *from = p.conv.from.in + (size_t)(channel + line) * plane + max(at, 0);
        buffer += S::A + line * S::LINE + mine;
        if (p.pointwise) {
            #pragma unroll
            for (e = 0; e < DEPTH; e += 512 / TN, from += 512 / TN * plane)
                copy_16(buffer + e * S::LINE, from, at >= 0);
        } else {
            #pragma unroll
            for (e = 0; e < DEPTH; e += 128 / TN, from += 128 / TN * plane)
                copy_4(buffer + e * S::LINE, from, at >= 0);
        }
        weight += (size_t)(DEPTH / T::K) * p.tiles * 128;
        if (++tap == p.taps) { tap = 0; channel += DEPTH; }
        where = p.conv.tap[tap];        /* long before it is needed */
    };
    for (k = 0; k < S::STAGES - 1; k++) {
        if (k < steps) fetch(stage + k * S::STAGE);
        end_group();                    /* empty or not: groups are counted */
    }
    for (k = 0; k < steps; k++) {
        wait_for_groups<S::STAGES - 2>();
        __syncthreads();                /* step k is here; nobody reads step k - 1 any more, so */
        if (k + S::STAGES - 1 < steps) fetch(stage + (k + S::STAGES - 1) % S::STAGES * S::STAGE);
        end_group();
        const float *a = stage + k % S::STAGES * S::STAGE + row / 16 * 128 + lane * 4;
        const float *b = stage + k % S::STAGES * S::STAGE + S::A + t * S::LINE + column + 4 * g;
        #pragma unroll
        for (q = 0; q < DEPTH / T::K; q++) {
            unsigned v[2][J];
            #pragma unroll
            for (h = 0; h < 2; h++)
                #pragma unroll
                for (j = 0; j < J; j += 4)
                    T::read_4(v[h] + j, b + (2 * q + h) * (T::K / 2) * S::LINE + j * 8, S::LINE);
            #pragma unroll
            for (i = 0; i < I; i++) {
                const uint4 u = *(const uint4 *)(a + (q * (TM / 16) + i) * 128);
                const unsigned x[4] = { u.x, u.y, u.z, u.w };
                #pragma unroll
                for (j = 0; j < J; j++) {
                    const unsigned y[2] = { v[0][j], v[1][j] };
                    T::multiply(sum[i][j], x, y);
                }
            }
        }
    }
    /* Each warp puts its results in order where the factors were, then stores whole lines. A thread
       has rows g and g + 8 of each 16, and of each 32 columns the 8 from 8 * t on. */
    __syncthreads();
    float *out = stage + warp * S::WM * S::OUT_LINE;
    #pragma unroll
    for (i = 0; i < 2 * I; i++)
        #pragma unroll
        for (e = 0; e < J / 2; e++) {
            int c = i % 2 * 2 + e % 2, d = e / 2 * 4;
            float4 x = { sum[i / 2][d][c], sum[i / 2][d + 1][c], sum[i / 2][d + 2][c],
                         sum[i / 2][d + 3][c] };
            *(float4 *)(out + (i * 8 + g) * S::OUT_LINE + e / 2 * 32 + 8 * t + e % 2 * 4) = x;
        }
    __syncwarp();
    m0 += row; n0 += column;
    if (p.wide) {               /* N is a multiple of 4, and so are the columns of a sample */
        int n = n0 + lane % (S::WN / 4) * 4;
        size_t at = to.at(0, n);
        if (n >= p.conv.N) return;
        #pragma unroll 1
        for (i = lane / (S::WN / 4); i < S::WM && m0 + i < p.conv.M; i += 128 / S::WN) {
            float4 x = *(const float4 *)(out + i * S::OUT_LINE + n - n0);
            if (s.count == 1) to.store_4(m0 + i, (m0 + i) * to.row + at, x);
            else *(float4 *)(s.sums + ((size_t)piece * p.conv.M + m0 + i) * p.conv.N + n) = x;
        }
        return;
    }
    #pragma unroll 1
    for (i = lane; i < S::WM * S::WN; i += 32)
        put(p.conv, to, s, m0 + i / S::WN, n0 + i % S::WN,
            out[i / S::WN * S::OUT_LINE + i % S::WN]);
#endif
}

/* The same for the gradients of weights, whose sums run over positions: 16 of them are a step. The
   block's columns are the channels of the input under one tap, so a thread looks up its position
   once a step. Both factors lie in memory in lines of positions and stay so in shared memory, 16 a
   line: a thread reads 4 neighbours, the k of two instructions (without conflicts: 2 lines are the
   32 banks). Piece z of the sum goes to sums. 222 registers, 68 KB; 64 HMMA.1688 in some 450
   instructions, for these copies are of 4 bytes all. Share of cuDNN: not yet run. */
template <int TILE> struct WeightTiles {
    enum { DEPTH = 16, STAGES = 4, STAGE = 2 * TILE * DEPTH, W = TILE / 2, OUT_LINE = W + 4,
           OUT = 4 * W * OUT_LINE, BYTES = 4 * (STAGES * STAGE > OUT ? STAGES * STAGE : OUT) };
};

template <int TILE> __global__ void __launch_bounds__(128, TILE == 128 ? 2 : 5)
weights_async(ConvWeight p, Split s, int channels, int taps) {
#ifdef ASYNC
    typedef WeightTiles<TILE> S;
    enum { DEPTH = S::DEPTH, I = S::W / 16, J = S::W / 8, LINE = DEPTH };
    DYNAMIC_SHARED(float4, memory);
    float *stage = (float *)memory;
    int id = (int)threadIdx.x, warp = id / 32, lane = id % 32, g = lane / 4, t = lane % 4;
    int row = warp / 2 * S::W, column = warp % 2 * S::W, i, j, e, k;
    int tap = (int)blockIdx.x % taps, c0 = (int)blockIdx.x / taps * TILE;
    int m0 = (int)blockIdx.y * TILE, next = first_k(p, s) + id % DEPTH;
    int steps = (last_k(p, s) - first_k(p, s) + DEPTH - 1) / DEPTH;
    int plane = (int)p.plane.d, in_plane = p.from.ih * p.from.iw;
    int rows = p.M - m0 - id / DEPTH, columns = channels - c0 - id / DEPTH;     /* still inside */
    const Tap where = p.tap[tap];
    float sum[I][J][4];
    #pragma unroll
    for (i = 0; i < I; i++)
        #pragma unroll
        for (j = 0; j < J; j++) sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;

    auto fetch = [&](float *buffer) {   /* this thread: one position of every eighth line */
        const ConvWeight::Depth d = p.depth(next);
        int at = d.at >= 0 ? p.from.at(d.window, where) : -1;
        const float *a = p.dout + max(d.at, 0) + (size_t)(m0 + id / DEPTH) * plane;
        const float *b = p.from.in + max(at, 0) + (size_t)(c0 + id / DEPTH) * in_plane;
        buffer += id;
        #pragma unroll
        for (e = 0; e < TILE; e += 128 / DEPTH, a += 128 / DEPTH * plane) {
            bool there = d.at >= 0 && e < rows;
            copy_4(buffer + e * LINE, there ? a : p.dout, there);
        }
        #pragma unroll
        for (e = 0; e < TILE; e += 128 / DEPTH, b += 128 / DEPTH * in_plane) {
            bool there = at >= 0 && e < columns;
            copy_4(buffer + (TILE + e) * LINE, there ? b : p.from.in, there);
        }
        next += DEPTH;
    };
    for (k = 0; k < S::STAGES - 1; k++) {
        if (k < steps) fetch(stage + k * S::STAGE);
        end_group();
    }
    for (k = 0; k < steps; k++) {
        wait_for_groups<S::STAGES - 2>();
        __syncthreads();
        if (k + S::STAGES - 1 < steps) fetch(stage + (k + S::STAGES - 1) % S::STAGES * S::STAGE);
        end_group();
        const float *a = stage + k % S::STAGES * S::STAGE + (row + g) * LINE + 4 * t;
        const float *b = stage + k % S::STAGES * S::STAGE + (TILE + column + g) * LINE + 4 * t;
        unsigned v[J][4], x[4], y[4];
        #pragma unroll
        for (j = 0; j < J; j++) AsyncTf32::read_4(v[j], b + j * 8 * LINE, 0);
        #pragma unroll
        for (i = 0; i < I; i++) {
            AsyncTf32::read_4(x, a + i * 16 * LINE, 0);
            AsyncTf32::read_4(y, a + (i * 16 + 8) * LINE, 0);
            const unsigned u[2][4] = { { x[0], y[0], x[1], y[1] }, { x[2], y[2], x[3], y[3] } };
            #pragma unroll
            for (j = 0; j < J; j++) {
                multiply_tf32(sum[i][j], u[0], v[j]);
                multiply_tf32(sum[i][j], u[1], v[j] + 2);
            }
        }
    }
    __syncthreads();
    float *mine = stage + warp * S::W * S::OUT_LINE;
    #pragma unroll
    for (i = 0; i < 2 * I; i++)
        #pragma unroll
        for (j = 0; j < J; j++) {
            float *to = mine + (i * 8 + g) * S::OUT_LINE + j * 8 + 2 * t;
            to[0] = sum[i / 2][j][i % 2 * 2];
            to[1] = sum[i / 2][j][i % 2 * 2 + 1];
        }
    __syncwarp();
    #pragma unroll 1
    for (i = lane; i < S::W * S::W; i += 32) {
        int c = c0 + column + i % S::W;
        if (c < channels)
            put(p, p.to, s, m0 + row + i / S::W, c * taps + tap,
                mine[i / S::W * S::OUT_LINE + i % S::W]);
    }
#endif
}

/* Beside the ladder: products of few rows (the last layers make one map) have nothing to share. A
   block makes 32 elements of one row, each by 8 threads that take every eighth k. */
template <class P> __global__ void product_row(P p) {
    __shared__ float part[8][32];
    int x = (int)threadIdx.x, y = (int)threadIdx.y, m = (int)blockIdx.y, k;
    int n = (int)blockIdx.x * 32 + x;
    typename P::Col col = p.col(n);
    float sum = 0;
    for (k = y; k < p.K; k += 8) {
        typename P::Depth d = p.depth(k);
        sum += p.a(m, k, d) * p.b(col, k, d);
    }
    part[y][x] = sum;
    __syncthreads();
    if (y || n >= p.N) return;
    for (k = 1; k < 8; k++) sum += part[k][x];
    p.to.store(m, n, sum);
}

/* Dense layers of small batches read each weight once, and that takes all their time. A warp makes
   one output of up to 8 samples:  out[s][o] = sum over i of weight[o][i] * in[s][i];  each lane
   takes every 32nd i, fetching four weights before it uses the first, then the lanes add up in a
   tree. Share of the memory's speed: not yet run. */
__global__ void dense_rows(Out to, const float *in, const void *weight, int dtype,
                           const float *scale, int n, int nin, int nout) {
    __shared__ float result[8][8];
    int lane = (int)threadIdx.x, o = (int)(blockIdx.x * 8 + threadIdx.y), i, q, s;
    int s0 = (int)blockIdx.y * 8;
    float sum[8] = { 0 }, w[4];
    if (o >= nout) return;      /* whole warps */
    for (i = lane; i < nin; i += 128) {
        #pragma unroll
        for (q = 0; q < 4; q++)
            w[q] = i + 32 * q < nin ? element(weight, dtype, (size_t)o * nin + i + 32 * q) : 0;
        #pragma unroll
        for (s = 0; s < 8; s++) {
            const float *x = in + (size_t)(s0 + s) * nin + i;
            #pragma unroll
            for (q = 0; q < 4; q++) if (s0 + s < n && i + 32 * q < nin) sum[s] += w[q] * x[32 * q];
        }
    }
    #pragma unroll
    for (s = 0; s < 8; s++) {
        #pragma unroll
        for (i = 16; i; i /= 2) sum[s] += __shfl_down_sync(0xFFFFFFFFu, sum[s], i);
        if (lane == 0) result[threadIdx.y][s] = sum[s];
    }
    __syncwarp();
    if (lane < 8 && s0 + lane < n)
        to.store(s0 + lane, o, result[threadIdx.y][lane] * (scale ? scale[o] : 1));
}

/* Depthwise convolution: channel c of the output is channel c of the input under kernel c. There
   is nothing to share between channels, memory sets the pace: one thread for each output. */
__global__ void depthwise_forward(Out to, const float *in, const float *weight, sal_conv s, int n) {
    int at = index_of_thread(), x = at % s.ow, y = at / s.ow % s.oh;
    int plane = at / s.ow / s.oh, c = plane % s.ic, i, j;
    float sum = 0;
    if (at >= n) return;
    in += (size_t)plane * s.ih * s.iw;
    for (i = 0; i < s.kh; i++)
        for (j = 0; j < s.kw; j++) {
            int v = y * s.stride - s.top + i * s.dilation;
            int u = x * s.stride - s.left + j * s.dilation;
            if ((unsigned)v < (unsigned)s.ih && (unsigned)u < (unsigned)s.iw)
                sum += weight[(c * s.kh + i) * s.kw + j] * in[(size_t)v * s.iw + u];
        }
    to.store(c, plane / s.ic * s.oh * s.ow + y * s.ow + x, sum);
}
/* One thread for each input: the outputs that saw it. */
__global__ void depthwise_data(float *din, const float *dout, const float *weight, sal_conv s,
                               int n) {
    int at = index_of_thread(), x = at % s.iw, y = at / s.iw % s.ih;
    int plane = at / s.iw / s.ih, c = plane % s.ic, i, j;
    float sum = 0;
    if (at >= n) return;
    dout += (size_t)plane * s.oh * s.ow;
    for (i = 0; i < s.kh; i++)
        for (j = 0; j < s.kw; j++) {
            int v = y + s.top - i * s.dilation, u = x + s.left - j * s.dilation;
            if (v < 0 || u < 0 || v % s.stride || u % s.stride) continue;
            v /= s.stride; u /= s.stride;
            if (v < s.oh && u < s.ow)
                sum += weight[(c * s.kh + i) * s.kw + j] * dout[(size_t)v * s.ow + u];
        }
    din[at] += sum;
}

/* out (ic, oc, taps) from weight (oc, ic, taps): what the backward convolution multiplies by. */
__global__ void turn_weights(float *out, const float *weight, int oc, int ic, int taps) {
    int i = index_of_thread(), t = i % taps, o = i / taps % oc;
    if (i >= oc * ic * taps) return;
    out[i] = weight[((size_t)o * ic + i / taps / oc) * taps + t];
}

/* ============================================================================================
   >>layers  the other operators
   ========================================================================================== */

/* The equations stand in saliency.h, at the function of the same name. Unless another shape is
   given a kernel has one thread for each of n elements, in blocks of 256. Where the CPU adds to
   several places (pooling, upsampling), here the place looks for what belongs to it: no two threads
   write to the same address, and sums have one order. */
/* The sum of v over the threads of a block, in all of them. All must call it. */
__device__ double block_sum(double v) {
    __shared__ double part[32];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, i;
    for (i = 16; i; i /= 2) v += __shfl_down_sync(0xFFFFFFFFu, v, i);
    __syncthreads();            /* whoever still reads the last result */
    if (lane == 0) part[warp] = v;
    __syncthreads();
    v = 0;
    for (i = 0; i < (int)blockDim.x / 32; i++) v += part[i];
    return v;
}

/* The largest v and the lowest place where it is, in all threads. */
struct Top { float v; int at; };
__device__ Top higher(Top a, Top b) { return b.v > a.v || (b.v == a.v && b.at < a.at) ? b : a; }
__device__ Top block_top(Top t) {
    __shared__ Top part[32];
    int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32, i;
    for (i = 16; i; i /= 2) {
        Top other;
        other.v = __shfl_down_sync(0xFFFFFFFFu, t.v, i);
        other.at = __shfl_down_sync(0xFFFFFFFFu, t.at, i);
        t = higher(t, other);
    }
    __syncthreads();
    if (lane == 0) part[warp] = t;
    __syncthreads();
    t = part[0];
    for (i = 1; i < (int)blockDim.x / 32; i++) t = higher(t, part[i]);
    return t;
}

/* for (i = this thread's first; i < n; i = its next) of a block that works on n elements */
#define EACH(i, n) for (int i = (int)threadIdx.x; i < (n); i += (int)blockDim.x)

__global__ void act_forward(float *out, const float *in, int act, int n) {
    int i = index_of_thread();
    if (i < n) out[i] = activate(in[i], act);
}
/* din += (or =, in place) dout where the output says that it came through */
__global__ void act_backward(float *din, const float *dout, const float *out, int act, int adds,
                             int n) {
    int i = index_of_thread();
    if (i >= n) return;
    float g = out[i] > 0 && (act != RELU6 || out[i] < 6) ? dout[i] : 0;
    din[i] = adds ? din[i] + g : g;
}

__global__ void maxout_forward(float *out, int *arg, const float *in, int pieces, int n) {
    int i = index_of_thread(), p, best = 0;
    if (i >= n) return;
    for (p = 1; p < pieces; p++)
        if (in[(size_t)i * pieces + p] > in[(size_t)i * pieces + best]) best = p;
    out[i] = in[(size_t)i * pieces + best];
    if (arg) arg[i] = best;
}
__global__ void maxout_backward(float *din, const float *dout, const int *arg, int pieces, int n) {
    int i = index_of_thread();
    if (i < n) din[(size_t)i * pieces + arg[i]] += dout[i];
}

__global__ void maxpool_forward(float *out, int *arg, const float *in, sal_pool s, int n) {
    int at = index_of_thread(), x = at % s.ow, y = at / s.ow % s.oh, i, j;
    if (at >= n) return;
    in += (size_t)(at / s.ow / s.oh) * s.ih * s.iw;
    int top = y * s.stride - s.top, left = x * s.stride - s.left;
    int i1 = min(top + s.k, s.ih), j1 = min(left + s.k, s.iw);
    int best = max(top, 0) * s.iw + max(left, 0);
    for (i = max(top, 0); i < i1; i++)
        for (j = max(left, 0); j < j1; j++)
            if (in[i * s.iw + j] > in[best]) best = i * s.iw + j;
    out[at] = in[best];
    if (arg) arg[at] = best;
}
/* For each input: the windows that it lies in, and of those the ones it won. */
__global__ void maxpool_backward(float *din, const float *dout, const int *arg, sal_pool s, int n) {
    int at = index_of_thread(), x = at % s.iw, y = at / s.iw % s.ih, i, j;
    if (at >= n) return;
    size_t plane = (size_t)(at / s.iw / s.ih) * s.oh * s.ow;
    int v = y + s.top - s.k + 1, u = x + s.left - s.k + 1;      /* the first window's start */
    int i0 = v <= 0 ? 0 : (v + s.stride - 1) / s.stride, i1 = min((y + s.top) / s.stride, s.oh - 1);
    int j0 = u <= 0 ? 0 : (u + s.stride - 1) / s.stride;
    int j1 = min((x + s.left) / s.stride, s.ow - 1);
    float sum = din[at];
    for (i = i0; i <= i1; i++)
        for (j = j0; j <= j1; j++)
            if (arg[plane + i * s.ow + j] == y * s.iw + x) sum += dout[plane + i * s.ow + j];
    din[at] = sum;
}

/* --- batch-norm: a scale and a shift for each channel, folded in double --- */

/* c threads; fold: c scales, then c shifts. bias of the convolution before, or NULL. */
__global__ void norm_fold(float *fold, const float *weight, const float *beta, const float *mean,
                          const float *var, const float *bias, float eps, int c) {
    int k = index_of_thread();
    if (k >= c) return;
    double scale = weight[k] / sqrt((double)var[k] + eps);
    fold[k] = (float)scale;
    fold[c + k] = (float)(beta[k] + ((bias ? bias[k] : 0) - (double)mean[k]) * scale);
}
/* what backward wants of fixed statistics: mean and 1 / sd */
__global__ void norm_keep(float *aux, const float *mean, const float *var, float eps, int c) {
    int k = index_of_thread();
    if (k >= c) return;
    aux[k] = mean[k];
    aux[c + k] = (float)(1 / sqrt((double)var[k] + eps));
}
__global__ void norm_forward(float *out, const float *in, const float *fold, int c, int hw, int n) {
    int i = index_of_thread(), k = i / hw % c;
    if (i < n) out[i] = (float)((double)in[i] * fold[k] + fold[c + k]);
}
/* A block for each channel: the statistics of the batch, kept for backward and folded. */
__global__ void norm_statistics(float *aux, float *fold, float *running_mean, float *running_var,
                                const float *in, const float *weight, const float *beta, float eps,
                                float momentum, int n, int c, int hw) {
    int k = (int)blockIdx.x;
    double m = (double)n * hw, sum = 0, squares = 0, mean, rstd, scale;
    EACH(i, n * hw) sum += in[((size_t)(i / hw) * c + k) * hw + i % hw];
    mean = block_sum(sum) / m;
    EACH(i, n * hw) {
        double d = in[((size_t)(i / hw) * c + k) * hw + i % hw] - mean;
        squares += d * d;
    }
    squares = block_sum(squares);
    if (threadIdx.x) return;
    rstd = 1 / sqrt(squares / m + eps);
    scale = weight[k] * rstd;
    if (aux) { aux[k] = (float)mean; aux[c + k] = (float)rstd; }
    running_mean[k] += (float)(momentum * (mean - running_mean[k]));
    running_var[k] += (float)(momentum * (squares / fmax(m - 1, 1.0) - running_var[k]));
    fold[k] = (float)scale;
    fold[c + k] = (float)(beta[k] - mean * scale);
}
__global__ void norm_backward(float *din, float *dweight, float *dbias, const float *dout,
                              const float *in, const float *weight, const float *aux, int fixed,
                              int n, int c, int hw) {
    int k = (int)blockIdx.x;
    double m = (double)n * hw, sum = 0, dot = 0, mean = aux[k], rstd = aux[c + k];
    EACH(i, n * hw) {
        size_t at = ((size_t)(i / hw) * c + k) * hw + i % hw;
        sum += dout[at];
        dot += dout[at] * (in[at] - mean) * rstd;
    }
    sum = block_sum(sum);
    dot = block_sum(dot);
    if (threadIdx.x == 0 && dbias) dbias[k] += (float)sum;
    if (threadIdx.x == 0 && dweight) dweight[k] += (float)dot;
    if (fixed) sum = dot = 0;
    if (!din) return;
    EACH(i, n * hw) {
        size_t at = ((size_t)(i / hw) * c + k) * hw + i % hw;
        double x = (in[at] - mean) * rstd;
        din[at] += (float)(weight[k] * rstd * (dout[at] - (sum + x * dot) / m));
    }
}

/* A block for each weight (c, i, j) of a depthwise convolution. */
__global__ void depthwise_weight(float *dweight, const float *dout, const float *in, sal_conv s) {
    int w = (int)blockIdx.x, j = w % s.kw, i = w / s.kw % s.kh, c = w / s.kw / s.kh;
    int hw = s.oh * s.ow;
    double sum = 0;
    EACH(k, s.n * hw) {
        size_t plane = (size_t)(k / hw) * s.ic + c;
        int v = k % hw / s.ow * s.stride - s.top + i * s.dilation;
        int u = k % s.ow * s.stride - s.left + j * s.dilation;
        if ((unsigned)v < (unsigned)s.ih && (unsigned)u < (unsigned)s.iw)
            sum += dout[plane * hw + k % hw] * in[(plane * s.ih + v) * s.iw + u];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) dweight[w] += (float)sum;
}

/* A block for each channel:  dbias[k] += sum of dout (n, c, hw) */
__global__ void bias_backward(float *dbias, const float *dout, int n, int c, int hw) {
    int k = (int)blockIdx.x;
    double sum = 0;
    EACH(i, n * hw) sum += dout[((size_t)(i / hw) * c + k) * hw + i % hw];
    sum = block_sum(sum);
    if (threadIdx.x == 0) dbias[k] += (float)sum;
}

/* Value i of the generator of saliency.h that began at state: the same masks as on the CPU. */
__global__ void dropout_forward(float *out, unsigned char *mask, const float *in, uint64_t state,
                                float rate, int n) {
    int i = index_of_thread();
    if (i >= n) return;
    uint64_t z = state + (uint64_t)(i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    mask[i] = (double)(z >> 11) * (1.0 / 9007199254740992.0) >= rate;
    out[i] = mask[i] ? in[i] / (1 - rate) : 0;
}
__global__ void dropout_backward(float *din, const float *dout, const unsigned char *mask,
                                 float rate, int n) {
    int i = index_of_thread();
    if (i < n) din[i] += mask[i] ? dout[i] / (1 - rate) : 0;
}

/* n elements in rows of `size`, `to_row` apart there and `from_row` here; adds or replaces. */
__global__ void copy_rows(float *to, const float *from, int size, int to_row, int from_row,
                          int adds, int n) {
    int i = index_of_thread();
    if (i >= n) return;
    float *x = to + (size_t)(i / size) * to_row + i % size;
    float v = from[(size_t)(i / size) * from_row + i % size];
    *x = adds ? *x + v : v;
}
__global__ void add_forward(float *out, const float *a, const float *b, int n) {
    int i = index_of_thread();
    if (i < n) out[i] = a[i] + b[i];
}
/* Rows of w values, left becoming right; or out += */
__global__ void mirror(float *out, const float *in, int w, int adds, int n) {
    int i = index_of_thread(), x = i % w;
    if (i < n) out[i] = (adds ? out[i] : 0) + in[i - x + w - 1 - x];
}

/* Bilinear interpolation, see sal__tap_at. */
struct Blend { int low, high; double t; };
__device__ Blend blend_at(int x, int from, int to) {
    Blend b;
    double s = (x + 0.5) * from / to - 0.5;
    s = s < 0 ? 0 : s > from - 1 ? from - 1 : s;
    b.low = (int)s;
    b.high = min(b.low + 1, from - 1);
    b.t = s - b.low;
    return b;
}
__device__ float blended(const float *in, int w, Blend v, Blend u) {
    const float *top = in + (size_t)v.low * w, *bottom = in + (size_t)v.high * w;
    return (float)((1 - v.t) * ((1 - u.t) * top[u.low] + u.t * top[u.high]) +
                   v.t * ((1 - u.t) * bottom[u.low] + u.t * bottom[u.high]));
}
__global__ void upsample_forward(float *out, const float *in, int ih, int iw, int oh, int ow,
                                 int n) {
    int i = index_of_thread();
    if (i >= n) return;
    in += (size_t)(i / ow / oh) * ih * iw;
    out[i] = blended(in, iw, blend_at(i / ow % oh, ih, oh), blend_at(i % ow, iw, ow));
}
/* The outputs that input y can have a part in: [*first, *last]. */
__device__ void touched(int y, int from, int to, int *first, int *last) {
    *first = max((int)floor((y - 0.5) * to / from - 0.5) - 1, 0);
    *last = min((int)ceil((y + 1.5) * to / from - 0.5) + 1, to - 1);
}
__device__ double share_of(Blend b, int y) {
    return (b.low == y) * (1 - b.t) + (b.high == y) * b.t;
}
__global__ void upsample_backward(float *din, const float *dout, int ih, int iw, int oh, int ow,
                                  int n) {
    int i = index_of_thread(), x = i % iw, y = i / iw % ih, v, u, v0, v1, u0, u1;
    if (i >= n) return;
    dout += (size_t)(i / iw / ih) * oh * ow;
    touched(y, ih, oh, &v0, &v1);
    touched(x, iw, ow, &u0, &u1);
    double sum = 0;
    for (v = v0; v <= v1; v++) {
        double part = 0, s = share_of(blend_at(v, ih, oh), y);
        if (s == 0) continue;
        for (u = u0; u <= u1; u++)
            part += share_of(blend_at(u, iw, ow), x) * dout[(size_t)v * ow + u];
        sum += s * part;
    }
    din[i] += (float)sum;
}

/* out (n) = in * mask, the mask (hw) repeating; or out += */
__global__ void times_mask(float *out, const float *in, const float *mask, int hw, int adds,
                           int n) {
    int i = index_of_thread();
    if (i < n) out[i] = (adds ? out[i] : 0) + in[i] * mask[i % hw];
}
__global__ void prior_mask_backward(float *dmask, const float *dout, const float *in, int planes,
                                    int hw) {
    int i = index_of_thread(), s;
    double sum = 0;
    if (i >= hw) return;
    for (s = 0; s < planes; s++) sum += (double)dout[(size_t)s * hw + i] * in[(size_t)s * hw + i];
    dmask[i] = (float)sum;
}

/* A prior for each domain, added in front of a softmax: see sal_logprior_forward. */
__global__ void logprior_forward(float *out, const float *in, const float *prior,
                                 const int *domain, int h, int w, int ph, int pw, int n) {
    int i = index_of_thread();
    if (i >= n) return;
    prior += (size_t)domain[i / w / h] * ph * pw;
    out[i] = in[i] + blended(prior, pw, blend_at(i / w % h, ph, h), blend_at(i % w, pw, w));
}

/* --- SAM's Gaussians: a block for each --- */

struct Gaussian { double mu[2], sigma[2], v[2], step[2], start[2]; };       /* x, y */
__device__ Gaussian gaussian_of(const float *params, int count, int k, int h, int w) {
    const double low[4] = { .25, .35, .1, .2 }, high[4] = { .75, .65, .9, .8 };
    Gaussian g;
    double e = (double)h / w;
    for (int j = 0; j < 2; j++) {
        g.mu[j] = fmin(fmax((double)params[j * count + k], low[j]), high[j]);
        g.sigma[j] = fmin(fmax((double)params[(j + 2) * count + k], low[j + 2]), high[j + 2]);
        g.v[j] = 2 * g.sigma[j] * g.sigma[j] + 1e-7;
    }
    g.start[0] = 0;           g.step[0] = w > 1 ? 1.0 / (w - 1) : 0;
    g.start[1] = (1 - e) / 2; g.step[1] = h > 1 ? e / (h - 1) : 0;
    return g;
}
__device__ double gaussian_value(const Gaussian &g, int x, int y, double d[2]) {
    d[0] = g.start[0] + x * g.step[0] - g.mu[0];
    d[1] = g.start[1] + y * g.step[1] - g.mu[1];
    return exp(-(d[0] * d[0] / g.v[0] + d[1] * d[1] / g.v[1]));
}
__global__ void gaussians_forward(float *out, const float *params, int n, int count, int h, int w) {
    int k = (int)blockIdx.x, hw = h * w, s;
    Gaussian g = gaussian_of(params, count, k, h, w);
    double d[2];
    Top top;
    top.v = 0; top.at = 0;
    EACH(i, hw) top.v = fmaxf(top.v, (float)gaussian_value(g, i % w, i / w, d));
    top = block_top(top);
    EACH(i, hw) {
        float v = (float)gaussian_value(g, i % w, i / w, d) / top.v;
        for (s = 0; s < n; s++) out[((size_t)s * count + k) * hw + i] = v;
    }
}
__global__ void gaussians_backward(float *dparams, const float *dout, const float *out,
                                   const float *params, int n, int count, int h, int w) {
    int k = (int)blockIdx.x, hw = h * w, s, j;
    Gaussian g = gaussian_of(params, count, k, h, w);
    const double low[4] = { .25, .35, .1, .2 }, high[4] = { .75, .65, .9, .8 };
    double slope[4] = { 0 }, slope_top[4] = { 0 }, sum = 0, tops = 0, d[2];
    EACH(i, hw) {
        double gain = 0, value = out[(size_t)k * hw + i];
        for (s = 0; s < n; s++) gain += dout[((size_t)s * count + k) * hw + i];
        gain *= value;
        gaussian_value(g, i % w, i / w, d);
        sum += gain;
        tops += value == 1;
        for (j = 0; j < 4; j++) {
            int q = j % 2;
            double a = 2 * d[q] / g.v[q] * (j < 2 ? 1 : 2 * g.sigma[q] * d[q] / g.v[q]);
            slope[j] += gain * a;
            if (value == 1) slope_top[j] += a;
        }
    }
    sum = block_sum(sum);
    tops = block_sum(tops);
    for (j = 0; j < 4; j++) {
        double all = block_sum(slope[j]), top = block_sum(slope_top[j]);
        float p = params[j * count + k];
        if (threadIdx.x == 0 && p >= low[j] && p <= high[j])
            dparams[j * count + k] += (float)(all - sum * top / tops);
    }
}

/* A block for each row of `size` values. */
__global__ void softmax_forward(float *out, const float *in, int size) {
    Top top;
    double sum = 0;
    in += (size_t)blockIdx.x * size; out += (size_t)blockIdx.x * size;
    top.v = in[0]; top.at = 0;
    EACH(i, size) top.v = fmaxf(top.v, in[i]);
    top = block_top(top);
    EACH(i, size) sum += exp((double)in[i] - top.v);
    sum = block_sum(sum);
    EACH(i, size) out[i] = (float)(exp((double)in[i] - top.v) / sum);
}
__global__ void softmax_backward(float *din, const float *dout, const float *out, int size,
                                 int adds) {
    size_t row = (size_t)blockIdx.x * size;
    double dot = 0;
    din += row; dout += row; out += row;
    EACH(i, size) dot += (double)dout[i] * out[i];
    dot = block_sum(dot);
    EACH(i, size) din[i] = (adds ? din[i] : 0) + (float)(out[i] * (dout[i] - dot));
}

/* ============================================================================================
   >>convlstm  what the attentive ConvLSTM does between its convolutions
   ========================================================================================== */

/* E = tanh(Wa * X + bias): the first step, where Ua * H is its bias alone */
__global__ void lstm_first(float *e, const float *wax, const float *bias, int c, int hw, int n) {
    int i = index_of_thread();
    if (i < n) e[i] = tanhf(wax[i] + bias[i / hw % c]);
}
/* X~ = A . X */
__global__ void lstm_attend(float *xt, const float *in, const float *a, int chw, int hw, int n) {
    int i = index_of_thread();
    if (i < n) xt[i] = in[i] * a[i / chw * hw + i % hw];
}
/* C = F . C_before + I . G,   H = O . tanh(C);   before: NULL in the first step */
__global__ void lstm_cell(float *cell, float *hidden, float *out, const float *before,
                          const float *gi, const float *gf, const float *go, const float *gg,
                          int n) {
    int i = index_of_thread();
    if (i >= n) return;
    float c = (before ? gf[i] * before[i] : 0) + gi[i] * gg[i];
    cell[i] = c;
    hidden[i] = out[i] = go[i] * tanhf(c);
}
/* dC += dH . O . (1 - tanh(C)^2) */
__global__ void lstm_cell_backward(float *dc, const float *dh, const float *go, const float *cell,
                                   int n) {
    int i = index_of_thread();
    if (i >= n) return;
    float t = tanhf(cell[i]);
    dc[i] += dh[i] * go[i] * (1 - t * t);
}
/* Gate k (I, F, O, G) before its squashing; before: C of the step before, or NULL */
__global__ void lstm_gate_backward(float *dp, const float *dh, const float *dc, const float *g,
                                   const float *gi, const float *gg, const float *cell,
                                   const float *before, int k, int n) {
    int i = index_of_thread();
    if (i >= n) return;
    dp[i] = k == 0 ? dc[i] * gg[i] * g[i] * (1 - g[i])
          : k == 1 ? (before ? dc[i] * before[i] * g[i] * (1 - g[i]) : 0)
          : k == 2 ? dh[i] * tanhf(cell[i]) * g[i] * (1 - g[i])
                   : dc[i] * gi[i] * (1 - g[i] * g[i]);
}
/* For each position:  dA = sum over channels of X . dX~,   dX += A . dX~,   dC = dC . F */
__global__ void lstm_attend_backward(float *da, float *din, float *dc, const float *dx,
                                     const float *in, const float *a, const float *gf, int c,
                                     int hw, int n) {
    int i = index_of_thread(), k;
    double sum = 0;
    if (i >= n) return;
    for (k = 0; k < c; k++) {
        size_t at = ((size_t)(i / hw) * c + k) * hw + i % hw;
        sum += dx[at] * in[at];
        if (din) din[at] += dx[at] * a[i];
        dc[at] *= gf[at];
    }
    da[i] = (float)sum;
}
/* dp = dE . (1 - E^2) */
__global__ void tanh_backward(float *dp, const float *de, const float *e, int n) {
    int i = index_of_thread();
    if (i < n) dp[i] = de[i] * (1 - e[i] * e[i]);
}

/* ============================================================================================
   >>losses  what training minimises
   ========================================================================================== */

/* The loss of one map by one block: what the functions of >>losses in saliency.h do, with their
   loops shared out among the threads. Every thread returns the same value. */
#define EPS 1e-7

__device__ double mean_sd(const float *x, int n, double *sd) {
    double sum = 0, squares = 0;
    EACH(i, n) sum += x[i];
    sum = block_sum(sum) / n;
    EACH(i, n) squares += (x[i] - sum) * (x[i] - sum);
    *sd = sqrt(block_sum(squares) / n);
    return sum;
}

__device__ double loss_mse(float *dx, const float *x, const float *y, int n, double weight) {
    double sum = 0;
    EACH(i, n) {
        double d = (double)x[i] - y[i];
        sum += d * d;
        dx[i] += (float)(weight * 2 * d / n);
    }
    return weight * block_sum(sum) / n;
}

__device__ Top highest(const float *x, int n) {
    Top top, t;
    top.v = x[0]; top.at = 0;
    EACH(i, n) { t.v = x[i]; t.at = i; top = higher(top, t); }
    return block_top(top);
}

__device__ double loss_mlnet(float *dx, const float *x, const float *y, int n, double weight,
                             int code) {
    Top m = highest(x, n);
    double sum = 0, through_max = 0, top = fmax((double)m.v, EPS);
    EACH(i, n) {
        double a = 1.1 - y[i], w = code ? 1 / a : 1 / (a * a), d = x[i] / top - y[i];
        double slope = weight * 2 * w * d / top / n;
        sum += w * d * d;
        through_max -= slope * x[i] / top;
        dx[i] += (float)slope;
    }
    sum = block_sum(sum);
    through_max = block_sum(through_max);       /* (its barrier: all dx are written) */
    if (threadIdx.x == 0 && m.v > EPS) dx[m.at] += (float)through_max;
    __syncthreads();
    return weight * sum / n;
}

__device__ double loss_nss(float *dx, const float *x, const float *y, int n, double weight) {
    double sd, mean = mean_sd(x, n, &sd), total = 0, nss = 0, s = sd + EPS;
    EACH(i, n) { total += y[i]; nss += y[i] * (x[i] - mean) / s; }
    total = block_sum(total);
    nss = block_sum(nss);
    if (total <= 0 || sd <= 0) return 0;
    nss /= total;
    EACH(i, n)
        dx[i] += (float)(weight / s * (y[i] / total - 1.0 / n - nss * (x[i] - mean) / (n * sd)));
    return weight * nss;
}

__device__ double loss_cc(float *dx, const float *x, const float *y, int n, double weight) {
    double sx, sy, mx = mean_sd(x, n, &sx), my = mean_sd(y, n, &sy), cc = 0;
    if (sx <= 0 || sy <= 0) return 0;
    EACH(i, n) cc += (x[i] - mx) * (y[i] - my);
    cc = block_sum(cc) / (n * sx * sy);
    EACH(i, n) dx[i] += (float)(weight * ((y[i] - my) / sy - cc * (x[i] - mx) / sx) / (n * sx));
    return weight * cc;
}

__device__ double loss_cosine(float *dx, const float *x, const float *y, int n, double weight) {
    double xx = 0, yy = 0, xy = 0, c;
    EACH(i, n) {
        xx += (double)x[i] * x[i]; yy += (double)y[i] * y[i]; xy += (double)x[i] * y[i];
    }
    xx = block_sum(xx); yy = block_sum(yy); xy = block_sum(xy);
    if (xx <= 0 || yy <= 0) return weight;
    c = xy / sqrt(xx * yy);
    EACH(i, n) dx[i] -= (float)(weight * (y[i] / sqrt(xx * yy) - c * x[i] / xx));
    return weight * (1 - c);
}

__device__ double rule(int term, double p, double q, double *slope) {
    double ratio = q / (p + EPS);
    switch (term) {
    case SAL_LOSS_KL:
        *slope = -q * ratio / ((ratio + EPS) * (p + EPS));
        return q * log(ratio + EPS);
    case SAL_LOSS_TVD:
        *slope = p > q ? 0.5 : p < q ? -0.5 : 0;
        return 0.5 * fabs(p - q);
    default:    /* chi2 */
        *slope = -ratio * ratio;
        return q * ratio - q;
    }
}
__device__ double loss_distance(float *dx, const float *x, const float *y, int n, double weight,
                                int term) {
    double sx = 0, sy = 0, loss = 0, dot = 0, slope;
    EACH(i, n) { sx += x[i] > 0 ? x[i] : 0; sy += y[i]; }
    sx = block_sum(sx) + EPS;
    sy = block_sum(sy) + EPS;
    EACH(i, n) {
        double p = (x[i] > 0 ? x[i] : 0) / sx;
        loss += rule(term, p, y[i] / sy, &slope);
        dot += slope * p;
    }
    loss = block_sum(loss);
    dot = block_sum(dot);
    EACH(i, n) {
        if (x[i] < 0) continue;
        rule(term, x[i] / sx, y[i] / sy, &slope);
        dx[i] += (float)(weight * (slope - dot) / sx);
    }
    return weight * loss;
}

__device__ double loss_bce(float *dx, const float *x, const float *y, int n, double weight) {
    double sum = 0;
    EACH(i, n) {
        double p = fmin(fmax((double)x[i], EPS), 1 - EPS);
        sum -= y[i] * log(p) + (1 - y[i]) * log(1 - p);
        if (p == x[i]) dx[i] += (float)(weight * (p - y[i]) / (p * (1 - p)) / n);
    }
    return weight * block_sum(sum) / n;
}

/* A block for each sample: sal_loss_map between the two upsamplings. big holds the enlarged maps
   and becomes them divided by their peaks, dbig receives the gradients. */
__global__ void loss_maps(double *value, float *big, float *dbig, const float *density,
                          const float *fixations, const double *weights, sal_loss loss, int n) {
    size_t at = (size_t)blockIdx.x * n;
    double total = 0, top = 1, through_max = 0, weight = weights[blockIdx.x];
    Top peak;
    big += at; dbig += at; density += at; fixations += at;
    peak.v = 1; peak.at = 0;
    if (loss.peak) {
        peak = highest(big, n);
        top = fmax((double)peak.v, EPS);
    }
    EACH(i, n) { dbig[i] = 0; if (loss.peak) big[i] = (float)(big[i] / top); }
    for (int k = 0; k < SAL_LOSS_COUNT; k++) {
        const float *y = k == SAL_LOSS_NSS ? fixations : density;
        double w = weight * loss.weight[k];
        __syncthreads();        /* what the last term wrote, others may read */
        if (loss.weight[k] == 0) continue;
        switch (k) {
        case SAL_LOSS_MSE:        total += loss_mse(dbig, big, y, n, w); break;
        case SAL_LOSS_MLNET:
        case SAL_LOSS_MLNET_CODE:
            total += loss_mlnet(dbig, big, y, n, w, k == SAL_LOSS_MLNET_CODE);
            break;
        case SAL_LOSS_NSS:        total += loss_nss(dbig, big, y, n, w); break;
        case SAL_LOSS_CC:         total += loss_cc(dbig, big, y, n, w); break;
        case SAL_LOSS_COSINE:     total += loss_cosine(dbig, big, y, n, w); break;
        case SAL_LOSS_BCE:        total += loss_bce(dbig, big, y, n, w); break;
        default:                  total += loss_distance(dbig, big, y, n, w, k); break;
        }
    }
    if (loss.peak) {                    /* big = up / up_m */
        __syncthreads();
        EACH(i, n) {
            through_max -= (double)dbig[i] * big[i] / top;
            dbig[i] = (float)(dbig[i] / top);
        }
        through_max = block_sum(through_max);
        if (threadIdx.x == 0 && top > EPS) dbig[peak.at] += (float)through_max;
    }
    if (threadIdx.x == 0) value[blockIdx.x] = total;
}

/* ============================================================================================
   >>optim  from gradients to new weights
   ========================================================================================== */

struct Step {
    int rule, nesterov;
    float rate, momentum, rho, take1, take2, eps, root, shrink;
    double scale, decay;        /* of the gradient; L2 that goes through it */
};

/* One weight, as sal_sgd_update, sal_rmsprop_update, sal_adam_update do it. m, a: its memory */
__global__ void optim_step(float *w, float *g, float *m, float *a, Step s, int n) {
    int i = index_of_thread();
    if (i >= n) return;
    float d = g[i];
    if (s.scale != 1) d = (float)(d * s.scale);
    if (s.decay > 0) d += (float)(s.decay * w[i]);
    g[i] = d;
    if (s.rule == SAL_RULE_SGD) {
        float v = m[i] = s.momentum * m[i] - s.rate * d;
        w[i] += s.nesterov ? s.momentum * v - s.rate * d : v;
    } else if (s.rule == SAL_RULE_RMSPROP) {
        float v = m[i] = s.rho * m[i] + s.take2 * d * d;
        w[i] -= s.rate * d / (sqrtf(v) + s.eps);
    } else {
        float u = m[i] = s.momentum * m[i] + s.take1 * d;
        float v = a[i] = s.rho * a[i] + s.take2 * d * d;
        w[i] -= s.rate * u / (sqrtf(v) * s.root + s.eps) + s.shrink * w[i];
    }
}

/* Sums of squares of pieces of 8192 values: one block for each; then one block adds them up. */
enum { PIECE = 8192 };
__global__ void squares_of_pieces(double *part, const float *x, size_t n) {
    size_t start = (size_t)blockIdx.x * PIECE;
    int count = n - start < (size_t)PIECE ? (int)(n - start) : (int)PIECE;
    double sum = 0;
    EACH(i, count) sum += (double)x[start + i] * x[start + i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) part[blockIdx.x] = sum;
}
__global__ void sum_up(double *total, const double *part, int n) {
    double sum = 0;
    EACH(i, n) sum += part[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *total = sum;
}

/* A block for each row of n weights: no longer than c. */
__global__ void max_norm(float *w, int n, double c) {
    double squares = 0;
    w += (size_t)blockIdx.x * n;
    EACH(i, n) squares += (double)w[i] * w[i];
    squares = block_sum(squares);
    if (squares <= c * c) return;
    EACH(i, n) w[i] = (float)(w[i] * (c / sqrt(squares)));
}

/* One block: ML-Net's penalty, see sal_prior_penalty. */
__global__ void prior_penalty(double *value, float *du, const float *u, int n, double lambda) {
    double sum = 0;
    EACH(i, n) {
        double d = 1.0 - u[i];
        sum += d * d;
        du[i] -= (float)(2 * lambda * d);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) *value = lambda * sum;
}

/* ============================================================================================
   >>host  memory, launches, errors
   ========================================================================================== */

#define TRY(call) do { sal_result r_ = (call); if (r_ != SAL_OK) return r_; } while (0)

/* The parameters of a network on the device, shared by the runs that use it. */
struct Net {
    Net *next;
    const sal_net *net;
    int users;
    unsigned char *memory;
    size_t bytes;
    size_t *at, *scale_at;      /* where parameter k and its I8 scales begin */
    bool stale, newer;          /* the host has newer values; the device has */
    unsigned version;           /* counts changes */
};

struct Backend {
    sal_backend table;          /* first: this is what saliency.h sees */
    sal_device device;
    sal_cuda info;
    int id, sms;                /* multiprocessors */
    int built_for;              /* the architecture whose code runs, 75 for 7.5: it may be older
                                   than the device, and then lacks what newer ones can */
    cudaStream_t work, copies;
    cudaEvent_t start, stop;    /* to time layers */
    Net *nets;
};

enum { BLOCKS = 16 };
const size_t NOWHERE = (size_t)-1;
struct Run {
    Backend *b;
    Net *net;
    sal_cuda options;           /* as they were when the run was opened */
    void *block[BLOCKS];        /* all device memory, and its sizes */
    size_t block_bytes[BLOCKS];
    int blocks;
    float *arena;               /* laid out as run->arena, folded norms included */
    float *input;
    struct Next {               /* inputs that were announced */
        const float *host;      /* where they come from; NULL: free */
        float *staging, *device;    /* pinned memory of the host, and where it goes */
        cudaEvent_t uploaded, consumed;
    } next[2];
    int turn;                   /* which of them is filled next */
    float *gradients, *temp, *sums, *maps;
    size_t arena_floats, input_floats, temp_floats, sums_floats, map_floats;
    float *packed;              /* weights as convolve_async wants them, */
    size_t *packed_at;          /* where those of parameter k begin; NOWHERE */
    double *numbers;            /* partial sums; results to download */
    size_t number_count;
    Tap *taps;
    int *domain;                /* of each sample, see sal_run.domain */
    int *tap_at;                /* for each layer where its tables begin: forward, backward */
    sal_optim *optim;           /* whose state is in `state` */
    float *state;
    size_t state_floats;
    cudaGraphExec_t graph;
    int forwards, no_graph;
    unsigned folded;            /* version of the weights that are packed, with folded norms */
    bool clear, gradients_stale;
};

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
sal_result fail(sal_ctx *ctx, sal_result r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, args);
    va_end(args);
    return r;
}

/* Memory is short: that can be helped. Everything else that goes wrong on a GPU also fails all that
   follows there; the CPU is not touched by it. */
sal_result check(sal_ctx *ctx, const Backend *b, cudaError_t e, const char *what) {
    if (e == cudaSuccess) return SAL_OK;
    cudaGetLastError();         /* not to be found again by the next check */
    return fail(ctx, e == cudaErrorMemoryAllocation ? SAL_ERR_MEMORY : SAL_ERR_UNSUPPORTED,
                "%s: %s failed: %s; the CPU still works (ctx->backend = NULL)", b->info.name, what,
                cudaGetErrorString(e));
}

#define GO_SHARED(d, grid, block, shared, ...) \
    (d)->b->info.launches++, LAUNCH(grid, block, shared, (d)->b->work, __VA_ARGS__)
#define GO(d, grid, block, ...) GO_SHARED(d, grid, block, 0, __VA_ARGS__)
#define FOR(d, n, ...) GO(d, blocks_of(n), 256, __VA_ARGS__)
unsigned blocks_of(size_t n) { return n ? (unsigned)((n + 255) / 256) : 1; }
unsigned over(int a, int b) { return (unsigned)((a + b - 1) / b); }

/* The end of what works on layer i: did its kernels start? */
sal_result done(sal_ctx *ctx, const sal_run *run, int i) {
    char what[96];
    cudaError_t e = cudaGetLastError();
    if (e == cudaSuccess) return SAL_OK;
    snprintf(what, sizeof what, "layer %s (%s)", run->net->layer[i].name,
             sal_op_name(run->net->layer[i].op));
    return check(ctx, ((Run *)run->device)->b, e, what);
}

sal_result device_new(sal_ctx *ctx, Run *d, size_t bytes, void *out, const char *what) {
    void *p = NULL;
    cudaError_t e;
    bytes = bytes ? (bytes + 255) / 256 * 256 : 256;
    if (d->blocks == BLOCKS) return fail(ctx, SAL_ERR_MEMORY, "too many blocks of device memory");
    e = cudaMalloc(&p, bytes);
    if (e != cudaSuccess) {
        size_t unused = 0, total = 0;
        cudaGetLastError();
        cudaMemGetInfo(&unused, &total);
        return fail(ctx, SAL_ERR_MEMORY, "%s: %.0f MB of device memory for %s are not to be had, "
                    "%.0f of %.0f MB are free: take a smaller batch or picture; the CPU still "
                    "works", d->b->info.name, bytes / 1e6, what, unused / 1e6, total / 1e6);
    }
    d->block[d->blocks] = p;
    d->block_bytes[d->blocks++] = bytes;
    d->b->info.bytes += bytes;
    memcpy(out, &p, sizeof p);
    return SAL_OK;
}

sal_result up(sal_ctx *ctx, Backend *b, void *device, const void *host, size_t bytes) {
    b->info.uploads++;
    b->info.upload_bytes += bytes;
    return check(ctx, b, cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, b->work),
                 "an upload");
}
sal_result down(sal_ctx *ctx, Backend *b, void *host, const void *device, size_t bytes) {
    b->info.downloads++;
    b->info.download_bytes += bytes;
    return check(ctx, b, cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, b->work),
                 "a download");
}
sal_result wait(sal_ctx *ctx, Backend *b) {
    return check(ctx, b, cudaStreamSynchronize(b->work), "the work before");
}

/* --- where things lie on the device --- */

size_t count_of(sal_shape s) { return (size_t)s.c * s.h * s.w; }
Run *of(const sal_run *run) { return (Run *)run->device; }
float *value_at(const sal_run *run, int v) {
    while (run->value[v].root != v) v = run->value[v].root;
    return v ? of(run)->arena + run->value[v].offset : of(run)->input;
}
float *mirror(const sal_run *run, const void *host) {       /* of an address in run->arena */
    return host ? of(run)->arena + ((const float *)host - run->arena) : NULL;
}
const float *in_at(const sal_run *run, int i, int k) {
    return value_at(run, run->net->layer[i].input[k]);
}
float *out_at(const sal_run *run, int i) { return value_at(run, run->step[i].output); }
float *din_at(const sal_run *run, int i, int k) {
    return mirror(run, run->value[run->net->layer[i].input[k]].grad);
}
float *dout_at(const sal_run *run, int i) {
    return mirror(run, run->value[run->step[i].output].grad);
}
void *aux_at(const sal_run *run, int i) { return mirror(run, run->value[i].aux); }
sal_shape in_shape(const sal_run *run, int i, int k) {
    return run->value[run->net->layer[i].input[k]].shape;
}
int in_count(const sal_run *run, int i) { return (int)(run->n * count_of(in_shape(run, i, 0))); }
int out_count(const sal_run *run, int i) { return (int)(run->n * count_of(run->value[i].shape)); }
const sal_tensor *tensor_of(const sal_run *run, int i, int k) {
    return &run->net->param[run->net->layer[i].param + k].value;
}
float *param_at(const sal_run *run, int i, int k) {
    const Net *net = of(run)->net;
    return k < run->net->layer[i].params
         ? (float *)(net->memory + net->at[run->net->layer[i].param + k]) : NULL;
}
float *dparam_at(const sal_run *run, int i, int k) {
    const float *g = k < run->net->layer[i].params ? run->gradient[run->net->layer[i].param + k]
                                                   : NULL;
    return g ? of(run)->gradients + (g - run->gradients) : NULL;
}

/* --- products: which kernel, in how many pieces --- */

struct Plan { int kernel, half, tm, tn, pieces, length; };
enum { ROW_KERNEL = -1, ASYNC_KERNEL = 100 };       /* beside sal_cuda_kernel */

/* channels: those that a convolution sums over, for the fifth rung; else 0. */
int goes_async(const Run *d, int M, int channels) {
    const sal_cuda *o = &d->options;
    return channels > 0 && channels % 16 == 0 && M > 4 && d->b->built_for >= 80 &&
           o->precision != SAL_CUDA_PRECISION_F32 && o->kernel == SAL_CUDA_KERNEL_BEST;
}

/* Which kernel, and into how many pieces the sum is cut so that all multiprocessors have work. */
Plan plan_of(const Run *d, int predicts, int M, int N, int K, int channels, int together = 1) {
    const sal_cuda *o = &d->options;
    Plan p;
    int tensor = d->b->built_for >= 80 || (o->precision == SAL_CUDA_PRECISION_HALF && predicts),
        blocks, most;
    int sms = d->b->sms, k;
    double least = 0;
    p.kernel = o->kernel != SAL_CUDA_KERNEL_BEST ? (int)o->kernel
             : M <= 4 ? (int)ROW_KERNEL
             : o->precision == SAL_CUDA_PRECISION_F32 ? (int)SAL_CUDA_KERNEL_REGISTERS
                                                      : (int)SAL_CUDA_KERNEL_TENSOR;
    if (p.kernel == SAL_CUDA_KERNEL_TENSOR && !tensor) p.kernel = SAL_CUDA_KERNEL_REGISTERS;
    /* gradients can be too small or large for halves: training takes TF32 instead */
    p.half = o->precision == SAL_CUDA_PRECISION_HALF && predicts;
    p.tm = p.tn = 128;
    if (M <= 64 || N <= 64 || (int)(over(M, 128) * over(N, 128)) < 2 * sms) p.tm = p.tn = 64;
    if (goes_async(d, M, channels)) {
        /* blocks come in waves of as many as fit; small tiles waste less of the last wave and of
           the edges, but read shared memory more often */
        static const struct { int tm, tn, fit; double cost; } tiles[3] =
            { { 128, 128, 2, 1 }, { 64, 128, 3, 1.1 }, { 64, 64, 5, 1.3 } };
        p.kernel = ASYNC_KERNEL;
        for (k = 0; k < 3; k++) {
            double waves = ceil((double)over(M, tiles[k].tm) * over(N, tiles[k].tn) * together /
                                ((double)sms * tiles[k].fit));
            double cost = waves * tiles[k].fit * tiles[k].tm * tiles[k].tn * tiles[k].cost;
            if (k && cost >= least) continue;
            least = cost;
            p.tm = tiles[k].tm; p.tn = tiles[k].tn;
        }
    }
    p.pieces = 1;
    p.length = K;
    if (p.kernel < SAL_CUDA_KERNEL_REGISTERS || together > 1) return p;
    blocks = (int)(over(M, p.tm) * over(N, p.tn));
    most = (1 << 25) / M / N;           /* at most 128 MB of partial sums */
    p.pieces = 2 * sms / blocks;
    if (p.pieces > K / 512) p.pieces = K / 512;
    if (p.pieces > most) p.pieces = most;
    if (p.pieces > 1) {
        p.length = ((K + p.pieces - 1) / p.pieces + 31) / 32 * 32;
        p.pieces = (int)over(K, p.length);
    } else p.pieces = 1;
    return p;
}

/* Of the gradients of weights. The sums are long: they are cut until blocks fill the device. */
Plan plan_of_weights(const Run *d, const sal_conv *s) {
    int taps = s->kh * s->kw, N = s->ic * taps, K = s->n * s->oh * s->ow, blocks, most;
    Plan p = plan_of(d, 0, s->oc, N, K, 0);
    if (!goes_async(d, s->oc, s->ic)) return p;
    p.kernel = ASYNC_KERNEL;
    p.tm = p.tn = s->oc > 64 && s->ic > 64 ? 128 : 64;
    blocks = (int)(over(s->oc, p.tm) * over(s->ic, p.tn)) * taps;
    most = (1 << 25) / s->oc / N;
    p.pieces = (p.tm == 128 ? 2 : 5) * d->b->sms / blocks;
    if (p.pieces > K / 512) p.pieces = K / 512;
    if (p.pieces > most) p.pieces = most;
    if (p.pieces < 1) p.pieces = 1;
    p.length = (int)over((int)over(K, p.pieces), 32) * 32;
    p.pieces = (int)over(K, p.length);
    return p;
}

/* The grid and the pieces of a plan. Without memory for partial sums there is one piece. */
dim3 grid_of(const Run *d, const Plan *plan, int M, int N, int K, int adds, Split *s) {
    s->count = plan->pieces; s->length = plan->length;
    s->sums = d->options.atomics && adds ? NULL : d->sums;      /* what atomics can do */
    if (s->sums && (size_t)s->count * M * N > d->sums_floats) { s->count = 1; s->length = K; }
    return dim3(over(N, plan->tn), over(M, plan->tm), (unsigned)s->count);
}

template <class P> void product(const sal_run *run, const P &p) {
    Run *d = of(run);
    Plan plan = plan_of(d, !run->training, p.M, p.N, p.K, 0);
    Split s;
    dim3 grid = grid_of(d, &plan, p.M, p.N, p.K, p.to.adds, &s), block(16, 16);
    dim3 few(over(p.N, 16), over(p.M, 16), 1);
    int large = plan.tm == 128;
    switch (plan.kernel) {
    case ROW_KERNEL:
        GO(d, dim3(over(p.N, 32), p.M), dim3(32, 8), product_row<P>)(p);
        return;
    case SAL_CUDA_KERNEL_NAIVE: GO(d, few, block, product_naive<P>)(p, s); return;
    case SAL_CUDA_KERNEL_TILED: GO(d, few, block, product_tiled<P>)(p, s); return;
    case SAL_CUDA_KERNEL_REGISTERS:
        if (large) GO(d, grid, 256, product_registers<P, 128>)(p, s);
        else GO(d, grid, 256, product_registers<P, 64>)(p, s);
        break;
    default:
        if (plan.half && large) GO(d, grid, 256, product_tensor<P, Half, 128>)(p, s);
        else if (plan.half) GO(d, grid, 256, product_tensor<P, Half, 64>)(p, s);
        else if (large) GO(d, grid, 256, product_tensor<P, Tf32, 128>)(p, s);
        else GO(d, grid, 256, product_tensor<P, Tf32, 64>)(p, s);
    }
    if (s.count > 1 && s.sums)
        FOR(d, (size_t)p.M * p.N, add_pieces)(p.to, s.sums, p.M, p.N, s.count);
}

/* More than 48 KB of shared memory have to be asked for, once for each kernel. */
template <class T, int TM, int TN> cudaError_t allow_async(cudaError_t before) {
    return before != cudaSuccess ? before
         : cudaFuncSetAttribute(convolve_async<T, TM, TN>,
                                cudaFuncAttributeMaxDynamicSharedMemorySize,
                                (int)Tiles<T, TM, TN>::BYTES);
}
cudaError_t allow_all_async() {
    cudaError_t e = allow_async<AsyncTf32, 128, 128>(cudaSuccess);
    e = allow_async<AsyncTf32, 64, 128>(e);
    e = allow_async<AsyncTf32, 64, 64>(e);
    e = allow_async<AsyncHalf, 128, 128>(e);
    e = allow_async<AsyncHalf, 64, 128>(e);
    e = allow_async<AsyncHalf, 64, 64>(e);
    return e != cudaSuccess ? e
         : cudaFuncSetAttribute(weights_async<128>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                (int)WeightTiles<128>::BYTES);
}

template <class T>
void launch_async(Run *d, const Plan &plan, dim3 grid, const Packed &p, Split s) {
    if (plan.tm == 128)
        GO_SHARED(d, grid, 128, (Tiles<T, 128, 128>::BYTES), convolve_async<T, 128, 128>)(p, s);
    else if (plan.tn == 128)
        GO_SHARED(d, grid, 128, (Tiles<T, 64, 128>::BYTES), convolve_async<T, 64, 128>)(p, s);
    else GO_SHARED(d, grid, 128, (Tiles<T, 64, 64>::BYTES), convolve_async<T, 64, 64>)(p, s);
}

/* Words of packed weights for M results, each a sum of K terms. */
size_t packed_words(int M, int K) { return (size_t)over(M, 16) * 16 * K; }
bool aligned(const void *p) { return (uintptr_t)p % 16 == 0; }

/* weight: packed, of `channels` * taps terms; conv.to is not used */
void product_async(const sal_run *run, const Conv &conv, int channels, int count,
                   const float *const *weight, const Out *to) {
    Run *d = of(run);
    Plan plan = plan_of(d, !run->training, conv.M, conv.N, conv.K, channels, count);
    Packed p;
    Split s;
    dim3 grid = grid_of(d, &plan, conv.M, conv.N, conv.K, to->adds, &s);
    int k;
    if (count > 1) grid.z = (unsigned)count;
    p.conv = conv; p.tiles = (int)over(conv.M, 16); p.taps = conv.K / channels;
    p.pointwise = p.taps == 1 && conv.from.div == 1 && conv.mul == 1 && !conv.top && !conv.left &&
                  conv.plane.d % 4 == 0 && aligned(conv.from.in) &&
                  (int)conv.plane.d == conv.from.ih * conv.from.iw;
    p.wide = s.count == 1 || s.sums;
    for (k = 0; k < TOGETHER; k++) {
        p.weight[k] = weight[k < count ? k : 0];
        p.to[k] = to[k < count ? k : 0];
        p.wide &= p.to[k].columns.d % 4 == 0 && aligned(p.to[k].out) && aligned(p.to[k].add);
    }
    if (plan.half) launch_async<AsyncHalf>(d, plan, grid, p, s);
    else launch_async<AsyncTf32>(d, plan, grid, p, s);
    if (s.count > 1 && s.sums)
        FOR(d, (size_t)conv.M * conv.N, add_pieces)(*to, s.sums, conv.M, conv.N, s.count);
}

/* of weights (oc, ic, taps); turned: for the backward convolution */
void pack(const sal_run *run, float *out, const float *weight, int oc, int ic, int taps,
          int turned) {
    Run *d = of(run);
    int M = turned ? ic : oc, K = (turned ? oc : ic) * taps, half = d->options.precision ==
        SAL_CUDA_PRECISION_HALF && !run->training, n = (int)packed_words(M, K) / (half ? 2 : 1);
    FOR(d, (size_t)n, pack_weights)((unsigned *)out, weight, half, M, (int)over(M, 16), taps,
                                    turned ? taps : ic * taps, turned ? ic * taps : taps, n);
}

Out matrix(float *out, int row, int adds) {     /* (m, n) at m * row + n */
    Out to;
    memset((void *)&to, 0, sizeof to);
    to.out = out; to.row = (size_t)row; to.columns = FastDiv(row); to.adds = adds;
    return to;
}

/* --- convolutions as products --- */

/* `count` of one input and one shape: with parameter k[i] of the network into to[i] */
void conv_forward(const sal_run *run, const sal_conv *s, const float *in, const Tap *tap, int count,
                  const int *k, const Out *to) {
    const float *packed[TOGETHER];
    Run *d = of(run);
    Conv p;
    int positions = s->oh * s->ow, i;
    Out out[TOGETHER];
    p.M = s->oc; p.N = s->n * positions; p.K = s->ic * s->kh * s->kw;
    p.tap = tap;
    p.from.in = in; p.from.ih = s->ih; p.from.iw = s->iw; p.from.div = 1;
    p.in_sample = s->ic * s->ih * s->iw;
    p.mul = s->stride; p.top = -s->top; p.left = -s->left;
    p.plane = FastDiv(positions); p.width = FastDiv(s->ow);
    for (i = 0; i < count; i++) {
        out[i] = to[i];
        out[i].row = (size_t)positions; out[i].sample = (size_t)s->oc * positions;
        out[i].columns = p.plane;
        p.weight = (const float *)(d->net->memory + d->net->at[k[i]]);
        p.to = out[i];
        if (d->packed_at[k[i]] == NOWHERE) product(run, p);
        else packed[i] = d->packed + d->packed_at[k[i]];
    }
    if (d->packed_at[*k] != NOWHERE) product_async(run, p, s->ic, count, packed, out);
}

/* din += ..., by way of the turned weights in `turned` */
void conv_data(const sal_run *run, const sal_conv *s, float *din, const float *dout,
               const float *weight, const Tap *tap, float *turned) {
    Run *d = of(run);
    Conv p;
    int taps = s->kh * s->kw, plane = s->ih * s->iw, async = goes_async(d, s->ic, s->oc);
    if (async) pack(run, turned, weight, s->oc, s->ic, taps, 1);
    else FOR(d, (size_t)s->oc * s->ic * taps, turn_weights)(turned, weight, s->oc, s->ic, taps);
    weight = turned;
    p.M = s->ic; p.N = s->n * plane; p.K = s->oc * taps;
    p.weight = weight; p.tap = tap;
    p.from.in = dout; p.from.ih = s->oh; p.from.iw = s->ow; p.from.div = s->stride;
    p.in_sample = s->oc * s->oh * s->ow;
    p.mul = 1; p.top = s->top; p.left = s->left;
    p.plane = FastDiv(plane); p.width = FastDiv(s->iw);
    p.to = matrix(din, plane, 1);
    p.to.sample = (size_t)s->ic * plane;
    if (async) product_async(run, p, s->oc, 1, &weight, &p.to);
    else product(run, p);
}

/* dweight += ... */
void conv_weight(const sal_run *run, const sal_conv *s, float *dweight, const float *dout,
                 const float *in, const Tap *tap) {
    Run *d = of(run);
    ConvWeight p;
    int positions = s->oh * s->ow;
    p.M = s->oc; p.N = s->ic * s->kh * s->kw; p.K = s->n * positions;
    p.dout = dout; p.tap = tap;
    p.from.in = in; p.from.ih = s->ih; p.from.iw = s->iw; p.from.div = 1;
    p.in_sample = s->ic * s->ih * s->iw; p.out_sample = s->oc * positions;
    p.mul = s->stride; p.top = -s->top; p.left = -s->left;
    p.plane = FastDiv(positions); p.width = FastDiv(s->ow);
    p.to = matrix(dweight, p.N, 1);
    Plan plan = plan_of_weights(d, s);
    if (plan.kernel != ASYNC_KERNEL) { product(run, p); return; }
    Split cut;
    dim3 grid = grid_of(d, &plan, p.M, p.N, p.K, 1, &cut);
    grid.x = over(s->ic, plan.tn) * (unsigned)(s->kh * s->kw);
    if (plan.tm == 128)
        GO_SHARED(d, grid, 128, WeightTiles<128>::BYTES, weights_async<128>)
            (p, cut, s->ic, s->kh * s->kw);
    else GO_SHARED(d, grid, 128, WeightTiles<64>::BYTES, weights_async<64>)
            (p, cut, s->ic, s->kh * s->kw);
    if (cut.count > 1 && cut.sums)
        FOR(d, (size_t)p.M * p.N, add_pieces)(p.to, cut.sums, p.M, p.N, cut.count);
}

/* The convolution of layer i; of the ConvLSTM, those that keep the channels. */
sal_conv conv_of(const sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    sal_shape in = in_shape(run, i, 0);
    bool lstm = l->op == SAL_OP_CONVLSTM, keeps = lstm || l->op == SAL_OP_DEPTHWISE;
    sal_conv s;
    s.n = run->n; s.ic = in.c; s.ih = in.h; s.iw = in.w;
    s.oc = keeps ? in.c : l->shape.c; s.kh = s.kw = lstm ? 3 : l->kernel;
    s.stride = lstm ? 1 : l->stride; s.dilation = lstm ? 1 : l->dilation;
    s.top = s.left = s.bottom = s.right = lstm ? 1 : l->pad;
    if (!lstm && l->padding == SAL_PADDING_SAME) {      /* the larger half behind */
        int reach = (s.kh - 1) * s.dilation + 1;
        int h = (in.h - 1) / s.stride * s.stride + reach - in.h;
        int w = (in.w - 1) / s.stride * s.stride + reach - in.w;
        if (h < 0) h = 0;
        if (w < 0) w = 0;
        s.top = h / 2;  s.bottom = h - h / 2;
        s.left = w / 2; s.right = w - w / 2;
    }
    s.oh = s.ow = 0;
    sal_conv_fit(&s);
    return s;
}

/* Tables of taps, see Tap. Both return how many there are and write them if `t`. */
int forward_taps(Tap *t, const sal_conv *s) {
    int c, i, j;
    for (c = 0; t && c < s->ic; c++)
        for (i = 0; i < s->kh; i++)
            for (j = 0; j < s->kw; j++, t++) {
                t->dy = (short)(i * s->dilation); t->dx = (short)(j * s->dilation);
                t->offset = (c * s->ih + t->dy) * s->iw + t->dx;
            }
    return s->ic * s->kh * s->kw;
}
int data_taps(Tap *t, const sal_conv *s) {
    int o, i, j;
    for (o = 0; t && o < s->oc; o++)
        for (i = 0; i < s->kh; i++)
            for (j = 0; j < s->kw; j++, t++) {
                t->dy = (short)(-i * s->dilation); t->dx = (short)(-j * s->dilation);
                t->offset = o * s->oh * s->ow;
                if (s->stride == 1) t->offset += t->dy * s->ow + t->dx;
            }
    return s->oc * s->kh * s->kw;
}
const Tap *taps_of(const sal_run *run, int i, int data) {
    return of(run)->taps + of(run)->tap_at[2 * i + data];
}

/* ============================================================================================
   >>run  forward, backward, the table
   ========================================================================================== */

/* --- the layers: on(run, i) forward and back(run, i) backward for each operator --- */

typedef sal_result layer_fn(sal_ctx *ctx, sal_run *run, int i);

Out epilogue(const sal_run *run, int i) {
    const sal_step *step = &run->step[i];
    Out to = matrix(out_at(run, i), 1, 0);
    to.bias = param_at(run, i, 1);
    if (step->norm >= 0) {
        to.scale = mirror(run, step->fold);
        to.bias = to.scale + run->value[i].shape.c;
    }
    if (step->add >= 0) to.add = value_at(run, step->add);
    to.act = (int)step->act;
    return to;
}

sal_result on_input(sal_ctx *, sal_run *, int) { return SAL_OK; }
sal_result back_input(sal_ctx *, sal_run *, int) { return SAL_OK; }

sal_result on_conv2d(sal_ctx *ctx, sal_run *run, int i) {
    sal_conv s = conv_of(run, i);
    Out to = epilogue(run, i);
    conv_forward(run, &s, in_at(run, i, 0), taps_of(run, i, 0), 1, &run->net->layer[i].param, &to);
    return done(ctx, run, i);
}
sal_result back_conv2d(sal_ctx *ctx, sal_run *run, int i) {
    sal_conv s = conv_of(run, i);
    const float *dout = dout_at(run, i);
    float *din = din_at(run, i, 0), *dw = dparam_at(run, i, 0), *db = dparam_at(run, i, 1);
    if (din) conv_data(run, &s, din, dout, param_at(run, i, 0), taps_of(run, i, 1), of(run)->temp);
    if (dw) conv_weight(run, &s, dw, dout, in_at(run, i, 0), taps_of(run, i, 0));
    if (db) GO(of(run), s.oc, 256, bias_backward)(db, dout, s.n, s.oc, s.oh * s.ow);
    return done(ctx, run, i);
}

sal_result on_depthwise(sal_ctx *ctx, sal_run *run, int i) {
    sal_conv s = conv_of(run, i);
    int positions = s.oh * s.ow, n = out_count(run, i);
    Out to = epilogue(run, i);
    to.row = (size_t)positions; to.sample = (size_t)s.oc * positions;
    to.columns = FastDiv(positions);
    FOR(of(run), n, depthwise_forward)(to, in_at(run, i, 0), param_at(run, i, 0), s, n);
    return done(ctx, run, i);
}
sal_result back_depthwise(sal_ctx *ctx, sal_run *run, int i) {
    sal_conv s = conv_of(run, i);
    const float *dout = dout_at(run, i);
    float *din = din_at(run, i, 0), *dw = dparam_at(run, i, 0), *db = dparam_at(run, i, 1);
    int n = in_count(run, i);
    if (din) FOR(of(run), n, depthwise_data)(din, dout, param_at(run, i, 0), s, n);
    if (dw) GO(of(run), s.ic * s.kh * s.kw, 256, depthwise_weight)(dw, dout, in_at(run, i, 0), s);
    if (db) GO(of(run), s.oc, 256, bias_backward)(db, dout, s.n, s.oc, s.oh * s.ow);
    return done(ctx, run, i);
}

const float *scales_of(const sal_run *run, int i) {
    const Net *net = of(run)->net;
    int k = run->net->layer[i].param;
    return run->net->param[k].value.dtype == SAL_DTYPE_I8
         ? (const float *)(net->memory + net->scale_at[k]) : NULL;
}

enum { DENSE_FEW = 16 };        /* samples from which on a product is faster */
sal_result on_dense(sal_ctx *ctx, sal_run *run, int i) {
    const sal_tensor *t = tensor_of(run, i, 0);
    Run *d = of(run);
    Out to = epilogue(run, i);
    int nout = t->dim[0], nin = t->dim[1];
    to.row = (size_t)nout; to.columns = FastDiv(nout); to.along_n = 1;
    if (run->n <= DENSE_FEW && d->options.kernel == SAL_CUDA_KERNEL_BEST) {
        GO(d, dim3(over(nout, 8), over(run->n, 8)), dim3(32, 8), dense_rows)
            (to, in_at(run, i, 0), param_at(run, i, 0), (int)t->dtype, scales_of(run, i), run->n,
             nin, nout);
    } else {
        Product<false> p;
        p.M = run->n; p.N = nout; p.K = nin;
        p.A = in_at(run, i, 0); p.am = nin; p.ak = 1;
        p.B = param_at(run, i, 0); p.bk = 1; p.bn = nin;
        p.b_type = (int)t->dtype; p.b_scale = scales_of(run, i); p.b_row = nin;
        p.to = to;
        product(run, p);
    }
    return done(ctx, run, i);
}
sal_result back_dense(sal_ctx *ctx, sal_run *run, int i) {
    const sal_tensor *t = tensor_of(run, i, 0);
    const float *dout = dout_at(run, i);
    float *din = din_at(run, i, 0), *dw = dparam_at(run, i, 0), *db = dparam_at(run, i, 1);
    int nout = t->dim[0], nin = t->dim[1], n = run->n;
    Product<true> p;
    p.N = nin; p.bn = 1; p.bk = nin; p.b_row = nin;
    if (din) {          /* dout (n, nout) * weight (nout, nin) */
        p.M = n; p.K = nout;
        p.A = dout; p.am = nout; p.ak = 1;
        p.B = param_at(run, i, 0); p.b_type = (int)t->dtype; p.b_scale = scales_of(run, i);
        p.to = matrix(din, nin, 1);
        product(run, p);
    }
    if (dw) {           /* dout^T (nout, n) * in (n, nin) */
        p.M = nout; p.K = n;
        p.A = dout; p.am = 1; p.ak = nout;
        p.B = in_at(run, i, 0); p.b_type = SAL_DTYPE_F32; p.b_scale = NULL;
        p.to = matrix(dw, nin, 1);
        product(run, p);
    }
    if (db) GO(of(run), nout, 256, bias_backward)(db, dout, n, nout, 1);
    return done(ctx, run, i);
}

sal_result on_maxout(sal_ctx *ctx, sal_run *run, int i) {
    int n = out_count(run, i);
    FOR(of(run), n, maxout_forward)(out_at(run, i), (int *)aux_at(run, i), in_at(run, i, 0),
                                    run->net->layer[i].kernel, n);
    return done(ctx, run, i);
}
sal_result back_maxout(sal_ctx *ctx, sal_run *run, int i) {
    int n = out_count(run, i);
    FOR(of(run), n, maxout_backward)(din_at(run, i, 0), dout_at(run, i),
                                     (const int *)aux_at(run, i), run->net->layer[i].kernel, n);
    return done(ctx, run, i);
}

sal_pool pool_of(const sal_run *run, int i) {
    const sal_layer *l = &run->net->layer[i];
    sal_shape in = in_shape(run, i, 0);
    sal_pool s;
    s.n = run->n * in.c; s.ih = in.h; s.iw = in.w; s.k = l->kernel; s.stride = l->stride;
    sal_pool_fit(&s, l->padding);
    return s;
}
sal_result on_maxpool(sal_ctx *ctx, sal_run *run, int i) {
    int n = out_count(run, i);
    FOR(of(run), n, maxpool_forward)(out_at(run, i), (int *)aux_at(run, i), in_at(run, i, 0),
                                     pool_of(run, i), n);
    return done(ctx, run, i);
}
sal_result back_maxpool(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i);
    FOR(of(run), n, maxpool_backward)(din_at(run, i, 0), dout_at(run, i),
                                      (const int *)aux_at(run, i), pool_of(run, i), n);
    return done(ctx, run, i);
}

sal_result on_relu(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i);
    FOR(of(run), n, act_forward)(out_at(run, i), in_at(run, i, 0), RELU, n);
    return done(ctx, run, i);
}
sal_result back_relu(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i);
    FOR(of(run), n, act_backward)(din_at(run, i, 0), dout_at(run, i), out_at(run, i), RELU, 1, n);
    return done(ctx, run, i);
}

sal_result on_relu6(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i);
    FOR(of(run), n, act_forward)(out_at(run, i), in_at(run, i, 0), RELU6, n);
    return done(ctx, run, i);
}
sal_result back_relu6(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i);
    FOR(of(run), n, act_backward)(din_at(run, i, 0), dout_at(run, i), out_at(run, i), RELU6, 1, n);
    return done(ctx, run, i);
}

sal_result on_softmax(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = run->value[i].shape;
    GO(of(run), run->n * s.c, 256, softmax_forward)(out_at(run, i), in_at(run, i, 0), s.h * s.w);
    return done(ctx, run, i);
}
sal_result back_softmax(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = run->value[i].shape;
    GO(of(run), run->n * s.c, 256, softmax_backward)(din_at(run, i, 0), dout_at(run, i),
                                                     out_at(run, i), s.h * s.w, 1);
    return done(ctx, run, i);
}

/* 1: normalised by the batch, 0: by the running statistics */
int norm_learns(const sal_run *run, int i) {
    return run->training && !run->fixed_norm && (dparam_at(run, i, 0) || dparam_at(run, i, 1));
}
sal_result on_batchnorm(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = in_shape(run, i, 0);
    Run *d = of(run);
    float eps = run->net->layer[i].eps, *aux = (float *)aux_at(run, i), *fold = d->temp;
    const float *weight = param_at(run, i, 0), *beta = param_at(run, i, 1);
    float *mean = param_at(run, i, 2), *var = param_at(run, i, 3);
    int n = in_count(run, i);
    if (norm_learns(run, i)) {
        GO(d, s.c, 256, norm_statistics)(aux, fold, mean, var, in_at(run, i, 0), weight, beta, eps,
                                         .1f, run->n, s.c, s.h * s.w);
        d->net->newer = true;
        d->net->version++;
    } else {
        FOR(d, s.c, norm_fold)(fold, weight, beta, mean, var, NULL, eps, s.c);
        if (aux) FOR(d, s.c, norm_keep)(aux, mean, var, eps, s.c);
    }
    FOR(d, n, norm_forward)(out_at(run, i), in_at(run, i, 0), fold, s.c, s.h * s.w, n);
    return done(ctx, run, i);
}
sal_result back_batchnorm(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = in_shape(run, i, 0);
    GO(of(run), s.c, 256, norm_backward)
        (din_at(run, i, 0), dparam_at(run, i, 0), dparam_at(run, i, 1), dout_at(run, i),
         in_at(run, i, 0), param_at(run, i, 0), (const float *)aux_at(run, i), !norm_learns(run, i),
         run->n, s.c, s.h * s.w);
    return done(ctx, run, i);
}

sal_result on_dropout(sal_ctx *ctx, sal_run *run, int i) {
    Run *d = of(run);
    void *mask = aux_at(run, i);
    int n = in_count(run, i);
    sal_rng rng;
    rng.state = run->seed + ((uint64_t)i << 32);        /* as sal__forward_dropout */
    rng.state = sal_rng_next(&rng);
    FOR(d, n, dropout_forward)(out_at(run, i), (unsigned char *)(mask ? mask : d->temp),
                               in_at(run, i, 0), rng.state, run->net->layer[i].rate, n);
    return done(ctx, run, i);
}
sal_result back_dropout(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i);
    FOR(of(run), n, dropout_backward)(din_at(run, i, 0), dout_at(run, i),
                                      (const unsigned char *)aux_at(run, i),
                                      run->net->layer[i].rate, n);
    return done(ctx, run, i);
}

sal_result on_concat(sal_ctx *ctx, sal_run *run, int i) {
    int whole = (int)count_of(run->value[i].shape), at = 0, k;
    for (k = 0; k < run->net->layer[i].inputs; k++) {
        int size = (int)count_of(in_shape(run, i, k));
        FOR(of(run), (size_t)run->n * size, copy_rows)(out_at(run, i) + at, in_at(run, i, k), size,
                                                       whole, size, 0, run->n * size);
        at += size;
    }
    return done(ctx, run, i);
}
sal_result back_concat(sal_ctx *ctx, sal_run *run, int i) {
    int whole = (int)count_of(run->value[i].shape), at = 0, k;
    for (k = 0; k < run->net->layer[i].inputs; k++) {
        int size = (int)count_of(in_shape(run, i, k));
        float *din = din_at(run, i, k);
        if (din) FOR(of(run), (size_t)run->n * size, copy_rows)(din, dout_at(run, i) + at, size,
                                                                size, whole, 1, run->n * size);
        at += size;
    }
    return done(ctx, run, i);
}

sal_result on_add(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i);
    FOR(of(run), n, add_forward)(out_at(run, i), in_at(run, i, 0), in_at(run, i, 1), n);
    return done(ctx, run, i);
}
sal_result back_add(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i), k;
    for (k = 0; k < 2; k++)
        if (din_at(run, i, k))
            FOR(of(run), n, copy_rows)(din_at(run, i, k), dout_at(run, i), n, n, n, 1, n);
    return done(ctx, run, i);
}

sal_result on_mirror(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i), w = in_shape(run, i, 0).w;
    FOR(of(run), n, mirror)(out_at(run, i), in_at(run, i, 0), w, 0, n);
    return done(ctx, run, i);
}
sal_result back_mirror(sal_ctx *ctx, sal_run *run, int i) {
    int n = in_count(run, i), w = in_shape(run, i, 0).w;
    float *din = din_at(run, i, 0);
    if (din) FOR(of(run), n, mirror)(din, dout_at(run, i), w, 1, n);
    return done(ctx, run, i);
}

sal_result on_upsample(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = in_shape(run, i, 0), o = run->value[i].shape;
    int n = out_count(run, i);
    FOR(of(run), n, upsample_forward)(out_at(run, i), in_at(run, i, 0), s.h, s.w, o.h, o.w, n);
    return done(ctx, run, i);
}
sal_result back_upsample(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = in_shape(run, i, 0), o = run->value[i].shape;
    float *din = din_at(run, i, 0);
    int n = in_count(run, i);
    if (din) FOR(of(run), n, upsample_backward)(din, dout_at(run, i), s.h, s.w, o.h, o.w, n);
    return done(ctx, run, i);
}

sal_result on_logprior(sal_ctx *ctx, sal_run *run, int i) {
    const sal_tensor *prior = tensor_of(run, i, 0);
    sal_shape s = in_shape(run, i, 0);
    int n = in_count(run, i);
    FOR(of(run), n, logprior_forward)(out_at(run, i), in_at(run, i, 0), param_at(run, i, 0),
                                      of(run)->domain, s.h, s.w, prior->dim[2], prior->dim[3], n);
    return done(ctx, run, i);
}
/* Samples one after the other: several may have the same domain. */
sal_result back_logprior(sal_ctx *ctx, sal_run *run, int i) {
    const sal_tensor *prior = tensor_of(run, i, 0);
    sal_shape s = in_shape(run, i, 0);
    int n = in_count(run, i), ph = prior->dim[2], pw = prior->dim[3], k;
    float *din = din_at(run, i, 0), *dprior = dparam_at(run, i, 0);
    const float *dout = dout_at(run, i);
    if (din) FOR(of(run), n, copy_rows)(din, dout, n, n, n, 1, n);
    for (k = 0; dprior && k < run->n; k++)
        FOR(of(run), ph * pw, upsample_backward)
            (dprior + (size_t)(run->domain ? run->domain[k] : 0) * ph * pw,
             dout + (size_t)k * s.h * s.w, ph, pw, s.h, s.w, ph * pw);
    return done(ctx, run, i);
}

sal_result on_prior(sal_ctx *ctx, sal_run *run, int i) {
    const sal_tensor *prior = tensor_of(run, i, 0);
    sal_shape s = in_shape(run, i, 0);
    Run *d = of(run);
    float *mask = (float *)aux_at(run, i);
    int hw = s.h * s.w, n = in_count(run, i);
    if (!mask) mask = d->temp;
    FOR(d, hw, upsample_forward)(mask, param_at(run, i, 0), prior->dim[2], prior->dim[3], s.h, s.w,
                                 hw);
    FOR(d, n, times_mask)(out_at(run, i), in_at(run, i, 0), mask, hw, 0, n);
    return done(ctx, run, i);
}
sal_result back_prior(sal_ctx *ctx, sal_run *run, int i) {
    const sal_tensor *prior = tensor_of(run, i, 0);
    sal_shape s = in_shape(run, i, 0);
    Run *d = of(run);
    const float *mask = (const float *)aux_at(run, i), *dout = dout_at(run, i);
    float *din = din_at(run, i, 0), *dprior = dparam_at(run, i, 0);
    int hw = s.h * s.w, n = in_count(run, i);
    if (din) FOR(d, n, times_mask)(din, dout, mask, hw, 1, n);
    if (dprior) {
        int ph = prior->dim[2], pw = prior->dim[3];
        FOR(d, hw, prior_mask_backward)(d->temp, dout, in_at(run, i, 0), n / hw, hw);
        FOR(d, ph * pw, upsample_backward)(dprior, d->temp, ph, pw, s.h, s.w, ph * pw);
    }
    return done(ctx, run, i);
}

sal_result on_gaussians(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = run->value[i].shape;
    GO(of(run), s.c, 256, gaussians_forward)(out_at(run, i), param_at(run, i, 0), run->n, s.c, s.h,
                                             s.w);
    return done(ctx, run, i);
}
sal_result back_gaussians(sal_ctx *ctx, sal_run *run, int i) {
    sal_shape s = run->value[i].shape;
    if (dparam_at(run, i, 0))
        GO(of(run), s.c, 256, gaussians_backward)
            (dparam_at(run, i, 0), dout_at(run, i), out_at(run, i), param_at(run, i, 0), run->n,
             s.c, s.h, s.w);
    return done(ctx, run, i);
}

/* --- the ConvLSTM; equations and names stand at >>convlstm in saliency.h --- */

/* The values of one step: X~, E, I, F, O, G, C, H of `size` each, then A. */
enum { L_X, L_E, L_I, L_F, L_O, L_G, L_C, L_H, L_A };
const int gates[4][3] = { { L_I, SAL_LSTM_WI, SAL_LSTM_UI }, { L_F, SAL_LSTM_WF, SAL_LSTM_UF },
                          { L_O, SAL_LSTM_WO, SAL_LSTM_UO }, { L_G, SAL_LSTM_WC, SAL_LSTM_UC } };
size_t lstm_step(const sal_conv *s) {
    return (size_t)s->n * ((size_t)s->ic * 8 + 1) * s->ih * s->iw;
}

Out gate_out(float *out, const float *bias, const float *bias2, const float *add, int act) {
    Out to = matrix(out, 1, 0);
    to.bias = bias; to.bias2 = bias2; to.add = add; to.act = act;
    return to;
}

sal_result on_convlstm(sal_ctx *ctx, sal_run *run, int i) {
    Run *d = of(run);
    sal_conv s = conv_of(run, i), one = s;
    const Tap *tap = taps_of(run, i, 0);
    const float *in = in_at(run, i, 0);
    int hw = s.ih * s.iw, size = s.n * s.ic * hw, w0 = run->net->layer[i].param, t, k;
    size_t step = lstm_step(&s);
    float *aux = (float *)aux_at(run, i), *wax = d->temp + (aux ? 0 : step), *z = wax + size;
    const float *v_before = NULL;
    const int wa = w0 + SAL_LSTM_WA, va = w0 + SAL_LSTM_VA;
    Out to = gate_out(wax, param_at(run, i, SAL_LSTM_WA_BIAS), NULL, NULL, IDENTITY);
    one.oc = 1;
    conv_forward(run, &s, in, tap, 1, &wa, &to);
    for (t = 0; t < run->step[i].steps; t++) {
        float *v = aux ? aux + t * step : d->temp, *a = v + (size_t)L_A * size;
        const float *h = v_before ? v_before + (size_t)L_H * size : NULL;
        float *e = v + (size_t)L_E * size, *x = v + (size_t)L_X * size;
        const float *ua_bias = param_at(run, i, SAL_LSTM_UA_BIAS);
        Out of_h[5], of_x[4];           /* all that is made of H before, then all of X~ */
        int w_h[5], w_x[4];
        for (k = 0; k < 4; k++) {
            const int *g = gates[k];
            float *gate = v + (size_t)g[0] * size;
            const float *bw = param_at(run, i, g[1] + 1), *bu = param_at(run, i, g[2] + 1);
            of_h[k] = gate_out(gate, bu, NULL, NULL, IDENTITY);
            of_x[k] = gate_out(gate, bw, h ? NULL : bu, h ? gate : NULL, k < 3 ? SIGMOID : TANH);
            w_h[k] = w0 + g[2]; w_x[k] = w0 + g[1];
        }
        of_h[4] = gate_out(e, ua_bias, NULL, wax, TANH);
        w_h[4] = w0 + SAL_LSTM_UA;
        if (h) conv_forward(run, &s, h, tap, 5, w_h, of_h);
        else FOR(d, size, lstm_first)(e, wax, ua_bias, s.ic, hw, size);
        to = gate_out(z, NULL, NULL, NULL, IDENTITY);
        conv_forward(run, &one, e, tap, 1, &va, &to);
        GO(d, s.n, 256, softmax_forward)(a, z, hw);
        FOR(d, size, lstm_attend)(x, in, a, s.ic * hw, hw, size);
        conv_forward(run, &s, x, tap, 4, w_x, of_x);
        FOR(d, size, lstm_cell)(v + (size_t)L_C * size, v + (size_t)L_H * size, out_at(run, i),
                                v_before ? v_before + (size_t)L_C * size : NULL,
                                v + (size_t)L_I * size, v + (size_t)L_F * size,
                                v + (size_t)L_O * size, v + (size_t)L_G * size, size);
        v_before = v;
    }
    return done(ctx, run, i);
}

/* Convolution k of the cell backwards: into what it read, its weight, its bias. */
void lstm_back(const sal_run *run, int i, const sal_conv *s, float *din, int k, const float *dout,
               const float *in, float *turned) {
    float *dw = dparam_at(run, i, k), *db = k == SAL_LSTM_VA ? NULL : dparam_at(run, i, k + 1);
    if (din) conv_data(run, s, din, dout, param_at(run, i, k), taps_of(run, i, 1), turned);
    if (dw && in) conv_weight(run, s, dw, dout, in, taps_of(run, i, 0));
    if (db) GO(of(run), s->oc, 256, bias_backward)(db, dout, s->n, s->oc, s->oh * s->ow);
}

sal_result back_convlstm(sal_ctx *ctx, sal_run *run, int i) {
    Run *d = of(run);
    cudaStream_t work = d->b->work;
    sal_conv s = conv_of(run, i), one = s;
    int hw = s.ih * s.iw, size = s.n * s.ic * hw, rows = s.n * hw, t, k;
    size_t step = lstm_step(&s), bytes = (size_t)size * sizeof(float);
    const float *in = in_at(run, i, 0), *aux = (const float *)aux_at(run, i);
    float *din = din_at(run, i, 0), *turned = d->temp;      /* first: it has to be aligned */
    float *dh = turned + packed_words(s.ic, s.oc * 9), *dh_before = dh + size, *swap;
    float *dc = dh_before + size, *dp = dc + size, *dx = dp + size, *de = dx + size;
    float *da = de + size, *dz = da + rows;
    one.oc = 1;
    cudaMemcpyAsync(dh, dout_at(run, i), bytes, cudaMemcpyDeviceToDevice, work);
    cudaMemsetAsync(dc, 0, bytes, work);
    for (t = run->step[i].steps - 1; t >= 0; t--) {
        const float *v = aux + t * step, *before = t ? v - step : NULL, *value[8];
        const float *h = t ? before + (size_t)L_H * size : NULL, *a = v + (size_t)L_A * size;
        const float *c = t ? before + (size_t)L_C * size : NULL;
        float *dh_to = t ? dh_before : NULL;
        for (k = 0; k < 8; k++) value[k] = v + (size_t)k * size;
        cudaMemsetAsync(dh_before, 0, bytes, work);
        cudaMemsetAsync(dx, 0, 2 * bytes, work);            /* dX~ and dE */
        FOR(d, size, lstm_cell_backward)(dc, dh, value[L_O], value[L_C], size);
        for (k = 0; k < 4; k++) {
            const int *g = gates[k];
            FOR(d, size, lstm_gate_backward)(dp, dh, dc, value[g[0]], value[L_I], value[L_G],
                                             value[L_C], c, k, size);
            lstm_back(run, i, &s, dx, g[1], dp, value[L_X], turned);
            lstm_back(run, i, &s, dh_to, g[2], dp, h, turned);
        }
        FOR(d, rows, lstm_attend_backward)(da, din, dc, dx, in, a, value[L_F], s.ic, hw, rows);
        GO(d, s.n, 256, softmax_backward)(dz, da, a, hw, 0);
        lstm_back(run, i, &one, de, SAL_LSTM_VA, dz, value[L_E], turned);
        FOR(d, size, tanh_backward)(dp, de, value[L_E], size);
        lstm_back(run, i, &s, din, SAL_LSTM_WA, dp, in, turned);
        lstm_back(run, i, &s, dh_to, SAL_LSTM_UA, dp, h, turned);
        swap = dh; dh = dh_before; dh_before = swap;
    }
    return done(ctx, run, i);
}

/* Floats of d->temp and d->sums that layer i wants. */
void wants(const sal_run *run, const Run *d, int i, size_t *temp, size_t *sums) {
    const sal_layer *l = &run->net->layer[i];
    sal_shape out = run->value[i].shape;
    size_t size = run->n * count_of(out);
    int shape[3][3] = { { 0 } }, k;     /* M, N, K of the products */
    int channels[3] = { 0 };
    sal_conv s;
    *temp = *sums = 0;
    switch (l->op) {
    case SAL_OP_CONV2D:
    case SAL_OP_CONVLSTM:
        s = conv_of(run, i);
        shape[0][0] = s.oc; shape[0][1] = s.n * s.oh * s.ow; shape[0][2] = s.ic * s.kh * s.kw;
        shape[1][0] = s.ic; shape[1][1] = s.n * s.ih * s.iw; shape[1][2] = s.oc * s.kh * s.kw;
        shape[2][0] = s.oc; shape[2][1] = shape[0][2];       shape[2][2] = shape[0][1];
        channels[0] = s.ic; channels[1] = s.oc;
        *temp = run->training ? packed_words(s.ic, shape[1][2]) : 0;
        if (l->op == SAL_OP_CONV2D) break;
        if (run->training) *temp += 6 * size + 2 * (size_t)s.n * s.ih * s.iw;
        else *temp = lstm_step(&s);
        *temp += size + (size_t)s.n * s.ih * s.iw;
        break;
    case SAL_OP_DENSE:
        shape[0][0] = run->n;      shape[0][1] = (int)count_of(out); shape[0][2] = l->kernel;
        shape[1][0] = run->n;      shape[1][1] = l->kernel;   shape[1][2] = shape[0][1];
        shape[2][0] = shape[0][1]; shape[2][1] = l->kernel;   shape[2][2] = run->n;
        break;
    case SAL_OP_BATCHNORM: *temp = 2 * (size_t)out.c; break;
    case SAL_OP_DROPOUT:   *temp = size / sizeof(float) + 1; break;
    case SAL_OP_PRIOR:     *temp = (size_t)out.h * out.w; break;
    default: break;
    }
    for (k = 0; shape[0][0] && k < (run->training ? 3 : 1); k++) {
        Plan p = plan_of(d, !run->training, shape[k][0], shape[k][1], shape[k][2], channels[k]);
        if (k == 2 && channels[0]) p = plan_of_weights(d, &s);
        size_t floats = p.pieces > 1 ? (size_t)p.pieces * shape[k][0] * shape[k][1] : 0;
        if (floats > *sums) *sums = floats;
    }
}

/* --- parameters --- */

sal_result weights_up(sal_ctx *ctx, Run *d) {
    Net *net = d->net;
    int k;
    if (!net->stale) return SAL_OK;
    for (k = 0; k < net->net->params; k++) {
        const sal_tensor *t = &net->net->param[k].value;
        TRY(up(ctx, d->b, net->memory + net->at[k], t->data,
               sal_tensor_count(t) * sal_dtype_size(t->dtype)));
        if (t->dtype == SAL_DTYPE_I8)
            TRY(up(ctx, d->b, net->memory + net->scale_at[k], t->scale,
                   (size_t)t->dim[0] * sizeof(float)));
    }
    net->stale = net->newer = false;
    net->version++;
    return SAL_OK;
}

sal_result weights_down(sal_ctx *ctx, Run *d) {
    Net *net = d->net;
    int k;
    if (!net->newer) return SAL_OK;
    for (k = 0; k < net->net->params; k++) {        /* only what can have moved */
        const sal_tensor *t = &net->net->param[k].value;
        if (t->dtype == SAL_DTYPE_F32)
            TRY(down(ctx, d->b, t->data, net->memory + net->at[k],
                     sal_tensor_count(t) * sizeof(float)));
    }
    net->newer = false;
    return wait(ctx, d->b);
}

void net_release(sal_ctx *ctx, Backend *b, Net *net) {
    Net **p = &b->nets;
    if (!net || --net->users) return;
    while (*p != net) p = &(*p)->next;
    *p = net->next;
    if (net->memory) { cudaFree(net->memory); b->info.bytes -= net->bytes; }
    sal_free(ctx, net->at);
    sal_free(ctx, net);
}

sal_result net_acquire(sal_ctx *ctx, Run *d, const sal_net *net) {
    Backend *b = d->b;
    Net *n;
    cudaError_t e;
    int k;
    for (n = b->nets; n && n->net != net; n = n->next) {}
    if (n) { n->users++; d->net = n; return SAL_OK; }
    n = (Net *)sal_alloc(ctx, 1, sizeof *n);
    if (!n) return SAL_ERR_MEMORY;
    n->at = (size_t *)sal_alloc(ctx, 2 * (size_t)net->params, sizeof *n->at);
    if (!n->at) { sal_free(ctx, n); return SAL_ERR_MEMORY; }
    n->scale_at = n->at + net->params;
    n->net = net; n->stale = true; n->users = 1; n->next = b->nets;
    for (k = 0; k < net->params; k++) {
        const sal_tensor *t = &net->param[k].value;
        n->at[k] = n->bytes;
        n->bytes += (sal_tensor_count(t) * sal_dtype_size(t->dtype) + 255) / 256 * 256;
        n->scale_at[k] = n->bytes;
        if (t->dtype == SAL_DTYPE_I8)
            n->bytes += ((size_t)t->dim[0] * sizeof(float) + 255) / 256 * 256;
    }
    b->nets = d->net = n;
    e = cudaMalloc((void **)&n->memory, n->bytes + 256);
    if (e == cudaSuccess) { b->info.bytes += n->bytes; return SAL_OK; }
    n->memory = NULL;
    net_release(ctx, b, n);
    d->net = NULL;
    return check(ctx, b, e, "memory for the parameters");
}

/* --- a run --- */

void run_close(sal_ctx *ctx, sal_run *run) {
    Run *d = of(run);
    int i;
    cudaSetDevice(d->b->id);
    if (d->net) weights_down(ctx, d);
    cudaStreamSynchronize(d->b->work);
    cudaStreamSynchronize(d->b->copies);
    if (d->graph) cudaGraphExecDestroy(d->graph);
    for (i = 0; i < 2; i++) {
        if (d->next[i].uploaded) cudaEventDestroy(d->next[i].uploaded);
        if (d->next[i].consumed) cudaEventDestroy(d->next[i].consumed);
        if (d->next[i].staging) cudaFreeHost(d->next[i].staging);
    }
    for (i = 0; i < d->blocks; i++) {
        cudaFree(d->block[i]);
        d->b->info.bytes -= d->block_bytes[i];
    }
    net_release(ctx, d->b, d->net);
    cudaGetLastError();
    sal_free(ctx, d->packed_at);
    sal_free(ctx, d->tap_at);
    sal_free(ctx, d);
    run->device = NULL;
}

/* Parameter k of a layer, if it is to be packed: weights (oc, ic, h, w) of a convolution. */
const sal_tensor *packs(const sal_run *run, const Run *d, const sal_layer *l, int k) {
    const sal_tensor *t = &run->net->param[k].value;
    return (l->op == SAL_OP_CONV2D || l->op == SAL_OP_CONVLSTM) && t->ndim == 4 &&
           goes_async(d, t->dim[0], t->dim[1]) ? t : NULL;
}

sal_result pack_plan(sal_ctx *ctx, sal_run *run, Run *d) {
    const sal_net *net = run->net;
    size_t floats = 0;
    int i, k;
    d->packed_at = (size_t *)sal_alloc(ctx, (size_t)net->params + 1, sizeof(size_t));
    if (!d->packed_at) return SAL_ERR_MEMORY;
    for (k = 0; k < net->params; k++) d->packed_at[k] = NOWHERE;
    for (i = run->start; i < net->layers; i++)
        for (k = net->layer[i].param; k < net->layer[i].param + net->layer[i].params; k++) {
            const sal_tensor *t = packs(run, d, &net->layer[i], k);
            if (!t) continue;
            d->packed_at[k] = floats;       /* in whole tiles: every start is aligned */
            floats += packed_words(t->dim[0], t->dim[1] * t->dim[2] * t->dim[3]);
        }
    return device_new(ctx, d, floats * sizeof(float), &d->packed, "packed weights");
}

sal_result run_memory(sal_ctx *ctx, sal_run *run, Run *d) {
    const sal_net *net = run->net;
    size_t temp, sums, taps = 0;
    Tap *table;
    sal_result r;
    int i, pass;
    d->arena_floats = run->arena_floats;
    d->input_floats = (size_t)run->n * 3 * run->h * run->w;
    for (i = 0; i < net->layers; i++) {
        if (run->step[i].norm >= 0) d->arena_floats += 2 * (size_t)run->value[i].shape.c;
        wants(run, d, i, &temp, &sums);
        if (temp > d->temp_floats) d->temp_floats = temp;
        if (sums > d->sums_floats) d->sums_floats = sums;
    }
    TRY(net_acquire(ctx, d, net));
    TRY(device_new(ctx, d, d->arena_floats * sizeof(float), &d->arena, "values"));
    TRY(device_new(ctx, d, d->input_floats * sizeof(float), &d->input, "the input"));
    TRY(device_new(ctx, d, d->temp_floats * sizeof(float), &d->temp, "scratch"));
    TRY(device_new(ctx, d, d->sums_floats * sizeof(float), &d->sums, "partial sums"));
    if (run->training)
        TRY(device_new(ctx, d, run->gradient_floats * sizeof(float), &d->gradients, "gradients"));
    TRY(device_new(ctx, d, run->n * sizeof(int), &d->domain, "domains"));
    d->number_count = run->gradient_floats / PIECE + 2;
    TRY(device_new(ctx, d, d->number_count * sizeof(double), &d->numbers, "sums"));
    TRY(pack_plan(ctx, run, d));
    d->tap_at = (int *)sal_alloc(ctx, 2 * (size_t)net->layers, sizeof(int));
    if (!d->tap_at) return SAL_ERR_MEMORY;
    for (pass = 0, table = NULL, r = SAL_OK; pass < 2; pass++) {    /* count, then fill in */
        for (i = 0, taps = 0; i < net->layers; i++) {
            sal_conv s;
            if (net->layer[i].op != SAL_OP_CONV2D && net->layer[i].op != SAL_OP_CONVLSTM) continue;
            s = conv_of(run, i);
            d->tap_at[2 * i] = (int)taps;
            taps += (size_t)forward_taps(table ? table + taps : NULL, &s);
            d->tap_at[2 * i + 1] = (int)taps;
            if (run->training) taps += (size_t)data_taps(table ? table + taps : NULL, &s);
        }
        if (!pass && !(table = (Tap *)sal_alloc(ctx, taps + 1, sizeof *table)))
            return SAL_ERR_MEMORY;
    }
    r = device_new(ctx, d, (taps + 1) * sizeof *table, &d->taps, "tables");
    if (r == SAL_OK && taps) r = up(ctx, d->b, d->taps, table, taps * sizeof *table);
    if (r == SAL_OK) r = wait(ctx, d->b);
    sal_free(ctx, table);
    return r;
}

sal_result run_open(sal_ctx *ctx, sal_run *run) {
    Backend *b = (Backend *)run->backend;
    Run *d = (Run *)sal_alloc(ctx, 1, sizeof *d);
    sal_result r;
    if (!d) return SAL_ERR_MEMORY;
    cudaSetDevice(b->id);
    d->b = b;
    d->options = b->info;
    d->clear = true;
    run->device = d;
    r = run_memory(ctx, run, d);
    if (r != SAL_OK) {          /* keep the reason */
        char why[sizeof ctx->error];
        memcpy(why, ctx->error, sizeof why);
        run_close(ctx, run);
        memcpy(ctx->error, why, sizeof why);
    }
    return r;
}

/* A layer that has no kernel: everything it may touch comes to the host, and back what it wrote.
   Slow, right, and counted. */
sal_result on_host(sal_ctx *ctx, sal_run *run, int i, int backward) {
    Run *d = of(run);
    Backend *b = d->b;
    const sal_layer *l = &run->net->layer[i];
    const sal_backend *ref = sal_backend_ref();
    size_t out_bytes = (size_t)out_count(run, i) * sizeof(float), aux = ref->aux(run, i);
    float *out = run->value[run->step[i].output].data;
    int k;
    b->info.fallbacks++;
    TRY(weights_down(ctx, d));
    for (k = 0; k < l->inputs; k++) {
        const sal_value *v = &run->value[l->input[k]];
        size_t bytes = run->n * count_of(v->shape) * sizeof(float);
        if (v->data >= run->arena && v->data < run->arena + run->arena_floats)
            TRY(down(ctx, b, v->data, in_at(run, i, k), bytes));
        if (backward && v->grad) TRY(down(ctx, b, v->grad, mirror(run, v->grad), bytes));
    }
    if (backward) {
        TRY(down(ctx, b, out, out_at(run, i), out_bytes));
        TRY(down(ctx, b, run->value[run->step[i].output].grad, dout_at(run, i), out_bytes));
        if (run->value[i].aux && aux) TRY(down(ctx, b, run->value[i].aux, aux_at(run, i), aux));
        for (k = l->param; k < l->param + l->params; k++)
            if (run->gradient[k])
                TRY(down(ctx, b, run->gradient[k], d->gradients + (run->gradient[k] -
                         run->gradients), sal_tensor_count(&run->net->param[k].value) * 4));
    }
    TRY(wait(ctx, b));
    TRY((backward ? ref->backward : run->training ? ref->train : ref->forward)[l->op](ctx, run, i));
    if (!backward) {
        if (run->training && l->op == SAL_OP_BATCHNORM) d->net->stale = true;   /* statistics */
        if (run->value[i].aux && aux) TRY(up(ctx, b, aux_at(run, i), run->value[i].aux, aux));
        TRY(up(ctx, b, out_at(run, i), out, out_bytes));
        return wait(ctx, b);
    }
    for (k = 0; k < l->inputs; k++) {
        const sal_value *v = &run->value[l->input[k]];
        if (v->grad) TRY(up(ctx, b, mirror(run, v->grad), v->grad,
                            run->n * count_of(v->shape) * sizeof(float)));
    }
    for (k = l->param; k < l->param + l->params; k++)
        if (run->gradient[k])
            TRY(up(ctx, b, d->gradients + (run->gradient[k] - run->gradients), run->gradient[k],
                   sal_tensor_count(&run->net->param[k].value) * 4));
    return wait(ctx, b);
}

layer_fn *kernel_of(const sal_run *run, int i, int backward) {
    const sal_backend *b = run->backend;
    sal_op op = run->net->layer[i].op;
    if (!run->training) return b->forward[op];
    return !b->train[op] || !b->backward[op] ? NULL : backward ? b->backward[op] : b->train[op];
}

/* --- forward --- */

/* Whenever parameters have changed: batch-norms that ride along with convolutions are folded, and
   weights packed. */
sal_result prepare(sal_ctx *ctx, sal_run *run) {
    Run *d = of(run);
    int i, k;
    if (d->folded == d->net->version) return SAL_OK;
    for (i = run->start; i < run->net->layers; i++) {
        const sal_layer *l = &run->net->layer[i];
        int norm = run->step[i].norm, c = run->value[i].shape.c;
        for (k = l->param; k < l->param + l->params; k++) {
            const sal_tensor *t = packs(run, d, l, k);
            if (t) pack(run, d->packed + d->packed_at[k], (float *)(d->net->memory + d->net->at[k]),
                        t->dim[0], t->dim[1], t->dim[2] * t->dim[3], 0);
        }
        if (run->step[i].skip || norm < 0) continue;
        FOR(d, c, norm_fold)(mirror(run, run->step[i].fold), param_at(run, norm, 0),
                             param_at(run, norm, 1), param_at(run, norm, 2), param_at(run, norm, 3),
                             param_at(run, i, 1), run->net->layer[norm].eps, c);
    }
    d->folded = d->net->version;
    return check(ctx, d->b, cudaGetLastError(), "packing the weights");
}

/* What was announced is already here, or on its way. */
sal_result input_up(sal_ctx *ctx, sal_run *run, const float *input) {
    Run *d = of(run);
    Backend *b = d->b;
    int values[8], count, k;
    for (k = 0; k < run->net->layers; k++) {
        size_t bytes = run->n * sizeof(int);
        if (run->net->layer[k].op != SAL_OP_LOGPRIOR) continue;
        if (run->domain) TRY(up(ctx, b, d->domain, run->domain, bytes));
        else TRY(check(ctx, b, cudaMemsetAsync(d->domain, 0, bytes, b->work), "clearing"));
    }
    if (run->start > 1) {               /* the features that the caller filled in */
        count = sal_run_features(run, values);
        for (k = 0; k < count && k < 8; k++)
            TRY(up(ctx, b, value_at(run, values[k]), run->value[values[k]].data,
                   run->n * count_of(run->value[values[k]].shape) * sizeof(float)));
        return SAL_OK;
    }
    for (k = 0; k < 2; k++) {           /* the one that was announced first, first */
        Run::Next *next = &d->next[d->turn ^ k];
        if (next->host != input) continue;
        next->host = NULL;
        TRY(check(ctx, b, cudaStreamWaitEvent(b->work, next->uploaded, 0), "an event"));
        TRY(check(ctx, b, cudaMemcpyAsync(d->input, next->device, d->input_floats * sizeof(float),
                                          cudaMemcpyDeviceToDevice, b->work), "a copy"));
        return check(ctx, b, cudaEventRecord(next->consumed, b->work), "an event");
    }
    return up(ctx, b, d->input, input, d->input_floats * sizeof(float));
}

/* With  prefetch(0); for (i...) { prefetch(i + 1); forward(i); }  the upload of each input overlaps
   the work on the one before. */
sal_result run_prefetch(sal_ctx *ctx, sal_run *run, const float *input) {
    Run *d = of(run);
    Backend *b = d->b;
    Run::Next *next = &d->next[d->turn];
    size_t bytes = d->input_floats * sizeof(float);
    cudaSetDevice(b->id);
    if (run->start > 1) return SAL_OK;
    if (!next->device) TRY(device_new(ctx, d, bytes, &next->device, "the next input"));
    if (!next->staging)
        TRY(check(ctx, b, cudaMallocHost((void **)&next->staging, bytes), "pinned memory"));
    if (!next->uploaded)
        TRY(check(ctx, b, cudaEventCreateWithFlags(&next->uploaded, cudaEventDisableTiming),
                  "an event"));
    if (!next->consumed)
        TRY(check(ctx, b, cudaEventCreateWithFlags(&next->consumed, cudaEventDisableTiming),
                  "an event"));
    /* what it held before has left staging, and device too (events not yet recorded are past) */
    TRY(check(ctx, b, cudaEventSynchronize(next->uploaded), "the upload before"));
    TRY(check(ctx, b, cudaStreamWaitEvent(b->copies, next->consumed, 0), "an event"));
    memcpy(next->staging, input, bytes);
    b->info.uploads++;
    b->info.upload_bytes += bytes;
    TRY(check(ctx, b, cudaMemcpyAsync(next->device, next->staging, bytes, cudaMemcpyHostToDevice,
                                      b->copies), "an upload"));
    TRY(check(ctx, b, cudaEventRecord(next->uploaded, b->copies), "an event"));
    next->host = input;
    d->turn ^= 1;
    return SAL_OK;
}

sal_result layers(sal_ctx *ctx, sal_run *run) {
    Backend *b = of(run)->b;
    double *ms = of(run)->options.layer_ms;
    int i;
    for (i = run->start; i < run->end; i++) {
        layer_fn *fn = kernel_of(run, i, 0);
        float time = 0;
        if (ms) ms[i] = 0;
        if (run->step[i].skip) continue;
        if (ms) TRY(check(ctx, b, cudaEventRecord(b->start, b->work), "an event"));
        TRY(fn ? fn(ctx, run, i) : on_host(ctx, run, i, 0));
        if (ms) {
            TRY(check(ctx, b, cudaEventRecord(b->stop, b->work), "an event"));
            TRY(check(ctx, b, cudaEventSynchronize(b->stop), "an event"));
            TRY(check(ctx, b, cudaEventElapsedTime(&time, b->start, b->stop), "an event"));
            ms[i] = time;
        }
        if (run->watch) {       /* who looks on sees the value on the host */
            int v = run->step[i].output;
            TRY(down(ctx, of(run)->b, run->value[v].data, value_at(run, v),
                     run->n * count_of(run->value[v].shape) * sizeof(float)));
            TRY(wait(ctx, of(run)->b));
            run->watch(run->watch_arg, run, i);
        }
    }
    return SAL_OK;
}

/* Record what layers() launches. A failure means no graph, nothing worse. */
void capture(sal_ctx *ctx, sal_run *run) {
    Run *d = of(run);
    cudaStream_t work = d->b->work;
    cudaGraph_t graph = NULL;
    uint64_t launches = d->b->info.launches;
    bool good;
    d->no_graph = 1;
    if (cudaStreamBeginCapture(work, cudaStreamCaptureModeThreadLocal) == cudaSuccess) {
        good = layers(ctx, run) == SAL_OK;
        good = cudaStreamEndCapture(work, &graph) == cudaSuccess && good && graph;
        if (good && cudaGraphInstantiateWithFlags(&d->graph, graph, 0) == cudaSuccess)
            d->no_graph = 0;
        else d->graph = NULL;
        if (graph) cudaGraphDestroy(graph);
    }
    d->b->info.launches = launches;
    cudaGetLastError();
}

sal_result run_forward(sal_ctx *ctx, sal_run *run, const float *input) {
    Run *d = of(run);
    Backend *b = d->b;
    int i, fixed = !run->training && !run->watch && !d->no_graph && !d->options.no_graphs &&
                   !d->options.layer_ms;
    cudaSetDevice(b->id);
    TRY(weights_up(ctx, d));
    TRY(prepare(ctx, run));
    TRY(input_up(ctx, run, input));
    for (i = run->start; i < run->end && fixed; i++)
        fixed = run->step[i].skip || kernel_of(run, i, 0) != NULL;
    if (fixed && !d->graph && d->forwards > 0) capture(ctx, run);
    if (fixed && d->graph) {
        b->info.graphs++;
        TRY(check(ctx, b, cudaGraphLaunch(d->graph, b->work), "a graph"));
    } else TRY(layers(ctx, run));
    d->forwards++;
    if (run->end < run->net->layers) return wait(ctx, b);
    TRY(down(ctx, b, run->value[run->net->layers - 1].data, value_at(run, run->net->layers - 1),
             run->n * count_of(run->shape) * sizeof(float)));
    return wait(ctx, b);
}

/* --- loss and backward --- */

sal_result run_loss(sal_ctx *ctx, sal_run *run, const sal_loss *loss, const float *density,
                    const float *fixations, const double *weight, double *value) {
    Run *d = of(run);
    Backend *b = d->b;
    int end = run->net->layers, n = run->n, h = run->shape.h, w = run->shape.w;
    int up_by = loss->upsample > 1 ? loss->upsample : 1, bh = h * up_by, bw = w * up_by;
    size_t map = (size_t)bh * bw, maps = n * map;
    const float *out = value_at(run, end - 1);
    float *big, *dbig, *y, *z, *grad = mirror(run, run->value[end - 1].grad);
    double *weights, *values;
    cudaSetDevice(b->id);
    if (run->shape.c != 1 || maps > 0x7FFFFFFF)
        return fail(ctx, SAL_ERR_SHAPE, "a loss compares batches of one map each, not of %d of %d "
                    "x %d", run->shape.c, bw, bh);
    if (d->map_floats < 4 * maps + 4 * (size_t)n + 64) {
        d->map_floats = 0;
        TRY(device_new(ctx, d, (4 * maps + 4 * (size_t)n + 64) * sizeof(float), &d->maps, "maps"));
        d->map_floats = 4 * maps + 4 * (size_t)n + 64;
    }
    weights = (double *)d->maps; values = weights + n;
    big = (float *)(values + n); dbig = big + maps; y = dbig + maps; z = y + maps;
    TRY(up(ctx, b, weights, weight, n * sizeof(double)));
    TRY(up(ctx, b, y, density, maps * sizeof(float)));
    TRY(up(ctx, b, z, fixations, maps * sizeof(float)));
    FOR(d, maps, upsample_forward)(big, out, h, w, bh, bw, (int)maps);
    GO(d, n, 512, loss_maps)(values, big, dbig, y, z, weights, *loss, (int)map);
    if (grad) {
        size_t count = (size_t)n * h * w;
        TRY(check(ctx, b, cudaMemsetAsync(grad, 0, count * sizeof(float), b->work), "clearing"));
        FOR(d, count, upsample_backward)(grad, dbig, h, w, bh, bw, (int)count);
    }
    TRY(check(ctx, b, cudaGetLastError(), "the loss"));
    TRY(down(ctx, b, value, values, n * sizeof(double)));
    return wait(ctx, b);
}

sal_result gradients_up(sal_ctx *ctx, sal_run *run) {
    Run *d = of(run);
    size_t bytes = run->gradient_floats * sizeof(float);
    if (d->clear)
        TRY(check(ctx, d->b, cudaMemsetAsync(d->gradients, 0, bytes, d->b->work), "clearing"));
    else if (d->gradients_stale) TRY(up(ctx, d->b, d->gradients, run->gradients, bytes));
    d->clear = d->gradients_stale = false;
    return SAL_OK;
}

sal_result run_backward(sal_ctx *ctx, sal_run *run, const float *dout) {
    const sal_net *net = run->net;
    Run *d = of(run);
    Backend *b = d->b;
    int end = net->layers, i, k;
    cudaSetDevice(b->id);
    TRY(gradients_up(ctx, run));
    if (dout)
        TRY(up(ctx, b, mirror(run, run->value[end - 1].grad), dout,
               (size_t)out_count(run, end - 1) * sizeof(float)));
    for (i = end - 1; i > 0; i--) {
        const sal_step *step = &run->step[i];
        layer_fn *fn = kernel_of(run, i, 1);
        if (step->skip || !step->learns || i == run->kept) continue;
        for (k = 0; k < net->layer[i].inputs; k++) {    /* begin the gradients that begin here */
            int v = net->layer[i].input[k];
            while (run->value[v].root != v) v = run->value[v].root;
            if (run->value[v].grad && run->value[v].grad_first == 2 * end - i)
                TRY(check(ctx, b, cudaMemsetAsync(mirror(run, run->value[v].grad), 0, run->n *
                          count_of(run->value[v].shape) * sizeof(float), b->work), "clearing"));
        }
        if (step->act != SAL_ACT_IDENTITY) {                /* fused: through it first, in place */
            float *grad = dout_at(run, i);
            int n = out_count(run, i);
            FOR(d, n, act_backward)(grad, grad, out_at(run, i), (int)step->act, 0, n);
        }
        TRY(fn ? fn(ctx, run, i) : on_host(ctx, run, i, 1));
    }
    if (dout) TRY(wait(ctx, b));
    return SAL_OK;
}

void run_clear(sal_run *run) { of(run)->clear = true; }

sal_result run_penalty(sal_ctx *ctx, sal_run *run, int k, double lambda, double *value) {
    Run *d = of(run);
    const Net *net = d->net;
    cudaSetDevice(d->b->id);
    TRY(gradients_up(ctx, run));
    GO(d, 1, 256, prior_penalty)(d->numbers, d->gradients + (run->gradient[k] - run->gradients),
                                 (const float *)(net->memory + net->at[k]),
                                 (int)sal_tensor_count(&run->net->param[k].value), lambda);
    TRY(check(ctx, d->b, cudaGetLastError(), "the penalty"));
    TRY(down(ctx, d->b, value, d->numbers, sizeof(double)));
    return wait(ctx, d->b);
}

/* --- the optimiser --- */

sal_result run_fetch(sal_ctx *ctx, sal_run *run, sal_optim *optim, int what) {
    Run *d = of(run);
    Backend *b = d->b;
    cudaSetDevice(b->id);
    if (what & SAL_RUN_WEIGHTS) TRY(weights_down(ctx, d));
    if (what & SAL_RUN_VALUES)
        TRY(down(ctx, b, run->arena, d->arena, run->arena_floats * sizeof(float)));
    if (what & SAL_RUN_GRADIENTS && d->gradients) {
        TRY(gradients_up(ctx, run));
        TRY(down(ctx, b, run->gradients, d->gradients, run->gradient_floats * sizeof(float)));
        if (run->value[0].grad)
            TRY(down(ctx, b, run->value[0].grad, mirror(run, run->value[0].grad),
                     d->input_floats * sizeof(float)));
    }
    if (what & SAL_RUN_STATE && optim && d->optim == optim)
        TRY(down(ctx, b, optim->state, d->state, d->state_floats * sizeof(float)));
    return wait(ctx, b);
}

void run_changed(sal_run *run, sal_optim *, int what) {
    Run *d = of(run);
    if (what & SAL_RUN_WEIGHTS) { d->net->stale = true; d->net->newer = false; }
    if (what & SAL_RUN_GRADIENTS) d->gradients_stale = true;
    if (what & SAL_RUN_STATE) d->optim = NULL;
}

sal_result run_step(sal_ctx *ctx, sal_optim *o, sal_net *net, sal_run *run, double rate,
                    double momentum, double *norm) {
    const sal_optim_desc *c = &o->desc;
    Run *d = of(run);
    Backend *b = d->b;
    double length = 0;
    Step s;
    int i, pieces;
    size_t k;
    cudaSetDevice(b->id);
    TRY(weights_up(ctx, d));
    TRY(gradients_up(ctx, run));
    if (d->optim != o) {                /* its state comes along once */
        size_t floats = o->slots * o->floats;
        if (d->state_floats < floats) {
            TRY(device_new(ctx, d, floats * sizeof(float), &d->state, "the optimiser"));
            d->state_floats = floats;
        }
        TRY(up(ctx, b, d->state, o->state, floats * sizeof(float)));
        TRY(wait(ctx, b));
        d->optim = o;
    }
    memset(&s, 0, sizeof s);
    s.scale = 1;
    pieces = (int)((run->gradient_floats + PIECE - 1) / PIECE);
    GO(d, pieces, 256, squares_of_pieces)(d->numbers + 1, d->gradients, run->gradient_floats);
    GO(d, 1, 256, sum_up)(d->numbers, d->numbers + 1, pieces);
    TRY(check(ctx, b, cudaGetLastError(), "the length of the gradient"));
    TRY(down(ctx, b, &length, d->numbers, sizeof length));
    TRY(wait(ctx, b));
    length = sqrt(length);
    if (norm) *norm = length;
    if (!(length <= 1.7e308)) {     /* whose fault is it? */
        TRY(run_fetch(ctx, run, NULL, SAL_RUN_GRADIENTS));
        for (i = 0; i < net->params; i++)
            for (k = 0; run->gradient[i] && k < sal_tensor_count(&net->param[i].value); k++)
                if (!(fabs((double)run->gradient[i][k]) <= 3.4e38))
                    return fail(ctx, SAL_ERR_NUMERIC, "the gradient of %s is no longer finite",
                                net->param[i].name);
    }
    if (c->clip > 0 && length > c->clip) s.scale = c->clip / length;
    o->step++;
    s.rule = (int)c->rule; s.nesterov = c->nesterov; s.momentum = (float)momentum;
    s.rho = (float)c->rho; s.take1 = (float)(1 - momentum); s.take2 = (float)(1 - c->rho);
    s.eps = (float)c->eps; s.rate = (float)rate;
    if (c->rule == SAL_RULE_ADAM || c->rule == SAL_RULE_ADAMW) {
        s.rate = (float)(rate / (1 - pow(momentum, (double)o->step)));
        s.root = (float)(1 / sqrt(1 - pow(c->rho, (double)o->step)));
    }
    for (i = 0; i < net->params; i++) {
        const sal_tensor *t = &net->param[i].value;
        size_t at = run->gradient[i] ? (size_t)(run->gradient[i] - run->gradients) : 0;
        int n = (int)sal_tensor_count(t);
        double decay;
        if (!run->gradient[i]) continue;
        decay = t->ndim >= 2 && !(t->ndim == 4 && t->dim[0] * t->dim[1] == 1) ? c->decay : 0;
        s.decay = c->rule == SAL_RULE_ADAMW ? 0 : decay;
        s.shrink = (float)(rate * (decay - s.decay));
        FOR(d, n, optim_step)((float *)(d->net->memory + d->net->at[i]), d->gradients + at,
                              d->state + at, d->state + (o->slots > 1 ? o->floats : 0) + at, s, n);
    }
    for (i = 0; c->max_norm > 0 && i < net->layers; i++) {
        const sal_layer *l = &net->layer[i];
        int before = l->inputs ? l->input[0] : 0, p = net->layer[before].param;
        if (l->op != SAL_OP_MAXOUT || net->layer[before].op != SAL_OP_DENSE || !run->gradient[p])
            continue;
        GO(d, net->param[p].value.dim[0], 256, max_norm)
            ((float *)(d->net->memory + d->net->at[p]), net->param[p].value.dim[1], c->max_norm);
    }
    d->net->newer = true;
    d->net->version++;
    return check(ctx, b, cudaGetLastError(), "the optimiser");
}

} /* namespace */

/* --- the table --- */

SALDEF void sal_backend_cuda_close(sal_ctx *ctx, const sal_backend *backend) {
    Backend *b = (Backend *)backend;
    if (!b) return;
    cudaSetDevice(b->id);
    if (b->work) cudaStreamDestroy(b->work);
    if (b->copies) cudaStreamDestroy(b->copies);
    if (b->start) cudaEventDestroy(b->start);
    if (b->stop) cudaEventDestroy(b->stop);
    cudaGetLastError();
    sal_free(ctx, b);
}

SALDEF sal_cuda *sal_backend_cuda(const sal_backend *backend) {
    return &((Backend *)backend)->info;
}

SALDEF sal_result sal_backend_cuda_open(sal_ctx *ctx, int device, const sal_backend **backend) {
    Backend *b;
    cudaDeviceProp about;
    cudaFuncAttributes attributes;
    cudaError_t e;
    sal_result r = SAL_OK;
    int count = 0;
    *backend = NULL;
    e = cudaGetDeviceCount(&count);
    cudaGetLastError();
    if (e != cudaSuccess || count < 1)
        return fail(ctx, SAL_ERR_UNSUPPORTED, "no CUDA device here: %s; the CPU still works "
                    "(ctx->backend = NULL)",
                    e != cudaSuccess ? cudaGetErrorString(e) : "none found");
    if (device < 0 || device >= count)
        return fail(ctx, SAL_ERR_ARGUMENT, "there is no CUDA device %d: this machine has %d, "
                    "counted from 0", device, count);
    b = (Backend *)sal_alloc(ctx, 1, sizeof *b);
    if (!b) return SAL_ERR_MEMORY;
    b->id = device;
    snprintf(b->info.name, sizeof b->info.name, "CUDA device %d", device);
    r = check(ctx, b, cudaSetDevice(device), "choosing the device");
    if (r == SAL_OK)
        r = check(ctx, b, cudaGetDeviceProperties(&about, device), "asking for its properties");
    if (r == SAL_OK) {
        snprintf(b->info.name, sizeof b->info.name, "%.*s", (int)sizeof b->info.name - 1,
                 about.name);
        b->info.major = about.major; b->info.minor = about.minor;
        b->sms = about.multiProcessorCount;
        e = cudaFuncGetAttributes(&attributes, add_pieces);
        if (e != cudaSuccess) {
            cudaGetLastError();
            r = fail(ctx, SAL_ERR_UNSUPPORTED, "%s has compute capability %d.%d, for which "
                     "saliency_cuda.cu was not built: compile it with -gencode arch=compute_%d%d,"
                     "code=sm_%d%d; the CPU still works", b->info.name, about.major, about.minor,
                     about.major, about.minor, about.major, about.minor);
        } else b->built_for = attributes.ptxVersion;
    }
    if (r == SAL_OK && b->built_for >= 80) r = check(ctx, b, allow_all_async(), "shared memory");
    if (r == SAL_OK)
        r = check(ctx, b, cudaStreamCreateWithFlags(&b->work, cudaStreamNonBlocking), "a stream");
    if (r == SAL_OK)
        r = check(ctx, b, cudaStreamCreateWithFlags(&b->copies, cudaStreamNonBlocking), "a stream");
    if (r == SAL_OK) r = check(ctx, b, cudaEventCreate(&b->start), "an event");
    if (r == SAL_OK) r = check(ctx, b, cudaEventCreate(&b->stop), "an event");
    if (r != SAL_OK) {
        char why[sizeof ctx->error];
        memcpy(why, ctx->error, sizeof why);
        sal_backend_cuda_close(ctx, &b->table);
        memcpy(ctx->error, why, sizeof why);
        return r;
    }
    b->table.name = "cuda";
    b->table.fuses = 1;
    b->table.aux = sal_backend_ref()->aux;
    b->table.device = &b->device;
#define SAL_ROW(OP, name) b->table.forward[SAL_OP_##OP] = b->table.train[SAL_OP_##OP] = on_##name; \
                          b->table.backward[SAL_OP_##OP] = back_##name;
    SAL_ROW(INPUT, input)     SAL_ROW(CONV2D, conv2d)   SAL_ROW(DENSE, dense)
    SAL_ROW(MAXOUT, maxout)   SAL_ROW(MAXPOOL, maxpool) SAL_ROW(RELU, relu)
    SAL_ROW(DROPOUT, dropout) SAL_ROW(CONCAT, concat)   SAL_ROW(BATCHNORM, batchnorm)
    SAL_ROW(ADD, add)         SAL_ROW(PRIOR, prior)     SAL_ROW(GAUSSIANS, gaussians)
    SAL_ROW(RELU6, relu6)     SAL_ROW(SOFTMAX, softmax) SAL_ROW(DEPTHWISE, depthwise)
    SAL_ROW(UPSAMPLE, upsample) SAL_ROW(LOGPRIOR, logprior) SAL_ROW(CONVLSTM, convlstm)
    SAL_ROW(MIRROR, mirror)
#undef SAL_ROW
    b->device.open = run_open;         b->device.close = run_close;
    b->device.prefetch = run_prefetch; b->device.forward = run_forward;
    b->device.loss = run_loss;         b->device.backward = run_backward;
    b->device.penalty = run_penalty;   b->device.step = run_step;
    b->device.fetch = run_fetch;       b->device.changed = run_changed;
    b->device.clear = run_clear;
    *backend = &b->table;
    return SAL_OK;
}
