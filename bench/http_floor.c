/* The HTTP server's own cost: a constant reply to GET /livez and an echo of a small JSON body on
 * POST /predict, both inline. Usage: http_floor ADDR:PORT THREADS */
#include "http/http.h"

#include <signal.h>
#include <stdio.h>

static enum mr_http_step on_request(void *ctx, struct mr_req *r) {
    (void)ctx;
    if (r->method == MR_POST) {
        struct mr_buf *b = mr_req_out(r);
        mr_buf_str(b, MR_LIT("{\"echo\":"));
        mr_buf_str(b, r->body);
        mr_buf_char(b, '}');
        mr_req_reply(r, 200, "application/json", mr_buf_view(b), true);
        return MR_HTTP_DONE;
    }
    mr_req_reply(r, 200, "application/json", MR_LIT("{\"status\":\"ok\"}"), true);
    return MR_HTTP_DONE;
}

int main(int argc, char **argv) {
    static const struct mr_http_route routes[] = {{MR_GET, "/livez", NULL},
                                                  {MR_POST, "/predict", NULL}};
    struct mr_http_config c = {.threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2,
                               .limits = mr_http_default_limits(),
                               .app = {.on_request = on_request},
                               .routes = routes,
                               .n_routes = 2,
                               .tls_cert = argc > 4 ? argv[3] : NULL,
                               .tls_key = argc > 4 ? argv[4] : NULL};
    struct mr_http_server *s = NULL;
    struct mr_err e = {0};
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (mr_http_new(&c, &s, &e) < 0 ||
        mr_http_listen(s, argc > 1 ? argv[1] : "127.0.0.1:8099", NULL, &e) < 0 ||
        mr_http_start(s, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    sigwait(&set, &sig);
    mr_http_free(s);
    return 0;
}
