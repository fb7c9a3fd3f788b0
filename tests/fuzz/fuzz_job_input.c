/* A file of inputs, its first byte its form: whatever is captured reads back as valid JSON or as a
 * file with a harmless name. The bytes as a store of captured items: refused or read within bounds.
 */
#include "core/jobs/source.h"

#include <sys/mman.h>
#include <unistd.h>
#include <yyjson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_item(const struct mr_job_input_item *item) {
    if (item->file) {
        if (!item->name.n || item->name.p[0] == '/' || memchr(item->name.p, 0, item->name.n))
            __builtin_trap();
        return;
    }
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)item->body.p, item->body.n,
                                       YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    if (!doc)
        __builtin_trap();
    yyjson_doc_free(doc);
}

static void capture(struct mr_str bytes, enum mr_job_form form) {
    struct mr_blobs *blobs;
    struct mr_job_pack p;
    struct mr_blob_name name;
    struct mr_job_input in;
    struct mr_buf buf;
    if (mr_blobs_open_mem(&blobs, NULL) || mr_job_pack_init(&p, blobs, 1u << 20, NULL))
        __builtin_trap();
    int rc = mr_job_bytes_read(bytes, form, MR_LIT("x"), &p, NULL, NULL);
    if (!rc && (mr_job_pack_end(&p, &name, NULL) || mr_job_input_open(blobs, &name, &in, NULL)))
        __builtin_trap();
    mr_buf_init(&buf, 4u << 20);
    for (uint64_t i = 0; !rc && i < in.n; i++) {
        struct mr_job_input_item item;
        if (mr_job_input_read(&in, i, false, &buf, &item, NULL))
            __builtin_trap();
        check_item(&item);
    }
    if (!rc)
        mr_job_input_close(&in);
    mr_buf_release(&buf);
    mr_job_pack_release(&p);
    mr_blobs_free(blobs);
}

static void read_store(const uint8_t *data, size_t size) {
    struct mr_job_input in;
    struct mr_job_input_item item;
    struct mr_buf buf;
    int fd = memfd_create("items", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || mr_job_input_from_fd(fd, &in, NULL))
        return;
    mr_buf_init(&buf, 1u << 20);
    for (uint64_t i = 0; i < in.n; i++)
        if (!mr_job_input_read(&in, i, i % 2, &buf, &item, NULL) &&
            item.name.n + item.body.n > size)
            __builtin_trap();
    mr_buf_release(&buf);
    mr_job_input_close(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    if (data[0] == 'S')
        read_store(data + 1, size - 1);
    else
        capture(mr_strn((const char *)data + 1, size - 1),
                (enum mr_job_form)(data[0] % (MR_JOB_TEXT + 1)));
    return 0;
}
