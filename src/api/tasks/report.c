/* Reports and statistics: the ledger's sums in the seed's words. */
#include "api/tasks/gen_tasks.h"
#include "api/tasks/tasks.h"
#include "base/clock.h"
#include "core/billing/billing.h"
#include "core/money/ledger.h"
#include "core/money/money.h"
#include "core/tasks/tasks.h"

#define QUARTER_US (900ll * 1000000)

struct report {
    const struct mr_zone *zone;
    struct mr_date first;
    struct mr_report_query q;
    struct mr_report_line usd; /* zeros when there is nothing */
    struct mr_report_line *total, *line;
    size_t n_total, n_line;
    enum mr_report_by by; /* MR_BY_TOTAL: no lines */
};

static bool is_usd(const struct mr_report_line *l) {
    return mr_str_is(l->currency, "usd");
}

static void date_text(struct mr_date d, char out[40]) {
    snprintf(out, 40, "%04d-%02d-%02d", d.year > 9999 ? 9999 : d.year, d.month % 100, d.day % 100);
}

static int find_period(struct mr_call *c, struct report *r, struct mr_err *e) {
    static const char *const names[] = {"daily", "weekly", "monthly"};
    struct mr_str type = mr_req_param(c->req, "report_type"), text = mr_call_str(c, "date");
    int period = 0;
    while (period < 3 && !mr_str_is(type, names[period]))
        period++;
    if (period == 3)
        return mr_fail_field(e, MR_EFIELD, "report_type",
                             "report_type must be one of: daily, weekly, monthly");
    int rc = mr_ledger_zone(c->core->ledger, c->who.account, &r->zone, e);
    if (rc)
        return rc;
    struct mr_date d = mr_zone_date(r->zone, mr_now_us());
    if (text.p && !mr_date_parse(text, &d))
        return mr_fail_field(e, MR_EFIELD, "date", "date must be a day like 2025-01-15");
    mr_zone_period(r->zone, (enum mr_period)period, d, &r->first, &r->q.from_us, &r->q.to_us);
    return 0;
}

static int find_lines(struct mr_call *c, struct report *r, struct mr_err *e) {
    struct mr_str user = mr_call_str(c, "user_id"), by = mr_call_str(c, "by");
    struct mr_arena *arena = c->req->arena;
    int rc = 0;
    r->q.account = c->who.account;
    r->by = !by.p                    ? MR_BY_TOTAL
            : mr_str_is(by, "model") ? MR_BY_MODEL
            : mr_str_is(by, "user")  ? MR_BY_END_USER
                                     : MR_BY_DAY;
    if (user.p) {
        r->q.one_end_user = true;
        rc = mr_end_user_find(c->core->ledger, c->who.account, user, &r->q.end_user, e);
        if (!rc && user.n && !r->q.end_user)
            return 0; /* never seen: it used nothing */
    }
    if (!rc)
        rc = mr_report(c->core->ledger, &r->q, MR_BY_TOTAL, arena, &r->total, &r->n_total, e);
    if (!rc && r->by != MR_BY_TOTAL)
        rc = mr_report(c->core->ledger, &r->q, r->by, arena, &r->line, &r->n_line, e);
    for (size_t i = 0; i < r->n_total && !rc; i++)
        if (is_usd(&r->total[i]))
            r->usd = r->total[i];
    return rc;
}

/* --- JSON --------------------------------------------------------------------------------- */

static void figures(struct mr_buf *b, const struct mr_report_line *l) {
    mr_tasks_money(b, "income", l->income_nano);
    mr_tasks_money(b, "expenses", l->expense_nano);
    mr_tasks_money(b, "profit", l->income_nano - l->expense_nano);
}

/* Other currencies stand beside the dollars and are never added to them. */
static void other_currencies(struct mr_buf *b, const struct mr_report_line *v, size_t n) {
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (is_usd(&v[i]))
            continue;
        if (!any) {
            mr_json_key(b, "other_currencies");
            mr_buf_char(b, '{');
        } else
            mr_buf_char(b, ',');
        any = true;
        mr_buf_json(b, v[i].currency);
        mr_buf_cstr(b, ":{");
        figures(b, &v[i]);
        mr_buf_char(b, '}');
    }
    if (any)
        mr_buf_char(b, '}');
}

static int64_t tokens(const struct mr_report_line *l) {
    return l->tokens.input + l->tokens.output;
}

static struct mr_str or_empty(struct mr_str s) {
    return s.p ? s : MR_LIT("");
}

static void line_json(const struct report *r, struct mr_buf *b, const struct mr_report_line *l) {
    char day[40];
    mr_buf_char(b, '{');
    if (r->by == MR_BY_DAY) {
        date_text(mr_zone_date(r->zone, l->period_us), day);
        mr_json_cstr(b, "date", day);
    } else if (r->by == MR_BY_MODEL) {
        mr_json_str(b, "provider", or_empty(l->provider));
        mr_json_str(b, "model", or_empty(l->model));
    } else
        mr_json_str(b, "user_id", or_empty(l->end_user));
    mr_json_str(b, "currency", l->currency);
    figures(b, l);
    mr_json_i64(b, "requests", l->requests);
    mr_json_i64(b, "tokens", tokens(l));
    mr_buf_char(b, '}');
}

static int as_json(struct mr_call *c, const struct report *r, struct mr_err *e) {
    struct mr_buf b;
    char day[40];
    date_text(r->first, day);
    mr_call_buf(c, &b);
    mr_buf_char(&b, '{');
    mr_json_cstr(&b, "date", day);
    figures(&b, &r->usd);
    mr_buf_cstr(&b, ",\"breakdown\":{\"income_breakdown\":{");
    mr_tasks_money(&b, "subscription", r->usd.subscription_nano);
    mr_tasks_money(&b, "micro_payment", r->usd.micro_nano);
    mr_buf_cstr(&b, "},\"expense_breakdown\":{");
    mr_tasks_money(&b, "api_cost", r->usd.expense_nano);
    mr_buf_cstr(&b, "}}");
    other_currencies(&b, r->total, r->n_total);
    if (r->by != MR_BY_TOTAL) {
        mr_buf_cstr(&b, ",\"lines\":[");
        for (size_t i = 0; i < r->n_line; i++) {
            if (i)
                mr_buf_char(&b, ',');
            line_json(r, &b, &r->line[i]);
        }
        mr_buf_char(&b, ']');
    }
    mr_buf_char(&b, '}');
    return mr_call_json(c, 200, &b, e);
}

/* --- CSV (RFC 4180) ----------------------------------------------------------------------- */

static void cell(struct mr_buf *b, struct mr_str v) {
    if (b->n && b->p[b->n - 1] != '\n')
        mr_buf_char(b, ',');
    bool quote = false;
    for (size_t i = 0; i < v.n; i++)
        quote |= v.p[i] == '"' || v.p[i] == ',' || v.p[i] == '\n' || v.p[i] == '\r';
    if (!quote) {
        mr_buf_str(b, v);
        return;
    }
    mr_buf_char(b, '"');
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '"')
            mr_buf_char(b, '"');
        mr_buf_char(b, v.p[i]);
    }
    mr_buf_char(b, '"');
}

static void money_cell(struct mr_buf *b, int64_t nano) {
    mr_buf_char(b, ',');
    mr_money_print(b, nano);
}

static void total_row(struct mr_buf *b, const char *day, const struct mr_report_line *l) {
    cell(b, mr_str(day));
    money_cell(b, l->income_nano);
    money_cell(b, l->expense_nano);
    money_cell(b, l->income_nano - l->expense_nano);
    money_cell(b, l->subscription_nano);
    money_cell(b, l->micro_nano);
    money_cell(b, l->expense_nano);
    cell(b, l->currency.p ? l->currency : MR_LIT("usd"));
    mr_buf_cstr(b, "\r\n");
}

static void line_row(const struct report *r, struct mr_buf *b, const struct mr_report_line *l) {
    char day[40];
    size_t at = b->n;
    if (r->by == MR_BY_DAY) {
        date_text(mr_zone_date(r->zone, l->period_us), day);
        cell(b, mr_str(day));
    } else if (r->by == MR_BY_MODEL) {
        cell(b, or_empty(l->provider));
        if (b->n == at)
            mr_buf_char(b, ','); /* an empty first cell */
        else
            cell(b, or_empty(l->model));
    } else
        cell(b, or_empty(l->end_user));
    if (b->n == at)
        mr_buf_char(b, ',');
    cell(b, l->currency);
    money_cell(b, l->income_nano);
    money_cell(b, l->expense_nano);
    money_cell(b, l->income_nano - l->expense_nano);
    mr_buf_fmt(b, ",%lld,%lld\r\n", (long long)l->requests, (long long)tokens(l));
}

static int as_csv(struct mr_call *c, const struct report *r, struct mr_err *e) {
    static const char *const first[] = {
        [MR_BY_DAY] = "date", [MR_BY_MODEL] = "provider,model", [MR_BY_END_USER] = "user_id"};
    struct mr_buf b;
    char day[40];
    date_text(r->first, day);
    mr_call_buf(c, &b);
    if (r->by == MR_BY_TOTAL) {
        mr_buf_cstr(&b, "date,income,expenses,profit,subscription,micro_payment,api_cost,"
                        "currency\r\n");
        total_row(&b, day, &r->usd);
        for (size_t i = 0; i < r->n_total; i++)
            if (!is_usd(&r->total[i]))
                total_row(&b, day, &r->total[i]);
    } else {
        mr_buf_fmt(&b, "%s,currency,income,expenses,profit,requests,tokens\r\n", first[r->by]);
        for (size_t i = 0; i < r->n_line; i++)
            line_row(r, &b, &r->line[i]);
    }
    if (!mr_buf_ok(&b)) {
        mr_buf_release(&b);
        return mr_fail(e, MR_ENOMEM, "the report is too large");
    }
    mr_req_reply_buf(c->req, 200, "text/csv; charset=utf-8", &b);
    return 0;
}

int mr_tasks_report(struct mr_call *c, struct mr_err *e) {
    struct report r = {0};
    int rc = find_period(c, &r, e);
    if (!rc)
        rc = find_lines(c, &r, e);
    if (rc)
        return rc;
    return mr_str_is(mr_call_str(c, "format"), "csv") ? as_csv(c, &r, e) : as_json(c, &r, e);
}

int mr_tasks_stats(struct mr_call *c, struct mr_err *e) {
    struct mr_task_stats st;
    struct report r = {.q = {.account = c->who.account}};
    struct mr_buf b;
    int64_t subscriptions = 0;
    r.q.to_us = INT64_MAX / QUARTER_US * QUARTER_US; /* also what a clock set back left ahead */
    int rc = mr_task_stats(c->core->tasks, c->who.account, &st, e);
    if (!rc)
        rc = mr_billing_subscriptions(c->core->billing, c->who.account, &subscriptions, e);
    if (!rc)
        rc = mr_report(c->core->ledger, &r.q, MR_BY_TOTAL, c->req->arena, &r.total, &r.n_total, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < r.n_total; i++)
        if (is_usd(&r.total[i]))
            r.usd = r.total[i];
    mr_call_buf(c, &b);
    mr_buf_cstr(&b, "{\"tasks\":{");
    mr_json_i64(&b, "total", st.total);
    mr_json_i64(&b, "completed", st.completed);
    mr_json_i64(&b, "total_tokens", st.tokens);
    mr_tasks_money(&b, "total_cost", st.cost_nano);
    mr_buf_cstr(&b, "},\"users\":{");
    mr_json_i64(&b, "total", st.end_users);
    mr_json_i64(&b, "subscriptions", subscriptions);
    mr_buf_cstr(&b, "},\"financials\":{");
    mr_tasks_money(&b, "total_income", r.usd.income_nano);
    mr_tasks_money(&b, "total_expenses", r.usd.expense_nano);
    mr_tasks_money(&b, "profit", r.usd.income_nano - r.usd.expense_nano);
    other_currencies(&b, r.total, r.n_total);
    mr_buf_cstr(&b, "}}");
    return mr_call_json(c, 200, &b, e);
}
