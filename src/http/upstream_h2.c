/* Which requests an HTTP/2 server refused. It ends a connection with GOAWAY and the number of the
 * last stream that it takes: what came after was not processed and may be sent again (RFC 9113
 * 6.8), which is what libcurl does. libcurl tells neither number but in its log (these are the
 * words of 7.88; later ones may say it otherwise). Where it does not, no request counts as refused
 * and none is sent twice. */
#include "http/upstream_impl.h"

#include <stdio.h>

/* The unsigned number behind `name`. */
static bool number(struct mr_str text, const char *name, int64_t *ret) {
    char *at = memmem(text.p, text.n, name, strlen(name));
    if (!at)
        return false;
    struct mr_str rest = mr_strn(at + strlen(name), text.n - (size_t)(at - text.p) - strlen(name));
    size_t n = 0;
    while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
        n++;
    return mr_str_i64(mr_strn(rest.p, n), 0, INT32_MAX, ret);
}

static void refuse_after(struct mr_upstream *u, int64_t connection, int64_t last) {
    pthread_mutex_lock(&u->mu); /* only this thread takes calls out, others put them in */
    for (size_t i = 0; i < u->config.in_flight_max; i++) {
        struct upstream_call *c = u->slots[i];
        if (c && c->in_multi && c->connection == connection && c->stream > last)
            c->refused = true;
    }
    pthread_mutex_unlock(&u->mu);
}

static int on_log(CURL *easy, curl_infotype type, char *p, size_t n, void *arg) {
    struct upstream_call *c = arg;
    struct mr_str text = mr_strn(p, n);
    int64_t v;
    (void)easy;
    if (type != CURLINFO_TEXT)
        return 0;
    if (mr_str_starts(text, MR_LIT("Using Stream ID: ")) && number(text, "Stream ID: ", &v))
        c->stream = v;
    else if (memmem(p, n, "GOAWAY", 6) && number(text, "last_stream=", &v) && c->connection >= 0)
        refuse_after(c->u, c->connection, v);
    else if ((mr_str_starts(text, MR_LIT("Re-using existing connection #")) &&
              number(text, "connection #", &v)) ||
             (mr_str_starts(text, MR_LIT("Connected to ")) && number(text, " (#", &v))) {
        c->connection = v;
        c->stream = 0;
    }
    return 0;
}

CURLcode mr_upstream_watch_h2(struct upstream_call *c) {
    CURLcode rc = curl_easy_setopt(c->easy, CURLOPT_DEBUGFUNCTION, on_log);
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(c->easy, CURLOPT_DEBUGDATA, c);
    return rc == CURLE_OK ? curl_easy_setopt(c->easy, CURLOPT_VERBOSE, 1L) : rc;
}
