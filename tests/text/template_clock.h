#pragma once

#include "ridgeline/text/jinja/runtime.h"

namespace ridgeline::testing {

/// 2024-07-26 13:05:09.000042, a Friday: the oracle's time.
inline jinja::LocalTime fixed_clock() {
  jinja::LocalTime now;
  now.time.tm_year = 124;
  now.time.tm_mon = 6;
  now.time.tm_mday = 26;
  now.time.tm_hour = 13;
  now.time.tm_min = 5;
  now.time.tm_sec = 9;
  now.time.tm_wday = 5;
  now.time.tm_yday = 207;
  now.microseconds = 42;
  return now;
}

}  // namespace ridgeline::testing
