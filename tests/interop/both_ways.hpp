#pragma once
/// `reverse`: publisher and subscriber in one.

#include "publisher.hpp"
#include "track_reader.hpp"

namespace interop {

class both_ways final : public publisher {
 public:
  both_ways(stage& s, const settings& o) : publisher(s, o), reader_(o.scenario, o.ver) {}

  void up() override {
    open("t0");
    announce(options().dials ? "a" : "b");
    (void)must(session().discover(options().prefix(), now()).error(), "discover");
  }
  void hear(const moql::event& e) override {
    std::visit(moql::overload{
                   [&](const moql::announced& a) { found(bare(a.path)); },
                   [&](const moql::group_started& g) { take(g); },
                   [&](const moql::frame_part& p) { take(p); },
                   [&](const moql::group_finished& g) { take(g); },
                   [&](const moql::groups_lost& g) { take(g); },
                   [&](const auto&) { publisher::hear(e); },
               },
               e);
  }
  [[nodiscard]] std::string missing() const override { return reader_.text() + "; " + publisher::missing(); }

 private:
  [[nodiscard]] bool has_all() const { return reader_.has_all(0, 4); }
  void found(std::string_view path) {
    if (path != bare(options().path(options().dials ? "b" : "a")) || std::exchange(is_subscribed_, true)) return;
    moql::msg::delivery want{.max_age_ms = max_age_ms};
    if (moql::has_ranges(options().ver)) want.group_start = 0;
    const std::string theirs = options().path(options().dials ? "b" : "a");
    (void)must(session().subscribe(theirs, "t0", {.want = want}, now()).error(), "subscribe");
  }
  template <class E>
  void take(const E& e) {
    if (is_closing_) return;
    reader_.hear(e);
    if (!reader_.complaint().empty()) return fail(reader_.complaint());
    check();
  }
  void written(channel& c) override {
    publisher::written(c);
    after(300, [this] {
      is_written_ = true;
      check();
    });
  }
  void check() {
    if (!options().dials || !is_written_ || !has_all() || std::exchange(is_closing_, true)) return;
    session().close();
  }
  void closed(const moql::session_closed& c) override {
    if (is_closing_) return pass();
    if (!has_all()) return fail("the session ended early: " + text_of(c) + "; " + reader_.text());
    publisher::closed(c);
  }
  track_reader reader_;
  bool is_subscribed_ = false, is_written_ = false, is_closing_ = false;
};

}  // namespace interop
