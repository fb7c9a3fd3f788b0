#include "core/ops/machine.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_MAX (64u << 10)

static struct mr_str read_text(const char *path, char *buf, size_t cap) {
    MR_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t k = fd < 0 ? 0 : 1;
    while (k > 0 && n < cap) {
        k = read(fd, buf + n, cap - n);
        n += k > 0 ? (size_t)k : 0;
    }
    return mr_strn(buf, n);
}

/* The next run of digits; false at the end of the line. */
static bool next_number(struct mr_str *line, uint64_t *ret) {
    size_t i = 0;
    uint64_t v = 0;
    while (i < line->n && (line->p[i] < '0' || line->p[i] > '9'))
        i++;
    if (i == line->n)
        return false;
    for (; i < line->n && line->p[i] >= '0' && line->p[i] <= '9'; i++)
        v = v * 10 + (uint64_t)(line->p[i] - '0');
    *line = mr_strn(line->p + i, line->n - i);
    *ret = v;
    return true;
}

/* The rest of the first line that begins with `word`. */
static bool find_line(struct mr_str text, const char *word, struct mr_str *ret) {
    while (text.n) {
        struct mr_str line = mr_str_cut(&text, '\n');
        if (mr_str_starts(line, mr_str(word))) {
            *ret = mr_strn(line.p + strlen(word), line.n - strlen(word));
            return true;
        }
    }
    return false;
}

bool mr_proc_cpu(struct mr_str stat, struct mr_cpu_times *ret) {
    uint64_t v[8] = {0}, total = 0; /* user nice system idle iowait irq softirq steal */
    struct mr_str line;
    size_t n = 0;
    if (!find_line(stat, "cpu ", &line))
        return false;
    while (n < 8 && next_number(&line, &v[n]))
        total += v[n++];
    if (n < 4)
        return false;
    *ret = (struct mr_cpu_times){total - v[3] - v[4], total};
    return true;
}

bool mr_proc_memory(struct mr_str meminfo, uint64_t *ret_total, uint64_t *ret_available) {
    struct mr_str total, available;
    uint64_t t, a;
    if (!find_line(meminfo, "MemTotal:", &total) ||
        !find_line(meminfo, "MemAvailable:", &available) || !next_number(&total, &t) ||
        !next_number(&available, &a) || !t)
        return false;
    *ret_total = t * 1024;
    *ret_available = (a < t ? a : t) * 1024;
    return true;
}

bool mr_proc_network(struct mr_str net_dev, uint64_t *ret_sent, uint64_t *ret_received) {
    uint64_t sent = 0, received = 0;
    bool any = false;
    while (net_dev.n) {
        struct mr_str line = mr_str_cut(&net_dev, '\n');
        struct mr_str name = mr_str_trim(mr_str_cut(&line, ':'));
        uint64_t v[9];
        size_t n = 0;
        while (line.p && n < 9 && next_number(&line, &v[n]))
            n++;
        if (n < 9 || mr_str_is(name, "lo"))
            continue;
        received += v[0];
        sent += v[8];
        any = true;
    }
    *ret_sent = sent;
    *ret_received = received;
    return any;
}

/* This control group's limit and use without the page cache that can go, where there is one. */
static void group_memory(struct mr_machine *m) {
    char buf[FILE_MAX];
    struct mr_str line, text = read_text("/sys/fs/cgroup/memory.max", buf, sizeof buf);
    uint64_t limit, used, cache = 0;
    if (!next_number(&text, &limit) || limit >= m->memory_total)
        return;
    text = read_text("/sys/fs/cgroup/memory.current", buf, sizeof buf);
    if (!next_number(&text, &used))
        return;
    text = read_text("/sys/fs/cgroup/memory.stat", buf, sizeof buf);
    if (find_line(text, "inactive_file ", &line) && !next_number(&line, &cache))
        cache = 0;
    m->memory_total = limit;
    m->memory_used = used > cache ? used - cache : 0;
}

void mr_machine_sample(const char *data_dir, struct mr_cpu_times *last, struct mr_machine *ret) {
    char buf[FILE_MAX];
    struct mr_machine m = {.at_us = mr_now_us()};
    struct mr_cpu_times now;
    struct statvfs fs;
    uint64_t available;
    if (mr_proc_cpu(read_text("/proc/stat", buf, sizeof buf), &now)) {
        uint64_t total = now.total - last->total, busy = now.busy - last->busy;
        if (now.total > last->total && now.busy >= last->busy && busy <= total)
            m.cpu_percent = 100.0 * (double)busy / (double)total;
        *last = now;
    }
    if (mr_proc_memory(read_text("/proc/meminfo", buf, sizeof buf), &m.memory_total, &available)) {
        m.memory_used = m.memory_total - available;
        group_memory(&m);
    }
    if (m.memory_total)
        m.memory_percent = 100.0 * (double)m.memory_used / (double)m.memory_total;
    if (m.memory_percent > 100)
        m.memory_percent = 100;
    if (!statvfs(data_dir, &fs) && fs.f_blocks) {
        uint64_t used = fs.f_blocks - fs.f_bfree, usable = used + fs.f_bavail;
        m.disk_total = (uint64_t)fs.f_blocks * fs.f_frsize;
        m.disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
        m.disk_percent = usable ? 100.0 * (double)used / (double)usable : 100;
    }
    (void)mr_proc_network(read_text("/proc/net/dev", buf, sizeof buf), &m.net_sent,
                          &m.net_received);
    *ret = m;
}

unsigned mr_process_threads(void) {
    char buf[8192];
    struct mr_str line, text = read_text("/proc/self/status", buf, sizeof buf);
    uint64_t n;
    return find_line(text, "Threads:", &line) && next_number(&line, &n) && n ? (unsigned)n : 1;
}

uint64_t mr_process_memory(void) {
    char buf[256];
    struct mr_str text = read_text("/proc/self/statm", buf, sizeof buf);
    uint64_t size, resident;
    if (!next_number(&text, &size) || !next_number(&text, &resident))
        return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
