// A stream is named by what the adapter gave out, not by any number at hand.
#include <moql/adapter/transport.hpp>

moql::stream_id right(std::uint64_t n);
moql::stream_id right(std::uint64_t n) { return moql::stream_id{n}; }

#ifdef WRONG
moql::stream_id wrong(std::uint64_t n);
moql::stream_id wrong(std::uint64_t n) { return n; }
#endif
