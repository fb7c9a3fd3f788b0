/* Request values against the row's fields: query, headers, JSON body, form. */
#ifndef MR_API_VALIDATE_H
#define MR_API_VALIDATE_H

#include "api/api.h"

/* Fills c->value in field order. MR_EFIELD naming the field and what it should be. */
int mr_validate_params(struct mr_call *c, struct mr_err *e); /* query and headers */
int mr_validate_body(struct mr_call *c, struct mr_err *e);   /* c->body, an object */
/* One form field's text; used by form.c as fields arrive whole. */
int mr_validate_form_field(struct mr_call *c, size_t field, struct mr_str text, struct mr_err *e);
/* Form fields that never came: required ones are an error, defaults are set. */
int mr_validate_form_end(struct mr_call *c, struct mr_err *e);

#endif
