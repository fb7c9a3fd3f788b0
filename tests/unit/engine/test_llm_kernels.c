/* The library that set-up built has our kernels, and ggml asks them first. Without this a new
 * revision of llama.cpp could leave them out, and nothing but the speed would tell. */
#include "engine/llm/kernels/qmm.h"
#include "engine/llm/llama_api.h"
#include "mr_test.h"

#include <dlfcn.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>

MR_TEST(ggml_asks_our_kernels_first) {
    char folder[4096], path[4200];
    struct mr_err e;
    CHECK_INT(mr_llama_folder(folder, sizeof folder, &e), 0);
    snprintf(path, sizeof path, "%s/libggml-cpu.so", folder);
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(lib);
    if (!lib)
        return;
#define FUNCTION(name)                                                                             \
    __typeof__(&ggml_##name) name;                                                                 \
    *(void **)&name = dlsym(lib, "ggml_" #name)
    FUNCTION(backend_cpu_reg);
    FUNCTION(backend_reg_dev_get);
    FUNCTION(backend_reg_get_proc_address);
    FUNCTION(backend_buft_name);
    CHECK(backend_cpu_reg && backend_reg_dev_get && backend_reg_get_proc_address &&
          backend_buft_name);
    ggml_backend_reg_t cpu = backend_cpu_reg();
    ggml_backend_dev_get_extra_bufts_t types;
    *(void **)&types = backend_reg_get_proc_address(cpu, "ggml_backend_dev_get_extra_bufts");
    CHECK(types);
    ggml_backend_buffer_type_t *list = types(backend_reg_dev_get(cpu, 0));
    const char *first = list && list[0] ? backend_buft_name(list[0]) : "none";
    if (mr_qmm_usable())
        CHECK_STR(first, "CPU_MILLRACE");
    else
        CHECK(strcmp(first, "CPU_MILLRACE"));
}

MR_TEST_MAIN(CASE(ggml_asks_our_kernels_first))
