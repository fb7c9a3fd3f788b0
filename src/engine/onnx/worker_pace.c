#include "engine/onnx/worker_priv.h"

#define PAUSE_LEAST ((int64_t)250 * 1000000)
#define PAUSE_MOST  ((int64_t)4000 * 1000000)
#define LEAST       0.7 /* two threads with this share are hardly faster than one */
#define AGAIN       0.8 /* what is assumed after a pause */

bool mr_onnx_pace_wide(const struct mr_onnx_pace *p, int64_t now) {
    return now >= p->narrow_until;
}

void mr_onnx_pace_note(struct mr_onnx_pace *p, unsigned threads, int64_t now, int64_t wall,
                       int64_t cpu) {
    double share = wall > 0 ? (double)cpu / (double)wall / threads : 1;
    p->share = p->share > 0 ? p->share + (share - p->share) / 4 : 1;
    if (p->share >= AGAIN)
        p->pause = 0;
    if (p->share >= LEAST)
        return;
    p->pause = !p->pause ? PAUSE_LEAST : p->pause * 2 < PAUSE_MOST ? p->pause * 2 : PAUSE_MOST;
    p->narrow_until = now + p->pause;
    p->share = AGAIN;
}
