/* Figures of this machine, from /proc (proc(5)), /sys/fs/cgroup and statvfs. */
#ifndef MR_CORE_OPS_MACHINE_H
#define MR_CORE_OPS_MACHINE_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mr_cpu_times { /* of all CPUs since boot, in ticks */
    uint64_t busy, total;
};
struct mr_machine {
    double cpu_percent;    /* busy share of all CPUs between two samples */
    double memory_percent; /* of the machine, or of this control group's limit when that is less */
    double disk_percent;   /* of the file system of the data dir, as df shows it */
    uint64_t memory_total, memory_used, disk_total, disk_free;
    uint64_t net_sent, net_received; /* bytes since boot, all interfaces but loopback */
    int64_t at_us;
};
/* Readers of one file's text; false when it does not say. Pure. */
bool mr_proc_cpu(struct mr_str stat, struct mr_cpu_times *ret);
bool mr_proc_memory(struct mr_str meminfo, uint64_t *ret_total, uint64_t *ret_available);
bool mr_proc_network(struct mr_str net_dev, uint64_t *ret_sent, uint64_t *ret_received);
/* A sample; cpu_percent is against *last, which is then this one's (zero: since boot). What cannot
 * be read is 0. */
void mr_machine_sample(const char *data_dir, struct mr_cpu_times *last, struct mr_machine *ret);
uint64_t mr_process_memory(void);  /* resident bytes of this process */
unsigned mr_process_threads(void); /* at least 1 */

#endif
