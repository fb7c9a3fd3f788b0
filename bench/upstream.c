/* CPU of one outgoing request: bench_upstream URL [concurrency] [seconds] [body]. Keeps that many
 * requests in flight, submitted from other requests' ends (as the gateway's retries are) or, with
 * BENCH_THREAD=1, from the main thread (as handlers do), and prints requests/s and CPU a request.
 * BENCH_CURL=1: over libcurl, also what our own client could carry.
 */
#include "http/upstream.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

struct bench {
    struct mr_upstream *u;
    struct mr_upstream_request q;
    atomic_long done, failed, free_slots;
    atomic_bool stop;
    bool from_main;
};

static void start(struct bench *b) {
    struct mr_err e;
    if (mr_upstream_start(b->u, &b->q, NULL, &e) < 0)
        fprintf(stderr, "%s\n", e.msg);
}

static void done(void *arg, const struct mr_upstream_reply *r) {
    struct bench *b = arg;
    atomic_fetch_add(r->rc == 0 && r->status == 200 ? &b->done : &b->failed, 1);
    if (b->from_main)
        atomic_fetch_add(&b->free_slots, 1);
    else if (!atomic_load(&b->stop))
        start(b);
}

static double cpu_s(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fputs("usage: bench_upstream URL [concurrency] [seconds] [body]\n", stderr);
        return 2;
    }
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 32;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 3;
    static const struct mr_upstream_header headers[] = {
        {"authorization", MR_LIT("Bearer sk-bench")}, {"content-type", MR_LIT("application/json")}};
    struct bench b = {.from_main = getenv("BENCH_THREAD") != NULL};
    b.q = (struct mr_upstream_request){.method = "POST",
                                       .url = mr_str(argv[1]),
                                       .headers = headers,
                                       .n_headers = 2,
                                       .total_ms = 30000,
                                       .reply_max = 1 << 20,
                                       .done = done,
                                       .arg = &b};
    b.q.body = argc > 4 ? mr_str(argv[4])
                        : MR_LIT("{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\","
                                 "\"content\":\"[standin out=150] hello there, how are you\"}]}");
    struct mr_err e;
    struct mr_upstream_config config = {.only_curl = getenv("BENCH_CURL") != NULL};
    if (mr_upstream_new(&config, &b.u, &e) < 0)
        return 1;
    int64_t from = mr_mono_ns(), until = from + (int64_t)(seconds * 1e9);
    double cpu = cpu_s();
    if (!b.from_main)
        for (long i = 0; i < n; i++)
            start(&b);
    atomic_store(&b.free_slots, b.from_main ? n : 0);
    while (mr_mono_ns() < until) {
        for (long k = b.from_main ? atomic_exchange(&b.free_slots, 0) : 0; k > 0; k--)
            start(&b);
        usleep(b.from_main ? 100 : 10000);
    }
    double used = cpu_s() - cpu, wall = (double)(mr_mono_ns() - from) / 1e9;
    long ok = atomic_load(&b.done);
    printf("%ld requests, %ld failed, %.0f/s, %.2f us CPU a request\n", ok, atomic_load(&b.failed),
           (double)ok / wall, used / (double)ok * 1e6);
    atomic_store(&b.stop, true);
    mr_upstream_free(b.u);
    return 0;
}
