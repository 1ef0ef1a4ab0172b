#pragma once
/// The subscribing side: finds the broadcast, subscribes, keeps the account of each track, and closes when it has what
/// the scenario promises.

#include <map>

#include "stage.hpp"
#include "track_reader.hpp"

namespace interop {

class subscriber : public actor {
 public:
  using actor::actor;

  void up() override { discover(); }
  void hear(const moql::event& e) override {
    std::visit(moql::overload{
                   [&](const moql::announced& a) {
                     if (!is_leaving_) found(std::string(bare(a.path)));
                   },
                   [&](const moql::announce_ended& a) {  // also told of what was there when the session ended
                     if (!is_leaving_ && !session().is_closed()) vanished(std::string(bare(a.path)));
                   },
                   [&](const moql::group_started& g) { pass_on(g); },
                   [&](const moql::frame_part& p) { pass_on(p); },
                   [&](const moql::group_finished& g) { pass_on(g); },
                   [&](const moql::datagram_received& d) { pass_on(d); },
                   [&](const moql::groups_lost& g) { pass_on(g); },
                   [&](const moql::subscription_closed& c) { subscription_over(c); },
                   [&](const moql::session_closed& c) { closed(c); },
                   [](const auto&) {},
               },
               e);
  }
  [[nodiscard]] std::string missing() const override {
    if (is_leaving_) return "the session has been closed and does not end";
    if (readers_.empty()) return is_found_ ? "nothing came" : "room/a was not announced";
    std::string out;
    for (const auto& [id, r] : readers_) out += (out.empty() ? "" : "; ") + r.text();
    return out;
  }

 protected:
  void discover() { (void)must(session().discover(options().prefix(), now()).error(), "discover"); }
  /// From the start where the version can say so: it must not matter who is first.
  [[nodiscard]] moql::msg::delivery from_start() const {
    moql::msg::delivery w{.max_age_ms = max_age_ms};
    if (moql::has_ranges(options().ver)) w.group_start = 0;
    return w;
  }
  moql::subscription_id subscribe(std::string_view name, std::string_view track, const moql::msg::delivery& want) {
    const auto id = session().subscribe(options().path(name), track, {.want = want}, now());
    if (!must(id.error(), "subscribe")) return {};
    readers_.emplace(*id, track_reader(options().scenario, options().ver));
    return *id;
  }
  void unsubscribe(moql::subscription_id id) {
    (void)must(session().unsubscribe(id), "unsubscribe");
    readers_.erase(id);
  }
  [[nodiscard]] track_reader& reader(moql::subscription_id id) { return readers_.at(id); }
  [[nodiscard]] std::map<moql::subscription_id, track_reader>& readers() { return readers_; }
  void leave(std::uint64_t code = 0, std::string_view reason = {}) {
    if (std::exchange(is_leaving_, true)) return;
    session().close(static_cast<moql::session_code>(code), reason);
  }
  [[nodiscard]] bool is_leaving() const { return is_leaving_; }

  virtual void found(const std::string& path) {
    if (path != "room/a" || std::exchange(is_found_, true)) return;
    begin();
  }
  virtual void vanished(const std::string&) {}
  /// The broadcast is there.
  virtual void begin() {}
  /// A track's account has changed.
  virtual void progress(moql::subscription_id) {}
  /// A subscription ended; the account is still there.
  virtual void ended(moql::subscription_id, const moql::subscription_closed& c) {
    if (c.why != moql::errc::ok)
      fail("the subscription ended: " + std::string(moql::text_of(c.why)) + ", code " + code_text(c.code));
  }
  virtual void closed(const moql::session_closed& c) {
    if (!is_leaving_) return fail("the session ended before all was there: " + text_of(c));
    pass();
  }

 private:
  template <class E>
  void pass_on(const E& e) {
    const auto it = readers_.find(e.subscription);
    if (it == readers_.end() || is_leaving_) return;
    it->second.hear(e);
    if (!it->second.complaint().empty()) return fail(it->second.complaint());
    progress(e.subscription);
  }
  void subscription_over(const moql::subscription_closed& c) {
    if (!is_leaving_ && readers_.contains(c.subscription)) ended(c.subscription, c);
  }
  std::map<moql::subscription_id, track_reader> readers_{};
  bool is_leaving_ = false;
  bool is_found_ = false;
};

}  // namespace interop
