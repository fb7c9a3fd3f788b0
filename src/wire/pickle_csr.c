/* scipy.sparse CSR matrices. Format: the attributes data, indices, indptr and _shape. */
#include "wire/pickle_vm.h"

static int bad(struct mr_err *e, const char *why) {
    return mr_fail(e, MR_EREFUSED, "sparse matrix: %s", why);
}

static int check(const struct mr_pk_csr *m, struct mr_err *e) {
    if (m->indptr[0] != 0)
        return bad(e, "its row pointers do not start at 0");
    for (size_t i = 0; i < m->rows; i++)
        if (m->indptr[i + 1] < m->indptr[i])
            return bad(e, "its row pointers fall");
    if ((size_t)m->indptr[m->rows] > m->nnz)
        return bad(e, "its row pointers go beyond its values");
    for (size_t i = 0; i < m->nnz; i++)
        if (m->indices[i] < 0 || (size_t)m->indices[i] >= m->cols)
            return bad(e, "a column index is out of range");
    return 0;
}

int mr_pk_csr(struct mr_arena *a, const struct mr_pk *n, struct mr_pk_csr *ret, struct mr_err *e) {
    struct mr_str name = mr_pk_class_short(n);
    if (!mr_str_is(name, "csr_matrix") && !mr_str_is(name, "csr_array"))
        return bad(e, "only the CSR format is read");
    if (!mr_str_starts(n->o.cls->g.mod, MR_LIT("scipy.sparse")))
        return bad(e, "the class is not scipy's");
    const int64_t *shape;
    size_t nd, n_ptr, n_idx, n_data, cols;
    struct mr_pk_csr m;
    const struct mr_pk *s = mr_pk_attr(n, "_shape");
    int rc = mr_pk_i64(a, s ? s : mr_pk_attr(n, "shape"), &shape, &nd, e);
    if (!rc)
        rc = mr_pk_i64(a, mr_pk_attr(n, "indptr"), &m.indptr, &n_ptr, e);
    if (!rc)
        rc = mr_pk_i64(a, mr_pk_attr(n, "indices"), &m.indices, &n_idx, e);
    if (!rc)
        rc = mr_pk_f64(a, mr_pk_attr(n, "data"), &m.data, &n_data, &cols, e);
    if (rc)
        return rc;
    if (nd != 2 || shape[0] < 0 || shape[1] < 0 || n_ptr == 0 || cols != 1)
        return bad(e, "it has no two-dimensional shape");
    m.rows = (size_t)shape[0];
    m.cols = (size_t)shape[1];
    if (m.rows != n_ptr - 1)
        return bad(e, "its row pointers do not fit its shape");
    if (n_idx != n_data)
        return bad(e, "it has unequal numbers of values and indices");
    m.nnz = n_data;
    rc = check(&m, e);
    if (rc)
        return rc;
    m.nnz = (size_t)m.indptr[m.rows]; /* scipy allows slack behind the last row */
    *ret = m;
    return 0;
}
