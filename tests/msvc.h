/* SPDX-License-Identifier: Unlicense OR MIT-0 */
/* A stand-in for the headers of Microsoft's C library and of Windows, as far as the sources use them:
   what is not declared here, as unistd.h and dirent.h, is not to be had there. For
   tests/test_msvc.sh, which only checks the language; nothing is ever linked with it. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* stdio.h, io.h, direct.h, fcntl.h, sys/stat.h, process.h */
typedef struct _iobuf FILE;
typedef long long fpos_t;
FILE *msvc_stream(int);
#define stdin msvc_stream(0)
#define stdout msvc_stream(1)
#define stderr msvc_stream(2)
#define EOF (-1)
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define BUFSIZ 512
int printf(const char *, ...), fprintf(FILE *, const char *, ...), sprintf(char *, const char *, ...);
int snprintf(char *, size_t, const char *, ...), vsnprintf(char *, size_t, const char *, va_list);
int vfprintf(FILE *, const char *, va_list), vprintf(const char *, va_list);
int sscanf(const char *, const char *, ...);
int puts(const char *), fputs(const char *, FILE *), fputc(int, FILE *), putchar(int), fgetc(FILE *);
int getc(FILE *), putc(int, FILE *), ungetc(int, FILE *), getchar(void);
char *fgets(char *, int, FILE *);
FILE *fopen(const char *, const char *);
int fclose(FILE *), fflush(FILE *), fseek(FILE *, long, int), feof(FILE *), ferror(FILE *);
int setvbuf(FILE *, char *, int, size_t), _fileno(FILE *);
long ftell(FILE *);
size_t fread(void *, size_t, size_t, FILE *), fwrite(const void *, size_t, size_t, FILE *);
int remove(const char *), rename(const char *, const char *);
FILE *_wfopen(const wchar_t *, const wchar_t *);
int _fseeki64(FILE *, long long, int);
long long _ftelli64(FILE *);
#define _O_RDONLY 0
#define _O_WRONLY 1
#define _O_RDWR 2
#define _O_CREAT 0x100
#define _O_TRUNC 0x200
#define _O_EXCL 0x400
#define _O_BINARY 0x8000
#define _S_IREAD 0x100
#define _S_IWRITE 0x80
int _wopen(const wchar_t *, int, ...), _write(int, const void *, unsigned), _commit(int), _close(int);
int _waccess(const wchar_t *, int);
int _isatty(int), _setmode(int, int), _wunlink(const wchar_t *), _wmkdir(const wchar_t *);
int _read(int, void *, unsigned), _getpid(void);
struct _wfinddata64_t { unsigned attrib; long long t[3]; long long size; wchar_t name[260]; };
intptr_t _wfindfirst64(const wchar_t *, struct _wfinddata64_t *);
int _wfindnext64(intptr_t, struct _wfinddata64_t *), _findclose(intptr_t);

/* stdlib.h, string.h, errno.h, time.h, signal.h, ctype.h, locale.h */
void *malloc(size_t), *calloc(size_t, size_t), *realloc(void *, size_t);
void free(void *), exit(int), abort(void), *_aligned_malloc(size_t, size_t), _aligned_free(void *);
void __cpuid(int [4], int);
void qsort(void *, size_t, size_t, int (__cdecl *)(const void *, const void *));
void *bsearch(const void *, const void *, size_t, size_t,
              int (__cdecl *)(const void *, const void *));
char *getenv(const char *);
wchar_t *_wgetenv(const wchar_t *);
double strtod(const char *, char **), atof(const char *);
long strtol(const char *, char **, int);
unsigned long strtoul(const char *, char **, int);
unsigned long long strtoull(const char *, char **, int);
int atoi(const char *), abs(int), system(const char *), atexit(void (__cdecl *)(void));
unsigned _rotl(unsigned, int);
unsigned long _lrotl(unsigned long, int);
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
void *memcpy(void *, const void *, size_t), *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t), *memchr(const void *, int, size_t);
int memcmp(const void *, const void *, size_t), strcmp(const char *, const char *);
int strncmp(const char *, const char *, size_t);
size_t strlen(const char *), strspn(const char *, const char *), strcspn(const char *, const char *);
size_t wcslen(const wchar_t *);
char *strchr(const char *, int), *strrchr(const char *, int), *strstr(const char *, const char *);
char *strpbrk(const char *, const char *), *strcpy(char *, const char *), *strerror(int);
char *strcat(char *, const char *), *strncpy(char *, const char *, size_t);
char *strtok(char *, const char *);
int *_errno(void);
#define errno (*_errno())
#define ENOENT 2
#define EINTR 4
#define EIO 5
#define ENOMEM 12
#define EACCES 13
#define EEXIST 17
#define EINVAL 22
#define ENOSPC 28
#define ESPIPE 29
#define EPIPE 32
#define ENAMETOOLONG 38
#define ERANGE 34
typedef long long time_t;
typedef long clock_t;
#define CLOCKS_PER_SEC 1000
struct tm { int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday, tm_yday, tm_isdst; };
time_t time(time_t *);
clock_t clock(void);
double difftime(time_t, time_t);
struct tm *localtime(const time_t *), *gmtime(const time_t *);
size_t strftime(char *, size_t, const char *, const struct tm *);
#define SIGINT 2
#define SIGTERM 15
#define SIG_IGN ((void (__cdecl *)(int))1)
void (__cdecl *signal(int, void (__cdecl *)(int)))(int);
int isdigit(int), isalpha(int), isalnum(int), isspace(int), tolower(int), toupper(int), isprint(int);
#define assert(x) ((void)0)

/* math.h (with its macro) */
#define DOMAIN _DOMAIN
#define isnan(x) ((x) != (x))
#define isinf(x) ((x) - (x) != 0 && (x) == (x))
#define isfinite(x) ((x) - (x) == 0)
#define signbit(x) ((x) < 0)
#define HUGE_VAL (1e300 * 1e300)
#define INFINITY ((float)HUGE_VAL)
#define NAN (-(float)(INFINITY * 0.0f))
double fabs(double), sqrt(double), exp(double), exp2(double), log(double), log2(double);
double log10(double), pow(double, double), sin(double), cos(double), tan(double), tanh(double);
double atan2(double, double), atan(double), acos(double), asin(double), floor(double), ceil(double);
double rint(double), round(double), fmod(double, double), ldexp(double, int), frexp(double, int *);
double erf(double), cbrt(double), hypot(double, double), fmax(double, double), fmin(double, double);
double cosh(double), sinh(double), lgamma(double), log1p(double), expm1(double), trunc(double);
float fabsf(float), sqrtf(float), expf(float), logf(float), floorf(float), ceilf(float), rintf(float);
float powf(float, float), tanhf(float), fmaxf(float, float), fminf(float, float), roundf(float);
float sinf(float), cosf(float), fmodf(float, float), log2f(float), exp2f(float);
long lrint(double), lround(double);
long lrintf(float);

/* windows.h, shellapi.h, psapi.h */
#define WINAPI __stdcall
#define CP_UTF8 65001
#define MB_ERR_INVALID_CHARS 8
#define MAX_PATH 260
#define FILE_ATTRIBUTE_DIRECTORY 0x10
#define FILE_FLAG_BACKUP_SEMANTICS 0x02000000
#define FILE_SHARE_READ 1
#define FILE_SHARE_WRITE 2
#define FILE_SHARE_DELETE 4
#define OPEN_EXISTING 3
#define STD_OUTPUT_HANDLE ((DWORD)-11)
#define INVALID_HANDLE_VALUE ((HANDLE)(intptr_t)-1)
typedef int BOOL;
typedef unsigned long DWORD;
typedef unsigned UINT;
typedef void *HANDLE;
typedef wchar_t WCHAR;
typedef union { struct { DWORD LowPart; long HighPart; } u; long long QuadPart; } LARGE_INTEGER;
typedef struct { DWORD dwLowDateTime, dwHighDateTime; } FILETIME;
typedef struct {
    DWORD dwFileAttributes;
    FILETIME ftCreationTime, ftLastAccessTime, ftLastWriteTime;
    DWORD dwVolumeSerialNumber, nFileSizeHigh, nFileSizeLow, nNumberOfLinks, nFileIndexHigh;
    DWORD nFileIndexLow;
} BY_HANDLE_FILE_INFORMATION;
typedef struct {
    DWORD dwFileAttributes;
    FILETIME a, b, c;
    DWORD nFileSizeHigh, nFileSizeLow, dwReserved0, dwReserved1;
    WCHAR cFileName[MAX_PATH], cAlternateFileName[14];
} WIN32_FIND_DATAW;
typedef struct { DWORD cb, PageFaultCount; size_t PeakWorkingSetSize, more[7]; }
    PROCESS_MEMORY_COUNTERS;
__declspec(dllimport) int WINAPI MultiByteToWideChar(UINT, DWORD, const char *, int, wchar_t *, int);
__declspec(dllimport) int WINAPI WideCharToMultiByte(UINT, DWORD, const wchar_t *, int, char *, int,
                                                     const char *, BOOL *);
BOOL WINAPI QueryPerformanceCounter(LARGE_INTEGER *);
BOOL WINAPI QueryPerformanceFrequency(LARGE_INTEGER *);
HANDLE WINAPI CreateFileW(const wchar_t *, DWORD, DWORD, void *, DWORD, DWORD, HANDLE);
BOOL WINAPI GetFileInformationByHandle(HANDLE, BY_HANDLE_FILE_INFORMATION *);
BOOL WINAPI CloseHandle(HANDLE);
HANDLE WINAPI FindFirstFileW(const wchar_t *, WIN32_FIND_DATAW *);
BOOL WINAPI FindNextFileW(HANDLE, WIN32_FIND_DATAW *);
BOOL WINAPI FindClose(HANDLE);
HANDLE WINAPI GetStdHandle(DWORD);
BOOL WINAPI GetConsoleMode(HANDLE, DWORD *);
BOOL WINAPI SetConsoleMode(HANDLE, DWORD);
BOOL WINAPI SetConsoleOutputCP(UINT);
wchar_t *WINAPI GetCommandLineW(void);
wchar_t **WINAPI CommandLineToArgvW(const wchar_t *, int *);
void *WINAPI LocalFree(void *);
DWORD WINAPI GetModuleFileNameW(void *, wchar_t *, DWORD);
HANDLE WINAPI GetCurrentProcess(void);
BOOL WINAPI K32GetProcessMemoryInfo(HANDLE, PROCESS_MEMORY_COUNTERS *, DWORD);
