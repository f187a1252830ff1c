/* A disk that fails on demand: preloaded into a process, it spoils calls on journal segments (*.seg) while a
 * control file named after the fault stands in the directory $TUIKE_FAULTS. With ".once" behind its name a
 * control file is removed by the first call it spoils; where it has text, only calls on paths with that text in them
 * are spoilt. "full": nothing can be allocated; "short_write": a write
 * is cut to half; "half_write": so it is, and the next one finds the disk full; "fdatasync" fails; "slow": it
 * does not end. Every write of records and every fdatasync is logged to $TUIKE_FAULTS/log. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int is_segment(int fd, char path[512]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 511);
    if (length < 4) return 0;
    path[length] = 0;
    return strcmp(path + length - 4, ".seg") == 0;
}

/* Whether a control file is there and means this path. */
static int meant(const char *control, const char *path) {
    char text[128];
    int fd = open(control, O_RDONLY);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length < 0) return 0;
    text[length] = 0;
    return strstr(path, text) != NULL;
}

static int fault(const char *name, const char *path) {
    char control[512];
    const char *dir = getenv("TUIKE_FAULTS");
    if (!dir) return 0;
    snprintf(control, sizeof control, "%s/%s", dir, name);
    if (meant(control, path)) return 1;
    strncat(control, ".once", sizeof control - strlen(control) - 1);
    return meant(control, path) && unlink(control) == 0;
}

static void note(const char *what, const char *path) {
    char log[512], line[600];
    snprintf(log, sizeof log, "%s/log", getenv("TUIKE_FAULTS"));
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int length = snprintf(line, sizeof line, "%s %s\n", what, path);
    syscall(SYS_write, fd, line, length);
    close(fd);
}

int fdatasync(int fd) {
    char path[512];
    if (!is_segment(fd, path)) return syscall(SYS_fdatasync, fd);
    while (fault("slow", path)) usleep(10000);
    int failed = fault("fdatasync", path);
    note(failed ? "failed" : "synced", path);
    if (!failed) return syscall(SYS_fdatasync, fd);
    errno = EIO;
    return -1;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    if (!fault("full", "")) return syscall(SYS_fallocate, fd, mode, offset, length);
    errno = ENOSPC;
    return -1;
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }

ssize_t write(int fd, const void *bytes, size_t length) {
    char path[512];
    if (length > 1 && is_segment(fd, path)) {
        static __thread int fail_next;
        if (fail_next) {
            fail_next = 0;
            errno = ENOSPC;
            return -1;
        }
        int records = *(const char *)bytes != 0; /* zeros are an allocation's */
        if (records) note("wrote", path);
        fail_next = records && fault("half_write", path);
        if (fail_next || fault("short_write", path)) length /= 2;
    }
    return syscall(SYS_write, fd, bytes, length);
}

/* A segment's second block cannot be read. */
ssize_t pread64(int fd, void *bytes, size_t length, off64_t offset) {
    char path[512];
    if (offset < 8192 && offset + (off64_t)length > 4096 && is_segment(fd, path) && fault("unreadable", path)) {
        if (offset >= 4096) {
            errno = EIO;
            return -1;
        }
        length = 4096 - offset;
    }
    return syscall(SYS_pread64, fd, bytes, length, offset);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) { return pread64(fd, bytes, length, offset); }
