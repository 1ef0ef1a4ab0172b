// A place in a slab is not a stream, though both are numbers inside.
#include <moql/adapter/transport.hpp>
#include <moql/base/slab.hpp>

bool right(moql::slot_handle a, moql::slot_handle b);
bool right(moql::slot_handle a, moql::slot_handle b) { return a == b; }

#ifdef WRONG
bool wrong(moql::slot_handle a, moql::stream_id b);
bool wrong(moql::slot_handle a, moql::stream_id b) { return a == b; }
#endif
