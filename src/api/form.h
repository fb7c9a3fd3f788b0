/* Multipart requests: files stream into blob writers, fields into memory, by the row's fields. */
#ifndef MR_API_FORM_H
#define MR_API_FORM_H

#include "api/api.h"

struct mr_form;

/* Called with the head: sets the request's body sink. */
int mr_form_begin(struct mr_call *c, struct mr_err *e);
/* After the body: missing parts are errors, defaults are set. */
int mr_form_end(struct mr_call *c, struct mr_err *e);
void mr_form_free(struct mr_form *f); /* NULL is fine */

/* The uploaded file of field `name`: its writer (ownership moves to the caller) or NULL. */
struct mr_blob_writer *mr_form_take_file(struct mr_call *c, const char *name,
                                         struct mr_str *ret_file_name);
/* A small file's bytes, up to its cap (maxLength in the spec, else 1 MiB); p == NULL when absent.
 */
struct mr_str mr_form_text_file(struct mr_call *c, const char *name);

#endif
