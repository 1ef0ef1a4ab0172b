// A subscription is not a fetch, though both are numbers inside.
#include <moql/session/session.hpp>

moql::errc right(moql::session& s, moql::subscription_id id);
moql::errc right(moql::session& s, moql::subscription_id id) { return s.unsubscribe(id); }

#ifdef WRONG
moql::errc wrong(moql::session& s, moql::fetch_id id);
moql::errc wrong(moql::session& s, moql::fetch_id id) { return s.unsubscribe(id); }
#endif
