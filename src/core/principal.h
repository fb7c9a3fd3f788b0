/* Who is calling, as found by authentication. A plain value. */
#ifndef MR_CORE_PRINCIPAL_H
#define MR_CORE_PRINCIPAL_H

#include "base/id.h"

#include <stdbool.h>
#include <stdint.h>

enum mr_scope {
    MR_SCOPE_READ = 1,
    MR_SCOPE_WRITE = 2,
    MR_SCOPE_PREDICT = 4,
    MR_SCOPE_ADMIN = 8, /* keys, members, invitations */
    MR_SCOPE_ALL = 15,
};

enum mr_role { MR_ROLE_OWNER = 1, MR_ROLE_ADMIN = 2, MR_ROLE_MEMBER = 3, MR_ROLE_VIEWER = 4 };

struct mr_principal {
    bool authenticated;
    bool operator_;  /* the account that runs this server: exempt from rate limits */
    uint32_t scopes; /* mask of enum mr_scope */
    int role;        /* enum mr_role; 0 for keys */
    struct mr_id account, user, key; /* user or key may be zero */
    uint32_t key_rate_per_minute;    /* 0 = only the account's limits */
    int64_t key_budget_nanousd;      /* a month; -1 = none */
    int64_t expires_us;              /* wall time; INT64_MAX = never */
};

#endif
