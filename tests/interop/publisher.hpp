#pragma once
/// The publishing side: announces, serves its tracks, writes groups, and judges how the session ended.

#include <deque>

#include "content.hpp"
#include "stage.hpp"

namespace interop {

class publisher : public actor {
 public:
  using actor::actor;

  void up() override {
    open("t0");
    announce("a");
  }
  void hear(const moql::event& e) override {
    std::visit(moql::overload{
                   [&](const moql::subscribe_requested& r) {
                     channel* c = answer(r.request, r.broadcast, r.track);
                     if (c == nullptr || std::exchange(c->is_asked, true)) return;
                     if (options().begin_after_ms == 0) return asked(*c);
                     after(options().begin_after_ms, [this, c] { asked(*c); });
                   },
                   [&](const moql::track_requested& r) { (void)answer(r.request, r.broadcast, r.track); },
                   [&](const moql::fetch_requested& r) { (void)answer(r.request, r.broadcast, r.track); },
                   [&](const moql::session_closed& c) { closed(c); },
                   [](const auto&) {},
               },
               e);
  }
  [[nodiscard]] std::string missing() const override {
    std::string out = "published";
    for (const channel& c : channels_) {
      out += ' ' + c.name + ": " + std::to_string(c.cache.next_sequence()) + " groups";
      if (!c.is_asked) out += " (nobody subscribed)";
    }
    return out + "; the session was not closed";
  }

 protected:
  struct channel {
    explicit channel(std::string_view n)
        : name(n), cache({.max_age_ms = max_age_ms, .timescale = timescale, .groups_max = 1024}) {}
    std::string name;
    moql::track_cache cache;
    bool is_asked = false;
  };
  /// How many groups a track gets, and how often; 0 is without end.
  std::uint64_t groups_ = 5;
  std::int64_t interval_ms_ = 20;
  std::uint64_t end_code_ = 0;
  std::string_view end_reason_{};
  bool must_be_asked_ = true;

  channel& open(std::string_view name) { return channels_.emplace_back(name); }
  moql::announcement_id announce(std::string_view name) {
    broadcasts_.emplace_back(name);
    const auto id = session().announce(options().path(name));
    return must(id.error(), "announce") ? *id : moql::announcement_id{};
  }
  /// A track has its first subscriber.
  virtual void asked(channel& c) { write_on(c); }
  virtual void write_group(channel& c, std::uint64_t g) {
    if (!must(c.cache.begin_group(g, now()), "begin_group")) return;
    const auto sizes = frames_of(options().scenario, g);
    for (std::size_t f = 0; f < sizes.size(); ++f)
      if (!must(c.cache.append(timestamp_of(g, f), payload_of(g, f, sizes[f])), "append")) return;
    (void)must(c.cache.end_group(), "end_group");
  }
  /// The last group has been written. The track ends a little later: some subscribers take its end for the end of the
  /// groups that are still on their way.
  virtual void written(channel& c) {
    after(options().scenario == "end-of-track" ? 0 : 300, [&c] { c.cache.finish(); });
  }
  /// What should have happened and did not.
  [[nodiscard]] virtual std::string complaint() const {
    for (const channel& c : channels_)
      if (must_be_asked_ && !c.is_asked) return "nobody subscribed to " + c.name;
    return {};
  }
  virtual void closed(const moql::session_closed& c) {
    const bool is_lost = c.why == moql::errc::transport_closed && end_code_ == 0 && options().any_end;
    if (!is_lost && (!c.by_peer || c.code != end_code_ || (c.reason != end_reason_ && !options().any_reason)))
      return fail(text_of(c) + ", not with " + code_text(end_code_) + " \"" + std::string(end_reason_) + '"');
    const std::string why = complaint();
    why.empty() ? pass() : fail(why);
  }
  /// Writes the next group, and so on until the last.
  void write_on(channel& c) {
    write_group(c, c.cache.next_sequence());
    if (groups_ != 0 && c.cache.next_sequence() >= groups_)
      written(c);
    else
      after(interval_ms_, [this, &c] { write_on(c); });
  }
  void write_at_once(channel& c) {
    while (!is_over() && c.cache.next_sequence() < groups_) write_group(c, c.cache.next_sequence());
    written(c);
  }

 private:
  channel* answer(moql::request_id id, std::string_view broadcast, std::string_view track) {
    for (const std::string& b : broadcasts_)
      if (bare(broadcast) == bare(options().path(b)))
        for (channel& c : channels_)
          if (c.name == track) return must(session().serve(id, c.cache), "serve") ? &c : nullptr;
    (void)must(session().reject(id, moql::stream_code::not_found), "reject");
    return nullptr;
  }
  std::deque<channel> channels_{};
  std::vector<std::string> broadcasts_{};
};

}  // namespace interop
