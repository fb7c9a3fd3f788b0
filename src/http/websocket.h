/* WebSocket (RFC 6455), server side, framing by wslay. A request is upgraded inside on_request;
 * after its 101 reply (and on_log) the connection carries messages until either side closes.
 *
 * Threads: the handler's functions run on the connection's loop thread. mr_ws_send, mr_ws_close
 * and the reference functions may be called from any thread. */
#ifndef MR_HTTP_WEBSOCKET_H
#define MR_HTTP_WEBSOCKET_H

#include "http/http.h"

struct mr_ws; /* counted: the connection holds one reference, callers that keep it take their own */

struct mr_ws_config {
    /* Whole messages, text (valid UTF-8) or binary; the slice lives during the call. */
    void (*on_message)(void *ctx, struct mr_ws *w, bool text, struct mr_str msg);
    /* Exactly once for every successful upgrade, last. `code` as in RFC 6455 7.4, 1006 when the
     * connection broke. ctx may be freed here unless other threads still use it. */
    void (*on_close)(void *ctx, struct mr_ws *w, int code);
    /* Called when the request carries an Origin (browsers always send one). NULL: only an origin
     * whose host and port equal the Host header is let in. */
    bool (*origin_ok)(void *ctx, const struct mr_req *r, struct mr_str origin);
    void *ctx;
    size_t message_max; /* received; 0 = 1 MiB; longer ones close with 1009 */
    size_t queue_max;   /* bytes waiting to be sent; 0 = 1 MiB */
};

/* Inside on_request. 0: the 101 reply is set and *ret holds the connection (no new reference).
 * Otherwise the error reply is set through render_error (400, 403, 426) and a negative code is
 * returned. Return MR_HTTP_DONE in both cases. */
int mr_req_websocket(struct mr_req *r, const struct mr_ws_config *c, struct mr_ws **ret);

struct mr_ws *mr_ws_ref(struct mr_ws *w);
void mr_ws_unref(struct mr_ws *w);
/* Copies and queues. MR_ELIMIT: the queue is full (a slow reader), nothing was queued.
 * MR_ECANCELLED: the connection is closed or closing. */
int mr_ws_send(struct mr_ws *w, bool text, struct mr_str msg);
/* Bytes queued and not yet handed to the kernel. */
size_t mr_ws_queued(const struct mr_ws *w);
/* Sends what is queued, then a close frame with `code` (1000, 1001, 1008 …). */
void mr_ws_close(struct mr_ws *w, int code);

#endif
