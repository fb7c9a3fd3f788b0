/* Checks of the server, the key and the clock. */
#include "base/clock.h"
#include "cli/doctor.h"

/* A clock before this build's time is wrong. */
#define YEAR_2025_US (1735689600ll * 1000000)
#define SKEW_WARN_S  30

static void clock_sane(struct mr_doctor *d, int64_t server_s) {
    int64_t now = mr_now_us();
    int64_t skew = server_s ? now / 1000000 - server_s : 0;
    if (now < YEAR_2025_US)
        mr_doctor_say(d, MR_HEALTH_FAIL, "clock",
                      "set the time, for example with systemd-timesyncd",
                      "this machine's time lies before 2025");
    else if (skew > SKEW_WARN_S || skew < -SKEW_WARN_S)
        mr_doctor_say(d, MR_HEALTH_WARN, "clock",
                      "synchronise both clocks: tokens and webhook "
                      "signatures carry times",
                      "the server's clock differs by %lld s", (long long)skew);
    else
        mr_doctor_say(d, MR_HEALTH_OK, "clock", NULL, "%s",
                      server_s ? "sane, and as the server's" : "sane");
}

static void key(struct mr_doctor *d, struct mr_client *c) {
    struct mr_reply r = {0};
    struct mr_err e = {0};
    if (!c->key) {
        mr_doctor_say(d, MR_HEALTH_WARN, "key",
                      "give --key, set MILLRACE_KEY, or run this in the server's folder",
                      "no key is known");
        return;
    }
    int rc = mr_client_call(c, "GET", "/api/v1/auth/me", mr_strn(NULL, 0), &r, &e);
    const char *from = c->key_file ? c->key_file : "the given key";
    if (rc == MR_EUNAUTH)
        mr_doctor_say(d, MR_HEALTH_FAIL, "key",
                      "make one with millrace keys create, or log in again",
                      "%s is not valid on %s", from, c->base);
    else if (rc && rc != MR_EFORBIDDEN)
        mr_doctor_say(d, MR_HEALTH_WARN, "key", "try again", "%s", e.msg);
    else
        mr_doctor_say(d, MR_HEALTH_OK, "key", NULL, "%s is valid%s", from,
                      rc ? ", without the scope read" : "");
    mr_reply_release(&r);
}

void mr_doctor_server(struct mr_doctor *d, const struct mr_args *a) {
    struct mr_client c;
    struct mr_reply r = {0};
    struct mr_err e = {0};
    int rc = mr_client_open(&c, a, &e);
    if (rc) {
        mr_doctor_say(d, MR_HEALTH_FAIL, "server", "correct --url or MILLRACE_URL", "%s", e.msg);
        clock_sane(d, 0);
        mr_client_release(&c);
        return;
    }
    rc = mr_client_call(&c, "GET", "/readyz", mr_strn(NULL, 0), &r, &e);
    clock_sane(d, r.date_s);
    if (r.status == 503)
        mr_doctor_say(d, MR_HEALTH_WARN, "server", "wait, or start it again",
                      "%s answers, but is not ready (draining?)", c.base);
    else if (rc)
        mr_doctor_say(d, c.chosen ? MR_HEALTH_FAIL : MR_HEALTH_WARN, "server",
                      c.loopback ? "millrace serve" : "check the address, firewall and proxy", "%s",
                      e.msg);
    else
        mr_doctor_say(d, MR_HEALTH_OK, "server", NULL, "%s is ready", c.base);
    mr_reply_release(&r);
    if (!rc)
        key(d, &c);
    mr_client_release(&c);
}
