/* Parts of the settings: the table (config.c), the file (config_file.c), the environment
 * (config_env.c) and the providers (config_providers.c). */
#ifndef MR_CORE_CONFIG_PRIV_H
#define MR_CORE_CONFIG_PRIV_H

#include "core/config.h"

/* Edit distance; 1000 for texts over 100 bytes. */
size_t mr_config_distance(struct mr_str a, const char *b);
/* A whole file; *out is to be released, also after an error. */
int mr_config_read(const char *path, size_t max, struct mr_buf *out, struct mr_err *e);
/* A secret's file: its text without the line's end. */
int mr_config_secret_file(const char *path, char **ret, struct mr_err *e);
/* Its value, or NULL when it is not there or empty. */
const char *mr_config_getenv(char **env, const char *name);

/* "NAME.field" without "provider.". */
int mr_config_provider_set(struct mr_config *c, struct mr_str key, struct mr_str value,
                           struct mr_err *e);
void mr_config_provider_defaults(struct mr_config *c);
void mr_config_provider_release(struct mr_config *c);
int mr_config_provider_env(struct mr_config *c, char **env, struct mr_err *e);
void mr_config_provider_print(const struct mr_config *c, struct mr_buf *out);
void mr_config_provider_print_json(const struct mr_config *c, struct mr_buf *out);

#endif
