#pragma once
/// What the subscriber does in the scenarios that are about announcements, single requests, and ends of sessions.

#include <memory>

#include "subscribers.hpp"

namespace interop {

/// announce-discover, discover-announce: room/a and room/b, in any order.
class discoverer final : public subscriber {
 public:
  using subscriber::subscriber;
  void up() override {
    options().scenario == "announce-discover" ? after(300, [this] { discover(); }) : discover();
  }
  [[nodiscard]] std::string missing() const override { return std::to_string(seen_.size()) + " broadcasts were seen"; }

 private:
  void found(const std::string& path) override {
    if (path != "room/a" && path != "room/b") return fail(path + " was announced");
    if (!seen_.insert(path).second) return fail(path + " was announced twice");
    if (seen_.size() == 2) leave();
  }
  void vanished(const std::string& path) override { fail(path + " was withdrawn"); }
  std::set<std::string> seen_{};
};

class withdrawal_watcher final : public subscriber {
 public:
  using subscriber::subscriber;
  [[nodiscard]] std::string missing() const override { return "seen: " + seen_; }

 private:
  void found(const std::string& path) override { take("+" + path + ' '); }
  void vanished(const std::string& path) override { take("-" + path + ' '); }
  void take(const std::string& what) {
    static constexpr std::string_view all = "+room/a -room/a +room/b ";
    if (is_leaving()) return;
    seen_ += what;
    if (!all.starts_with(seen_)) return fail("seen: " + seen_);
    if (seen_ == all) leave();
  }
  std::string seen_{};
};

/// A subscription to what does not exist, and then proof that the session lives.
class refused final : public subscriber {
 public:
  using subscriber::subscriber;
  void up() override { options().scenario == "unknown-broadcast" ? ask("none", "t0") : discover(); }
  [[nodiscard]] std::string missing() const override {
    return is_refused_ ? subscriber::missing() : "the subscription was not refused";
  }

 private:
  void ask(std::string_view name, std::string_view track) { asked_ = subscribe(name, track, from_start()); }
  void begin() override {
    if (options().scenario == "unknown-track") return ask("a", "none");
    leave();  // the announcement came
  }
  void progress(moql::subscription_id id) override {
    if (id == asked_) return fail("groups came of what does not exist");
    // Before 03 a subscription begins with the latest group, and that may be the last one.
    if (reader(id).has_all(moql::has_ranges(options().ver) ? 0 : 4, 4)) leave();
  }
  void ended(moql::subscription_id id, const moql::subscription_closed& c) override {
    if (id != asked_) return subscriber::ended(id, c);
    if (c.why == moql::errc::ok) return fail("the subscription ended in order");
    is_refused_ = true;
    after(0, [this] { options().scenario == "unknown-track" ? void(subscribe("a", "t0", from_start())) : discover(); });
  }
  moql::subscription_id asked_{};
  bool is_refused_ = false;
};

class fetcher final : public subscriber {
 public:
  using subscriber::subscriber;
  void hear(const moql::event& e) override {
    if (const auto* p = std::get_if<moql::fetch_part>(&e)) take(*p);
    if (const auto* c = std::get_if<moql::fetch_closed>(&e)) over(*c);
    subscriber::hear(e);
  }
  [[nodiscard]] std::string missing() const override { return std::to_string(frames_) + " frames were fetched"; }

 private:
  static constexpr std::uint64_t group = 1;
  void begin() override {
    after(300, [this] { asked_ = fetch(group); });  // what has been announced need not have been written
  }
  moql::fetch_id fetch(std::uint64_t g) {
    const auto id = session().fetch(options().path("a"), "t0", g, {}, now());
    return must(id.error(), "fetch") ? *id : moql::fetch_id{};
  }
  void take(const moql::fetch_part& p) {
    if (p.fetch != asked_) return fail("frames of group 99 came");
    if (p.frame != frames_ || p.size != 100 || p.timestamp != timestamp_of(group, p.frame))
      return fail("frame " + std::to_string(p.frame) + " of " + std::to_string(p.size) + " bytes at " +
                  std::to_string(p.timestamp) + " is not what was published");
    for (std::size_t i = 0; i < p.payload.size(); ++i)
      if (p.payload.data()[i] != byte_at(group, p.frame, p.offset + i)) return fail("a byte is wrong");
    if (p.is_last()) ++frames_;
  }
  void over(const moql::fetch_closed& c) {
    if (is_leaving()) return;
    if (c.fetch == asked_) {
      if (c.why != moql::errc::ok) return fail("the fetch ended: " + std::string(moql::text_of(c.why)));
      if (frames_ != 3) return fail(missing());
      after(0, [this] { (void)fetch(99); });
    } else {
      c.why == moql::errc::ok ? fail("group 99 was fetched") : leave();
    }
  }
  moql::fetch_id asked_{};
  std::uint64_t frames_ = 0;
};

class track_asker final : public subscriber {
 public:
  using subscriber::subscriber;
  void hear(const moql::event& e) override {
    if (const auto* a = std::get_if<moql::track_answered>(&e); a != nullptr && !is_leaving()) {
      if (a->why != moql::errc::ok) return fail("no answer: " + std::string(moql::text_of(a->why)));
      a->info.timescale == timescale ? leave() : fail("the timescale is " + std::to_string(a->info.timescale));
    }
    subscriber::hear(e);
  }

 private:
  void begin() override { (void)must(session().query_track(options().path("a"), "t0", now()).error(), "query_track"); }
};

class measurer final : public subscriber {
 public:
  using subscriber::subscriber;
  void hear(const moql::event& e) override {
    if (std::holds_alternative<moql::bandwidth>(e)) leave();
    if (const auto* p = std::get_if<moql::probe_closed>(&e); p != nullptr && !is_leaving())
      return fail("no measurements: " + std::string(moql::text_of(p->why)) + ", code " + code_text(p->code));
    subscriber::hear(e);
  }
  [[nodiscard]] std::string missing() const override { return "no measurement came"; }

 private:
  void begin() override { (void)must(session().probe(), "probe"); }
};

/// goaway, close-subscriber, close-publisher, loss: one group, and then an end.
class end_of_session final : public group_counter {
 public:
  end_of_session(stage& s, const settings& o) : group_counter(s, o, 0) {}
  void hear(const moql::event& e) override {
    if (std::holds_alternative<moql::goaway_received>(e)) {
      is_told_ = true;
      check();
    }
    group_counter::hear(e);
  }
  [[nodiscard]] std::string missing() const override {
    return has_group_ && !is_leaving() ? "the group came, and nothing after it" : group_counter::missing();
  }

 private:
  void complete() override {
    has_group_ = true;
    check();
  }
  void check() {
    if (options().scenario == "goaway" && is_told_ && has_group_) leave();
    if (options().scenario == "close-subscriber" && has_group_) leave(0x3e9, "bye");
  }
  void closed(const moql::session_closed& c) override {
    if (is_leaving() || !has_group_) return subscriber::closed(c);
    const std::string_view n = options().scenario;
    if (n == "loss" && c.why != moql::errc::ok) return pass();
    const bool is_gone = c.by_peer && c.code == 0x3ea && (c.reason == "gone" || options().any_reason);
    if (n == "close-publisher" && is_gone) return pass();
    fail("the session ended otherwise: " + text_of(c));
  }
  void ended(moql::subscription_id id, const moql::subscription_closed& c) override {
    if (!has_group_) subscriber::ended(id, c);  // afterwards the session tells
  }
  bool has_group_ = false, is_told_ = false;
};

[[nodiscard]] inline std::unique_ptr<actor> make_subscriber(stage& s, const settings& o) {
  const std::string_view n = o.scenario;
  if (n == "announce-discover" || n == "discover-announce") return std::make_unique<discoverer>(s, o);
  if (n == "withdraw") return std::make_unique<withdrawal_watcher>(s, o);
  if (n == "subscribe-3") return std::make_unique<group_counter>(s, o, 4, std::vector<std::string>{"t0", "t1", "t2"});
  if (n == "late-join") return std::make_unique<late_joiner>(s, o);
  if (n == "range") return std::make_unique<range_reader>(s, o);
  if (n == "priority-update") return std::make_unique<priority_changer>(s, o);
  if (n == "sizes") return std::make_unique<group_counter>(s, o, 2);
  if (n == "many-groups") return std::make_unique<group_counter>(s, o, 499);
  if (n == "end-of-track") return std::make_unique<end_watcher>(s, o);
  if (n == "unknown-broadcast" || n == "unknown-track") return std::make_unique<refused>(s, o);
  if (n == "unsubscribe") return std::make_unique<returner>(s, o);
  if (n == "fetch") return std::make_unique<fetcher>(s, o);
  if (n == "track-info") return std::make_unique<track_asker>(s, o);
  if (n == "datagrams") return std::make_unique<datagram_reader>(s, o);
  if (n == "probe") return std::make_unique<measurer>(s, o);
  if (n == "reset") return std::make_unique<reset_watcher>(s, o);
  if (n == "stop") return std::make_unique<stopper>(s, o);
  if (n == "goaway" || n == "close-subscriber" || n == "close-publisher" || n == "loss")
    return std::make_unique<end_of_session>(s, o);
  return std::make_unique<group_counter>(s, o, 4);
}

}  // namespace interop
