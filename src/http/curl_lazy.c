/* libcurl on first use. Linked the usual way it draws 30 libraries into every process, which costs
 * each intake child 5 ms of dynamic linking, and most processes never make an outbound request.
 * These definitions forward to libcurl.so.4 (its ABI has kept that name since 2006); a function
 * that is missing here is a link error. Without the library every call fails the way libcurl
 * reports failure. Thread-safe. */
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>

#undef curl_easy_setopt /* macros that check types */
#undef curl_easy_getinfo
#undef curl_multi_setopt

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *library;

static void load(void) {
    library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
}

static void *symbol(const char *name) {
    pthread_once(&once, load);
    return library ? dlsym(library, name) : NULL;
}

/* A function of libcurl with the prototype of the one being defined, looked up once a call site;
 * racing threads store the same pointer. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real_;                                                                \
    __typeof__(&name) fn = __atomic_load_n(&real_, __ATOMIC_ACQUIRE);                              \
    if (!fn) {                                                                                     \
        *(void **)&fn = symbol(#name);                                                             \
        __atomic_store_n(&real_, fn, __ATOMIC_RELEASE);                                            \
    }

#define FORWARD(type, name, params, args, failed)                                                  \
    type name params {                                                                             \
        REAL(name)                                                                                 \
        return fn ? fn args : (failed);                                                            \
    }
#define FORWARD_VOID(name, params, args)                                                           \
    void name params {                                                                             \
        REAL(name)                                                                                 \
        if (fn)                                                                                    \
            fn args;                                                                               \
    }

FORWARD(CURLcode, curl_global_init, (long flags), (flags), CURLE_FAILED_INIT)
FORWARD(CURL *, curl_easy_init, (void), (), NULL)
FORWARD_VOID(curl_easy_cleanup, (CURL * h), (h))
FORWARD_VOID(curl_easy_reset, (CURL * h), (h))
FORWARD(CURLcode, curl_easy_perform, (CURL * h), (h), CURLE_FAILED_INIT)
FORWARD(const char *, curl_easy_strerror, (CURLcode c), (c), "libcurl.so.4 is not installed")
FORWARD(CURLHcode, curl_easy_header,
        (CURL * h, const char *name, size_t index, unsigned origin, int request,
         struct curl_header **out),
        (h, name, index, origin, request, out), CURLHE_NOT_BUILT_IN)
FORWARD_VOID(curl_free, (void *p), (p))
FORWARD(time_t, curl_getdate, (const char *text, const time_t *unused), (text, unused), -1)
FORWARD(curl_mime *, curl_mime_init, (CURL * h), (h), NULL)
FORWARD_VOID(curl_mime_free, (curl_mime * m), (m))
FORWARD(curl_mimepart *, curl_mime_addpart, (curl_mime * m), (m), NULL)
FORWARD(CURLcode, curl_mime_name, (curl_mimepart * p, const char *name), (p, name),
        CURLE_FAILED_INIT)
FORWARD(CURLcode, curl_mime_data, (curl_mimepart * p, const char *data, size_t n), (p, data, n),
        CURLE_FAILED_INIT)
FORWARD(CURLcode, curl_mime_filedata, (curl_mimepart * p, const char *path), (p, path),
        CURLE_FAILED_INIT)
FORWARD(struct curl_slist *, curl_slist_append, (struct curl_slist * l, const char *text),
        (l, text), NULL)
FORWARD_VOID(curl_slist_free_all, (struct curl_slist * l), (l))
FORWARD(CURLU *, curl_url, (void), (), NULL)
FORWARD_VOID(curl_url_cleanup, (CURLU * u), (u))
FORWARD(CURLUcode, curl_url_get, (CURLU * u, CURLUPart what, char **part, unsigned flags),
        (u, what, part, flags), CURLUE_OUT_OF_MEMORY)
FORWARD(CURLUcode, curl_url_set, (CURLU * u, CURLUPart what, const char *part, unsigned flags),
        (u, what, part, flags), CURLUE_OUT_OF_MEMORY)
FORWARD(CURLM *, curl_multi_init, (void), (), NULL)
FORWARD(CURLMcode, curl_multi_cleanup, (CURLM * m), (m), CURLM_INTERNAL_ERROR)
FORWARD(CURLMcode, curl_multi_add_handle, (CURLM * m, CURL *h), (m, h), CURLM_INTERNAL_ERROR)
FORWARD(CURLMcode, curl_multi_remove_handle, (CURLM * m, CURL *h), (m, h), CURLM_INTERNAL_ERROR)
FORWARD(CURLMcode, curl_multi_socket_action,
        (CURLM * m, curl_socket_t fd, int events, int *running), (m, fd, events, running),
        CURLM_INTERNAL_ERROR)
FORWARD(CURLMsg *, curl_multi_info_read, (CURLM * m, int *left), (m, left), NULL)

/* One argument of long, curl_off_t or a pointer: one 64-bit register in every ABI served here. */
_Static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *),
               "an option fits a pointer");

CURLcode curl_easy_setopt(CURL *h, CURLoption option, ...) {
    REAL(curl_easy_setopt)
    va_list ap;
    va_start(ap, option);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    return fn ? fn(h, option, arg) : CURLE_FAILED_INIT;
}

CURLcode curl_easy_getinfo(CURL *h, CURLINFO info, ...) {
    REAL(curl_easy_getinfo)
    va_list ap;
    va_start(ap, info);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    return fn ? fn(h, info, arg) : CURLE_FAILED_INIT;
}

CURLMcode curl_multi_setopt(CURLM *m, CURLMoption option, ...) {
    REAL(curl_multi_setopt)
    va_list ap;
    va_start(ap, option);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    return fn ? fn(m, option, arg) : CURLM_INTERNAL_ERROR;
}
