#pragma once
/// Two sessions back to back over the loopback network, in virtual time: the bench for behaviour tests.

#include <moql/adapter/loopback.hpp>
#include <moql/moql.hpp>

#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace testing {

/// An event copied out of a session, so that it can be looked at later.
struct heard {
  moql::event what;
  std::string path, track, text;  ///< What its views said.
  std::vector<std::uint64_t> hops;
  std::string payload;
};

inline heard keep(const moql::event& e) {
  heard h{e, {}, {}, {}, {}, {}};
  std::visit(moql::overload{
                 [&](const moql::announced& a) {
                   h.path = a.path;
                   h.hops.assign(a.hops.begin(), a.hops.end());
                 },
                 [&](const moql::announce_updated& a) {
                   h.path = a.path;
                   h.hops.assign(a.hops.begin(), a.hops.end());
                 },
                 [&](const moql::announce_ended& a) { h.path = a.path; },
                 [&](const moql::subscribe_requested& r) {
                   h.path = r.broadcast;
                   h.track = r.track;
                 },
                 [&](const moql::track_requested& r) {
                   h.path = r.broadcast;
                   h.track = r.track;
                 },
                 [&](const moql::fetch_requested& r) {
                   h.path = r.broadcast;
                   h.track = r.track;
                 },
                 [&](const moql::frame_part& p) { h.payload = p.payload.text(); },
                 [&](const moql::fetch_part& p) { h.payload = p.payload.text(); },
                 [&](const moql::datagram_received& d) { h.payload = d.payload.text(); },
                 [&](const moql::goaway_received& g) { h.text = g.uri; },
                 [&](const moql::session_closed& c) { h.text = c.reason; },
                 [&](const moql::peer_setup& p) { h.text = p.path.value_or(""); },
                 [](const auto&) {},
             },
             e);
  return h;
}

inline std::string_view token(moql::version v) { return moql::facts(v).protocol; }

/// In-band versions are told apart by what each side accepts.
inline moql::config only_version(moql::config c, moql::version v, moql::endpoint side) {
  c.side = side;
  c.versions = moql::only(v);
  c.hash_seed = 0x5eed;  // as a program that listens should
  return c;
}

struct side {
  moql::session session;
  std::deque<heard> events;
  std::function<void(moql::session&, const moql::event&)> react = [](moql::session&, const moql::event&) {};
  explicit side(const moql::config& c, moql::memory m = {}) : session(c, m) {}

  /// The events of one type, in order.
  template <class E>
  [[nodiscard]] std::vector<heard> all() const {
    std::vector<heard> out;
    for (const heard& h : events)
      if (std::holds_alternative<E>(h.what)) out.push_back(h);
    return out;
  }
  template <class E>
  [[nodiscard]] std::size_t count() const {
    return all<E>().size();
  }
  /// The first event of a type; the test fails hard if there is none.
  template <class E>
  [[nodiscard]] E first() const {
    return std::get<E>(all<E>().at(0).what);
  }
  template <class E>
  [[nodiscard]] E last() const {
    const auto every = all<E>();
    return std::get<E>(every.at(every.size() - 1).what);
  }
};

struct pair {
  moql::loopback_network net;
  side client;
  side server;
  moql::version ver;

  explicit pair(moql::version v, moql::loopback_options o = {}, const moql::config& c = {}, const moql::config& s = {},
                moql::memory m = {})
      : net((o.protocol = token(v), o), m),
        client(only_version(c, v, moql::endpoint::client), m),
        server(only_version(s, v, moql::endpoint::server), m),
        ver(v) {}

  void start() {
    (void)client.session.start(net.a().protocol(), net.now());
    (void)server.session.start(net.b().protocol(), net.now());
  }
  void drain(side& x) {
    while (auto e = x.session.next_event()) {
      x.events.push_back(keep(*e));
      x.react(x.session, *e);
    }
  }
  void pump_both() {
    drain(client);
    drain(server);
    moql::pump(client.session, net.a(), net.now());
    moql::pump(server.session, net.b(), net.now());
  }
  /// Runs until nothing is in flight; time stands still unless the network has delays.
  void run(std::size_t steps_max = 2'000'000) {
    pump_both();
    for (std::size_t i = 0; i < steps_max && net.step(client.session, server.session); ++i) pump_both();
    pump_both();
  }
  /// Lets time pass, deadline by deadline.
  void wait(moql::duration d) {
    const moql::instant until = net.now() + d;
    run();
    while (true) {
      moql::instant next = client.session.next_deadline();
      if (server.session.next_deadline() < next) next = server.session.next_deadline();
      if (next > until) break;
      if (next > net.now()) net.advance_to(next);
      run();
    }
    net.advance_to(until);
    run();
  }
};

inline constexpr moql::version versions[] = {moql::lite01, moql::lite02, moql::lite03,
                                             moql::lite04, moql::lite05, moql::lite06};

}  // namespace testing
