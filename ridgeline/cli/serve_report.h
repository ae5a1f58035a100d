#pragma once

#include <string>

#include "ridgeline/base/result.h"
#include "ridgeline/cli/table.h"
#include "ridgeline/tools/load/bench_serve.h"

namespace ridgeline::cli {

/// What `bench serve` found, on stdout.
void print_serve_report(const load::ServeBenchOptions& options, const load::ServeBench& bench,
                        const load::ServiceLevel& level, OutputFormat format);

/// A JSON line for each request of each server and round.
Status write_request_details(const std::string& path, const load::ServeBench& bench);

}  // namespace ridgeline::cli
