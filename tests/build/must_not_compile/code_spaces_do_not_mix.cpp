// session codes and stream codes are separate spaces.
#include <moql/base/error.hpp>

moql::stream_code right();
moql::stream_code right() { return moql::stream_code::cancelled; }

#ifdef WRONG
moql::stream_code wrong();
moql::stream_code wrong() { return moql::session_code::unauthorized; }
#endif
