/* The tesseract child: 3 = the socket to the server, 4 = the language's data file. The library and
 * the data are ours and are loaded first; pictures come only after the sandbox is closed. One
 * thread: OpenMP is told so before it loads. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "engine/intake_wire.h"
#include "engine/vision/ocr_wire.h"
#include "engine/vision/tess_abi.h"
#include "engine/vision/vision.h"
#include "io/child.h"
#include "io/sandbox.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TALK_FD = 3, DATA_FD = 4 };

#define MEMORY_MAX ((uint64_t)3 << 30)

static int load_api(struct mr_tess_api *api, struct mr_err *e) {
    static const char *const names[] = {MR_TESS_NAMES};
    _Static_assert(sizeof names / sizeof *names == sizeof *api / sizeof(void *), "one name each");
    if (setenv("OMP_THREAD_LIMIT", "1", 1) || setenv("OMP_NUM_THREADS", "1", 1))
        return mr_fail(e, MR_ENOMEM, "out of memory");
    void *lib = dlopen(MR_TESS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return mr_fail(e, MR_ENOTLOADED,
                       "tesseract cannot be loaded (Debian's package libtesseract5): %.200s",
                       dlerror());
    void **slot = (void **)api;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (!(slot[k] = dlsym(lib, names[k])))
            return mr_fail(e, MR_ENOTLOADED, MR_TESS_LIBRARY " has no %s", names[k]);
    return 0;
}

static int open_tesseract(const struct mr_tess_api *api, struct mr_tess **ret, struct mr_err *e) {
    off_t size = lseek(DATA_FD, 0, SEEK_END);
    void *data = size > 0 && size < ((off_t)1 << 30)
                     ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, DATA_FD, 0)
                     : MAP_FAILED;
    if (data == MAP_FAILED)
        return mr_fail(e, MR_EIO, "the language data of tesseract cannot be read");
    struct mr_tess *t = api->create();
    /* From memory: nothing is looked for on disk. */
    if (!t ||
        api->init(t, data, (int)size, "eng", MR_TESS_OEM_LSTM_ONLY, NULL, 0, NULL, NULL, 0, 0))
        return mr_fail(e, MR_ENOTLOADED, "tesseract does not take its language data");
    munmap(data, (size_t)size);
    api->set_mode(t, MR_TESS_PSM_AUTO);
    *ret = t;
    return 0;
}

static int lock_down(void) {
    const struct mr_sandbox_fd fds[] = {{.fd = TALK_FD, .read = true, .write = true}};
    struct mr_sandbox box = {.profile = MR_SANDBOX_ONNX_WORKER,
                             .fds = fds,
                             .n_fds = 1,
                             .memory_max = MEMORY_MAX,
                             /* sanitized builds keep stderr, which may be a file, and tesseract
                              * says there what it guesses */
                             .file_max = MR_INTAKE_STDERR ? (uint64_t)1 << 30 : 0,
                             .namespaces = true};
    return mr_sandbox_enter(&box, NULL);
}

static void put_word(const struct mr_tess_api *api, const struct mr_tess_result *at, uint32_t line,
                     struct mr_buf *out, uint32_t *n) {
    struct mr_ocr_wire_word w = {.line = line};
    char *text = api->text(at, MR_TESS_RIL_WORD);
    if (text && text[strspn(text, " ")] && /* rules and pictures are words of a blank */
        api->box(api->page(at), MR_TESS_RIL_WORD, &w.x0, &w.y0, &w.x1, &w.y1)) {
        w.confidence = api->confidence(at, MR_TESS_RIL_WORD);
        w.bytes = (uint32_t)strlen(text);
        mr_buf_add(out, &w, sizeof w);
        mr_buf_add(out, text, w.bytes);
        ++*n;
    }
    if (text)
        api->text_delete(text);
}

static int read_page(const struct mr_tess_api *api, struct mr_tess *t, const char *p, size_t n,
                     struct mr_buf *out, struct mr_err *e) {
    struct mr_ocr_page page;
    if (n < sizeof page)
        return mr_fail(e, MR_EINTERNAL, "damaged request");
    memcpy(&page, p, sizeof page);
    if (!page.width || !page.height || page.width > MR_IMAGE_SIDE_MAX ||
        page.height > MR_IMAGE_SIDE_MAX || n - sizeof page != (size_t)page.width * page.height)
        return mr_fail(e, MR_EINTERNAL, "damaged request");
    api->set_image(t, (const unsigned char *)p + sizeof page, (int)page.width, (int)page.height, 1,
                   (int)page.width);
    if (page.ppi)
        api->set_resolution(t, (int)page.ppi);
    int r = api->recognize(t, NULL) ? mr_fail(e, MR_EPREDICT, "tesseract gave up on the page") : 0;
    struct mr_tess_result *at = r ? NULL : api->result(t);
    uint32_t words = 0, line = 0;
    int32_t code = 0;
    mr_buf_add(out, &code, sizeof code);
    mr_buf_add(out, &words, sizeof words);
    if (at) { /* none: an empty page */
        do {
            line += api->begins(api->page(at), MR_TESS_RIL_TEXTLINE) != 0;
            put_word(api, at, line, out, &words);
        } while (words < MR_OCR_WORDS_MAX && api->next(at, MR_TESS_RIL_WORD));
        api->result_delete(at);
    }
    api->clear(t);
    if (!r && !mr_buf_ok(out))
        r = mr_fail(e, MR_ETOOBIG, "the page has too much text");
    if (!r)
        memcpy(out->p + sizeof code, &words, sizeof words);
    return r;
}

static void put_error(struct mr_buf *out, const struct mr_err *e) {
    int32_t code = e->code;
    mr_buf_clear(out);
    mr_buf_add(out, &code, sizeof code);
    mr_buf_cstr(out, e->msg);
}

int mr_ocr_worker_main(void) {
    struct mr_tess_api api;
    struct mr_tess *t = NULL;
    struct mr_err e = {0};
    struct mr_buf out;
    int32_t ready = 0;
    mr_buf_init(&out, MR_OCR_REPLY_MAX);
    int r = load_api(&api, &e);
    if (!r)
        r = open_tesseract(&api, &t, &e);
    if (!r && lock_down())
        _exit(MR_OCR_EXIT_LIMITS);
    if (r)
        put_error(&out, &e);
    else
        mr_buf_add(&out, &ready, sizeof ready);
    while (!mr_msg_write(TALK_FD, out.p, out.n, 0, NULL) && !r) {
        char *p;
        size_t n;
        if (mr_msg_read(TALK_FD, sizeof(struct mr_ocr_page) + MR_OCR_PIXELS_MAX, 0, &p, &n, NULL))
            break; /* the server closed the connection */
        mr_buf_clear(&out);
        if (read_page(&api, t, p, n, &out, &e))
            put_error(&out, &e);
        mr_free(p);
    }
    _exit(r ? 1 : 0);
}
