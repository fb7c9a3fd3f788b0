#include "http/internal.h"

enum mr_http_step mr_req_send_file(struct mr_req *r, const char *dir, struct mr_str rel_path,
                                   const char *content_type_or_null) {
    (void)dir;
    (void)rel_path;
    (void)content_type_or_null;
    render_error((struct exchange *)r, 404, "There is nothing at this path.");
    return MR_HTTP_DONE;
}
