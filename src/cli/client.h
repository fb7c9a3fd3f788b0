/* A small HTTP client of the ServeML API for the verbs. One thread. */
#ifndef MR_CLI_CLIENT_H
#define MR_CLI_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/options.h"

#include <curl/curl.h>
#include <yyjson.h>

struct mr_client {
    CURL *curl;
    char *base;           /* without a slash at its end */
    char *key;            /* or NULL */
    const char *key_show; /* how a command line for the user names the key */
    char *key_show_own;
    char *key_file; /* the owner key file that `key` came from, or NULL */
    long timeout_s;
    bool loopback; /* the server is on this machine */
    bool chosen;   /* the URL was given, not the default */
};

struct mr_reply {
    long status;
    struct mr_buf body;
    yyjson_doc *doc; /* the body as JSON, or NULL */
    char request_id[96];
    int64_t date_s; /* of the Date header; 0 when there was none */
};
void mr_reply_release(struct mr_reply *r);

/* A file of a form; read from disk while it is sent. */
struct mr_upload {
    const char *field, *path;
    const char *value; /* path NULL: a plain field */
};
/* Bytes sent so far and in all (0: not known yet). */
typedef void mr_progress_fn(void *arg, int64_t sent, int64_t total);

/* URL and key from the options, the environment, and, for a server on this machine only, its owner
 * key file. `e` says what is wrong with the URL. */
int mr_client_open(struct mr_client *c, const struct mr_args *a, struct mr_err *e);
void mr_client_release(struct mr_client *c);

/* One request. body.p == NULL: none; else JSON. 0 for a status below 400 with a JSON reply;
 * otherwise the message is "CODE: text (request id)" or says why no answer came. *ret is filled in
 * both cases (status 0: no answer) and is to be released. */
int mr_client_call(struct mr_client *c, const char *method, const char *path, struct mr_str body,
                   struct mr_reply *ret, struct mr_err *e);
/* multipart/form-data with an Idempotency-Key; no limit on the whole time. */
int mr_client_upload(struct mr_client *c, const char *path, const struct mr_upload *parts, size_t n,
                     mr_progress_fn *progress, void *arg, struct mr_reply *ret, struct mr_err *e);

/* A POST whose reply is a stream of server-sent events. on_event gets each one's data; what it
 * returns below 0 ends the call. A cut-off stream (no "[DONE]") is MR_EIO. No limit on the whole
 * time. */
int mr_client_stream(struct mr_client *c, const char *path, struct mr_str body,
                     int (*on_event)(void *arg, struct mr_str data), void *arg,
                     struct mr_reply *ret, struct mr_err *e);

/* The id of a deployment that the user names by id or by exact name; `ret_id` holds `cap` bytes. */
int mr_client_deployment(struct mr_client *c, const char *name, char *ret_id, size_t cap,
                         struct mr_err *e);
/* GET of `path` with %s replaced by the percent-encoded `id`. */
int mr_client_get_id(struct mr_client *c, const char *before, const char *id, const char *after,
                     struct mr_reply *ret, struct mr_err *e);

/* Prints the reply's JSON, indented, to stdout. */
void mr_reply_print(const struct mr_reply *r);
/* The verb's end after a failed call: with --json the server's own error goes to stdout. Returns 1.
 */
int mr_reply_failed(const struct mr_args *a, const struct mr_reply *r, const struct mr_err *e);

#endif
