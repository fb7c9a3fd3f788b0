#include "engine/llm/llama_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int mr_llama_load(const char *dir, struct mr_llama *ret, struct mr_err *e) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/libllama.so", dir) >= (int)sizeof path)
        return mr_fail(e, MR_EUNAVAIL, "the path of libllama.so is too long");
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return mr_fail(e, MR_EUNAVAIL, "llama.cpp cannot be loaded: %.400s", dlerror());
    struct mr_llama a;
#define X(name)                                                                                    \
    *(void **)&a.name = dlsym(lib, #name);                                                         \
    if (!a.name)                                                                                   \
        return mr_fail(e, MR_EUNAVAIL, "this build of llama.cpp has no %s", #name);
    MR_LLAMA_FUNCTIONS(X)
#undef X
    *(void **)&a.GOMP_parallel = dlsym(lib, "GOMP_parallel");
    if (!a.GOMP_parallel)
        return mr_fail(e, MR_EUNAVAIL, "this build of llama.cpp is without OpenMP");
    *ret = a;
    return 0;
}

static bool is_there(const char *dir) {
    char path[4200];
    return snprintf(path, sizeof path, "%s/libllama.so", dir) < (int)sizeof path &&
           !access(path, R_OK);
}

static bool beside(const char *suffix, char *ret, size_t cap) {
    ssize_t n = cap > 64 ? readlink("/proc/self/exe", ret, cap - 64) : 0;
    while (n > 0 && ret[n - 1] != '/')
        n--;
    if (n <= 0)
        return false;
    snprintf(ret + n, cap - (size_t)n, "%s", suffix);
    return is_there(ret);
}

int mr_llama_folder(char *ret, size_t cap, struct mr_err *e) {
    const char *named = getenv("MILLRACE_LLAMA"), *cache = getenv("MILLRACE_CACHE");
    const char *home = getenv("HOME");
    if (named && *named) {
        if (snprintf(ret, cap, "%s", named) >= (int)cap || !is_there(ret))
            return mr_fail(e, MR_EUNAVAIL, "MILLRACE_LLAMA is set, but there is no %.300s/%s",
                           named, "libllama.so");
        return 0;
    }
    if (beside("../lib", ret, cap) || beside(".", ret, cap))
        return 0;
    int n = cache && *cache ? snprintf(ret, cap, "%s/llama/lib", cache)
                            : snprintf(ret, cap, "%s/.cache/millrace/llama/lib", home ? home : "");
    if (n > 0 && n < (int)cap && is_there(ret))
        return 0;
    return mr_fail(e, MR_EUNAVAIL,
                   "language models need llama.cpp, which is not installed here: run "
                   "scripts/setup, or set MILLRACE_LLAMA to the folder of libllama.so");
}
