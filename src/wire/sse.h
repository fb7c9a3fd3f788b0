/* Server-sent events (WHATWG HTML 9.2, text/event-stream): a writer for our streams and an
 * incremental parser for those of others. No I/O; a parser belongs to one thread at a time. */
#ifndef MR_WIRE_SSE_H
#define MR_WIRE_SSE_H

#include "base/buf.h"
#include "base/err.h"

struct mr_sse_event {
    struct mr_str event; /* p == NULL: none when writing; "message" when parsed */
    struct mr_str id;    /* p == NULL: none; parsed: the last id of the stream so far, or "" */
    struct mr_str data;  /* any text; parsed: lines joined by "\n" */
};

/* Appends one event: data of several lines (LF, CRLF or CR) becomes several data fields. Line
 * breaks in event and id become spaces; an id with a NUL, which parsers ignore, is left out.
 * data.p == NULL writes no data field, and clients then dispatch nothing. */
void mr_sse_write(struct mr_buf *out, const struct mr_sse_event *ev);
/* "data: <data>\n\n", the commonest case. */
void mr_sse_data(struct mr_buf *out, struct mr_str data);
/* How long a client waits before it connects again. */
void mr_sse_retry(struct mr_buf *out, uint32_t ms);
/* A comment, which clients ignore: keeps proxies from closing a quiet stream. */
void mr_sse_comment(struct mr_buf *out, struct mr_str text);

struct mr_sse_parser {
    size_t line_max, data_max;
    /* The strings live until it returns. Negative ends the parsing: mr_sse_feed returns it. */
    int (*on_event)(void *ctx, const struct mr_sse_event *ev);
    void *ctx;
    int64_t retry_ms; /* the last valid retry field; -1 = none */
    struct mr_buf line, data, event, id;
    bool skip_lf, begun, has_data;
    int failed; /* kept: a parser that has failed stays so */
};

/* Caps: bytes of a line, and of an event's data. Allocates nothing yet. */
void mr_sse_begin(struct mr_sse_parser *p, size_t line_max, size_t data_max,
                  int (*on_event)(void *ctx, const struct mr_sse_event *ev), void *ctx);
/* Any piece of the stream, cut anywhere. 0, MR_ETOOBIG (over a cap), MR_ENOMEM, or what on_event
 * returned. Bytes are not checked to be UTF-8. */
int mr_sse_feed(struct mr_sse_parser *p, const char *bytes, size_t n, struct mr_err *e);
/* Frees. An event that the stream did not finish is dropped, as the standard says. */
void mr_sse_release(struct mr_sse_parser *p);

#endif
