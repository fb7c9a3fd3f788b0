#include "engine/onnx/worker_priv.h"

#define PAUSE_LEAST ((int64_t)250 * 1000000)
#define PAUSE_MOST  ((int64_t)4000 * 1000000)

bool mr_onnx_pace_wide(const struct mr_onnx_pace *p, int64_t now) {
    return now >= p->narrow_until;
}

void mr_onnx_pace_note(struct mr_onnx_pace *p, unsigned threads, int64_t now, int64_t wall,
                       int64_t cpu) {
    if (cpu >= wall * threads / 8 * 7) {
        p->pause = 0;
        return;
    }
    p->pause = !p->pause ? PAUSE_LEAST : p->pause * 2 < PAUSE_MOST ? p->pause * 2 : PAUSE_MOST;
    p->narrow_until = now + p->pause;
}
