// Two points in time have a distance, not a sum.
#include <moql/base/time.hpp>

moql::duration right(moql::instant a, moql::instant b);
moql::duration right(moql::instant a, moql::instant b) { return a - b; }

#ifdef WRONG
moql::duration wrong(moql::instant a, moql::instant b);
moql::duration wrong(moql::instant a, moql::instant b) { return a + b; }
#endif
