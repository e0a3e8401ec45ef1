/* Loaded before everything else (LD_PRELOAD): counts the calls that change one file system, and at one of them kills the
   process, takes the power away, or lets the call fail. Dormant until `arm`. */
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
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NOTHING, KILL, CUT, FAIL };
enum { ANY, SYNC, WRITE };

static struct {
    int action, kind, error, disk, flags;
    long moment;
    dev_t device;
    char *told; /* of who is to hear which call it was: shared memory, 256 bytes */
    long *counts; /* of all calls, of syncs, of writes */
} armed;

void arm(int action, int kind, long moment, int error, int disk, int flags, unsigned long device, long *counts, char *told) {
    armed.kind = kind, armed.moment = moment, armed.error = error, armed.disk = disk, armed.flags = flags;
    armed.device = device, armed.counts = counts, armed.told = told, armed.action = action;
}

static int here(int fd, const char *path) { /* whether a call concerns the file system that is watched */
    struct stat found;
    char above[PATH_MAX];
    if (!armed.counts) return 0;
    if (!path) return fstat(fd, &found) == 0 && found.st_dev == armed.device;
    snprintf(above, sizeof above, "%s", path);
    char *end = strrchr(above, '/');
    if (end) end[end == above] = 0;
    return fstatat(fd, end ? above : ".", &found, 0) == 0 && found.st_dev == armed.device;
}

/* Count a call; -1 with errno set where it is to fail. */
static int met(int kind, const char *name, int fd, const char *path) {
    int before = errno;
    if (!here(fd, path)) { errno = before; return 0; }
    long now = __atomic_add_fetch(armed.counts + ANY, 1, __ATOMIC_SEQ_CST);
    if (kind != ANY) {
        long of_kind = __atomic_add_fetch(armed.counts + kind, 1, __ATOMIC_SEQ_CST);
        if (armed.kind != ANY) now = armed.kind == kind ? of_kind : 0;
    } else if (armed.kind != ANY) now = 0;
    if (now == armed.moment && armed.action) {
        char link[64], file[PATH_MAX] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        if (!path && readlink(link, file, sizeof file - 1) > 0) path = file;
        snprintf(armed.told, 256, "%s %s", name, path ? path : "");
        if (armed.action == CUT) ioctl(armed.disk, _IOR('X', 125, unsigned), &armed.flags);
        if (armed.action != FAIL) kill(getpid(), SIGKILL);
        errno = armed.error;
        return -1;
    }
    errno = before;
    return 0;
}

#define REAL(name) static typeof(&name) real; if (!real) real = (typeof(&name))dlsym(RTLD_NEXT, #name)
#define ON_FD(type, name, kind, formal, actual) \
    type name formal { REAL(name); return met(kind, #name, fd, 0) ? -1 : real actual; }
#define ON_PATH(name, formal, actual, fd, path) \
    int name formal { REAL(name); return met(ANY, #name, fd, path) ? -1 : real actual; }

ON_FD(int, fsync, SYNC, (int fd), (fd))
ON_FD(int, fdatasync, SYNC, (int fd), (fd))
ON_FD(ssize_t, write, WRITE, (int fd, const void *data, size_t size), (fd, data, size))
ON_FD(ssize_t, writev, WRITE, (int fd, const struct iovec *data, int size), (fd, data, size))
ON_FD(ssize_t, pwrite, WRITE, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
ON_FD(ssize_t, pwrite64, WRITE, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
ON_FD(int, ftruncate, ANY, (int fd, off_t size), (fd, size))
ON_FD(int, ftruncate64, ANY, (int fd, off64_t size), (fd, size))
ON_FD(int, fchmod, ANY, (int fd, mode_t mode), (fd, mode))

ON_PATH(rename, (const char *old, const char *new), (old, new), AT_FDCWD, new)
ON_PATH(renameat, (int from, const char *old, int to, const char *new), (from, old, to, new), to, new)
ON_PATH(link, (const char *old, const char *new), (old, new), AT_FDCWD, new)
ON_PATH(linkat, (int from, const char *old, int to, const char *new, int how), (from, old, to, new, how), to, new)
ON_PATH(symlink, (const char *old, const char *new), (old, new), AT_FDCWD, new)
ON_PATH(unlink, (const char *path), (path), AT_FDCWD, path)
ON_PATH(unlinkat, (int fd, const char *path, int how), (fd, path, how), fd, path)
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
ON_PATH(mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), fd, path)
ON_PATH(rmdir, (const char *path), (path), AT_FDCWD, path)
ON_PATH(chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)

ssize_t sendfile64(int out, int in, off64_t *from, size_t size) {
    static ssize_t (*real)(int, int, off64_t *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "sendfile64");
    return met(WRITE, "sendfile", out, 0) ? -1 : real(out, in, from, size);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    REAL(fwrite);
    return met(WRITE, "fwrite", fileno(file), 0) ? 0 : real(data, size, count, file);
}

#define OPENING(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & O_CREAT) { \
            va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); \
            if (met(ANY, #name, AT_FDCWD, path)) return -1; \
        } \
        return real(path, flags, mode); \
    }
OPENING(open)
OPENING(open64)
