#pragma once
/// What our application heard in the subscriber's place beside what the recorded one saw.

#include "replay.hpp"

namespace moql::vectors {

/// Differences that have a cause, and the first that has none.
struct comparison {
  std::set<std::string> causes{};
  std::string failure{};
  void because(const std::string& c) { causes.insert(c); }
  void fail(const std::string& f) {
    if (failure.empty()) failure = f;
  }
  [[nodiscard]] bool good() const { return failure.empty(); }
  [[nodiscard]] verdict as_verdict(const std::string& text) const {
    if (!good()) return verdict::fail(text + ": " + failure);
    std::string all;
    for (const std::string& c : causes) all += (all.empty() ? "" : " + ") + c;
    return verdict::pass(text, all);
  }
};

namespace detail {

inline const char* name_of(group_end e) {
  return e == group_end::complete ? "complete"
         : e == group_end::failed ? "failed"
         : e == group_end::left   ? "left"
                                  : "open";
}
inline bool same_frames(const group_seen& mine, const json& theirs, version v, std::string& why) {
  if (mine.frames.size() != theirs.size()) {
    why = std::to_string(mine.frames.size()) + " frames, recorded " + std::to_string(theirs.size());
    return false;
  }
  for (std::size_t i = 0; i < mine.frames.size(); ++i) {
    const frame_seen& f = mine.frames[i];
    const bool same_time =
        !has_timestamps(v) || !theirs[i].contains("timestamp") || theirs[i]["timestamp"] == f.timestamp;
    if (theirs[i].at("size") == f.size && theirs[i].at("sha256") == f.sha256 && same_time) continue;
    why = "frame " + std::to_string(i) + " differs";
    return false;
  }
  return true;
}
inline void compare_group(listener& ears, const app_event& a, version v, comparison& out) {
  auto& all = ears.groups[a.track()];
  std::string why = "it never came";
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].sequence != a.number("sequence") || !same_frames(all[i], a.facts.at("frames"), v, why)) continue;
    const bool complete = a.facts.at("end") == "complete";
    if (complete && all[i].end == group_end::left)
      out.because("R-009 our leaving cuts groups in flight, the peer's reader calls them complete");
    else if (complete != (all[i].end == group_end::complete))
      return out.fail("group " + std::to_string(all[i].sequence) + " is " + name_of(all[i].end));
    all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
  out.fail("group " + std::to_string(a.number("sequence")) + " of " + a.track() + ": " + why);
}
inline bool same_info(const json& mine, const app_event& a) {
  for (const char* key : {"priority", "ordered", "max_latency", "timescale"})
    if (mine.at(key) != a.facts.at(key)) return false;
  return true;
}
/// Takes the first of `all` that satisfies `f`.
template <class V, class F>
bool take(V& all, F f) {
  for (auto i = all.begin(); i != all.end(); ++i)
    if (f(*i)) {
      all.erase(i);
      return true;
    }
  return false;
}

}  // namespace detail

/// `ears` is used up: what is left of it afterwards was not recorded.
inline void compare_heard(const trace& t, who me, replay& r, comparison& out) {
  listener ears = r.ears;
  std::map<std::string, std::vector<std::string>> announced;
  std::size_t probes = 0;
  for (const app_event& a : t.app) {
    if (a.is_did || (a.by && a.by != me) || !out.good()) continue;
    if (a.verb == "announce") {
      announced[a.text("prefix")].push_back((a.flag("active") ? "+" : "-") + a.text("path"));
    } else if (a.verb == "group") {
      detail::compare_group(ears, a, t.ver, out);
    } else if (a.verb == "track_end" || a.verb == "track_error") {
      auto& ends = ears.track_ends[a.track()];
      const std::string want = a.verb == "track_end" ? "end" : "error";
      if (detail::take(ends, [&](const std::string& e) { return e == want; })) continue;
      if (detail::take(ends, [](const std::string& e) { return e == "closed"; }))
        out.because("R-015 the end of the session ends its subscriptions with an error");
      else if (!ears.left.contains(a.track()))
        out.fail("no " + a.verb + " of " + a.track());
    } else if (a.verb == "track_info") {
      if (!detail::take(ears.track_infos[a.track()],
                        [&](const json& i) { return !i.is_null() && detail::same_info(i, a); }))
        out.fail("no such TRACK_INFO of " + a.track());
    } else if (a.verb == "track_info_error") {
      const bool is_query = detail::take(ears.track_infos[a.track()], [](const json& i) { return i.is_null(); });
      const auto& ends = r.ears.track_ends[a.track()];  // a subscription hears of it as its own end
      if (!is_query && std::find(ends.begin(), ends.end(), "error") == ends.end())
        out.fail("TRACK_INFO of " + a.track() + " was not refused");
    } else if (a.verb == "fetch_error") {
      if (a.flag("local")) continue;  // never left the recorded library
      if (!detail::take(ears.groups[a.track()], [&](const group_seen& g) {
            return g.sequence == a.number("sequence") && g.end == group_end::failed;
          }))
        out.fail("the fetch from " + a.track() + " did not fail");
    } else if (a.verb == "probe") {
      const std::pair want{a.number("bitrate"), a.number("rtt")};
      if (probes >= ears.probes.size() || ears.probes[probes++] != want) out.fail("another measurement was heard");
    } else if (a.verb == "datagram") {
      if (!detail::take(ears.datagrams[a.track()], [&](const auto& d) {
            return d.first == a.number("sequence") && d.second.timestamp == a.number("timestamp") &&
                   d.second.sha256 == a.text("sha256");
          }))
        out.fail("datagram " + std::to_string(a.number("sequence")) + " of " + a.track() + " did not come");
    } else if (a.verb == "track_request") {
      if (std::find(r.voice.asked.begin(), r.voice.asked.end(), a.track()) == r.voice.asked.end())
        out.fail("the application was not asked for " + a.track());
    } else if (a.verb == "discover_end" || a.verb == "discover_error" || a.verb == "log" ||
               a.verb == "probe_streams_opened_by_itself") {
      // Its own leaving, its session's end, and the peculiarities of that library.
    } else {
      throw bad_line("an application saw what is unknown here: " + a.verb);
    }
  }
  for (const app_event& a : t.app)
    if (a.is_did && a.verb == "goaway" && a.by == other(me) &&
        std::find(ears.goaways.begin(), ears.goaways.end(), a.text("uri")) == ears.goaways.end()) {
      if (ears.goaways.empty())
        out.fail("GOAWAY was not heard");
      else
        out.because("U-12 only the first GOAWAY counts");
    }
  for (const auto& [prefix, unused] : ears.announcements) (void)announced[prefix];
  for (const auto& [prefix, want] : announced) {
    std::vector<std::string> have = ears.announcements[prefix];
    if (const auto i = ears.refused.find("announce " + prefix); i != ears.refused.end() && r.went_away) {
      out.because("R-156 after GOAWAY no new stream is opened");
      continue;
    }
    while (have.size() > want.size() && have.back().starts_with("-") && r.closed) {
      have.pop_back();
      out.because("R-045 the end of the session withdraws every announcement");
    }
    if (have != want) {
      std::string all;
      for (const std::string& h : have) all += h + ", ";
      out.fail("announcements under \"" + prefix + "\": we heard [" + all + "]");
    }
  }
  for (const auto& [track, left] : ears.groups)
    for (const group_seen& g : left)
      if (g.end != group_end::left && g.end != group_end::open)
        out.fail("group " + std::to_string(g.sequence) + " of " + track + " was heard and not recorded");
  for (const auto& [track, left] : ears.track_ends)
    for (const std::string& e : left)
      if (e != "closed") out.fail(track + " has an " + e + " that is not recorded");
  if (has_setup(t.ver) && r.peer_hop() != t.origin(other(me))) out.fail("the peer's SETUP was not understood");
  if (probes < ears.probes.size()) out.fail("more measurements were heard than recorded");
}

}  // namespace moql::vectors
