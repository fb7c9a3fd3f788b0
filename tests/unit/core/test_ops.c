/* Figures of the machine, the rules of alerts, and the ring of log lines. */
#include "base/clock.h"
#include "core/ops/log_ring.h"
#include "core/ops/ops.h"
#include "mr_test.h"
#include "mr_tmp.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

/* --- /proc -------------------------------------------------------------------------------- */

MR_TEST(cpu_times_count_busy_and_all) {
    struct mr_cpu_times t = {0};
    CHECK(mr_proc_cpu(MR_LIT("cpu  100 20 30 800 50 1 2 3 0 0\ncpu0 1 2 3 4\n"), &t));
    CHECK_INT(t.total, 1006);
    CHECK_INT(t.busy, 156); /* all but idle and iowait */
    CHECK(mr_proc_cpu(MR_LIT("intr 5\ncpu 1 2 3 4"), &t));
    CHECK_INT(t.total, 10);
    CHECK(!mr_proc_cpu(MR_LIT("cpu 1 2 3\n"), &t));
    CHECK(!mr_proc_cpu(MR_LIT("cpu0 1 2 3 4 5\n"), &t));
    CHECK(!mr_proc_cpu(MR_LIT(""), &t));
}

MR_TEST(memory_needs_both_lines) {
    uint64_t total = 0, available = 0;
    CHECK(mr_proc_memory(MR_LIT("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n"),
                         &total, &available));
    CHECK_INT(total, 1024000);
    CHECK_INT(available, 256000);
    CHECK(!mr_proc_memory(MR_LIT("MemTotal: 1000 kB\n"), &total, &available));
    CHECK(!mr_proc_memory(MR_LIT("MemTotal: 0 kB\nMemAvailable: 0 kB\n"), &total, &available));
    CHECK(mr_proc_memory(MR_LIT("MemTotal: 10 kB\nMemAvailable: 20 kB"), &total, &available));
    CHECK_INT(available, 10240); /* never more than there is */
}

MR_TEST(network_sums_all_but_loopback) {
    uint64_t sent = 0, received = 0;
    struct mr_str text = MR_LIT("Inter-|   Receive                 |  Transmit\n"
                                " face |bytes packets errs drop fifo frame c m|bytes packets\n"
                                "    lo: 999 1 0 0 0 0 0 0 999 1 0 0 0 0 0 0\n"
                                "  eth0: 100 1 0 0 0 0 0 0 30 1 0 0 0 0 0 0\n"
                                "wlan0:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n");
    CHECK(mr_proc_network(text, &sent, &received));
    CHECK_INT(sent, 37);
    CHECK_INT(received, 105);
    CHECK(!mr_proc_network(MR_LIT("    lo: 999 1 0 0 0 0 0 0 999 1\n"), &sent, &received));
    CHECK_INT(sent, 0);
}

MR_TEST(this_machine_has_figures) {
    struct mr_cpu_times last = {0};
    struct mr_machine m;
    mr_machine_sample("/", &last, &m);
    CHECK(m.memory_total > 0 && m.memory_used > 0 && m.memory_used <= m.memory_total);
    CHECK(m.disk_total > 0 && m.disk_percent > 0 && m.disk_percent <= 100);
    CHECK(m.cpu_percent >= 0 && m.cpu_percent <= 100 && last.total > 0);
    CHECK(mr_process_memory() > 1 << 20);
    CHECK_INT(mr_process_threads(), 1);
}

/* --- rules -------------------------------------------------------------------------------- */

#define GB (1ull << 30)

static struct mr_rule_figures calm(void) {
    return (struct mr_rule_figures){.machine = {.memory_percent = 50,
                                                .memory_total = 8 * GB,
                                                .disk_percent = 50,
                                                .disk_total = 100 * GB,
                                                .disk_free = 50 * GB}};
}

MR_TEST(rules_hold_from_their_bounds_on) {
    struct mr_rule_figures f = calm();
    struct mr_alert a;
    for (int r = 0; r < MR_RULE_N; r++)
        CHECK(!mr_rule_check((enum mr_rule)r, &f, &a));
    f.machine.memory_percent = 90;
    CHECK(mr_rule_check(MR_RULE_MEMORY, &f, &a) && !a.critical);
    CHECK_STR(a.message, "High memory usage detected: 90.0 % of 8192 MB");
    f.machine.memory_percent = 97;
    CHECK(mr_rule_check(MR_RULE_MEMORY, &f, &a) && a.critical);
    f.machine.disk_free = GB - 1;
    CHECK(mr_rule_check(MR_RULE_DISK, &f, &a) && !a.critical);
    f.machine.disk_free = GB / 8;
    CHECK(mr_rule_check(MR_RULE_DISK, &f, &a) && a.critical);
    f.failed = 2;
    f.ok = 17;
    CHECK(!mr_rule_check(MR_RULE_FAILURES, &f, &a)); /* too few to say */
    f.ok = 18;
    CHECK(mr_rule_check(MR_RULE_FAILURES, &f, &a) && !a.critical);
    f.ok = 19;
    CHECK(!mr_rule_check(MR_RULE_FAILURES, &f, &a)); /* under a tenth */
    f.queued = 99;
    CHECK(!mr_rule_check(MR_RULE_QUEUE, &f, &a));
    f.queued = 1000;
    CHECK(mr_rule_check(MR_RULE_QUEUE, &f, &a) && a.critical);
}

MR_TEST(the_watch_samples_and_ends) {
    struct mr_ops_config c = {.data_dir = "/", .every_ms = 1};
    struct mr_alert alert[MR_RULE_N];
    struct mr_machine m;
    struct mr_ops *o;
    CHECK_INT(mr_ops_open(&c, &o, NULL), 0);
    mr_ops_machine(o, &m);
    CHECK(m.memory_total > 0 && mr_now_us() - m.at_us < 60000000);
    CHECK(mr_ops_alerts(o, alert) <= MR_RULE_N);
    mr_ops_free(o);
    mr_ops_free(NULL);
}

/* --- log lines ---------------------------------------------------------------------------- */

static struct mr_log_ring *ring;
static struct mr_log log_;
static struct mr_arena arena;

static void begin(size_t lines) {
    CHECK_INT(mr_log_ring_new(lines, &ring, NULL), 0);
    log_ = (struct mr_log){.fd = open("/dev/null", O_WRONLY | O_CLOEXEC),
                           .level = MR_LOG_DEBUG,
                           .format = MR_LOG_TEXT,
                           .tap = mr_log_ring_tap(ring)};
    mr_arena_init(&arena, 16 << 20);
}

static void end(void) {
    close(log_.fd);
    mr_log_ring_free(ring);
    mr_arena_release(&arena);
}

static size_t read_lines(struct mr_log_query q, struct mr_log_entry **ret, bool *ret_more) {
    size_t n = 0;
    CHECK_INT(mr_log_ring_read(ring, &q, &arena, ret, &n, ret_more, NULL), 0);
    return n;
}

static bool is(struct mr_str s, const char *want) {
    return mr_str_is(s, want);
}

MR_TEST(lines_come_back_newest_first_with_their_parts) {
    struct mr_log_entry *v;
    struct mr_log_line l;
    bool more;
    begin(8);
    mr_log_msg(&log_, MR_LOG_INFO, "start", "serving \"here\"");
    mr_log_begin(&l, &log_, MR_LOG_ERROR, "llm.worker");
    mr_log_cstr(&l, "msg", "it died");
    mr_log_cstr(&l, "trace_id", "req_1");
    mr_log_int(&l, "n", 3);
    mr_log_num(&l, "x", 0.5);
    mr_log_end(&l);
    CHECK_INT(read_lines((struct mr_log_query){.limit = 10}, &v, &more), 2);
    CHECK(!more && v[0].seq == 2 && v[0].level == MR_LOG_ERROR);
    CHECK_STR(v[0].service, "llm_service");
    CHECK(is(v[0].message, "it died") && is(v[0].trace_id, "req_1"));
    CHECK(is(v[0].details, "{\"event\":\"llm.worker\",\"n\":3,\"x\":0.5}"));
    CHECK_STR(v[1].service, "orchestrator");
    CHECK(is(v[1].message, "serving \"here\"") && is(v[1].trace_id, ""));
    CHECK_INT(read_lines((struct mr_log_query){.limit = 10, .level = MR_LOG_WARN}, &v, &more), 1);
    CHECK_INT(read_lines((struct mr_log_query){.limit = 10, .service = "nlp_service"}, &v, &more),
              0);
    end();
}

MR_TEST(pages_follow_each_other_and_old_lines_leave) {
    struct mr_log_entry *v;
    bool more;
    begin(4);
    for (int i = 1; i <= 6; i++)
        mr_log_msg(&log_, MR_LOG_INFO, "nlp", "line %d", i);
    CHECK_INT(read_lines((struct mr_log_query){.limit = 3}, &v, &more), 3);
    CHECK(more && is(v[0].message, "line 6") && is(v[2].message, "line 4"));
    CHECK_INT(read_lines((struct mr_log_query){.limit = 3, .before = v[2].seq}, &v, &more), 1);
    CHECK(!more && is(v[0].message, "line 3")); /* 1 and 2 made room */
    end();
}

MR_TEST(a_huge_line_keeps_its_event) {
    struct mr_log_entry *v;
    char big[4000];
    bool more;
    begin(4);
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    struct mr_log_line l;
    mr_log_begin(&l, &log_, MR_LOG_WARN, "job");
    mr_log_cstr(&l, "msg", big);
    mr_log_end(&l);
    CHECK_INT(read_lines((struct mr_log_query){.limit = 3}, &v, &more), 1);
    CHECK(is(v[0].message, "job") && v[0].level == MR_LOG_WARN);
    end();
}

static void *shout(void *arg) {
    for (int i = 0; i < 500; i++)
        mr_log_msg(&log_, MR_LOG_INFO, "nlp", "%s %d", (const char *)arg, i);
    return NULL;
}

MR_TEST(many_threads_lose_no_line) {
    struct mr_log_entry *v;
    pthread_t t[4];
    bool more;
    begin(2048);
    for (int i = 0; i < 4; i++)
        CHECK_INT(pthread_create(&t[i], NULL, shout, (void *)(uintptr_t) "a"), 0);
    for (int i = 0; i < 20; i++) /* readers meanwhile */
        read_lines((struct mr_log_query){.limit = 10}, &v, &more);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK_INT(read_lines((struct mr_log_query){.limit = 2048}, &v, &more), 2000);
    end();
}

MR_TEST_MAIN(CASE(cpu_times_count_busy_and_all), CASE(memory_needs_both_lines),
             CASE(network_sums_all_but_loopback), CASE(this_machine_has_figures),
             CASE(rules_hold_from_their_bounds_on), CASE(the_watch_samples_and_ends),
             CASE(lines_come_back_newest_first_with_their_parts),
             CASE(pages_follow_each_other_and_old_lines_leave), CASE(a_huge_line_keeps_its_event),
             CASE(many_threads_lose_no_line))
