// A bare number has no unit.
#include <moql/base/time.hpp>

bool right(moql::instant due, std::int64_t us);
bool right(moql::instant due, std::int64_t us) { return due < moql::instant{} + moql::microseconds(us); }

#ifdef WRONG
bool wrong(moql::instant due, std::int64_t us);
bool wrong(moql::instant due, std::int64_t us) { return due < us; }
#endif
