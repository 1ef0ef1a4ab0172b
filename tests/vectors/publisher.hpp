#pragma once
/// The publisher's place in a recorded session: publishes what the recorded application published and answers as it
/// did.

#include <memory>

#include "trace.hpp"

namespace moql::vectors {

/// Payloads by their digest: taken from the recorded streams, or made by the formula of the recordings.
class payloads {
 public:
  explicit payloads(const trace& t) {
    for (const recorded_stream& s : t.streams) {
      const auto h = heading_of(s.from(s.opener).bytes);
      if (!h) continue;
      byte_view in = s.from(s.opener).bytes;
      if (!s.bidi && h->type == 0x00) {
        in = in.subspan(h->size);
        const decoded<msg::group> g = decode<msg::group>(in, t.ver);
        if (g.why == errc::ok) keep_frames(t.ver, in.subspan(g.used));
      } else if (s.bidi && h->type == 0x03) {
        keep_frames(t.ver, s.from(other(s.opener)).bytes);
      }
    }
    for (const wire_event& e : t.wire)
      if (e.kind == wire_event::what::datagram)
        if (const auto d = decode<msg::datagram>(e.bytes, t.ver); d.why == errc::ok) keep(d.message.payload);
  }
  /// Throws bad_line when nothing has this digest.
  const raw& get(std::uint64_t size, const std::string& sha256) {
    if (const auto i = by_digest_.find(sha256); i != by_digest_.end()) return i->second;
    raw p(static_cast<std::size_t>(size));
    for (std::size_t seed = 0; seed < 256; ++seed) {
      for (std::size_t i = 0; i < p.size(); ++i) p[i] = static_cast<std::uint8_t>(seed * 31 + i * 7 + (i >> 8) * 13);
      if (sha256_hex(byte_view(p)) == sha256) return by_digest_[sha256] = p;
    }
    throw bad_line("no payload of " + std::to_string(size) + " bytes has the digest " + sha256);
  }

 private:
  void keep(byte_view p) { by_digest_[sha256_hex(p)] = raw(p.begin(), p.end()); }
  void keep_frames(version v, byte_view in) {
    while (!in.empty()) {
      const auto f = decode<msg::frame>(in, v);
      if (f.why != errc::ok || f.message.size > in.size() - f.used) return;
      keep(in.subspan(f.used, static_cast<std::size_t>(f.message.size)));
      in = in.subspan(f.used + static_cast<std::size_t>(f.message.size));
    }
  }
  std::map<std::string, raw> by_digest_{};
};

class broadcaster {
 public:
  broadcaster(bench& b, const trace& t, payloads& p, who me) : b_(b), t_(t), payloads_(p), me_(me) {}

  std::vector<std::string> asked{};                           ///< Tracks that the application was asked for.
  std::vector<std::string> failed{};                          ///< What our caches would not take.
  std::set<std::pair<std::string, std::uint64_t>> written{};  ///< Groups, by track.

  bool perform(const app_event& a) {
    if (a.verb == "publish") {
      const auto r = b_.session.announce(a.text("path"));
      if (r.has_value())
        live_[a.text("path")] = *r;
      else
        failed.push_back("publish " + a.text("path"));
    } else if (a.verb == "unpublish") {
      unpublish(a.text("path"));
    } else if (a.verb == "create_tracks") {
      for (const json& name : a.facts.at("tracks")) (void)cache(a.text("path") + "|" + name.get<std::string>());
    } else if (a.verb == "accept_track") {
      (void)cache(a.track());
      answer_waiting(a.track(), true);
    } else if (a.verb == "reject_track") {
      answer_waiting(a.track(), false);
    } else if (a.verb == "write_group") {
      write_group(a);
    } else if (a.verb == "write_frame") {
      write_frame(cache(a.track()), a.number("sequence"), a.facts);
    } else if (a.verb == "finish_group") {
      note(cache(a.track()).end_group(a.number("sequence")), a);
    } else if (a.verb == "abort_group") {
      note(cache(a.track()).abort_group(a.number("sequence"), stream_code::old), a);
    } else if (a.verb == "end_track") {
      cache(a.track()).finish();
    } else if (a.verb == "abort_track") {
      for (const auto& [id, track] : std::map(served_))
        if (track == a.track()) (void)b_.session.reject(id, stream_code::internal_error);
    } else if (a.verb == "write_datagram") {
      write_datagram(a);
    } else if (a.verb != "stats") {  // what is measured is reported when the recorded side reports it
      return false;
    }
    b_.settle();
    return true;
  }
  void hear(const event& e, std::uint64_t at) {
    std::visit(overload{
                   [&](const subscribe_requested& r) { request(r, at); },
                   [&](const track_requested& r) { request(r, at); },
                   [&](const fetch_requested& r) { request(r, at); },
                   [&](const request_closed& c) { served_.erase(c.request); },
                   [](const auto&) {},
               },
               e);
  }

 private:
  template <class R>
  void request(const R& r, std::uint64_t at) {
    const std::string track = std::string(r.broadcast) + "|" + std::string(r.track);
    asked.push_back(track);
    if (!live_.contains(std::string(r.broadcast))) {
      (void)b_.session.reject(r.request, stream_code::unroutable);
    } else if (!caches_.contains(track) && is_decided_later(track, at)) {
      waiting_.emplace_back(r.request, track);
    } else {
      serve(r.request, track);
    }
  }
  void serve(request_id id, const std::string& track) {
    served_[id] = track;
    (void)b_.session.serve(id, cache(track));
  }
  [[nodiscard]] bool is_decided_later(const std::string& track, std::uint64_t at) const {
    for (const app_event& a : t_.app)
      if (a.is_did && a.by == me_ && a.at >= at && a.track() == track &&
          (a.verb == "accept_track" || a.verb == "reject_track"))
        return true;
    return false;
  }
  void answer_waiting(const std::string& track, bool accept) {
    for (const auto& [id, name] : std::exchange(waiting_, {})) {
      if (name != track)
        waiting_.emplace_back(id, name);
      else if (accept)
        serve(id, track);
      else
        (void)b_.session.reject(id, stream_code::not_found);
    }
  }
  void unpublish(const std::string& path) {
    for (auto i = caches_.begin(); i != caches_.end();) {
      if (!i->first.starts_with(path + "|")) {
        ++i;
        continue;
      }
      i->second->finish();
      retired_.push_back(std::move(i->second));
      i = caches_.erase(i);
    }
    b_.settle();
    if (const auto i = live_.find(path); i != live_.end()) {
      (void)b_.session.withdraw(i->second);
      live_.erase(i);
    }
  }
  /// What the recorded application said of a track, or what its TRACK_INFO said; no version before 05 tells.
  [[nodiscard]] track_options options_of(const std::string& track) const {
    track_options o{.max_age_ms = 60'000};
    for (const app_event& a : t_.app)
      if (a.is_did && a.by == me_ && a.track() == track) {
        const json* with_scale = a.facts.contains("timescale") ? &a.facts : nullptr;
        if (a.facts.contains("frames") && !a.facts["frames"].empty()) with_scale = &a.facts["frames"][0];
        if (with_scale != nullptr) o.timescale = (*with_scale)["timescale"].get<std::uint64_t>();
        if (with_scale != nullptr) break;
      }
    for (const recorded_stream& s : t_.streams) {
      if (s.opener == me_ || !s.bidi || purpose_of(t_.ver, true, s.from(s.opener).bytes) != "track " + track) continue;
      const auto d = decode<msg::track_info>(s.from(me_).bytes, t_.ver);
      if (d.why == errc::ok) return {d.message.priority, d.message.ordered, d.message.max_age_ms, d.message.timescale};
    }
    for (const app_event& a : t_.app)
      if (a.is_did && a.by == me_ && a.track() == track && a.verb == "accept_track")
        return {static_cast<std::uint8_t>(a.number("priority")), a.flag("ordered"), a.number("max_latency"),
                a.number("timescale")};
    return o;
  }
  track_cache& cache(const std::string& track) {
    auto& c = caches_[track];
    if (c == nullptr) c = std::make_unique<track_cache>(options_of(track));
    return *c;
  }
  void note(errc why, const app_event& a) {
    if (why != errc::ok) failed.push_back(a.verb + " " + a.track() + ": " + std::string(moql::text_of(why)));
  }
  [[nodiscard]] static std::uint64_t time_of(const track_cache& c, const json& f) {
    const std::uint64_t t = f.at("timestamp").get<std::uint64_t>(), scale = f.at("timescale").get<std::uint64_t>();
    return scale == c.options().timescale ? t : t * c.options().timescale / scale;
  }
  void write_frame(track_cache& c, std::uint64_t sequence, const json& f) {
    const raw& p = payloads_.get(f.at("size").get<std::uint64_t>(), f.at("sha256").get<std::string>());
    if (c.append(sequence, time_of(c, f), bytes::copy(byte_view(p))) != errc::ok) failed.push_back("write_frame");
  }
  void write_group(const app_event& a) {
    track_cache& c = cache(a.track());
    note(c.begin_group(a.number("sequence"), b_.now), a);
    written.insert({a.track(), a.number("sequence")});
    for (const json& f : a.facts.at("frames")) write_frame(c, a.number("sequence"), f);
    if (!a.flag("open")) note(c.end_group(a.number("sequence")), a);
  }
  void write_datagram(const app_event& a) {
    track_cache& c = cache(a.track());
    const raw& p = payloads_.get(a.number("size"), a.text("sha256"));
    const errc why = c.write_datagram(time_of(c, a.facts), bytes::copy(byte_view(p)), b_.now);
    if (why == errc::ok) return;
    if (p.size() <= datagram_bytes_max || c.drop_groups(a.number("sequence"), a.number("sequence")) != errc::ok)
      note(why, a);
  }

  bench& b_;
  const trace& t_;
  payloads& payloads_;
  who me_;
  std::map<std::string, announcement_id> live_{};
  std::map<std::string, std::unique_ptr<track_cache>> caches_{};
  std::vector<std::unique_ptr<track_cache>> retired_{};
  std::vector<std::pair<request_id, std::string>> waiting_{};
  std::map<request_id, std::string> served_{};
};

}  // namespace moql::vectors
