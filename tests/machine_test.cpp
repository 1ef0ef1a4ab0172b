// Control streams: every row of every table for both sides, everything that is not in a table, and the sentences.

#include <doctest/doctest.h>

#include <random>

#include "counting_memory.hpp"
#include "moql/message/stream_type.hpp"
#include "stream_logs.hpp"

using namespace moql;
using namespace moql::bytewise;

namespace {

using octets = std::vector<std::uint8_t>;

/// Calls f.template operator()<Half>(name) for every half there is.
void for_each_half(auto&& f) {
  f.template operator()<session_client_half>("session client");
  f.template operator()<session_server_half>("session server");
  f.template operator()<compat_client_half>("compat client");
  f.template operator()<compat_server_half>("compat server");
  f.template operator()<setup_half>("setup");
  f.template operator()<silent_half>("silent");
  f.template operator()<announce_ask_half>("announce ask");
  f.template operator()<announce_tell_half>("announce tell");
  f.template operator()<subscribe_ask_half>("subscribe ask");
  f.template operator()<subscribe_answer_half>("subscribe answer");
  f.template operator()<track_ask_half>("track ask");
  f.template operator()<track_answer_half>("track answer");
  f.template operator()<fetch_ask_half>("fetch ask");
  f.template operator()<probe_half>("probe");
  f.template operator()<goaway_half>("goaway");
}
template <class Half>
constexpr std::uint8_t states() {
  std::uint8_t n = 0;
  for (const transition& t : Half::rows) {
    if (t.from >= n) n = static_cast<std::uint8_t>(t.from + 1);
    if (t.to >= n) n = static_cast<std::uint8_t>(t.to + 1);
  }
  return n;
}
template <class M>
octets bytes_of(const M& m, version v) {
  octets out(encoded_size(m, v));
  REQUIRE(encode(m, v, out).why == errc::ok);
  return out;
}
template <class M>
void append(octets& to, const M& m, version v) {
  const octets more = bytes_of(m, v);
  to.insert(to.end(), more.begin(), more.end());
}
/// A message as its receiver prints it: an absent floor, for one, comes back as 0.
template <class M>
std::string heard_of(const M& m, version v) {
  const octets whole = bytes_of(m, v);
  return inspect::print(decode<M>(whole, v).message, v) + ';';
}
octets cat(std::initializer_list<octets> all) {
  octets out;
  for (const octets& o : all) out.insert(out.end(), o.begin(), o.end());
  return out;
}

/// What one side of a stream hears, however it arrives.
template <class Side>
std::string hear(version v, const octets& in, bool fin = true, const limits& caps = {}) {
  const verdict got = every_way([&] { return machine_log<Side>(v, caps); }, in, fin);
  CHECK(got.difference == "");
  return got.log;
}
template <class Side>
std::string hear(version v, std::string_view digits, bool fin = true) {
  return hear<Side>(v, hex(digits), fin);
}
constexpr version all[] = {lite01, lite02, lite03, lite04, lite05, lite06};

const msg::subscribe some_subscribe{.id = 5, .broadcast = "room/alice", .track = "video", .want = {.priority = 2}};

}  // namespace

// ------------------------------------------------------------------------------------------------ the tables

TEST_CASE("every row names a message that its versions have, and a rule") {
  for_each_half([]<class Half>(const char* name) {
    CAPTURE(name);
    for (const transition& t : Half::rows) {
      CHECK(std::string_view(t.rule).starts_with("R-"));
      CHECK(t.in.bits != 0);
      if (t.on == on_fin) continue;
      CHECK(t.on < Half::messages::size);
      Half::messages::any([&]<class M>(std::uint8_t i) {
        if (i == t.on)
          for (const version v : all) CHECK_FALSE((t.in.has(v) && !M::in.has(v)));
        return false;
      });
    }
    // Every state but the first is reached, every message is used.
    for (std::uint8_t s = 1; s < states<Half>(); ++s) {
      bool reached = false;
      for (const transition& t : Half::rows) reached = reached || (t.to == s && t.from != s);
      CHECK(reached);
    }
    for (std::uint8_t i = 0; i < Half::messages::size; ++i) {
      bool used = false;
      for (const transition& t : Half::rows) used = used || t.on == i;
      CHECK(used);
    }
  });
}

TEST_CASE("sending: the table's rows are possible, everything else is wrong_state or not_in_version") {
  std::mt19937_64 rng(1);
  for_each_half([&]<class Half>(const char* name) {
    using side = exchange<Half, silent_half>;
    for (const version v : all) {
      for (std::uint8_t s = 0; s < states<Half>(); ++s) {
        CAPTURE(name);
        CAPTURE(facts(v).name);
        CAPTURE(int{s});
        Half::messages::any([&]<class M>(std::uint8_t i) {
          const transition* row = find_transition(Half::rows, s, i, v);
          inspect::arena keep;
          M m{};
          if (M::in.has(v)) m = inspect::generate<M>(rng, v, keep);
          machine_state state;
          state.sent = s;
          vec<std::uint8_t> out;
          REQUIRE(out.push(0xee));
          const errc e = side::send(state, v, m, out);
          if (row != nullptr) {
            CHECK(e == errc::ok);
            CHECK(state.sent == row->to);
            CHECK(octets(out.begin() + 1, out.end()) == bytes_of(m, v));
          } else {
            CHECK(e == (M::in.has(v) ? errc::wrong_state : errc::not_in_version));
            CHECK(state.sent == s);
            CHECK(out.size() == 1);
          }
          return false;
        });
        machine_state state;
        state.sent = s;
        const transition* row = find_transition(Half::rows, s, on_fin, v);
        CHECK(side::send_fin(state, v) == (row != nullptr ? errc::ok : errc::wrong_state));
        CHECK(state.sent == (row != nullptr ? row->to : s));
      }
    }
  });
}

TEST_CASE("receiving: the table's rows are taken, everything else is the half's own fault") {
  std::mt19937_64 rng(2);
  for_each_half([&]<class Half>(const char* name) {
    using side = exchange<silent_half, Half>;
    for (const version v : all) {
      for (std::uint8_t s = 0; s < states<Half>(); ++s) {
        CAPTURE(name);
        CAPTURE(facts(v).name);
        CAPTURE(int{s});
        const auto in_state = [&] {
          machine_state state;
          state.received = s;
          state.lead_seen = true;
          return state;
        };
        bool expects_any = false;
        bool expects_typed = false;
        Half::messages::any([&]<class M>(std::uint8_t i) {
          if (find_transition(Half::rows, s, i, v) == nullptr) return false;
          expects_any = true;
          expects_typed = type_of<M>(v).has_value();
          return true;
        });
        for (int round = 0; round < 10; ++round) {
          Half::messages::any([&]<class M>(std::uint8_t i) {
            if (!M::in.has(v)) return false;
            const transition* row = find_transition(Half::rows, s, i, v);
            inspect::arena keep;
            const M m = inspect::generate<M>(rng, v, keep);
            const octets whole = bytes_of(m, v);
            machine_state state = in_state();
            typename side::incoming got;
            errc why{};
            byte_view in(whole);
            const step step_taken = side::receive(state, v, limits{}, in, got, why);
            if (row != nullptr) {
              REQUIRE(step_taken == step::ready);
              REQUIRE(got.index() == std::size_t{i} + 1);
              CHECK(inspect::same_in(std::get<M>(got), m, v));
              CHECK(in.empty());
              CHECK(state.received == row->to);
              CHECK(side::receive(state, v, limits{}, in, got, why) == step::wait);
            } else if (!expects_any) {
              CHECK(step_taken == step::fault);
              CHECK(why == Half::violation(s, on_fin));
            } else if (expects_typed && type_of<M>(v)) {
              CHECK(step_taken == step::fault);
              CHECK(why == Half::violation(s, i));
            } else if (expects_typed) {
              CHECK_FALSE((step_taken == step::ready && got.index() == std::size_t{i} + 1));
            } else {
              // Nothing on the wire tells which message it is, so it is read as the one that may come here.
              Half::messages::any([&]<class E>(std::uint8_t k) {
                if (find_transition(Half::rows, s, k, v) == nullptr) return false;
                const decoded<E> d = decode<E>(whole, v);
                CHECK(step_taken == (d.why == errc::ok          ? step::ready
                                     : d.why == errc::need_more ? step::wait
                                                                : step::fault));
                if (step_taken == step::fault) CHECK(why == d.why);
                if (step_taken == step::wait) CHECK(side::receive_fin(state, v) == errc::stream_cut);
                return true;
              });
            }
            return false;
          });
        }
        machine_state state = in_state();
        const transition* row = find_transition(Half::rows, s, on_fin, v);
        const errc cut = std::is_same_v<Half, setup_half> ? errc::setup_cut : errc::stream_cut;
        CHECK(side::receive_fin(state, v) == (row != nullptr ? errc::ok : cut));
        CHECK(state.received == (row != nullptr ? row->to : s));
      }
    }
  });
}

TEST_CASE("every conversation of up to four messages is heard as it was said, however it is fragmented") {
  std::mt19937_64 rng(3);
  for_each_half([&]<class Half>(const char* name) {
    using sender = exchange<Half, silent_half>;
    using receiver = exchange<silent_half, Half>;
    for (const version v : all) {
      for (int round = 0; round < 12; ++round) {
        CAPTURE(name);
        CAPTURE(facts(v).name);
        machine_state state;
        vec<std::uint8_t> out;
        if constexpr (requires { Half::lead; }) REQUIRE(out.push(Half::lead));
        std::string said;
        for (int n = 0; n < 4 && Half::messages::size != 0; ++n) {
          const auto pick = static_cast<std::uint8_t>(rng() % (Half::messages::size == 0 ? 1 : Half::messages::size));
          Half::messages::any([&]<class M>(std::uint8_t i) {
            if (i != pick || find_transition(Half::rows, state.sent, i, v) == nullptr) return false;
            inspect::arena keep;
            M m = inspect::generate<M>(rng, v, keep);
            while (encoded_size(m, v) > 300) m = inspect::generate<M>(rng, v, keep);  // splits are quadratic
            REQUIRE(sender::send(state, v, m, out) == errc::ok);
            said += heard_of(m, v);
            return true;
          });
        }
        const octets in(out.begin(), out.end());
        const bool may_end = sender::send_fin(state, v) == errc::ok;
        CHECK(hear<receiver>(v, in, may_end) == said + (may_end ? "end;" : ""));
        if (!may_end) continue;
        every_cut([&] { return machine_log<receiver>(v); }, in,
                  [&](std::size_t, const std::string& log) {
                    const bool ends = log.ends_with("end;") || log.ends_with(name_of(errc::stream_cut)) ||
                                      log.ends_with(name_of(errc::setup_cut));
                    CHECK_MESSAGE(ends, log);
                  });
      }
    }
  });
}

// ------------------------------------------------------------------------------------------------ all streams

TEST_CASE("R-020 a message that is cut by the end of its stream is an error on every control stream") {
  octets in = bytes_of(some_subscribe, lite06);
  append(in, msg::subscribe_update{.want = {.priority = 9, .max_age_ms = 500}}, lite06);
  const std::size_t first = encoded_size(some_subscribe, lite06);
  every_cut([&] { return machine_log<subscribe_answerer>(lite06); }, in,
            [&](std::size_t n, const std::string& log) {
              if (n == first)
                CHECK(log.ends_with(";end;"));
              else
                CHECK(log.ends_with(name_of(errc::stream_cut)));
            });
}

TEST_CASE("R-018 a byte too many inside a message is an error, a byte too few as well") {
  for (const version v : all) {
    octets longer = bytes_of(some_subscribe, v);
    longer.push_back(0);
    ++longer[0];
    CHECK(hear<subscribe_answerer>(v, longer) == name_of(errc::trailing));
    octets shorter = bytes_of(some_subscribe, v);
    shorter.pop_back();
    --shorter[0];
    CHECK(hear<subscribe_answerer>(v, shorter) == name_of(errc::truncated));
  }
}

TEST_CASE("limit: a length above the limit is refused before anything is held [seed 10.1]") {
  limits caps;
  caps.message_bytes_max = 100;
  caps.announce_init_bytes_max = 200;
  for_each_half([&]<class Half>(const char* name) {
    using receiver = exchange<silent_half, Half>;
    for (const version v : all) {
      CAPTURE(name);
      CAPTURE(facts(v).name);
      const std::size_t most = Half::body_max(caps, v);
      bool typed = false;
      framing how = framing::length;
      bool any = false;
      std::uint64_t type = 0;
      Half::messages::any([&]<class M>(std::uint8_t i) {
        if (find_transition(Half::rows, 0, i, v) == nullptr) return false;
        typed = type_of<M>(v).has_value();
        type = type_of<M>(v).value_or(0);
        how = framing_of<M>();
        return any = true;
      });
      if (!any) continue;
      for (const std::uint64_t size : {std::uint64_t{most} + 1, wire::varint_max}) {
        if (how == framing::u16 && size > 0xffff) continue;
        octets in;
        if constexpr (requires { Half::lead; }) in.push_back(Half::lead);
        if (typed) in.push_back(static_cast<std::uint8_t>(type));
        if (how == framing::u16) {
          in.push_back(static_cast<std::uint8_t>(size >> 8));
          in.push_back(static_cast<std::uint8_t>(size));
        } else {
          std::uint8_t room[8];
          wire::writer w{room};
          wire::put_varint(w, size);
          in.insert(in.end(), room, w.p);
        }
        CHECK(hear<receiver>(v, in, false, caps) == name_of(errc::message_too_large));
        counting_memory counted;
        machine_log<receiver> m(v, caps, counted.get());
        std::string log;
        m.feed(in, log);
        CHECK(counted.requests == 0);
        in.pop_back();  // the largest length that is allowed waits for its bytes, and holds no more than came
      }
      octets fits;
      if constexpr (requires { Half::lead; }) fits.push_back(Half::lead);
      if (typed) fits.push_back(static_cast<std::uint8_t>(type));
      if (how == framing::u16)
        fits.push_back(0);
      else
        fits.push_back(static_cast<std::uint8_t>(0x40 | (most >> 8)));
      fits.push_back(static_cast<std::uint8_t>(most));
      counting_memory counted;
      machine_log<receiver> m(v, caps, counted.get());
      std::string log;
      m.feed(fits, log);
      CHECK(log == "");
      CHECK(counted.bytes_high <= 64);
    }
  });
}

TEST_CASE("a machine without memory for half a message says so and stays in that fault") {
  counting_memory counted;
  counted.allowed = 0;
  machine_log<subscribe_answerer> m(lite06, {}, counted.get());
  std::string log;
  octets in = bytes_of(some_subscribe, lite06);
  m.feed(byte_view(in).first(5), log);
  m.feed(byte_view(in).subspan(5), log);
  m.fin(log);
  CHECK(log == name_of(errc::out_of_memory));
  // A message that lies in one fragment needs none.
  machine_log<subscribe_answerer> whole(lite06, {}, counted.get());
  log.clear();
  whole.feed(in, log);
  CHECK(log.starts_with("SUBSCRIBE {"));
  vec<std::uint8_t> out(counted.get());
  CHECK(whole.get().send(msg::subscribe_ok{.group = 1}, out) == errc::out_of_memory);
  CHECK(whole.get().sent() == subscribe_answer_half::waiting);
}

TEST_CASE("a fault of a machine is sticky, also through its end") {
  machine_log<subscribe_answerer> m(lite06);
  std::string log;
  m.feed(hex("01 00"), log);
  m.feed(bytes_of(some_subscribe, lite06), log);
  m.feed({}, log);
  m.fin(log);
  m.fin(log);
  CHECK(log == name_of(errc::truncated));
}

TEST_CASE("a value that cannot travel is refused and nothing is written") {
  machine<subscribe_ask_half, subscribe_answer_half> m(lite05);
  vec<std::uint8_t> out;
  msg::subscribe s = some_subscribe;
  s.id = wire::varint_max + 1;
  CHECK(m.send(s, out) == errc::bad_argument);
  s = some_subscribe;
  s.want.group_start = wire::varint_max;
  CHECK(m.send(s, out) == errc::bad_argument);
  CHECK(out.empty());
  CHECK(m.sent() == subscribe_ask_half::fresh);
  CHECK(m.send(some_subscribe, out) == errc::ok);
}

TEST_CASE("a second message on a request stream is an error") {
  for (const version v : all) {
    octets in = bytes_of(msg::announce_request{.prefix = "room"}, v);
    const std::string heard = heard_of(msg::announce_request{.prefix = "room"}, v);
    CHECK(hear<announce_teller>(v, in) == heard + "end;");
    append(in, msg::announce_request{.prefix = "room"}, v);
    CHECK(hear<announce_teller>(v, in) == heard + name_of(errc::second_message));
    if (has_track_stream(v)) {
      const msg::track t{.broadcast = "room/alice", .track_name = "video"};
      octets track = bytes_of(t, v);
      append(track, t, v);
      CHECK(hear<track_answerer>(v, track) == heard_of(t, v) + name_of(errc::second_message));
    }
    if (has_fetch(v)) {
      const msg::fetch f{.broadcast = "room/alice", .track = "video", .priority = 2, .group = 10};
      octets fetch = bytes_of(f, v);
      append(fetch, f, v);
      CHECK(hear<fetch_answerer>(v, fetch) == heard_of(f, v) + name_of(errc::second_message));
    }
  }
}

TEST_CASE("twenty updates in one buffer come in order [seed 7.9]") {
  octets in = bytes_of(some_subscribe, lite06);
  std::string said = heard_of(some_subscribe, lite06);
  for (std::uint8_t i = 0; i < 20; ++i) {
    const msg::subscribe_update u{.want = {.priority = i}};
    append(in, u, lite06);
    said += heard_of(u, lite06);
  }
  CHECK(hear<subscribe_answerer>(lite06, in) == said + "end;");
}

// ------------------------------------------------------------------------------------------------ session, setup

TEST_CASE("R-001 R-002 a session of 01 and 02 opens as the drafts say [seed 6.1, 7.2, 7.3]") {
  for (const version v : {lite01, lite02}) {
    CHECK(hear<session_server_side>(v, "0a 01 c0000000ff0dad01 00") ==
          "SESSION_CLIENT {Supported Versions=[4279086337], Extensions=[]};end;");
    CHECK(hear<session_client_side>(v, "09 c0000000ff0dad01 00") ==
          "SESSION_SERVER {Selected Version=4279086337, Extensions=[]};end;");
    CHECK(hear<session_server_side>(v, "02 00 00") == "SESSION_CLIENT {Supported Versions=[], Extensions=[]};end;");
    CHECK(hear<session_server_side>(v, "0b 01 c0000000ff0dad01 00 00") == name_of(errc::trailing));
  }
}

TEST_CASE("R-001 R-002 a session of 01 and 02 opens as it is done in practice: 0x20 and 0x21 with a 16-bit length") {
  for (const version v : {lite01, lite02}) {
    const msg::client_setup client{.versions = {}, .parameters = {}};
    CHECK(hear<compat_server_side>(v, "0002 00 00") == heard_of(client, v) + "end;");
    CHECK(hear<compat_client_side>(v, "21 0009 c0000000ff0dad02 00") ==
          "SERVER_SETUP {Selected Version=4279086338, Parameters=[]};end;");
    // The lead byte is a varint like any other, and no other value will do.
    CHECK(hear<compat_client_side>(v, "4021 0009 c0000000ff0dad02 00") ==
          "SERVER_SETUP {Selected Version=4279086338, Parameters=[]};end;");
    CHECK(hear<compat_client_side>(v, "20 0009 c0000000ff0dad02 00") == name_of(errc::unexpected_message));
    CHECK(hear<compat_client_side>(v, "09 c0000000ff0dad02 00") == name_of(errc::unexpected_message));
    CHECK(hear<compat_client_side>(v, "") == name_of(errc::stream_cut));
    CHECK(hear<compat_client_side>(v, "21") == name_of(errc::stream_cut));
    CHECK(hear<compat_client_side>(v, "40") == name_of(errc::stream_cut));
    CHECK(hear<compat_client_side>(v, "21 0008 c0000000ff0dad02 00") == name_of(errc::truncated));
  }
}

TEST_CASE("R-005 SESSION_UPDATE may follow from both sides, behind either opening [seed 7.4]") {
  for (const version v : {lite01, lite02}) {
    const std::string update = "SESSION_UPDATE {Session Bitrate=2500000};";
    const auto tail = [&](const std::string& log) { return log.substr(log.find(';') + 1); };
    CHECK(tail(hear<session_server_side>(v, "0a 01 c0000000ff0dad01 00 04 802625a0 01 00")) ==
          update + "SESSION_UPDATE {Session Bitrate=0};end;");
    CHECK(tail(hear<session_client_side>(v, "09 c0000000ff0dad01 00 04 802625a0")) == update + "end;");
    CHECK(tail(hear<compat_server_side>(v, "000a 01 c0000000ff0dad01 00 04 802625a0")) == update + "end;");
    CHECK(tail(hear<compat_client_side>(v, "21 0009 c0000000ff0dad01 00 04 802625a0 04 802625a0")) ==
          update + update + "end;");
  }
}

TEST_CASE("R-006 from 03 on there is no session stream to say anything on") {
  for (const version v : {lite03, lite04, lite05, lite06}) {
    machine<session_client_half, session_server_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send(msg::session_client{}, out) == errc::not_in_version);
    CHECK(hear<session_server_side>(v, "0a 01 c0000000ff0dad01 00", false) == name_of(errc::unexpected_message));
    CHECK(hear<compat_server_side>(v, "0002 00 00", false) == name_of(errc::unexpected_message));
  }
}

TEST_CASE("R-016 R-017 stream types by version: what a version does not know has no meaning") {
  for (const version v : all) {
    CHECK((find_stream_type(0x0, true, v) != nullptr) == negotiates_in_band(v));
    CHECK((find_stream_type(0x20, true, v) != nullptr) == negotiates_in_band(v));
    CHECK(find_stream_type(0x1, true, v) != nullptr);
    CHECK(find_stream_type(0x2, true, v) != nullptr);
    CHECK((find_stream_type(0x3, true, v) != nullptr) == has_fetch(v));
    CHECK((find_stream_type(0x4, true, v) != nullptr) == has_probe(v));
    CHECK((find_stream_type(0x5, true, v) != nullptr) == has_goaway(v));
    CHECK((find_stream_type(0x6, true, v) != nullptr) == has_track_stream(v));
    CHECK(find_stream_type(0x0, false, v) != nullptr);
    CHECK((find_stream_type(0x1, false, v) != nullptr) == has_setup(v));
    CHECK(find_stream_type(0x7, true, v) == nullptr);
    CHECK(find_stream_type(0x2, false, v) == nullptr);
    CHECK(scope_of(errc::unknown_stream_type, v) == (negotiates_in_band(v) ? scope::session : scope::stream));
  }
}

TEST_CASE("R-023 a Setup stream is one SETUP and its end") {
  for (const version v : {lite05, lite06}) {
    CHECK(hear<setup_receiver>(v, "01 00") == "SETUP {};end;");
    CHECK(hear<setup_receiver>(v, "01 00 01 00") == "SETUP {};" + name_of(errc::setup_cut));
    CHECK(hear<setup_receiver>(v, "01 00 ff") == "SETUP {};" + name_of(errc::setup_cut));
    CHECK(hear<setup_receiver>(v, "") == name_of(errc::setup_cut));
    CHECK(hear<setup_receiver>(v, "01") == name_of(errc::setup_cut));
    CHECK(scope_of(errc::setup_cut, v) == scope::session);
    machine<setup_half, silent_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send_fin() == errc::wrong_state);
    CHECK(m.send(msg::setup{}, out) == errc::ok);
    CHECK(m.send(msg::setup{}, out) == errc::wrong_state);
    CHECK(m.send_fin() == errc::ok);
    CHECK(octets(out.begin(), out.end()) == hex("01 00"));
  }
}

// ------------------------------------------------------------------------------------------------ announce

TEST_CASE("R-050 R-052 on 01 and 02 the first reply is ANNOUNCE_INIT, and only the first [seed 6.2]") {
  for (const version v : {lite01, lite02}) {
    CHECK(hear<announce_asker>(v, "0b 02 05 616c696365 03 626f62 05 00 03 626f62") ==
          "ANNOUNCE_INIT {Broadcast Path Suffixes=[\"alice\", \"bob\"]};"
          "ANNOUNCE {Announce Status=0, Broadcast Path Suffix=\"bob\"};end;");
    // An ANNOUNCE in its place is not the list it is taken for.
    CHECK(hear<announce_asker>(v, "05 00 03 626f62").starts_with("fault"));
    CHECK(hear<announce_asker>(v, "07 01 05 616c696365") == "ANNOUNCE_INIT {Broadcast Path Suffixes=[\"alice\"]};end;");
    machine<announce_tell_half, announce_ask_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send(msg::announce{.status = 1, .suffix = "a"}, out) == errc::wrong_state);
    CHECK(m.send(msg::announce_init{}, out) == errc::ok);
    CHECK(m.send(msg::announce_init{}, out) == errc::wrong_state);
    CHECK(m.send(msg::announce{.status = 1, .suffix = "a"}, out) == errc::ok);
    CHECK(m.send(msg::announce_ok{}, out) == errc::not_in_version);
  }
}

TEST_CASE("R-044 on 03 and 04 announcements come without an opening reply") {
  CHECK(hear<announce_asker>(lite03, "08 01 05 616c696365 02") ==
        "ANNOUNCE {Announce Status=1, Broadcast Path Suffix=\"alice\", Hops=2};end;");
  CHECK(hear<announce_asker>(lite04, "0b 01 05 616c696365 02 07 412c 08 00 05 616c696365 00") ==
        "ANNOUNCE {Announce Status=1, Broadcast Path Suffix=\"alice\", Hop IDs=[7, 300]};"
        "ANNOUNCE {Announce Status=0, Broadcast Path Suffix=\"alice\", Hop IDs=[]};end;");
  for (const version v : {lite03, lite04}) {
    machine<announce_tell_half, announce_ask_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send(msg::announce_init{}, out) == errc::not_in_version);
    CHECK(m.send(msg::announce_ok{}, out) == errc::not_in_version);
    CHECK(m.send(msg::announce{.status = 1}, out) == errc::ok);
  }
}

TEST_CASE("R-060 R-061 R-070 on 05 and 06 ANNOUNCE_OK comes first and once [seed 6.2]") {
  CHECK(hear<announce_asker>(lite05, "03 412c 01 09 01 05 616c696365 01 07") ==
        "ANNOUNCE_OK {Hop ID=300, Active Count=1};"
        "ANNOUNCE_BROADCAST {Announce Status=1, Broadcast Path Suffix=\"alice\", Hop IDs=[7]};end;");
  CHECK(hear<announce_asker>(lite06, "03 412c 01 00 0a 05 616c696365 01 07 0a 0c 02 05 00 01 09 0b 0d 01 01 00") ==
        "ANNOUNCE_OK {Hop ID=300, Active Count=1};"
        "ANNOUNCE_START {Broadcast Path Suffix=\"alice\", Hop IDs=[7], Warm Route Cost=10, Cold Route Cost=12};"
        "ANNOUNCE_UPDATE {Announce ID=0, Hop IDs=[9], Warm Route Cost=11, Cold Route Cost=13};"
        "ANNOUNCE_END {Announce ID=0};end;");
  // Announcements that come first are taken for the reply, and are none.
  CHECK(hear<announce_asker>(lite05, "09 01 05 616c696365 01 07") == name_of(errc::trailing));
  CHECK(hear<announce_asker>(lite06, "00 0a 05 616c696365 01 07 0a 0c") == name_of(errc::truncated));
  CHECK(hear<announce_asker>(lite06, "01 01 00") == name_of(errc::truncated));
  for (const version v : {lite05, lite06}) {
    machine<announce_tell_half, announce_ask_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send(msg::announce{.status = 1}, out) == (v == lite05 ? errc::wrong_state : errc::not_in_version));
    CHECK(m.send(msg::announce_start{}, out) == (v == lite06 ? errc::wrong_state : errc::not_in_version));
    CHECK(m.send(msg::announce_end{}, out) == (v == lite06 ? errc::wrong_state : errc::not_in_version));
    CHECK(m.send(msg::announce_ok{}, out) == errc::ok);
    CHECK(m.send(msg::announce_ok{}, out) == errc::wrong_state);
  }
}

TEST_CASE("Q-09 an announcement type that 06 does not know is skipped by its length [seed 6.2]") {
  const std::string ok = "ANNOUNCE_OK {Hop ID=7, Active Count=0};";
  const std::string end = "ANNOUNCE_END {Announce ID=3};";
  CHECK(hear<announce_asker>(lite06, "02 07 00  03 04 deadbeef  01 01 03") == ok + end + "end;");
  CHECK(hear<announce_asker>(lite06, "02 07 00  4fff 00  3f 01 00  01 01 03  03 00") == ok + end + "end;");
  CHECK(hear<announce_asker>(lite06, "02 07 00  03 04 dead") == ok + name_of(errc::stream_cut));
  CHECK(hear<announce_asker>(lite06, "02 07 00  03") == ok + name_of(errc::stream_cut));
  CHECK(hear<announce_asker>(lite06, "02 07 00  03 80ffffff") == ok + name_of(errc::message_too_large));
}

TEST_CASE("R-055 R-075 faults inside an announcement are found behind the opening reply") {
  CHECK(hear<announce_asker>(lite04, "06 02 02 6161 01 07") == name_of(errc::bad_status));
  CHECK(hear<announce_asker>(lite06, "02 07 00  00 07 00 02 09 09 00 00 00").ends_with(name_of(errc::duplicate_hop)));
  CHECK(hear<announce_asker>(lite06, "02 07 00  00 06 00 02 00 00 00 00").ends_with("};end;"));
}

// ------------------------------------------------------------------------------------------------ subscribe

TEST_CASE("R-097 the first message of a Subscribe stream is SUBSCRIBE, then only SUBSCRIBE_UPDATE [seed 6.3]") {
  for (const version v : all) {
    const octets subscribe = bytes_of(some_subscribe, v);
    const msg::subscribe_update u{.want = {.priority = 9, .max_age_ms = 500}};
    const octets update = bytes_of(u, v);
    const std::string heard = heard_of(some_subscribe, v);
    CHECK(hear<subscribe_answerer>(v, cat({subscribe, update, update})) ==
          heard + heard_of(u, v) + heard_of(u, v) + "end;");
    CHECK(hear<subscribe_answerer>(v, update).starts_with("fault"));
    CHECK(hear<subscribe_answerer>(v, cat({subscribe, subscribe})).starts_with(heard + "fault"));
    CHECK(hear<subscribe_answerer>(v, octets{}) == name_of(errc::stream_cut));
    machine<subscribe_ask_half, subscribe_answer_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send(u, out) == errc::wrong_state);
    CHECK(m.send_fin() == errc::wrong_state);
    CHECK(m.send(some_subscribe, out) == errc::ok);
    CHECK(m.send(some_subscribe, out) == errc::wrong_state);
    CHECK(m.send(u, out) == errc::ok);
    CHECK(m.send_fin() == errc::ok);
    CHECK(m.send(u, out) == errc::wrong_state);
    CHECK(m.send_fin() == errc::wrong_state);
  }
}

TEST_CASE("R-097 an unknown reply type on a Subscribe stream is an error") {
  for (const version v : {lite03, lite04}) {
    CHECK(hear<subscribe_asker>(v, "02 00") == name_of(errc::unknown_message));
    CHECK(hear<subscribe_asker>(v, "00 05 02 00 00 0b 00 02 03 0c 0d 00").ends_with(name_of(errc::unknown_message)));
  }
  for (const version v : {lite05, lite06}) {
    CHECK(hear<subscribe_asker>(v, "03 00") == name_of(errc::unknown_message));
    CHECK(hear<subscribe_asker>(v, "4fff 01 00") == name_of(errc::unknown_message));
  }
}

TEST_CASE("R-098 the first reply to SUBSCRIBE is SUBSCRIBE_OK, a second one only on 03 and 04 [seed 7.8]") {
  CHECK(hear<subscribe_asker>(lite01, "01 02") == "SUBSCRIBE_OK {Publisher Priority=2};end;");
  CHECK(hear<subscribe_asker>(lite02, "00") == "SUBSCRIBE_OK {};end;");
  CHECK(hear<subscribe_asker>(lite01, "01 02 01 02") ==
        "SUBSCRIBE_OK {Publisher Priority=2};" + name_of(errc::unexpected_message));
  CHECK(hear<subscribe_asker>(lite02, "00 00") == "SUBSCRIBE_OK {};" + name_of(errc::unexpected_message));
  for (const version v : {lite03, lite04}) {
    const msg::subscribe_ok unknown{.priority = 2};
    const msg::subscribe_ok known{.priority = 2, .group_start = 10};
    CHECK(hear<subscribe_asker>(v, cat({bytes_of(unknown, v), bytes_of(known, v)})) ==
          heard_of(unknown, v) + heard_of(known, v) + "end;");
    CHECK(bytes_of(known, v) == hex("00 05 02 00 00 0b 00"));
  }
  for (const version v : {lite05, lite06}) {
    CHECK(hear<subscribe_asker>(v, "00 01 0a 00 01 0b") == "SUBSCRIBE_OK {Group=10};" + name_of(errc::second_ok));
    CHECK(hear<subscribe_asker>(v, "01 01 00 00 01 0b") == "SUBSCRIBE_END {Group=0};" + name_of(errc::second_ok));
  }
}

TEST_CASE("R-099 DROP before SUBSCRIBE_OK is an error on 03 and 04 and fine on 05 and 06 [seed 6.3]") {
  const msg::subscribe_drop drop{.group_start = 12, .group_end = 13};
  for (const version v : all) {
    machine<subscribe_answer_half, subscribe_ask_half> m(v);
    vec<std::uint8_t> out;
    const errc sent = m.send(drop, out);
    if (!has_drop(v)) {
      CHECK(sent == errc::not_in_version);
      continue;
    }
    const octets in = bytes_of(drop, v);
    if (has_subscribe_end(v)) {
      CHECK(sent == errc::ok);
      CHECK(hear<subscribe_asker>(v, in) == heard_of(drop, v) + "end;");
    } else {
      CHECK(sent == errc::wrong_state);
      CHECK(hear<subscribe_asker>(v, in) == name_of(errc::drop_before_ok));
    }
    const msg::subscribe_ok ok{.group_start = 10, .group = 10};
    CHECK(hear<subscribe_asker>(v, cat({bytes_of(ok, v), in, in})) ==
          heard_of(ok, v) + heard_of(drop, v) + heard_of(drop, v) + "end;");
  }
}

TEST_CASE("R-103 R-107 END may come without OK, drops of stragglers may follow it, a second END may not [seed 6.3]") {
  for (const version v : {lite05, lite06}) {
    CHECK(hear<subscribe_asker>(v, "01 01 00") == "SUBSCRIBE_END {Group=0};end;");
    CHECK(hear<subscribe_asker>(v, "00 01 0a 01 01 15 02 03 0c 0d 00") ==
          "SUBSCRIBE_OK {Group=10};SUBSCRIBE_END {Group=21};"
          "SUBSCRIBE_DROP {Group Start=12, Group End=13, Error Code=0};end;");
    CHECK(hear<subscribe_asker>(v, "01 01 00 01 01 00") ==
          "SUBSCRIBE_END {Group=0};" + name_of(errc::unexpected_message));
  }
  machine<subscribe_answer_half, subscribe_ask_half> m(lite04);
  vec<std::uint8_t> out;
  CHECK(m.send(msg::subscribe_end{}, out) == errc::not_in_version);
}

TEST_CASE("R-102 a publisher may end its side of a Subscribe stream without a word") {
  for (const version v : all) CHECK(hear<subscribe_asker>(v, octets{}) == "end;");
}

// ------------------------------------------------------------------------------- track, fetch, probe, goaway

TEST_CASE("R-117 a Track stream answers with exactly one TRACK_INFO and its end [seed 2.4]") {
  CHECK(hear<track_asker>(lite05, "08 01 00 5388 80015f90") ==
        "TRACK_INFO {Publisher Priority=1, Publisher Ordered=no, Publisher Max Latency=5000, Timescale=90000};end;");
  CHECK(hear<track_asker>(lite06, "07 01 5388 80015f90") ==
        "TRACK_INFO {Publisher Priority=1, Publisher Max Age=5000, Timescale=90000};end;");
  for (const version v : {lite05, lite06}) {
    const msg::track_info info{.priority = 1, .max_age_ms = 5000, .timescale = 1000};
    CHECK(hear<track_asker>(v, cat({bytes_of(info, v), bytes_of(info, v)})) ==
          heard_of(info, v) + name_of(errc::second_message));
    CHECK(hear<track_asker>(v, octets{}) == name_of(errc::stream_cut));
    machine<track_answer_half, track_ask_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send_fin() == errc::wrong_state);
    CHECK(m.send(info, out) == errc::ok);
    CHECK(m.send(info, out) == errc::wrong_state);
    CHECK(m.send_fin() == errc::ok);
  }
}

TEST_CASE("R-119 R-120 a timescale of 0 is neither sent nor taken [seed 2.4]") {
  CHECK(hear<track_asker>(lite05, "05 01 00 5388 00") == name_of(errc::zero_timescale));
  CHECK(hear<track_asker>(lite06, "04 01 5388 00") == name_of(errc::zero_timescale));
  machine<track_answer_half, track_ask_half> m(lite06);
  vec<std::uint8_t> out;
  CHECK(m.send(msg::track_info{}, out) == errc::bad_argument);
  CHECK(out.empty());
}

TEST_CASE("R-127 a Fetch stream is asked once; nothing else may come from the one who asked") {
  CHECK(hear<fetch_answerer>(lite06, "15 0a 726f6f6d2f616c696365 05 766964656f 02 0a 03 08") ==
        "FETCH {Broadcast Path=\"room/alice\", Track Name=\"video\", Subscriber Priority=2, Group Sequence=10, "
        "Frame Start=3, Frame End=7};end;");
  CHECK(hear<fetch_answerer>(lite06, "15 0a 726f6f6d2f616c696365 05 766964656f 02 0a 08 08") ==
        name_of(errc::bad_fetch_bounds));
  machine<fetch_ask_half, silent_half> m(lite02);
  vec<std::uint8_t> out;
  CHECK(m.send(msg::fetch{.broadcast = "a", .track = "b"}, out) == errc::not_in_version);
}

TEST_CASE("R-151 PROBE may come as often as it likes, or never [seed 7.4]") {
  CHECK(hear<prober>(lite03, "04 803d0900 04 803d0900") == "PROBE {Bitrate=4000000};PROBE {Bitrate=4000000};end;");
  for (const version v : {lite04, lite05, lite06}) {
    CHECK(hear<prober>(v, "05 803d0900 00 05 803567e0 19") ==
          "PROBE {Bitrate=4000000, RTT=0};PROBE {Bitrate=3500000, RTT=25};end;");
    CHECK(hear<prober>(v, "") == "end;");
  }
}

TEST_CASE("R-158 a Goaway stream is one GOAWAY, then its end says that the sender is ready") {
  for (const version v : {lite04, lite05, lite06}) {
    CHECK(hear<goaway_receiver>(v, "14 13 68747470733a2f2f622e6578616d706c652f78") ==
          "GOAWAY {New Session URI=\"https://b.example/x\"};end;");
    CHECK(hear<goaway_receiver>(v, "01 00") == "GOAWAY {New Session URI=\"\"};end;");
    CHECK(hear<goaway_receiver>(v, "01 00", false) == "GOAWAY {New Session URI=\"\"};");
    CHECK(hear<goaway_receiver>(v, "") == name_of(errc::stream_cut));
    machine<goaway_half, silent_half> m(v);
    vec<std::uint8_t> out;
    CHECK(m.send_fin() == errc::wrong_state);
    CHECK(m.send(msg::goaway{}, out) == errc::ok);
    CHECK(m.send_fin() == errc::ok);
  }
}

TEST_CASE("R-160 a second GOAWAY on the stream of the first is an error") {
  for (const version v : {lite04, lite05, lite06}) {
    CHECK(hear<goaway_receiver>(v, "01 00 01 00") == "GOAWAY {New Session URI=\"\"};" + name_of(errc::second_goaway));
    CHECK(scope_of(errc::second_goaway, v) == scope::session);
  }
}

TEST_CASE("R-009 a recycled machine remembers nothing of the stream before") {
  machine_state s;
  errc why{};
  subscribe_answerer::incoming got;
  const octets half = hex("19 05 0a");
  byte_view in(half);
  CHECK(subscribe_answerer::receive(s, lite06, {}, in, got, why) == step::wait);
  CHECK(s.reader.is_inside());
  s.sent = s.received = 1;
  s.lead_seen = true;
  s.recycle();
  CHECK_FALSE(s.reader.is_inside());
  const octets whole = bytes_of(some_subscribe, lite06);
  in = whole;
  CHECK(subscribe_answerer::receive(s, lite06, {}, in, got, why) == step::ready);
  CHECK(std::get<msg::subscribe>(got).id == 5);
  CHECK(s.sent == 0);
  CHECK_FALSE(s.lead_seen);
}
