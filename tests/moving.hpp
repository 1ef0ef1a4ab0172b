#pragma once
/// A subscriber that moves between several publishers, each at the other end of a session of its own, and a book of
/// what it hears: every byte once, in order within its group.

#include <moql/relay/switchover.hpp>

#include <map>
#include <memory>
#include <random>
#include <set>

#include "pair.hpp"

namespace testing {

/// What an application makes of the events. Anything twice, out of order or after its end is counted as wrong.
struct heard_track {
  struct group {
    std::vector<std::string> frames;
    std::uint64_t first = 0;
    std::uint64_t offset = 0;  ///< In the last frame, while it is under way.
    bool is_mid = false, is_over = false, is_whole = false;
  };
  std::map<std::uint64_t, group> groups;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> lost;
  std::vector<std::string> notes;
  std::size_t wrong = 0;
  std::optional<moql::subscription_closed> closed{};
  std::optional<std::uint64_t> started{};

  void hear(const moql::moving_event& e) {
    if (closed) ++wrong;
    std::visit(moql::overload{
                   [&](const moql::subscription_started& s) { started = s.group; },
                   [&](const moql::group_started& g) {
                     if (groups.count(g.group) != 0) ++wrong;
                     groups[g.group].first = g.first_frame;
                   },
                   [&](const moql::frame_part& p) {
                     group& g = groups[p.group];
                     const std::uint64_t at = g.first + g.frames.size() - (g.is_mid ? 1 : 0);
                     if (g.is_over || p.frame != at || p.offset != g.offset) ++wrong;
                     if (!g.is_mid) g.frames.emplace_back();
                     g.frames.back() += p.payload.text();
                     g.is_mid = !p.is_last();
                     g.offset = g.is_mid ? p.offset + p.payload.size() : 0;
                   },
                   [&](const moql::group_finished& f) {
                     group& g = groups[f.group];
                     if (g.is_over || (g.is_mid && f.why == moql::errc::ok)) ++wrong;
                     g.is_over = true;
                     g.is_whole = f.why == moql::errc::ok;
                   },
                   [&](const moql::datagram_received& d) {
                     if (groups.count(d.group) != 0) ++wrong;
                     groups[d.group] = {{std::string(d.payload.text())}, 0, 0, false, true, true};
                   },
                   [&](const moql::groups_lost& l) { lost.emplace_back(l.first, l.last); },
                   [&](const moql::subscription_closed& c) { closed = c; },
                   [&](const moql::move_failed&) { notes.emplace_back("failed"); },
                   [&](const moql::moved&) { notes.emplace_back("moved"); },
                   [&](const moql::interrupted&) { notes.emplace_back("interrupted"); },
                   [](const auto&) {},
               },
               e);
  }
  [[nodiscard]] std::string text(std::uint64_t sequence) const {
    std::string out;
    const auto g = groups.find(sequence);
    if (g == groups.end()) return "none";
    for (const std::string& f : g->second.frames) out += f + " ";
    return out + (g->second.is_whole ? "." : g->second.is_over ? "!" : "");
  }
};

/// A publisher's end and the subscriber's end of one connection. The publisher serves `cache`, when there is one.
struct line {
  testing::pair p;
  moql::track_cache* cache;
  std::vector<moql::request_id> requests;  ///< Subscriptions that are open.
  line(moql::version v, moql::track_cache* c, const moql::loopback_options& o = {}, const moql::config& server = {})
      : p(v, o, {}, server), cache(c) {
    p.server.react = [this](moql::session& s, const moql::event& e) {
      const auto answer = [&](moql::request_id id) {
        if (cache == nullptr)
          (void)s.reject(id, moql::stream_code::unroutable);
        else
          (void)s.serve(id, *cache);
      };
      if (auto* r = std::get_if<moql::subscribe_requested>(&e)) {
        if (cache != nullptr) requests.push_back(r->request);
        answer(r->request);
      }
      if (auto* r = std::get_if<moql::track_requested>(&e)) answer(r->request);
      if (auto* r = std::get_if<moql::request_closed>(&e)) std::erase(requests, r->request);
    };
  }
};

struct mover {
  moql::moving_subscription sub;
  heard_track got;
  std::vector<std::unique_ptr<line>> lines;
  std::set<line*> dead;
  moql::instant now{};

  explicit mover(const moql::moving_options& o = {}, moql::memory m = {}) : sub(o, m) {}

  line& connect(moql::version v, moql::track_cache* c, const moql::loopback_options& o = {},
                const moql::config& server = {}) {
    lines.push_back(std::make_unique<line>(v, c, o, server));
    line& l = *lines.back();
    l.p.client.react = [this, &l](moql::session& s, const moql::event& e) {
      (void)sub.on_event(s, e, l.p.net.now());
      take();
    };
    l.p.net.advance_to(now);
    l.p.start();
    l.p.run();
    return l;
  }
  void take() {
    while (const auto e = sub.next()) got.hear(*e);
  }
  void run() {
    for (int round = 0; round < 3; ++round)
      for (auto& l : lines)
        if (dead.count(l.get()) == 0) l->p.run();
    take();
  }
  /// Time passes everywhere.
  void wait(moql::duration d) {
    const moql::instant until = now + d;
    run();
    while (true) {
      moql::instant next = sub.next_deadline();
      for (auto& l : lines) {
        if (dead.count(l.get()) != 0) continue;
        for (moql::session* s : {&l->p.client.session, &l->p.server.session})
          if (s->next_deadline() < next) next = s->next_deadline();
      }
      if (next > until) break;
      set_time(next);
    }
    set_time(until);
  }
  /// The subscriber's connection breaks; nothing more is exchanged on it.
  void kill(line& l) {
    l.p.client.session.on_close({}, l.p.net.now());
    l.p.drain(l.p.client);
    dead.insert(&l);
    take();
  }

 private:
  void set_time(moql::instant t) {
    if (t > now) now = t;
    for (auto& l : lines)
      if (dead.count(l.get()) == 0) l->p.net.advance_to(now);
    sub.on_deadline(now);
    run();
  }
};

inline void put(moql::track_cache& c, std::uint64_t sequence, const std::vector<std::string>& frames, bool end = true) {
  if (c.find(sequence) == nullptr) CHECK(c.begin_group(sequence, moql::instant{}) == moql::errc::ok);
  for (const std::string& f : frames)
    CHECK(c.append(sequence, sequence * 1000, moql::bytes::copy(f)) == moql::errc::ok);
  if (end) CHECK(c.end_group(sequence) == moql::errc::ok);
}

}  // namespace testing
