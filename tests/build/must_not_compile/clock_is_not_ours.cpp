// The library's time is told by the caller: no clock's time point becomes one by accident, nor does a bare number.
#include <chrono>

#include <moql/base/time.hpp>

moql::instant right(std::chrono::steady_clock::time_point t);
moql::instant right(std::chrono::steady_clock::time_point t) {
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch());
  return {since.count()};
}

#ifdef WRONG
moql::instant wrong(std::chrono::steady_clock::time_point t);
moql::instant wrong(std::chrono::steady_clock::time_point t) { return t; }
#endif
