/* A disk that fails: preloaded into a process, it strikes at the N-th change below one folder.
 *
 * Changes are: to create or open a file for writing, to write, cut, flush, rename, link or remove it, to make or remove
 * a folder. What is written through mmap is not seen. Linux only.
 *
 * FAULT_FOLDER   absolute path without links; changes at it and below it count
 * FAULT_CONTROL  a file of four 64-bit numbers, shared by all processes that see it:
 *                how many changes there were; at which to strike (0: never); the errno to fail with (0: kill the
 *                process, half of what it was about to write being written); whether later changes fail, too
 * FAULT_LOG      if set, a line for each change is added to this file
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct control { _Atomic long count; long at, error, onwards; } *control;
static const char *folder;
static int log_file = -1;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_CONTROL"), *log_path = getenv("FAULT_LOG"), *below = getenv("FAULT_FOLDER");
    int file = path && below ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared == MAP_FAILED) return;
    if (log_path) log_file = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    control = shared;
    folder = below;
}

/* Write the path of an open file, or of `path` seen from an open folder, to `full`. */
static void resolve(int file, const char *path, char *full, size_t size) {
    char link[64], base[PATH_MAX] = "";
    if (!path || *path != '/') {
        snprintf(link, sizeof link, file == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", file);
        ssize_t length = readlink(link, base, sizeof base - 1);
        base[length > 0 ? length : 0] = 0;
    }
    snprintf(full, size, "%s%s%s", base, path && *base ? "/" : "", path ? path : "");
}

enum { PASS, FAIL, KILL };

/* Count a change, and tell what becomes of it. */
static int strike(const char *operation, int file, const char *path) {
    char full[2 * PATH_MAX];
    if (!folder) return PASS;
    int before = errno;
    resolve(file, path, full, sizeof full);
    errno = before;
    size_t length = strlen(folder);
    if (strncmp(full, folder, length) || (full[length] && full[length] != '/')) return PASS;
    long number = ++control->count;
    if (log_file >= 0) dprintf(log_file, "%ld %s %s\n", number, operation, full + length);
    errno = before;
    if (!control->at || number < control->at || (number > control->at && !control->onwards)) return PASS;
    if (!control->error) return KILL;
    errno = control->error;
    return FAIL;
}

/* Let a change happen, fail, or end the process after `first`. */
#define CHANGE(operation, file, path, first) \
    switch (strike(operation, file, path)) { \
    case FAIL: return -1; \
    case KILL: first; syscall(SYS_kill, getpid(), SIGKILL); }

static int changes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC); }

#define OPEN(name, parameters, folder_file) \
    int name parameters { \
        va_list rest; va_start(rest, flags); \
        int mode = flags & O_CREAT ? va_arg(rest, int) : 0; va_end(rest); \
        if (changes(flags)) CHANGE("open", folder_file, path, ) \
        return syscall(SYS_openat, folder_file, path, flags, mode); \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int file, const char *path, int flags, ...), file)
OPEN(openat64, (int file, const char *path, int flags, ...), file)

#define FOPEN(name) \
    FILE *name(const char *path, const char *mode) { \
        FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, #name); \
        switch (strpbrk(mode, "wa+") ? strike("open", AT_FDCWD, path) : PASS) { \
        case FAIL: return NULL; \
        case KILL: syscall(SYS_kill, getpid(), SIGKILL); } \
        return real(path, mode); \
    }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int file, const void *data, size_t size) {
    CHANGE("write", file, NULL, syscall(SYS_write, file, data, size / 2))
    return syscall(SYS_write, file, data, size);
}
#define PWRITE(name) \
    ssize_t name(int file, const void *data, size_t size, off_t place) { \
        CHANGE("write", file, NULL, syscall(SYS_pwrite64, file, data, size / 2, place)) \
        return syscall(SYS_pwrite64, file, data, size, place); \
    }
PWRITE(pwrite)
PWRITE(pwrite64)
ssize_t writev(int file, const struct iovec *parts, int count) {
    CHANGE("write", file, NULL, syscall(SYS_writev, file, parts, count / 2))
    return syscall(SYS_writev, file, parts, count);
}

#define SIMPLE(returns, name, parameters, operation, file, path, ...) \
    returns name parameters { CHANGE(operation, file, path, ) return syscall(__VA_ARGS__); }
SIMPLE(int, ftruncate, (int file, off_t size), "cut", file, NULL, SYS_ftruncate, file, size)
SIMPLE(int, ftruncate64, (int file, off_t size), "cut", file, NULL, SYS_ftruncate, file, size)
SIMPLE(int, fsync, (int file), "flush", file, NULL, SYS_fsync, file)
SIMPLE(int, fdatasync, (int file), "flush", file, NULL, SYS_fdatasync, file)
SIMPLE(int, mkdir, (const char *path, mode_t mode), "mkdir", AT_FDCWD, path, SYS_mkdirat, AT_FDCWD, path, mode)
SIMPLE(int, mkdirat, (int file, const char *path, mode_t mode), "mkdir", file, path, SYS_mkdirat, file, path, mode)
SIMPLE(int, unlink, (const char *path), "remove", AT_FDCWD, path, SYS_unlinkat, AT_FDCWD, path, 0)
SIMPLE(int, unlinkat, (int file, const char *path, int flags), "remove", file, path, SYS_unlinkat, file, path, flags)
SIMPLE(int, remove, (const char *path), "remove", AT_FDCWD, path, SYS_unlinkat, AT_FDCWD, path, 0)
SIMPLE(int, rmdir, (const char *path), "remove", AT_FDCWD, path, SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR)
SIMPLE(int, rename, (const char *path, const char *to), "rename", AT_FDCWD, to, SYS_renameat2, AT_FDCWD, path, AT_FDCWD, to, 0)
SIMPLE(int, renameat, (int file, const char *path, int new, const char *to), "rename", new, to, SYS_renameat2, file, path, new, to, 0)
SIMPLE(int, link, (const char *path, const char *to), "link", AT_FDCWD, to, SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0)
SIMPLE(int, linkat, (int file, const char *path, int new, const char *to, int flags), "link", new, to, SYS_linkat, file, path, new, to, flags)
