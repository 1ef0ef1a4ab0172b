#pragma once
/// The subscriber's place in a recorded session: asks what the recorded application asked, and keeps what is heard.

#include "trace.hpp"

namespace moql::vectors {

struct frame_seen {
  std::uint64_t size{};
  std::uint64_t timestamp{};
  std::string sha256{};
};
enum class group_end { open, complete, failed, left };  ///< left: our own leaving, or the session's end, cut it.
struct group_seen {
  std::uint64_t sequence{};
  std::vector<frame_seen> frames{};
  group_end end{};
};
inline json json_of(const msg::track_info& i) {
  return {{"priority", i.priority}, {"ordered", i.ordered}, {"max_latency", i.max_age_ms}, {"timescale", i.timescale}};
}

class listener {
 public:
  listener(bench& b, const trace& t) : b_(b), t_(t) {}

  // What came of it; tracks go by "path|name".
  std::map<std::string, std::vector<group_seen>> groups{};
  std::map<std::string, std::vector<std::string>> track_ends{};     ///< "end", "error", "closed"
  std::map<std::string, std::vector<json>> track_infos{};           ///< null: refused
  std::map<std::string, std::vector<std::string>> announcements{};  ///< By prefix: "+path", "-path", "~path"
  std::map<std::string, std::vector<std::pair<std::uint64_t, frame_seen>>> datagrams{};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> probes{};
  std::vector<std::string> goaways{};
  std::map<std::string, errc> refused{};  ///< What the session would not do for us, by the purpose of the stream.
  std::set<std::string> merged{};         ///< Tracks with several readers on one subscription.
  std::set<std::string> left{};           ///< Tracks that we unsubscribed from.
  std::set<std::string> forgotten{};      ///< Prefixes that we lost interest in.

  /// Does what the application did; false when it is not a subscriber's deed.
  bool perform(const app_event& a) {
    if (a.verb == "discover") {
      const auto r = b_.session.discover(a.text("prefix"), b_.now);
      if (r.has_value())
        interests_[*r] = a.text("prefix");
      else
        refused["announce " + a.text("prefix")] = r.error();
    } else if (a.verb == "discover_close") {
      forgotten.insert(a.text("prefix"));
      for (const auto& [id, prefix] : std::map(interests_))
        if (prefix == a.text("prefix")) (void)b_.session.forget(id);
    } else if (a.verb == "subscribe") {
      subscribe(a);
    } else if (a.verb == "update_subscription") {
      if (sub* s = find(a.track())) {
        s->readers.back().want = want_of(a);
        update(*s);
      }
    } else if (a.verb == "unsubscribe") {
      unsubscribe(a);
    } else if (a.verb == "fetch") {
      const auto r = b_.session.fetch(a.text("path"), a.text("track"), a.number("sequence"),
                                      {.priority = static_cast<std::uint8_t>(a.number("priority"))}, b_.now);
      if (r.has_value())
        fetches_[*r] = {a.track(), {{a.number("sequence"), {}, {}}, {}}};
      else
        refused["fetch " + a.track()] = r.error();
    } else if (a.verb == "track_info") {
      const auto r = b_.session.query_track(a.text("path"), a.text("track"), b_.now);
      if (r.has_value()) queries_[*r] = a.track();
    } else if (a.verb == "open_probe") {
      (void)b_.session.probe();
    } else if (a.verb == "close_probe") {
      (void)b_.session.stop_probe();
    } else {
      return false;
    }
    b_.settle();
    return true;
  }
  void hear(const event& e) {
    std::visit(
        overload{
            [&](const announced& a) { announce(a.interest, '+', a.path); },
            [&](const announce_updated& a) { announce(a.interest, '~', a.path); },
            [&](const announce_ended& a) { announce(a.interest, '-', a.path); },
            [&](const track_known& k) { known(k); },
            [&](const group_started& g) {
              open_[{g.subscription, g.group}] = {{g.group, {}, {}}, {}};
            },
            [&](const frame_part& p) {
              add(open_[{p.subscription, p.group}], p);
            },
            [&](const group_finished& g) {
              close(g.subscription, g.group,
                    g.why == errc::ok       ? group_end::complete
                    : g.why == errc::closed ? group_end::left
                                            : group_end::failed);
            },
            [&](const datagram_received& d) {
              if (const sub* s = find(d.subscription))
                datagrams[s->track].push_back({d.group, {d.payload.size(), d.timestamp, sha256_hex(d.payload.view())}});
            },
            [&](const subscription_closed& c) { ended(c); },
            [&](const fetch_part& p) { add(fetches_[p.fetch].second, p); },
            [&](const fetch_closed& c) {
              auto& [track, g] = fetches_[c.fetch];
              g.seen.end = c.why == errc::ok ? group_end::complete : group_end::failed;
              groups[track].push_back(g.seen);
            },
            [&](const track_answered& a) {
              track_infos[queries_[a.query]].push_back(a.why == errc::ok ? json_of(a.info) : json());
            },
            [&](const bandwidth& w) {
              if (!w.is_target) probes.emplace_back(w.bitrate, w.rtt_ms);
            },
            [&](const goaway_received& g) { goaways.emplace_back(g.uri); },
            [](const auto&) {},
        },
        e);
  }

 private:
  struct reader {
    std::uint64_t which{};
    msg::delivery want{};
  };
  struct sub {
    subscription_id id{};
    std::string track{};
    std::vector<reader> readers{};
    std::optional<json> info{};
    bool is_over = false;
  };
  struct arriving {
    group_seen seen{};
    raw payload{};
  };

  [[nodiscard]] sub* find(const std::string& track) {
    for (sub& s : subs_)
      if (s.track == track && !s.is_over) return &s;
    return nullptr;
  }
  [[nodiscard]] sub* find(subscription_id id) {
    for (std::size_t i = subs_.size(); i-- > 0;)
      if (subs_[i].id == id) return &subs_[i];
    return nullptr;
  }
  [[nodiscard]] static msg::delivery want_of(const app_event& a) {
    msg::delivery w;
    w.priority = static_cast<std::uint8_t>(a.number("priority"));
    w.ordered = a.flag("ordered");
    w.max_age_ms = a.number("latencyMax");
    if (a.facts.contains("startGroup")) w.group_start = a.number("startGroup");
    if (a.facts.contains("endGroup")) w.group_end = a.number("endGroup");
    return w;
  }
  /// What one subscription asks for all its readers: the most that any of them wants.
  [[nodiscard]] static msg::delivery all_of(const sub& s) {
    msg::delivery w = s.readers.at(0).want;
    for (const reader& r : s.readers) {
      w.priority = std::max(w.priority, r.want.priority);
      w.ordered = w.ordered && r.want.ordered;
      w.max_age_ms = std::max(w.max_age_ms, r.want.max_age_ms);
    }
    return w;
  }
  /// The recorded library gives the readers of one track one subscription; a session of ours does as it is told, so
  /// that is the application's part.
  void subscribe(const app_event& a) {
    if (sub* s = find(a.track())) {
      merged.insert(s->track);
      s->readers.push_back({s->readers.size() + 1, want_of(a)});
      if (s->info) track_infos[s->track].push_back(*s->info);
      return update(*s);
    }
    subscribe_options o;
    o.want = want_of(a);
    o.keep_open = true;  // the application moves the end later
    if (before(lite03).has(t_.ver) && !o.want.group_end) o.want = {.priority = o.want.priority};
    const auto r = b_.session.subscribe(a.text("path"), a.text("track"), o, b_.now);
    if (!r.has_value()) {
      refused["subscribe " + a.track()] = r.error();
      return;
    }
    subs_.push_back({*r, a.track(), {{1, want_of(a)}}, {}, false});
  }
  void update(const sub& s) { (void)b_.session.update(s.id, all_of(s)); }
  void unsubscribe(const app_event& a) {
    sub* s = find(a.track());
    if (s == nullptr) return;
    left.insert(s->track);
    if (s->readers.size() > 1) {
      std::erase_if(s->readers, [&](const reader& r) { return r.which == a.number("which", 1); });
      return;
    }
    cut(s->id, group_end::left);
    s->is_over = true;
    (void)b_.session.unsubscribe(s->id);
  }
  void announce(interest_id id, char sign, std::string_view path) {
    announcements[interests_[id]].push_back(sign + std::string(path));
  }
  void known(const track_known& k) {
    sub* s = find(k.subscription);
    if (s == nullptr) return;
    s->info = json_of(k.info);
    for (std::size_t i = 0; i < s->readers.size(); ++i) track_infos[s->track].push_back(*s->info);
  }
  void add(arriving& g, const auto& p) {
    append(g.payload, p.payload.view());
    if (!p.is_last()) return;
    g.seen.frames.push_back({p.size, p.timestamp, sha256_hex(byte_view(g.payload))});
    g.payload.clear();
  }
  void close(subscription_id id, std::uint64_t sequence, group_end how) {
    const auto i = open_.find({id, sequence});
    const sub* s = find(id);
    if (i == open_.end() || s == nullptr) return;
    i->second.seen.end = how;
    for (std::size_t n = 0; n < s->readers.size(); ++n) groups[s->track].push_back(i->second.seen);
    open_.erase(i);
  }
  void cut(subscription_id id, group_end how) {
    for (const auto& [key, g] : std::map(open_))
      if (key.first == id) close(id, key.second, how);
  }
  void ended(const subscription_closed& c) {
    sub* s = find(c.subscription);
    if (s == nullptr) return;
    cut(s->id, group_end::left);
    s->is_over = true;
    for (std::size_t n = 0; n < s->readers.size(); ++n)
      track_ends[s->track].push_back(c.why == errc::ok ? "end" : c.why == errc::closed ? "closed" : "error");
  }

  bench& b_;
  const trace& t_;
  std::map<interest_id, std::string> interests_{};
  std::vector<sub> subs_{};
  std::map<std::pair<subscription_id, std::uint64_t>, arriving> open_{};
  std::map<fetch_id, std::pair<std::string, arriving>> fetches_{};
  std::map<track_query_id, std::string> queries_{};
};

}  // namespace moql::vectors
