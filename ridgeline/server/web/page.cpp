#include "ridgeline/server/web/page.h"

#include <cstddef>
#include <string_view>

namespace ridgeline {
namespace {

// index.html as the assembler put it into the program: see page_bytes.S.
extern "C" const char ridgeline_page_begin[];
extern "C" const char ridgeline_page_end[];

}  // namespace

void add_page(Router& router) {
  router.add("GET", "/", [](HttpRequest, std::shared_ptr<Exchange> exchange) {
    HttpResponse response;
    response.content_type = "text/html; charset=utf-8";
    response.headers = {{"Cache-Control", "no-cache"}, {"X-Content-Type-Options", "nosniff"}};
    response.body.assign(ridgeline_page_begin, ridgeline_page_end);
    exchange->respond(std::move(response));
  });
}

}  // namespace ridgeline
