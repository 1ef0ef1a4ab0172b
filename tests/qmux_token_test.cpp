/// Agreeing on a wire revision and a moq version in one token.

#include <doctest/doctest.h>

#include <moql/base/version.hpp>
#include <moql/binding/qmux_token.hpp>

#include <string>
#include <vector>

using namespace moql;
using namespace moql::qmux;

namespace {

using tokens = std::vector<std::string_view>;

std::string offer_of(const tokens& t, const spoken& s = {}) {
  char out[1024];
  const auto r = build_offer(t, s, out);
  return r ? std::string(*r) : std::string(text_of(r.error()));
}
std::string shown(const result<choice>& c) {
  char out[64];
  return c ? std::string(build_token(*c, out).value()) : std::string(text_of(c.error()));
}

}  // namespace

TEST_CASE("QMux tokens are offered by moq token, then newest wire first, the bare ones last") {
  CHECK(offer_of({"moq-lite-06", "moql"}) ==
        "qmux-02.moq-lite-06, qmux-01.moq-lite-06, qmux-00.moq-lite-06, qmux-02.moql, qmux-01.moql, qmux-00.moql, "
        "qmux-02, qmux-01, qmux-00, webtransport");
  CHECK(offer_of({"a"}, {.oldest = revision::qmux01, .bare = false, .webtransport = false}) == "qmux-02.a, qmux-01.a");
  CHECK(offer_of({}, {.newest = revision::qmux01, .oldest = revision::qmux01}) == "qmux-01, webtransport");
  CHECK(offer_of({}, {.bare = false, .webtransport = false}).empty());
  CHECK(offer_of({"a"}, {.newest = revision::qmux00, .oldest = revision::qmux01}) == "webtransport");
  char small[20];
  CHECK(build_offer(tokens{"moq-lite-06"}, {}, small).error() == errc::no_room);
}
TEST_CASE("a QMux token says the wire and the moq token, or nothing") {
  CHECK(parse_token("qmux-01.moq-lite-05") == choice{revision::qmux01, "moq-lite-05"});
  CHECK(parse_token("qmux-00") == choice{revision::qmux00, {}});
  CHECK(parse_token("webtransport") == choice{revision::webtransport, {}});
  for (const char* t :
       {"", "qmux-03.moq-lite-05", "qmux-02.", "qmux-02x", "moq-lite-05", "QMUX-02", "webtransport.a", "qmux-02 "})
    CHECK_MESSAGE(!parse_token(t), t);
}
TEST_CASE("a QMux server takes what it wants most of what is offered") {
  const tokens ours{"moq-lite-06", "moq-lite-05"};
  CHECK(shown(choose("qmux-01.moq-lite-05,qmux-00.moq-lite-06", ours, {})) == "qmux-00.moq-lite-06");
  CHECK(shown(choose("qmux-00.moq-lite-05 ,\tqmux-02.moq-lite-05", ours, {})) == "qmux-02.moq-lite-05");
  CHECK(shown(choose("qmux-02.moqt-17, qmux-01, webtransport", ours, {})) == "qmux-01");
  CHECK(shown(choose("x,webtransport", ours, {})) == "webtransport");
  CHECK(choose("x,webtransport", ours, {.webtransport = false}).error() == errc::no_common_version);
  CHECK(choose("", ours, {}).error() == errc::no_common_version);
  CHECK(choose(" , ,,", ours, {}).error() == errc::no_common_version);
  CHECK(choose("qmux-02.moq-lite-0", ours, {.bare = false}).error() == errc::no_common_version);
}
TEST_CASE("a QMux client takes no token that it did not offer, and no silence") {
  const tokens ours{"moq-lite-06", "moql"};
  CHECK(shown(confirm("qmux-01.moql", ours, {})) == "qmux-01.moql");
  CHECK(shown(confirm("qmux-02", ours, {})) == "qmux-02");
  CHECK(confirm("qmux-02", ours, {.bare = false}).error() == errc::version_not_offered);
  CHECK(confirm("qmux-00.moql", ours, {.oldest = revision::qmux01}).error() == errc::version_not_offered);
  for (const char* t : {"", "qmux-02.moq-lite-05", "moql", "qmux-02.moq-lite-06,qmux-01"})
    CHECK(confirm(t, ours, {}).error() == errc::version_not_offered);
}
TEST_CASE("every offer of ours is understood by a server of ours") {
  const tokens ours(preferred_protocols.begin(), preferred_protocols.end());
  const std::string offered = offer_of(ours);
  token_list list(offered);
  choices wanted(ours, {});
  std::size_t n = 0;
  while (const auto t = list.next()) {
    const auto c = wanted.next();
    REQUIRE(c);
    CHECK(parse_token(*t) == *c);
    CHECK(shown(confirm(*t, ours, {})) == *t);
    CHECK(shown(choose(*t, ours, {})) == *t);
    ++n;
  }
  CHECK(!wanted.next());
  CHECK(n == ours.size() * 3 + 4);
}
