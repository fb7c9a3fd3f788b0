/* Where items come from: uploaded files of every form, folders, hostile ones among them; and how
 * results go out. */
#include "core/jobs/source.h"
#include "jobs_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

static struct mr_job_file upload(const char *name, struct mr_str bytes) {
    struct mr_err e = {0};
    struct mr_job_upload *u = NULL;
    struct mr_job_file f;
    must(mr_job_upload_begin(jobs, me.account, mr_str(name), mr_strn(NULL, 0), &u, &e), &e);
    for (size_t at = 0; at < bytes.n; at += 1000)
        must(mr_job_upload_write(u, bytes.p + at, bytes.n - at < 1000 ? bytes.n - at : 1000, &e),
             &e);
    must(mr_job_upload_end(u, &arena, &f, &e), &e);
    mr_job_upload_free(u);
    return f;
}

static struct mr_job over_file(const char *name, struct mr_str bytes) {
    struct mr_job_file f = upload(name, bytes);
    char id[64], text[300];
    mr_id_print(MR_JOB_FILE_PREFIX, f.id, id, sizeof id);
    snprintf(text, sizeof text, "{\"input_file\":\"%s\"}", id);
    return make(text);
}

/* The inputs of a completed job, joined by " | ". */
static const char *items(struct mr_job k) {
    static char out[4000];
    size_t n, at = 0;
    k = wait_for(k.id, MR_JOB_COMPLETED);
    struct mr_job_result *r = results(k.id, &n);
    CHECK_INT(k.total, n);
    out[0] = 0;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%.*s", i ? " | " : "",
                               (int)r[i].input.n, r[i].input.p);
    return out;
}

static const char *fails(struct mr_job k) {
    static char out[600];
    k = wait_for(k.id, MR_JOB_FAILED);
    snprintf(out, sizeof out, "%.*s", (int)k.error.n, k.error.p ? k.error.p : "");
    return out;
}

MR_TEST(json_lines) {
    begin();
    CHECK_STR(items(over_file("a.jsonl", MR_LIT("{\"a\":1}\r\n\n[2]\n\"x\"\n 1.50 \n"))),
              "{\"a\":1} | [2] | \"x\" |  1.50 ");
    CHECK_STR(fails(over_file("a.jsonl", MR_LIT("1\n\n{\"a\":\n"))), "line 3 is not JSON");
    CHECK_STR(fails(over_file("a.ndjson", MR_LIT("\n \n"))), "the input has no items");
    CHECK_STR(items(over_file("a.txt", MR_LIT("one\ntwo \"2\"\n"))), "\"one\" | \"two \\\"2\\\"\"");
    CHECK_STR(fails(over_file("a.txt", MR_LIT("one\n\xff\n"))), "the text of item 1 is not UTF-8");
    end();
}

MR_TEST(csv_with_a_header) {
    begin();
    CHECK_STR(items(over_file("a.csv", MR_LIT("x,\"y y\",z\n1,-2.5e3,\n007,\"8\",true\n"))),
              "{\"x\":1,\"y y\":-2.5e3,\"z\":null} | {\"x\":\"007\",\"y y\":\"8\",\"z\":true}");
    CHECK_STR(fails(over_file("a.csv", MR_LIT("x,y\n1,2\n3\n"))),
              "CSV, record at line 3: it has 1 fields, the header 2");
    CHECK_STR(fails(over_file("a.csv", MR_LIT("x,x\n1,2\n"))), "the CSV header names \"x\" twice");
    CHECK_STR(fails(over_file("a.csv", MR_LIT("x,\n1,2\n"))),
              "column 2 of the CSV header has no name in UTF-8");
    CHECK_STR(fails(over_file("a.csv", MR_LIT("x\n\xff\n"))),
              "CSV, record at line 2: it is not UTF-8");
    CHECK_STR(fails(over_file("a.csv", MR_LIT("x,y\n"))), "the input has no items");
    end();
}

/* --- zip ---------------------------------------------------------------------------------- */

static void le(struct mr_buf *b, uint64_t v, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        mr_buf_char(b, (char)(v >> 8 * i));
}

/* Stored members; `size` other than the body's: what the headers claim. */
static void zip(struct mr_buf *b, const char *const *name, const char *const *body, size_t n) {
    struct mr_buf dir;
    mr_buf_init(&dir, 1u << 20);
    for (size_t i = 0; i < n; i++) {
        size_t at = b->n, len = strlen(body[i]), nn = strlen(name[i]);
        uint32_t crc = (uint32_t)crc32_z(0, (const Bytef *)body[i], len);
        le(b, 0x04034b50, 4);
        le(b, 20, 2), le(b, 0, 2), le(b, 0, 2), le(b, 0, 4), le(b, crc, 4);
        le(b, len, 4), le(b, len, 4), le(b, nn, 2), le(b, 0, 2);
        mr_buf_add(b, name[i], nn);
        mr_buf_add(b, body[i], len);
        le(&dir, 0x02014b50, 4);
        le(&dir, 20, 2), le(&dir, 20, 2), le(&dir, 0, 2), le(&dir, 0, 2), le(&dir, 0, 4);
        le(&dir, crc, 4), le(&dir, len, 4), le(&dir, len, 4), le(&dir, nn, 2), le(&dir, 0, 2);
        le(&dir, 0, 2), le(&dir, 0, 2), le(&dir, 0, 2), le(&dir, 0, 4), le(&dir, at, 4);
        mr_buf_add(&dir, name[i], nn);
    }
    size_t at = b->n;
    mr_buf_add(b, dir.p, dir.n);
    le(b, 0x06054b50, 4);
    le(b, 0, 4), le(b, n, 2), le(b, n, 2), le(b, dir.n, 4), le(b, at, 4), le(b, 0, 2);
    mr_buf_release(&dir);
}

static struct mr_job over_zip(const char *const *name, const char *const *body, size_t n) {
    struct mr_buf b;
    mr_buf_init(&b, 1u << 20);
    zip(&b, name, body, n);
    struct mr_job k = over_file("a.zip", mr_buf_view(&b));
    mr_buf_release(&b);
    return k;
}

MR_TEST(zip_of_files) {
    begin();
    static const char *const name[] = {
        "img/", "img/a.jpg", "__MACOSX/img/._a.jpg", "img/.hidden", "b.txt", "c.json", "d.csv"};
    static const char *const body[] = {"", "JPEGBYTES", "x", "x", "hello", "{\"k\":[1]}", "n\n7\n"};
    struct mr_job k = over_zip(name, body, 7);
    CHECK_STR(items(k), "\"img/a.jpg\" | \"hello\" | {\"k\":[1]} | {\"n\":7}");
    size_t n;
    CHECK_TEXT(results(k.id, &n)[0].output, "{\"file\":\"img/a.jpg\",\"bytes\":9}");
    static const char *const evil[] = {"../../etc/passwd", "/etc/passwd", "a/../../b", "a\\..\\b"};
    for (int i = 0; i < 4; i++) {
        static const char *const one[] = {"x"};
        CHECK(strstr(fails(over_zip(&evil[i], one, 1)), "not a plain relative path"));
    }
    static const char *const bad_json[] = {"x.json"}, *const not_json[] = {"{"};
    CHECK_STR(fails(over_zip(bad_json, not_json, 1)), "x.json: it is not JSON");
    CHECK(strstr(fails(over_file("b.zip", MR_LIT("PK\3\4 but no more than that, really"))), "zip"));
    end();
}

MR_TEST(a_zip_bomb_is_refused_by_its_size) {
    begin_store();
    conf.input_max = 20;
    open_jobs();
    static const char *const name[] = {"a.jpg", "b.jpg", "c.jpg"};
    static const char *const body[] = {"0123456789", "0123456789", "0123456789"};
    CHECK(strstr(fails(over_zip(name, body, 3)), "larger than"));
    /* and inline ones too */
    CHECK_STR(refused(request("{\"inputs\":[\"01234567890123456789\"]}")), "MR_ETOOBIG");
    end();
}

/* --- folders ------------------------------------------------------------------------------ */

static void put(const char *name, const char *text) {
    char path[600];
    snprintf(path, sizeof path, "%s/inputs/%s", tmp.dir, name);
    FILE *f = fopen(path, "w");
    if (!f)
        exit(2);
    fputs(text, f);
    fclose(f);
}

static void folder(const char *name) {
    char path[600];
    snprintf(path, sizeof path, "%s/inputs/%s", tmp.dir, name);
    mkdir(path, 0700);
}

static void link_to(const char *to, const char *name) {
    char path[600];
    snprintf(path, sizeof path, "%s/inputs/%s", tmp.dir, name);
    if (symlink(to, path))
        exit(2);
}

MR_TEST(folders_are_read_in_order_and_never_left) {
    begin();
    char own[MR_ID_HEX], text[200];
    mr_id_hex(me.account, own);
    folder("public");
    folder("public/sub");
    folder(own);
    put("public/b.png", "PNG");
    put("public/a.txt", "hello");
    put("public/sub/c.jsonl", "1\n2\n");
    put("public/.hidden", "x");
    put("secret.txt", "x");
    link_to("/etc/hostname", "public/link.txt");
    link_to("../secret.txt", "public/link2.txt");
    link_to("/etc", "public/etc");
    link_to("/etc", "outside");
    CHECK_STR(items(make("{\"input_source\":\"public\"}")), "\"hello\" | \"b.png\" | 1 | 2");
    CHECK_STR(items(make("{\"input_source\":\"public/sub/\"}")), "1 | 2");
    CHECK_STR(refused(request("{\"input_source\":\"public/etc\"}")), "parameters.input_source");
    CHECK_STR(refused(request("{\"input_source\":\"outside\"}")), "parameters.input_source");
    CHECK_STR(refused(request("{\"input_source\":\"public/a.txt\"}")), "parameters.input_source");
    put("outside.txt", "x");
    snprintf(text, sizeof text, "{\"input_source\":\"%s\"}", own);
    CHECK_STR(fails(make(text)), "the input has no items");
    struct mr_job_request q = request("{\"input_source\":\"outside\"}");
    q.who.operator_ = true;
    CHECK_STR(refused(q), "parameters.input_source"); /* a link: also not for the operator */
    folder("mine");
    put("mine/x.txt", "y");
    q.parameters = MR_LIT("{\"input_source\":\"mine\"}");
    CHECK_STR(refused(request("{\"input_source\":\"mine\"}")), "parameters.input_source");
    CHECK_STR(items(make_of(q)), "\"y\"");
    end();
}

MR_TEST(what_was_captured_stays) {
    begin();
    folder("public");
    put("public/a.txt", "before");
    struct mr_job k = make("{\"input_source\":\"public\"}");
    wait_for(k.id, MR_JOB_COMPLETED);
    put("public/a.txt", "after");
    CHECK_STR(items(k), "\"before\"");
    struct mr_err e = {0};
    struct mr_job_file f = upload("a.jsonl", MR_LIT("1\n"));
    char id[64], text[200];
    mr_id_print(MR_JOB_FILE_PREFIX, f.id, id, sizeof id);
    snprintf(text, sizeof text, "{\"input_file\":\"%s\"}", id);
    struct mr_job_request q = request(text);
    q.scheduled_us = mr_now_us() + 200000;
    k = make_of(q);
    must(mr_job_file_delete(jobs, me.account, f.id, &e), &e);
    CHECK_STR(refused(request(text)), "parameters.input_file");
    CHECK_STR(items(k), "1"); /* the job has it */
    end();
}

/* --- files and results -------------------------------------------------------------------- */

MR_TEST(files_are_listed_capped_and_the_accounts_own) {
    begin_store();
    conf.file_max = 10;
    conf.files_max = 25;
    open_jobs();
    struct mr_err e = {0};
    struct mr_job_upload *u = NULL;
    struct mr_job_file f, *v;
    size_t n;
    int64_t total;
    CHECK_INT(mr_job_upload_begin(jobs, me.account, MR_LIT("a.exe"), mr_strn(NULL, 0), &u, &e),
              MR_EFIELD);
    CHECK_INT(mr_job_upload_begin(jobs, me.account, MR_LIT("dir/"), mr_strn(NULL, 0), &u, &e),
              MR_EFIELD);
    CHECK_INT(mr_job_upload_begin(jobs, me.account, MR_LIT("a"), MR_LIT("xls"), &u, &e), MR_EFIELD);
    must(mr_job_upload_begin(jobs, me.account, MR_LIT("c:\\x\\data"), MR_LIT("csv"), &u, &e), &e);
    CHECK_INT(mr_job_upload_end(u, &arena, &f, &e), MR_EFIELD); /* empty */
    CHECK_INT(mr_job_upload_write(u, "0123456789", 10, &e), 0);
    CHECK_INT(mr_job_upload_write(u, "0", 1, &e), MR_ETOOBIG);
    mr_job_upload_free(u);
    struct mr_job_file a = upload("a.csv", MR_LIT("0123456789"));
    upload("b.jsonl", MR_LIT("0123456789"));
    CHECK_TEXT(a.name, "a.csv");
    CHECK_STR(a.form, "csv");
    CHECK_INT(a.bytes, 10);
    must(mr_job_upload_begin(jobs, me.account, MR_LIT("c.csv"), mr_strn(NULL, 0), &u, &e), &e);
    must(mr_job_upload_write(u, "0123456789", 10, &e), &e);
    CHECK_INT(mr_job_upload_end(u, &arena, &f, &e), MR_ELIMIT);
    mr_job_upload_free(u);
    must(mr_job_files(jobs, me.account, 10, 0, &arena, &v, &n, &total, &e), &e);
    CHECK(n == 2 && total == 2 && mr_id_eq(v[1].id, a.id));
    CHECK_INT(mr_job_file_delete(jobs, id_of(9), a.id, &e), MR_ENOTFOUND);
    must(mr_job_file_delete(jobs, me.account, a.id, &e), &e);
    must(mr_job_files(jobs, me.account, 10, 0, &arena, &v, &n, &total, &e), &e);
    CHECK(n == 1 && total == 1);
    end();
}

MR_TEST(results_are_pages_and_csv) {
    begin();
    struct mr_err e = {0};
    struct mr_job k =
        make("{\"output_format\":\"csv\",\"inputs\":[\"a,\\\"b\\\"\",\"fail\",{\"x\":1},null]}");
    k = wait_for(k.id, MR_JOB_COMPLETED);
    CHECK_TEXT(k.format, "csv");
    struct mr_job_result *r;
    size_t n;
    int64_t total;
    must(mr_job_results(jobs, me.account, k.id, 2, 1, &arena, &r, &n, &total, &e), &e);
    CHECK(n == 2 && total == 4 && r[0].index == 1 && r[1].index == 2);
    must(mr_job_results(jobs, me.account, k.id, 2, 4, &arena, &r, &n, &total, &e), &e);
    CHECK(n == 0 && total == 4);
    CHECK_INT(mr_job_results(jobs, me.account, k.id, 2, -1, &arena, &r, &n, &total, &e), MR_EFIELD);
    struct mr_buf b;
    mr_buf_init(&b, 1u << 20);
    must(mr_job_results_csv(jobs, me.account, k.id, 100, 0, &b, &e), &e);
    CHECK_TEXT(mr_buf_view(&b),
               "index,input,error,output,output.echo,output.index\r\n"
               "0,\"a,\"\"b\"\"\",,\"{\"\"echo\"\":\"\"a,\\\"\"b\\\"\"\"\",\"\"index\"\":0}\",\"a,"
               "\"\"b\"\"\",0\r\n"
               "1,fail,this item is bad,,,\r\n"
               "2,\"{\"\"x\"\":1}\",,\"{\"\"echo\"\":{\"\"x\"\":1},\"\"index\"\":2}\","
               "\"{\"\"x\"\":1}\",2\r\n"
               "3,,,\"{\"\"echo\"\":null,\"\"index\"\":3}\",,3\r\n");
    mr_buf_clear(&b);
    must(mr_job_results_csv(jobs, me.account, k.id, 1, 1, &b, &e), &e);
    CHECK_TEXT(mr_buf_view(&b), "1,fail,this item is bad,,,\r\n"); /* later pages: no header */
    mr_buf_release(&b);
    end();
}

MR_TEST(a_damaged_store_of_items_is_an_error) {
    begin();
    struct mr_job_pack p;
    struct mr_err e = {0};
    struct mr_blob_name name;
    must(mr_job_pack_init(&p, blobs, 1000, &e), &e);
    must(mr_job_pack_json(&p, MR_LIT("{}"), &e), &e);
    must(mr_job_pack_file(&p, MR_LIT("n"), MR_LIT("bytes"), &e), &e);
    must(mr_job_pack_end(&p, &name, &e), &e);
    mr_job_pack_release(&p);
    int fd;
    uint64_t size;
    must(mr_blob_open(blobs, &name, &fd, &size, &e), &e);
    char whole[300], path[300];
    CHECK_INT(pread(fd, whole, sizeof whole, 0), size);
    close(fd);
    mr_tmp_path(&tmp, "damaged", path);
    size_t accepted = 0;
    struct mr_buf buf;
    mr_buf_init(&buf, 10000);
    for (size_t at = 0; at < 2 * size; at++) { /* each byte changed, each end cut off */
        struct mr_job_input in;
        struct mr_job_input_item item;
        char c = whole[at % size];
        whole[at % size] = (char)(at < size ? c ^ 0x41 : c);
        int w = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        CHECK(write(w, whole, at < size ? size : at - size) >= 0);
        whole[at % size] = c;
        int rc = mr_job_input_from_fd(w, &in, &e);
        CHECK(!rc || rc == MR_EIO);
        for (uint64_t i = 0; !rc && i < in.n; i++)
            accepted += !mr_job_input_read(&in, i, i % 2, &buf, &item, &e);
        if (!rc)
            mr_job_input_close(&in);
    }
    CHECK(accepted > 0 && accepted < 2 * size); /* changed bytes of the items themselves */
    mr_buf_release(&buf);
    end();
}

MR_TEST_MAIN(CASE(json_lines), CASE(csv_with_a_header), CASE(zip_of_files),
             CASE(a_zip_bomb_is_refused_by_its_size),
             CASE(folders_are_read_in_order_and_never_left), CASE(what_was_captured_stays),
             CASE(files_are_listed_capped_and_the_accounts_own), CASE(results_are_pages_and_csv),
             CASE(a_damaged_store_of_items_is_an_error))
