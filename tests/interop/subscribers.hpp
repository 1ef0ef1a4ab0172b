#pragma once
/// What the subscriber does in the scenarios that are about the groups of tracks.

#include "subscriber.hpp"

namespace interop {

/// Reads groups `first` to `last` of some tracks, whole.
class group_counter : public subscriber {
 public:
  group_counter(stage& s, const settings& o, std::uint64_t last, std::vector<std::string> tracks = {"t0"})
      : subscriber(s, o), tracks_(std::move(tracks)), last_(last) {}

 protected:
  std::uint64_t first_ = 0;
  std::vector<std::string> tracks_;
  std::uint64_t last_;

  void begin() override {
    for (const std::string& t : tracks_) subscribe("a", t, from_start());
  }
  void progress(moql::subscription_id id) override {
    for (std::uint64_t g = first_; g <= last_; ++g)
      if (reader(id).will_not_come(g)) return fail("group " + std::to_string(g) + " did not come whole");
    for (const auto& [each, r] : readers())
      if (!r.has_all(first_, last_)) return;
    complete();
  }
  virtual void complete() { leave(); }
};

/// The first three groups, and that there are no more.
class end_watcher final : public group_counter {
 public:
  end_watcher(stage& s, const settings& o) : group_counter(s, o, 2) {}

 private:
  void complete() override {}
  void ended(moql::subscription_id id, const moql::subscription_closed& c) override {
    if (c.why != moql::errc::ok) return subscriber::ended(id, c);
    reader(id).has_all(0, 2) ? leave() : fail("the track ended early: " + reader(id).text());
  }
};

/// Groups 2 to 4 and no other, also when there was time for more.
class range_reader final : public group_counter {
 public:
  range_reader(stage& s, const settings& o) : group_counter(s, o, 4) { first_ = 2; }

 private:
  void begin() override { subscribe("a", "t0", {.max_age_ms = max_age_ms, .group_start = 2, .group_end = 4}); }
  void progress(moql::subscription_id id) override {
    for (const std::uint64_t g : reader(id).whole())
      if (g < first_ || g > last_) return fail("group " + std::to_string(g) + " was not asked for");
    group_counter::progress(id);
  }
  void complete() override {
    if (!std::exchange(is_complete_, true)) after(200, [this] { leave(); });
  }
  bool is_complete_ = false;
};

class priority_changer final : public group_counter {
 public:
  priority_changer(stage& s, const settings& o) : group_counter(s, o, 19) {}

 private:
  void begin() override {
    want_ = from_start();
    want_.priority = 1;
    subscribe("a", "t0", want_);
  }
  void progress(moql::subscription_id id) override {
    if (want_.priority == 1 && reader(id).whole().contains(2)) {
      want_.priority = 200;
      (void)must(session().update(id, want_), "update");
    }
    group_counter::progress(id);
  }
  moql::msg::delivery want_{};
};

/// What is live, 450 ms after the session is up.
class late_joiner final : public subscriber {
 public:
  using subscriber::subscriber;
  void up() override {
    discover();
    after(450, [this] {
      is_time_ = true;
      if (is_there_) join();
    });
  }

 private:
  void begin() override {
    is_there_ = true;
    if (is_time_) join();
  }
  void join() { subscribe("a", "t0", {.max_age_ms = max_age_ms}); }
  void progress(moql::subscription_id id) override {
    const auto& whole = reader(id).whole();
    if (!whole.contains(9)) return;
    // Newer groups may overtake older ones.
    if (*whole.begin() > 6) return after_all(id, "the first group is " + std::to_string(*whole.begin()));
    if (!reader(id).has_all(*whole.begin(), 9)) return after_all(id, "there is a gap: " + reader(id).text());
    leave();
  }
  void ended(moql::subscription_id id, const moql::subscription_closed& c) override {
    if (c.why != moql::errc::ok) return subscriber::ended(id, c);
    fail("the track ended: " + reader(id).text());
  }
  void after_all(moql::subscription_id id, const std::string& what) {
    if (!std::exchange(is_last_chance_, true))
      after(1000, [this, id, what] {
        if (!is_leaving()) fail(what + ", and now " + reader(id).text());
      });
  }
  bool is_time_ = false, is_there_ = false, is_last_chance_ = false;
};

/// Two groups, away, back, two groups.
class returner final : public subscriber {
 public:
  using subscriber::subscriber;

 private:
  void begin() override { subscribe("a", "t0", from_start()); }
  void progress(moql::subscription_id id) override {
    if (reader(id).whole().size() < 2) return;
    if (has_returned_) return leave();
    if (std::exchange(is_away_, true)) return;
    after(0, [this, id] {
      unsubscribe(id);
      after(300, [this] {
        has_returned_ = true;
        subscribe("a", "t0", {.max_age_ms = max_age_ms});
      });
    });
  }
  bool is_away_ = false, has_returned_ = false;
};

class datagram_reader final : public subscriber {
 public:
  using subscriber::subscriber;

 private:
  void begin() override { subscribe("a", "t0", from_start()); }
  void progress(moql::subscription_id id) override {
    if (reader(id).datagrams() == 40) after(500, [this] { leave(); });  // the publisher has 10 more to send
  }
  void ended(moql::subscription_id id, const moql::subscription_closed& c) override {
    if (c.why != moql::errc::ok) return subscriber::ended(id, c);
    if (reader(id).datagrams() < 40) fail(std::to_string(reader(id).datagrams()) + " datagrams came");
  }
};

/// Groups 0 and 2 whole, 1 not.
class reset_watcher final : public subscriber {
 public:
  using subscriber::subscriber;

 private:
  void begin() override { subscribe("a", "t0", from_start()); }
  void progress(moql::subscription_id id) override {
    const track_reader& r = reader(id);
    if (r.whole().contains(1)) return fail("group 1 is complete");
    if (r.will_not_come(0) || r.will_not_come(2)) return fail(r.text());
    if (r.has_all(0, 0) && r.has_all(2, 2) && r.will_not_come(1)) leave();
  }
};

/// Leaves group 1 in the middle. Which groups come whole after that is a matter of how much fits on the way.
class stopper final : public subscriber {
 public:
  using subscriber::subscriber;

 private:
  void begin() override { subscribe("a", "t0", from_start()); }
  void progress(moql::subscription_id id) override {
    if (!has_stopped_ && reader(id).frames(1) >= 3) {
      has_stopped_ = true;
      after(0, [this, id] {
        if (!must(session().skip(id, 1), "skip")) return;
        reader(id).forget(1);
        is_stopped_ = true;
      });
    }
    if (reader(id).whole().contains(1)) return fail("group 1 came to its end");
    if (is_stopped_ && !reader(id).whole().empty() && *reader(id).whole().rbegin() > 1) leave();
  }
  bool has_stopped_ = false, is_stopped_ = false;
};

}  // namespace interop
