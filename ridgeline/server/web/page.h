#pragma once

#include "ridgeline/server/http/router.h"

namespace ridgeline {

/// GET /: a page to chat with the model and to watch the server, which needs nothing else.
void add_page(Router& router);

}  // namespace ridgeline
