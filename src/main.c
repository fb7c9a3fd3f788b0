#include "cli/cli.h"
#include "engine/intake.h"
#include "engine/llm/llm.h"
#include "engine/onnx/onnx.h"
#include "engine/vision/vision.h"

#include <string.h>

int main(int argc, char **argv) {
    /* The server re-runs itself for work on untrusted bytes. */
    if (argc > 1 && !strcmp(argv[1], "__intake"))
        return mr_intake_child_main();
    if (argc > 1 && !strcmp(argv[1], "__onnx-worker"))
        return mr_onnx_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__image-worker"))
        return mr_image_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__ocr-worker"))
        return mr_ocr_worker_main();
    if (argc > 1 && !strcmp(argv[1], "__llm-worker"))
        return mr_llm_worker_main(argc > 2 ? argv[2] : NULL);
    return mr_cli_main(argc, argv);
}
