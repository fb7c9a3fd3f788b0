#include "api/status_text.h"

static const struct {
    int status;
    const char *text;
} texts[] = {
    {400, "the request is malformed"},
    {401, "authentication is required"},
    {403, "that is not allowed"},
    {404, "there is nothing at this path"},
    {405, "this path does not take this method"},
    {408, "the request took too long to arrive"},
    {413, "the body is too large"},
    {414, "the request target is too long"},
    {415, "this media type is not taken here"},
    {431, "the request headers are too large"},
    {503, "the server is not ready: try again"},
    {505, "this HTTP version is not spoken"},
    {507, "the server is out of storage"},
};

const char *mr_status_text(int status) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "the request failed";
}

const char *mr_error_text(struct mr_api *api, struct mr_req *r, int status,
                          const struct mr_err *e) {
    const char *msg = e && e->msg[0] ? e->msg : mr_status_text(status);
    if (status != 500)
        return msg;
    mr_log_msg(&api->core->log, MR_LOG_ERROR, "internal", "%s: %s (%s)", r->id, msg,
               mr_code_name(e ? e->code : 0));
    return "an internal error occurred; the request id is in the server's log";
}
