#pragma once
/// What the publisher does in each scenario where it differs from: waits for a subscriber, then five groups.

#include <memory>

#include "publisher.hpp"

namespace interop {

/// announce-discover, discover-announce, withdraw: nothing but announcements.
class announcer final : public publisher {
 public:
  using publisher::publisher;
  void up() override {
    must_be_asked_ = false;
    if (options().scenario == "announce-discover") return both();
    if (options().scenario == "discover-announce") return after(300, [this] { both(); });
    const moql::announcement_id a = announce("a");
    after(300, [this, a] {
      if (must(session().withdraw(a), "withdraw")) announce("b");
    });
  }

 private:
  void both() {
    announce("a");
    announce("b");
  }
};

/// late-join, range, fetch, track-info: groups that do not wait for anyone.
class early_writer final : public publisher {
 public:
  using publisher::publisher;
  void up() override {
    must_be_asked_ = options().scenario == "late-join" || options().scenario == "range";
    groups_ = must_be_asked_ ? 10 : 5;
    interval_ms_ = 100;
    channel& c = open("t0");
    announce("a");
    options().scenario == "late-join" ? write_on(c) : write_at_once(c);
  }

 private:
  void asked(channel&) override {}
};

/// Anything that is the usual with other numbers.
class counted_writer : public publisher {
 public:
  counted_writer(stage& s, const settings& o, std::uint64_t groups, std::int64_t interval_ms) : publisher(s, o) {
    groups_ = groups;
    interval_ms_ = interval_ms;
  }
};

class three_tracks final : public publisher {
 public:
  using publisher::publisher;
  void up() override {
    publisher::up();
    open("t1");
    open("t2");
  }
};

class priority_watcher final : public counted_writer {
 public:
  priority_watcher(stage& s, const settings& o) : counted_writer(s, o, 20, 20) {}
  void hear(const moql::event& e) override {
    if (const auto* r = std::get_if<moql::subscribe_requested>(&e)) before_ = r->want.priority;
    if (const auto* u = std::get_if<moql::subscribe_updated>(&e)) after_ = u->want.priority;
    publisher::hear(e);
  }

 private:
  [[nodiscard]] std::string complaint() const override {
    if (before_ == 1 && after_ == 200) return publisher::complaint();
    return "the subscription had priority " + std::to_string(before_) + ", then " + std::to_string(after_);
  }
  unsigned before_ = 0, after_ = 0;
};

/// unknown-broadcast: whoever was refused may leave without ever subscribing.
class unwanted final : public publisher {
 public:
  using publisher::publisher;
  void up() override {
    must_be_asked_ = false;
    publisher::up();
  }
};

class datagram_writer final : public counted_writer {
 public:
  datagram_writer(stage& s, const settings& o) : counted_writer(s, o, 50, 10) {}

 private:
  void write_group(channel& c, std::uint64_t g) override {
    (void)must(c.cache.write_datagram(timestamp_of(g, 0), payload_of(g, 0, 100), now()), "write_datagram");
  }
};

/// Tells what it measures to whoever asked; a made-up measurement, for not every transport has one.
class prober final : public publisher {
 public:
  using publisher::publisher;
  void up() override {
    must_be_asked_ = false;
    publisher::up();
    report();
  }

 private:
  void report() {
    if (session().is_probed()) (void)must(session().report(8'000'000, 25), "report");
    after(100, [this] { report(); });
  }
};

/// goaway, close-publisher, loss: one group, time for it to arrive, and then the end.
class leaver final : public counted_writer {
 public:
  leaver(stage& s, const settings& o) : counted_writer(s, o, 1, 20) {}

 private:
  void written(channel&) override {
    after(300, [this] {
      if (options().scenario == "loss") return vanish();
      if (options().scenario == "goaway") return void(must(session().goaway({}, {}, now()), "goaway"));
      is_leaving_ = true;
      session().close(static_cast<moql::session_code>(0x3ea), "gone");
    });
  }
  void closed(const moql::session_closed& c) override { is_leaving_ ? pass() : publisher::closed(c); }
  bool is_leaving_ = false;
};

class resetter final : public counted_writer {
 public:
  resetter(stage& s, const settings& o) : counted_writer(s, o, 3, 100) {}

 private:
  void write_group(channel& c, std::uint64_t g) override {
    if (g != 1) return publisher::write_group(c, g);
    if (!must(c.cache.begin_group(g, now()), "begin_group")) return;
    (void)must(c.cache.append(timestamp_of(g, 0), payload_of(g, 0, 100)), "append");
    after(50, [this, &c, g] { (void)must(c.cache.abort_group(g, moql::stream_code::internal_error), "abort_group"); });
  }
};

/// close-subscriber.
class code_watcher final : public counted_writer {
 public:
  code_watcher(stage& s, const settings& o) : counted_writer(s, o, 5, 20) {
    end_code_ = 0x3e9;
    end_reason_ = "bye";
  }
};

[[nodiscard]] inline std::unique_ptr<actor> make_publisher(stage& s, const settings& o) {
  const std::string_view n = o.scenario;
  if (n == "announce-discover" || n == "discover-announce" || n == "withdraw") return std::make_unique<announcer>(s, o);
  if (n == "late-join" || n == "range" || n == "fetch" || n == "track-info")
    return std::make_unique<early_writer>(s, o);
  if (n == "subscribe-3") return std::make_unique<three_tracks>(s, o);
  if (n == "priority-update") return std::make_unique<priority_watcher>(s, o);
  if (n == "sizes" || n == "end-of-track") return std::make_unique<counted_writer>(s, o, 3, 20);
  if (n == "many-groups") return std::make_unique<counted_writer>(s, o, 500, 2);
  if (n == "unsubscribe" || n == "stop") return std::make_unique<counted_writer>(s, o, 0, 50);
  if (n == "unknown-broadcast") return std::make_unique<unwanted>(s, o);
  if (n == "datagrams") return std::make_unique<datagram_writer>(s, o);
  if (n == "probe") return std::make_unique<prober>(s, o);
  if (n == "goaway" || n == "close-publisher" || n == "loss") return std::make_unique<leaver>(s, o);
  if (n == "reset") return std::make_unique<resetter>(s, o);
  if (n == "close-subscriber") return std::make_unique<code_watcher>(s, o);
  return std::make_unique<publisher>(s, o);
}

}  // namespace interop
