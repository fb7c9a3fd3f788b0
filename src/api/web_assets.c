#include "api/web_assets.h"

/* The assembler reads the files, so that megabytes never pass through the compiler. MR_DOCS_DIR and
 * MR_WEB_DIR come from the build. */
#define EMBED(symbol, path)                                                                        \
    __asm__(".section .rodata\n.balign 16\n" #symbol ":\n.incbin \"" path "\"\n" #symbol           \
            "_end:\n.byte 0\n.previous\n");                                                        \
    extern const unsigned char symbol[], symbol##_end[]

EMBED(mr_dash_index, MR_WEB_DIR "/dashboard/index.html");
EMBED(mr_dash_js, MR_WEB_DIR "/dashboard/dashboard.js");
EMBED(mr_dash_play, MR_WEB_DIR "/dashboard/playground.js");
EMBED(mr_dash_css, MR_WEB_DIR "/dashboard/dashboard.css");
EMBED(mr_docs_index, MR_WEB_DIR "/docs/index.html");
EMBED(mr_docs_js, MR_WEB_DIR "/docs/docs.js");
EMBED(mr_docs_bundle, MR_DOCS_DIR "/swagger-ui-bundle.js");
EMBED(mr_docs_css, MR_DOCS_DIR "/swagger-ui.css");
EMBED(mr_docs_icon, MR_DOCS_DIR "/favicon-32x32.png");

bool mr_web_asset_find(struct mr_str name, struct mr_web_asset *ret) {
    static const struct {
        const char *name, *type;
        const unsigned char *start, *end;
    } files[] = {
        {"dashboard.html", "text/html; charset=utf-8", mr_dash_index, mr_dash_index_end},
        {"dashboard.js", "text/javascript; charset=utf-8", mr_dash_js, mr_dash_js_end},
        {"playground.js", "text/javascript; charset=utf-8", mr_dash_play, mr_dash_play_end},
        {"dashboard.css", "text/css; charset=utf-8", mr_dash_css, mr_dash_css_end},
        {"index.html", "text/html; charset=utf-8", mr_docs_index, mr_docs_index_end},
        {"docs.js", "text/javascript; charset=utf-8", mr_docs_js, mr_docs_js_end},
        {"swagger-ui-bundle.js", "text/javascript; charset=utf-8", mr_docs_bundle,
         mr_docs_bundle_end},
        {"swagger-ui.css", "text/css; charset=utf-8", mr_docs_css, mr_docs_css_end},
        {"favicon-32x32.png", "image/png", mr_docs_icon, mr_docs_icon_end},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (mr_str_is(name, files[i].name)) {
            *ret = (struct mr_web_asset){files[i].type, files[i].start,
                                         (size_t)(files[i].end - files[i].start)};
            return true;
        }
    return false;
}
