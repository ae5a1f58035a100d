#include "ridgeline/server/web/page.h"

#include <string_view>

// A file as the assembler put it into the program: see page_bytes.S.
#define RIDGELINE_PAGE_FILE(name)                   \
  extern "C" const char ridgeline_##name##_begin[]; \
  extern "C" const char ridgeline_##name##_end[]
RIDGELINE_PAGE_FILE(index_html);
RIDGELINE_PAGE_FILE(page_css);
RIDGELINE_PAGE_FILE(page_js);
RIDGELINE_PAGE_FILE(api_js);
RIDGELINE_PAGE_FILE(markdown_js);
RIDGELINE_PAGE_FILE(panel_js);
#undef RIDGELINE_PAGE_FILE

namespace ridgeline {
namespace {

struct PageFile {
  std::string_view path, content_type;
  const char* begin;
  const char* end;
};

constexpr std::string_view kScript = "text/javascript; charset=utf-8";
const PageFile kFiles[] = {
    {"/", "text/html; charset=utf-8", ridgeline_index_html_begin, ridgeline_index_html_end},
    {"/page.css", "text/css; charset=utf-8", ridgeline_page_css_begin, ridgeline_page_css_end},
    {"/page.js", kScript, ridgeline_page_js_begin, ridgeline_page_js_end},
    {"/api.js", kScript, ridgeline_api_js_begin, ridgeline_api_js_end},
    {"/markdown.js", kScript, ridgeline_markdown_js_begin, ridgeline_markdown_js_end},
    {"/panel.js", kScript, ridgeline_panel_js_begin, ridgeline_panel_js_end},
};

/// Only what comes from this server runs, nothing inline, and no text becomes HTML: what a
/// model writes stays text, whatever it writes.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

}  // namespace

void add_page(Router& router) {
  for (const PageFile& file : kFiles) {
    router.add("GET", file.path, [&file](HttpRequest, std::shared_ptr<Exchange> exchange) {
      HttpResponse response;
      response.content_type = file.content_type;
      response.headers = {{"Cache-Control", "no-cache"},
                          {"Content-Security-Policy", std::string(kPolicy)},
                          {"Referrer-Policy", "no-referrer"},
                          {"X-Content-Type-Options", "nosniff"}};
      response.body.assign(file.begin, file.end);
      exchange->respond(std::move(response));
    });
  }
}

}  // namespace ridgeline
