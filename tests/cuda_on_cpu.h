/* Enough of CUDA to run saliency_cuda.cu on a CPU, for tests: compile the .cu as C++ with this
   header in front,

       g++ -x c++ -include tests/cuda_on_cpu.h -fno-strict-aliasing -c saliency_cuda.cu

   Blocks run one after the other; the threads of a block are coroutines, each running until it
   meets a barrier or a shuffle and then giving way to the next. So kernels compute what they would
   on a GPU, slowly. What this finds:
     - wrong indices (results are compared; device memory is malloc'ed, so sanitizers see its ends);
     - reads of memory that nobody wrote: it is full of NaN;
     - barriers that some threads of a block do not reach: the program stops with a message;
     - missing barriers, mostly: every other block runs its threads from last to first, so that a
       thread that reads too early reads what is not there yet;
     - host pointers handed to kernels and transfers in the wrong direction.
   Tensor cores are loops over 16 x 16 tiles, with inputs rounded as the hardware rounds them. What
   it cannot find: races between blocks, what depends on the memory model, and anything about speed. */
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
#include <functional>
#include <map>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct float4 { float x, y, z, w; } __attribute__((aligned(16)));

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

static void run_block(bool backwards) {
    int i, k, finished;
    for (i = 0; i < threads; i++) thread[i].state = READY;
    do {
        bool moved = false;
        for (k = 0; k < threads; k++) {
            i = backwards ? threads - 1 - k : k;
            if (thread[i].state != READY) continue;
            resume(i);
            moved = true;
        }
        for (i = 0; i < threads; i += 32)
            moved |= release(i, std::min(i + 32, threads), AT_WARP);
        moved |= release(0, threads, AT_BARRIER);
        for (i = finished = 0; i < threads; i++) finished += thread[i].state == FINISHED;
        if (!moved && finished < threads)
            stop("some threads wait at a barrier, others at another place");
    } while (finished < threads);
}

static void run_grid(dim3 grid, dim3 block, std::function<void()> kernel) {
    unsigned x, y, z, n = 0;
    threads = (int)(block.x * block.y * block.z);
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
                run_block(n++ % 2 == 1);
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

#define threadIdx (emulated::thread[emulated::current].index)
#define blockIdx  emulated::block_index
#define blockDim  emulated::block_size
#define gridDim   emulated::grid_size
static inline void __syncthreads() { emulated::give_way(emulated::AT_BARRIER); }
static inline void __syncwarp() { emulated::give_way(emulated::AT_WARP); }
template <class T> T __shfl_down_sync(unsigned, T v, int by) {
    return emulated::exchange(v, emulated::current % 32 + by);
}

/* --- arithmetic --- */

static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((uint64_t)a * b >> 32);
}
static inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
static inline float atomicAdd(float *p, float v) { float old = *p; *p += v; return old; }

/* saliency.h has the conversions; this header comes before it. */
extern "C" float sal_f16_to_f32(uint16_t h);
extern "C" uint16_t sal_f32_to_f16(float f);
struct __half { uint16_t bits; };
static inline float __half2float(__half h) { return sal_f16_to_f32(h.bits); }
static inline __half __float2half(float f) { __half h; h.bits = sal_f32_to_f16(f); return h; }

/* Tensor cores: the first lane of a warp holds whole tiles and does the work of all. */
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
    u = (u + 0x1000u) & 0xFFFFE000u;
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
struct cudaFuncAttributes { int numRegs; };
struct Graph { std::vector<std::function<void()> > node; };
typedef Graph *cudaGraph_t;
typedef Graph *cudaGraphExec_t;
struct Stream { Graph *capture; };
typedef Stream *cudaStream_t;
typedef int *cudaEvent_t;

namespace emulated {
static cudaError_t last;
static std::map<char *, size_t> device_memory;

static bool on_device(const void *p) {
    std::map<char *, size_t>::iterator i = device_memory.upper_bound((char *)p);
    if (i == device_memory.begin()) return false;
    --i;
    return (char *)p < i->first + i->second;
}
template <class T> void check_argument(const T &) {}
template <class T> void check_argument(T *const &p) {
    if (p && !on_device((const void *)p)) stop("a kernel was given a pointer that is not the device's");
}
static void enqueue(cudaStream_t s, std::function<void()> f) {
    if (s && s->capture) s->capture->node.push_back(f);
    else f();
}
template <class... A> struct Launch {
    void (*kernel)(A...);
    dim3 grid, block;
    cudaStream_t stream;
    void operator()(A... a) const {
        dim3 g = grid, b = block;
        void (*k)(A...) = kernel;
        int dummy[] = { 0, (check_argument(a), 0)... };
        (void)dummy;
        if (fail_launch && !--fail_launch) { last = cudaErrorLaunchFailure; return; }
        if (!g.x || !g.y || !g.z || g.y > 65535 || g.z > 65535 || b.x * b.y * b.z > MOST) {
            last = cudaErrorInvalidValue;
            return;
        }
        enqueue(stream, [=] { run_grid(g, b, [=] { k(a...); }); });
    }
};
template <class... A>
Launch<A...> launch(dim3 grid, dim3 block, cudaStream_t stream, void (*kernel)(A...)) {
    Launch<A...> l = { kernel, grid, block, stream };
    return l;
}
} /* namespace emulated */
#define LAUNCH(grid, block, stream, ...) emulated::launch(grid, block, stream, __VA_ARGS__)

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
template <class F> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, F) {
    return emulated::major_version ? cudaSuccess : cudaErrorNoKernelImageForDevice;
}
static inline cudaError_t cudaMalloc(void **p, size_t n) {
    if (emulated::memory_used + n > emulated::memory_limit) {
        *p = NULL;
        return emulated::last = cudaErrorMemoryAllocation;
    }
    *p = malloc(n);
    memset(*p, 0xFF, n);
    emulated::memory_used += n;
    emulated::device_memory[(char *)*p] = n;
    return cudaSuccess;
}
static inline cudaError_t cudaFree(void *p) {
    if (!p) return cudaSuccess;
    if (!emulated::device_memory.count((char *)p)) emulated::stop("cudaFree of something else");
    emulated::memory_used -= emulated::device_memory[(char *)p];
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
    return cudaSuccess;
}
static inline cudaError_t cudaFreeHost(void *p) { free(p); return cudaSuccess; }
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, int kind,
                                          cudaStream_t s) {
    if (emulated::on_device(to) != (kind != cudaMemcpyDeviceToHost) ||
        emulated::on_device(from) != (kind != cudaMemcpyHostToDevice))
        emulated::stop("a copy in another direction than it says");
    emulated::enqueue(s, [=] { memcpy(to, from, n); });
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t s) {
    if (!emulated::on_device(p)) emulated::stop("cudaMemsetAsync of host memory");
    emulated::enqueue(s, [=] { memset(p, v, n); });
    return cudaSuccess;
}
static inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) {
    *s = new Stream();
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t s) { delete s; return cudaSuccess; }
static inline cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    if (s->capture) emulated::stop("waiting for a stream that is being captured");
    return cudaSuccess;
}
static inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
    return cudaSuccess;
}
static inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) {
    *e = new int();
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
static inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
static inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
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
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t) {
    for (std::function<void()> &f : g->node) f();
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
