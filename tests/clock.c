/* A clock that is wrong: preloaded into a process, its wall clock is $TUIKE_CLOCK_AHEAD seconds ahead. Clocks that
 * nobody sets go right. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, id, now);
    const char *ahead = getenv("TUIKE_CLOCK_AHEAD");
    if (!failed && ahead && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) now->tv_sec += atol(ahead);
    return failed;
}
