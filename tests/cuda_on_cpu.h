/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* Enough of CUDA to run saliency_cuda.cu on a CPU, for tests: compile the .cu as C++ with this
   header in front,

       g++ -x c++ -include tests/cuda_on_cpu.h -fno-strict-aliasing -c saliency_cuda.cu

   Blocks run one after the other; the threads of a block are coroutines, each running until it
   meets a barrier or a shuffle and then giving way to the next. So kernels compute what they would
   on a GPU, slowly. What this finds:
     - wrong indices (results are compared; device memory is malloc'ed, so sanitizers see its ends,
       and without a sanitizer marks behind it show what was written there);
     - reads of memory that nobody wrote, global or shared: it is full of NaN;
     - barriers that some threads of a block do not reach: the program stops with a message;
     - missing barriers, mostly: blocks run their warps in step or each as far ahead as it can, from
       the first or from the last on, so that who reads too early reads what is not there yet;
     - asynchronous copies that are read too early or overwrite what is still read: they happen as
       late as the wait for them allows, and from their beginning until then there is NaN;
     - host pointers handed to kernels, transfers in the wrong direction, unaligned copies, more
       shared memory than was asked for;
     - streams that do not wait for each other, and pinned memory that is reused too early: a stream
       works when somebody waits for it, no sooner.
   Tensor cores are loops over 16 x 16 tiles (wmma) or exchange what the threads hold (mma), with
   inputs rounded as the hardware rounds them. What it cannot find: races between blocks, what
   depends on the memory model, and anything about speed. */
#ifndef CUDA_ON_CPU_H
#define CUDA_ON_CPU_H
#define SAL_CUDA_ON_CPU
#undef _FORTIFY_SOURCE          /* it takes a jump to another stack for an attack */

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static __attribute__((section("cuda_shared")))  /* to find all of it */
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct float4 { float x, y, z, w; } __attribute__((aligned(16)));
struct uint4 { unsigned x, y, z, w; } __attribute__((aligned(16)));

/* --- threads of a block --- */

namespace emulated {

enum { MOST = 1024, STACK = 96 << 10 };
enum State { READY, AT_BARRIER, AT_WARP, FINISHED };
struct Thread {
    ucontext_t first;
    jmp_buf at;
    bool begun;
    State state;
    dim3 index;
};
static Thread thread[MOST];
static int threads, current;
static jmp_buf scheduler;
static std::function<void()> *job;
static dim3 block_index, block_size, grid_size;
static uint64_t slot[MOST];             /* what a shuffle hands over */
static std::vector<float> shared;       /* of dynamic size */

/* Asynchronous copies of each thread: those of group g end before end[g]. */
struct Copy { void *to; const void *from; size_t bytes; bool there; };
static struct { std::vector<Copy> copy; std::vector<size_t> end; } pending[MOST];
struct Factors { unsigned a[4], b[2]; };
static Factors factors[MOST][2];        /* what mma hands over, in turn */
static int turn[MOST];

/* What test programs may set: see cuda_on_cpu_set. */
static int devices = 1, major_version = 8, fail_launch;
static size_t memory_limit = (size_t)4 << 30, memory_used;

static void stop(const char *why) {
    fprintf(stderr, "cuda_on_cpu: block (%u, %u, %u): %s\n", block_index.x, block_index.y,
            block_index.z, why);
    abort();
}

static void give_way(State state) {
    Thread *t = &thread[current];
    t->state = state;
    if (!_setjmp(t->at)) _longjmp(scheduler, 1);
}

static void body() {
    for (;;) { (*job)(); give_way(FINISHED); }
}

static void resume(int i) {
    Thread *t = &thread[i];
    current = i;
    if (_setjmp(scheduler)) return;
    if (t->begun) _longjmp(t->at, 1);
    t->begun = true;
    getcontext(&t->first);
    t->first.uc_stack.ss_sp = malloc(STACK);
    t->first.uc_stack.ss_size = STACK;
    t->first.uc_link = NULL;
    makecontext(&t->first, body, 0);
    setcontext(&t->first);
}

/* Let go those who wait where all have arrived: a block's barrier counts the whole block. */
static bool release(int from, int to, State where) {
    int i, waiting = 0, gone = 0;
    for (i = from; i < to; i++) {
        waiting += thread[i].state == where;
        gone += thread[i].state == FINISHED;
    }
    if (!waiting || waiting + gone < to - from) return false;
    if (gone) stop(where == AT_WARP ? "a warp's exchange that not all of its threads reach"
                                    : "a barrier that not all threads of the block reach");
    for (i = from; i < to; i++) thread[i].state = READY;
    return true;
}

/* order: 0: warps in step; 1: each as far ahead as it can, the last one first; 2: the first one
   first, with lanes in leaps */
static void run_block(int order) {
    int i, k, warp, finished, warps = (threads + 31) / 32;
    for (i = 0; i < threads; i++) thread[i].state = READY;
    do {
        bool moved = false, ran;
        for (warp = 0; warp < warps; warp++) {
            int from = 32 * (order == 1 ? warps - 1 - warp : warp);
            int to = std::min(from + 32, threads);
            do {
                for (ran = false, k = 0; k < 32; k++) {
                    i = from + (order == 0 ? k : order == 1 ? 31 - k : (k * 5 + 3) % 32);
                    if (i >= to || thread[i].state != READY) continue;
                    resume(i);
                    ran = true;
                }
                ran |= release(from, to, AT_WARP);
                moved |= ran;
            } while (ran && order);
        }
        moved |= release(0, threads, AT_BARRIER);
        for (i = finished = 0; i < threads; i++) finished += thread[i].state == FINISHED;
        if (!moved && finished < threads)
            stop("some threads wait at a barrier, others at another place");
    } while (finished < threads);
    for (i = 0; i < threads; i++)
        if (pending[i].copy.size()) stop("asynchronous copies that nobody waited for");
}

/* Shared memory holds anything when a block begins. */
extern "C" char __start_cuda_shared[], __stop_cuda_shared[];
static void spoil_shared(bool all) {
    memset(shared.data(), 0xFF, shared.size() * sizeof(float));
#ifndef __SANITIZE_ADDRESS__
    if (all) memset(__start_cuda_shared, 0xFF, __stop_cuda_shared - __start_cuda_shared);
#endif
}

static void run_grid(dim3 grid, dim3 block, size_t bytes, void *name,
                     std::function<void()> kernel) {
    static std::map<void *, unsigned> launches;
    unsigned x, y, z, n = 0, launch = launches[name]++;     /* all takes a while: not always */
    bool spoil = launch < 3 || launch % 64 == 0;
    threads = (int)(block.x * block.y * block.z);
    shared.assign(bytes / sizeof(float) + 4, 0);
    grid_size = grid; block_size = block;
    job = &kernel;
    for (z = 0; z < block.z; z++)
        for (y = 0; y < block.y; y++)
            for (x = 0; x < block.x; x++)
                thread[(z * block.y + y) * block.x + x].index = dim3(x, y, z);
    for (z = 0; z < grid.z; z++)
        for (y = 0; y < grid.y; y++)
            for (x = 0; x < grid.x; x++) {
                block_index = dim3(x, y, z);
                spoil_shared(spoil && n < 3);
                run_block(n++ % 3);
            }
}

template <class T> T exchange(T v, int from) {      /* the v of lane `from` of this warp */
    T result = v;
    int warp = current / 32 * 32;
    slot[current] = 0;
    memcpy(&slot[current], &v, sizeof v);
    give_way(AT_WARP);
    if (from < 32 && warp + from < threads) memcpy(&result, &slot[warp + from], sizeof v);
    give_way(AT_WARP);
    return result;
}

} /* namespace emulated */

/* 16 bytes are as much alignment as there is on a GPU. */
#define DYNAMIC_SHARED(type, name) \
    type *name = (type *)(((uintptr_t)emulated::shared.data() + 15) / 16 * 16)
#define threadIdx (emulated::thread[emulated::current].index)
#define blockIdx  emulated::block_index
#define blockDim  emulated::block_size
#define gridDim   emulated::grid_size
static inline void __syncthreads() { emulated::give_way(emulated::AT_BARRIER); }
static inline void __syncwarp() { emulated::give_way(emulated::AT_WARP); }
template <class T> T __shfl_down_sync(unsigned, T v, int by) {
    return emulated::exchange(v, emulated::current % 32 + by);
}

/* --- asynchronous copies --- */

static inline void copy_any(void *to, const void *from, size_t bytes, bool there) {
    emulated::Copy c = { to, from, bytes, there };
    if ((uintptr_t)to % bytes || (uintptr_t)from % bytes) emulated::stop("an unaligned copy");
    memset(to, 0xFF, bytes);
    emulated::pending[emulated::current].copy.push_back(c);
}
static inline void copy_4(float *to, const float *from, bool there) {
    copy_any(to, from, 4, there);
}
static inline void copy_16(float *to, const float *from, bool there) {
    copy_any(to, from, 16, there);
}
static inline void end_group() {
    auto &p = emulated::pending[emulated::current];
    p.end.push_back(p.copy.size());
}
template <int LATER> void wait_for_groups() {
    auto &p = emulated::pending[emulated::current];
    size_t done = p.end.size() > LATER ? p.end.size() - LATER : 0, n = done ? p.end[done - 1] : 0;
    for (size_t i = 0; i < n; i++) {
        const emulated::Copy &c = p.copy[i];
        if (c.there) memcpy(c.to, c.from, c.bytes); else memset(c.to, 0, c.bytes);
    }
    p.copy.erase(p.copy.begin(), p.copy.begin() + n);
    p.end.erase(p.end.begin(), p.end.begin() + done);
    for (size_t &end : p.end) end -= n;
}

/* --- arithmetic --- */

static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((uint64_t)a * b >> 32);
}
static inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
static inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
static inline float atomicAdd(float *p, float v) { float old = *p; *p += v; return old; }

/* saliency.h has the conversions; this header comes before it. */
extern "C" float sal_f16_to_f32(uint16_t h);
extern "C" uint16_t sal_f32_to_f16(float f);
struct __half { uint16_t bits; };
static inline float __half2float(__half h) { return sal_f16_to_f32(h.bits); }
static inline __half __float2half(float f) { __half h; h.bits = sal_f32_to_f16(f); return h; }

/* mma: c of lane 4g + t is rows g and g + 8, columns 2t and 2t + 1; which elements of a and b the
   other lanes hold stands at multiply_tf32 in saliency_cuda.cu. value(u, i): number i in u */
template <int K, class V>
void mma(float *c, const unsigned *a, const unsigned *b, V value) {
    using namespace emulated;
    int lane = current % 32, warp = current - lane, of = turn[current] ^= 1, i, k, n = K / 8;
    for (i = 0; i < 4; i++) factors[current][of].a[i] = a[i];
    for (i = 0; i < 2; i++) factors[current][of].b[i] = b[i];
    give_way(AT_WARP);
    for (i = 0; i < 4; i++)
        for (k = 0; k < K; k++) {
            int half = k / (K / 2), t = k % (K / 2) / n;
            const Factors &x = factors[warp + lane / 4 * 4 + t][of];
            const Factors &y = factors[warp + (lane % 4 * 2 + i % 2) * 4 + t][of];
            c[i] += value(x.a[half * 2 + i / 2], k % n) * value(y.b[half], k % n);
        }
}
static inline void multiply_tf32(float *c, const unsigned *a, const unsigned *b) {
    mma<8>(c, a, b, [](unsigned u, int) { return __uint_as_float(u & 0xFFFFE000u); });
}
static inline void multiply_half(float *c, const unsigned *a, const unsigned *b) {
    mma<16>(c, a, b, [](unsigned u, int i) { return sal_f16_to_f32((uint16_t)(u >> 16 * i)); });
}
static inline unsigned pack_halves(float low, float high) {
    return sal_f32_to_f16(low) | (unsigned)sal_f32_to_f16(high) << 16;
}

/* wmma: the first lane of a warp holds whole tiles and does the work of all. */
namespace nvcuda { namespace wmma {
struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
namespace precision { struct tf32 {}; }
enum layout_t { mem_row_major };
template <class Use, int M, int N, int K, class T, class Layout = row_major> struct fragment {
    float x[16 * 16];
};
static inline float number(float f) { return f; }
static inline float number(__half h) { return __half2float(h); }
static inline float __float_to_tf32(float f) {      /* 10 bits of fraction, ties away from 0 */
    uint32_t u;
    memcpy(&u, &f, 4);
    if (f - f == 0) u = (u + 0x1000u) & 0xFFFFE000u;    /* neither infinite nor NaN */
    memcpy(&f, &u, 4);
    return f;
}
static inline void aligned(const void *p, unsigned line, unsigned size) {
    if ((uintptr_t)p % 32) emulated::stop("a tile that is not aligned to 32 bytes");
    if (line * size % 16) emulated::stop("lines of a tile that are not multiples of 16 bytes");
}
template <class F> void fill_fragment(F &f, float v) { for (float &x : f.x) x = v; }
template <class Use, int M, int N, int K, class T, class S>
void load_matrix_sync(fragment<Use, M, N, K, T, row_major> &f, const S *p, unsigned line) {
    int rows = sizeof(Use) && std::is_same<Use, matrix_a>::value ? M : K;
    int columns = std::is_same<Use, matrix_a>::value ? K : N, i, j;
    aligned(p, line, sizeof(S));
    if (emulated::current % 32) return;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++) f.x[i * 16 + j] = number(p[i * line + j]);
}
template <int K, class T>
void mma_sync(fragment<accumulator, 16, 16, K, float> &d,
              const fragment<matrix_a, 16, 16, K, T, row_major> &a,
              const fragment<matrix_b, 16, 16, K, T, row_major> &b,
              const fragment<accumulator, 16, 16, K, float> &c) {
    if (emulated::current % 32) return;
    if (&d != &c) d = c;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < K; k++)
            for (int j = 0; j < 16; j++) d.x[i * 16 + j] += a.x[i * 16 + k] * b.x[k * 16 + j];
}
template <int K>
void store_matrix_sync(float *p, const fragment<accumulator, 16, 16, K, float> &f, unsigned line,
                       layout_t) {
    aligned(p, line, 4);
    if (emulated::current % 32) return;
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) p[i * line + j] = f.x[i * 16 + j];
}
} }

/* --- the runtime --- */

typedef enum cudaError_t {
    cudaSuccess, cudaErrorInvalidValue, cudaErrorMemoryAllocation, cudaErrorNoDevice,
    cudaErrorNoKernelImageForDevice, cudaErrorLaunchFailure
} cudaError_t;
enum { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum { cudaStreamNonBlocking, cudaEventDisableTiming, cudaStreamCaptureModeThreadLocal };
struct cudaDeviceProp { char name[256]; int major, minor, multiProcessorCount; };
struct cudaFuncAttributes { int ptxVersion; };
struct Graph { std::vector<std::function<void()> > node; };
typedef Graph *cudaGraph_t;
typedef Graph *cudaGraphExec_t;
/* A stream works as late as it may: when somebody waits for it. */
struct Stream { Graph *capture; std::deque<std::function<void()> > job; size_t done, queued; };
struct Event { Stream *stream; size_t at; };    /* what the stream had to do when it was recorded */
typedef Stream *cudaStream_t;
typedef Event *cudaEvent_t;

namespace emulated {
static cudaError_t last;
typedef std::map<char *, size_t> Memory;
static Memory device_memory, pinned_memory;
static std::map<void *, size_t> allowed;        /* shared memory of kernels that want much */
static std::vector<Stream *> streams;
#ifdef __SANITIZE_ADDRESS__
enum { GUARD = 0 };
#else
enum { GUARD = 256 };                           /* bytes behind device memory, all 0xA5 */
#endif

static bool lies_in(const Memory &m, const void *p) {
    Memory::const_iterator i = m.upper_bound((char *)p);
    if (i == m.begin()) return false;
    --i;
    return (char *)p < i->first + i->second;
}
static bool on_device(const void *p) { return lies_in(device_memory, p); }
template <class T> void check_argument(const T &) {}
template <class T> void check_argument(T *const &p) {
    if (p && !on_device((const void *)p)) stop("a kernel's pointer is not the device's");
}
static void enqueue(cudaStream_t s, std::function<void()> f) {
    if (s->capture) { s->capture->node.push_back(f); return; }
    s->job.push_back(f);
    s->queued++;
}
static void work_until(Stream *s, size_t at) {
    while (s && s->done < at) {
        std::function<void()> f = s->job.front();
        s->job.pop_front();
        s->done++;
        f();
    }
}
static void work_all() { for (Stream *s : streams) work_until(s, s->queued); }
template <class... A> struct Launch {
    void (*kernel)(A...);
    dim3 grid, block;
    size_t bytes;
    cudaStream_t stream;
    void operator()(A... a) const {
        dim3 g = grid, b = block;
        size_t n = bytes;
        void (*k)(A...) = kernel;
        int dummy[] = { 0, (check_argument(a), 0)... };
        (void)dummy;
        if (fail_launch && !--fail_launch) { last = cudaErrorLaunchFailure; return; }
        if (!g.x || !g.y || !g.z || g.y > 65535 || g.z > 65535 || b.x * b.y * b.z > MOST ||
            (n > 48 << 10 && n > allowed[(void *)k])) {
            last = cudaErrorInvalidValue;
            return;
        }
        enqueue(stream, [=] { run_grid(g, b, n, (void *)k, [=] { k(a...); }); });
    }
};
template <class... A>
Launch<A...> launch(dim3 grid, dim3 block, size_t bytes, cudaStream_t stream,
                    void (*kernel)(A...)) {
    Launch<A...> l = { kernel, grid, block, bytes, stream };
    return l;
}
} /* namespace emulated */
#define LAUNCH(grid, block, shared, stream, ...) \
    emulated::launch(grid, block, shared, stream, __VA_ARGS__)

static inline const char *cudaGetErrorString(cudaError_t e) {
    static const char *const text[] = { "no error", "invalid value", "out of memory", "no device",
        "no kernel image for this device", "launch failure (on purpose)" };
    return text[e];
}
static inline cudaError_t cudaGetLastError() {
    cudaError_t e = emulated::last;
    emulated::last = cudaSuccess;
    return e;
}
static inline cudaError_t cudaGetDeviceCount(int *n) {
    *n = emulated::devices;
    return *n ? cudaSuccess : cudaErrorNoDevice;
}
static inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int) {
    strcpy(p->name, "a CPU that plays GPU");
    p->major = emulated::major_version; p->minor = 0; p->multiProcessorCount = 4;
    return cudaSuccess;
}
template <class F> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *a, F) {
    a->ptxVersion = 10 * emulated::major_version;
    return emulated::major_version ? cudaSuccess : cudaErrorNoKernelImageForDevice;
}
enum { cudaFuncAttributeMaxDynamicSharedMemorySize };
template <class F> cudaError_t cudaFuncSetAttribute(F kernel, int, int bytes) {
    if (bytes > 99 << 10) return emulated::last = cudaErrorInvalidValue;    /* 8.6, 8.9, 12.0 */
    emulated::allowed[(void *)kernel] = (size_t)bytes;
    return cudaSuccess;
}
static inline cudaError_t cudaMalloc(void **p, size_t n) {
    if (emulated::memory_used + n > emulated::memory_limit) {
        *p = NULL;
        return emulated::last = cudaErrorMemoryAllocation;
    }
    *p = malloc(n + emulated::GUARD);
    memset(*p, 0xFF, n);
    memset((char *)*p + n, 0xA5, emulated::GUARD);
    emulated::memory_used += n;
    emulated::device_memory[(char *)*p] = n;
    return cudaSuccess;
}
static inline cudaError_t cudaFree(void *p) {
    if (!p) return cudaSuccess;
    emulated::work_all();
    if (!emulated::device_memory.count((char *)p)) emulated::stop("cudaFree of something else");
    size_t n = emulated::device_memory[(char *)p];
    for (int i = 0; i < emulated::GUARD; i++)
        if (((unsigned char *)p)[n + i] != 0xA5) emulated::stop("writing behind device memory");
    emulated::memory_used -= n;
    emulated::device_memory.erase((char *)p);
    free(p);
    return cudaSuccess;
}
static inline cudaError_t cudaMemGetInfo(size_t *unused, size_t *total) {
    *total = emulated::memory_limit;
    *unused = *total - emulated::memory_used;
    return cudaSuccess;
}
static inline cudaError_t cudaMallocHost(void **p, size_t n) {
    *p = malloc(n);
    emulated::pinned_memory[(char *)*p] = n;
    return cudaSuccess;
}
static inline cudaError_t cudaFreeHost(void *p) {
    memset(p, 0xFF, emulated::pinned_memory[(char *)p]);
    emulated::pinned_memory.erase((char *)p);
    free(p);
    return cudaSuccess;
}
/* From ordinary memory of the host the values of now are taken, from pinned memory those of when
   the stream gets there; to ordinary memory a copy has been made when the call returns. */
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, int kind,
                                          cudaStream_t s) {
    if (emulated::on_device(to) != (kind != cudaMemcpyDeviceToHost) ||
        emulated::on_device(from) != (kind != cudaMemcpyHostToDevice))
        emulated::stop("a copy in another direction than it says");
    if (kind == cudaMemcpyHostToDevice && !emulated::lies_in(emulated::pinned_memory, from)) {
        typedef std::vector<char> Bytes;
        std::shared_ptr<Bytes> now(new Bytes((char *)from, (char *)from + n));
        emulated::enqueue(s, [=] { memcpy(to, now->data(), n); });
    } else emulated::enqueue(s, [=] { memcpy(to, from, n); });
    if (kind == cudaMemcpyDeviceToHost) {
        if (s->capture) emulated::stop("a copy to the host that is being captured");
        if (!emulated::lies_in(emulated::pinned_memory, to)) emulated::work_until(s, s->queued);
    }
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s) {
    if (!emulated::on_device(p)) emulated::stop("cudaMemsetAsync of host memory");
    emulated::enqueue(s, [=] { memset(p, v, n); });
    return cudaSuccess;
}
static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) {
    *s = new Stream();
    emulated::streams.push_back(*s);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t s) {
    emulated::work_until(s, s->queued);
    emulated::streams.erase(std::find(emulated::streams.begin(), emulated::streams.end(), s));
    delete s;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    if (s->capture) emulated::stop("waiting for a stream that is being captured");
    emulated::work_until(s, s->queued);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    Event now = *e;                     /* one that was never recorded is past */
    emulated::enqueue(s, [=] { emulated::work_until(now.stream, now.at); });
    return cudaSuccess;
}
static inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) {
    *e = new Event();
    return cudaSuccess;
}
static inline cudaError_t cudaEventCreate(cudaEvent_t *e) {
    return cudaEventCreateWithFlags(e, 0);
}
static inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t) {
    *ms = 1;
    return cudaSuccess;
}
static inline cudaError_t cudaEventDestroy(cudaEvent_t e) { delete e; return cudaSuccess; }
static inline cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    emulated::work_until(e->stream, e->at);
    return cudaSuccess;
}
static inline cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    if (s->capture) emulated::stop("an event in a stream that is being captured");
    e->stream = s;
    e->at = s->queued;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamBeginCapture(cudaStream_t s, int) {
    s->capture = new Graph();
    return cudaSuccess;
}
static inline cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g) {
    *g = s->capture;
    s->capture = NULL;
    return cudaSuccess;
}
static inline cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *e, cudaGraph_t g,
                                                        unsigned long long) {
    *e = new Graph(*g);
    return cudaSuccess;
}
static inline cudaError_t cudaGraphDestroy(cudaGraph_t g) { delete g; return cudaSuccess; }
static inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g) { delete g; return cudaSuccess; }
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t s) {
    for (std::function<void()> &f : g->node) emulated::enqueue(s, f);
    return cudaSuccess;
}

/* For test programs, which are C: how many devices there are, their compute capability (major; 0:
   one that the program was not built for), how much memory, and which launch from now fails. */
extern "C" void cuda_on_cpu_set(int devices, int major, size_t memory, int fail_launch) {
    emulated::devices = devices;
    emulated::major_version = major;
    emulated::memory_limit = memory;
    emulated::fail_launch = fail_launch;
}
extern "C" size_t cuda_on_cpu_memory(void) { return emulated::memory_used; }
#endif
