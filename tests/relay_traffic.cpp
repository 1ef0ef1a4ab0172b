/// relay-traffic: endless tracks for the tests of relays, and a reader that checks every byte of them.
///
///   relay-traffic publish URL BROADCAST --tracks N     a group of every track each --interval ms, until it is ended
///   relay-traffic read URL BROADCAST --tracks N        "TRACK GROUP" for each whole group, "cut" and "lost" for
///   others,
///                                                      "track TRACK: WHY" at an end
///
/// Frame f of group g of track t holds `size` bytes of text that says so; the last one may be short.
/// Exit codes: 0 ended by a signal, 1 the connection or the content was bad, 2 not started.

#include <map>

#include "event_text.hpp"
#include "net/client.hpp"
#include "net/own_certificate.hpp"

namespace {

struct options : net::shared_options {
  std::string mode, url, broadcast;
  std::size_t tracks = 10, frames = 4, size = 1000;
  std::uint64_t interval_ms = 50;
  std::optional<std::uint64_t> from;
};

[[nodiscard]] std::string content(const options& o, std::size_t track, std::uint64_t group, std::uint64_t frame) {
  const std::string unit = std::to_string(track) + "/" + std::to_string(group) + "/" + std::to_string(frame) + " ";
  std::string all;
  while (all.size() < o.size) all += unit;
  all.resize(o.size);
  return all;
}
[[nodiscard]] std::string name_of(std::size_t track) { return "t" + std::to_string(track); }

class publisher : public net::client {
 public:
  explicit publisher(const options& o) : client("relay-traffic"), options_(o) {
    for (std::size_t i = 0; i < o.tracks; ++i)
      tracks_.push_back(
          std::make_unique<moql::track_cache>(moql::track_options{.max_age_ms = 60'000, .timescale = 1000}));
  }
  [[nodiscard]] int run() {
    net::dial_options d = net::dialling(options_);
    d.session.hop = net::random_hop();  // who it is, so that a relay may go on from another of its routes
    net::dial(host_, options_.url, d);
    host_.run();
    return exit_code();
  }
  void on_event(net::peer& p, const moql::event& e, moql::instant) override {
    if (options_.log) std::fprintf(stderr, "%s\n", examples::text_of(e).c_str());
    std::visit(moql::overload{
                   [&](const moql::connected&) {
                     (void)p.session.announce(options_.broadcast);
                     std::puts("connected");
                     std::fflush(stdout);
                     write();
                   },
                   [&](const moql::subscribe_requested& r) { answer(p, r.request, r.broadcast, r.track); },
                   [&](const moql::track_requested& r) { answer(p, r.request, r.broadcast, r.track); },
                   [&](const moql::fetch_requested& r) { answer(p, r.request, r.broadcast, r.track); },
                   [&](const moql::session_closed& c) { give_up(net::text_of(c)); },
                   [](const auto&) {},
               },
               e);
  }

 private:
  void answer(net::peer& p, moql::request_id id, std::string_view broadcast, std::string_view track) {
    for (std::size_t i = 0; i < tracks_.size(); ++i)
      if (moql::same_path(broadcast, options_.broadcast) && track == name_of(i)) {
        (void)p.session.serve(id, *tracks_[i]);
        return;
      }
    (void)p.session.reject(id, moql::stream_code::not_found);
  }
  /// One frame of every track at a time, so that groups are cut wherever a relay dies.
  void write() {
    const std::uint64_t group = written_ / options_.frames, frame = written_ % options_.frames;
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
      moql::track_cache& t = *tracks_[i];
      if (frame == 0) (void)t.begin_group(group, host_.now());
      const std::string text = content(options_, i, group, frame);
      (void)t.append(group, group * options_.interval_ms, moql::bytes::copy(std::string_view(text)));
      if (frame + 1 == options_.frames) (void)t.end_group(group);
    }
    ++written_;
    host_.touch();
    next_.expires_after(std::chrono::microseconds(options_.interval_ms * 1000 / options_.frames));
    next_.async_wait([this](const boost::system::error_code& e) {
      if (!e) write();
    });
  }
  void interrupted() override {
    next_.cancel();
    succeed();
    leave();
  }

  const options& options_;
  std::vector<std::unique_ptr<moql::track_cache>> tracks_;
  std::uint64_t written_ = 0;
  boost::asio::steady_timer next_{host_.io()};
};

class reader : public net::client {
 public:
  explicit reader(const options& o) : client("relay-traffic"), options_(o) {}
  [[nodiscard]] int run() {
    net::dial(host_, options_.url, net::dialling(options_));
    host_.run();
    return exit_code();
  }
  void on_event(net::peer& p, const moql::event& e, moql::instant now) override {
    if (options_.log) std::fprintf(stderr, "%s\n", examples::text_of(e).c_str());
    std::visit(moql::overload{
                   [&](const moql::connected&) { (void)p.session.discover({}, now); },
                   [&](const moql::announce_updated&) {},
                   [&](const moql::announced& a) {
                     if (moql::same_path(a.path, options_.broadcast) && tracks_.empty()) subscribe(p, now);
                   },
                   [&](const moql::group_started& g) {
                     groups_[{g.subscription, g.group}] = {};
                   },
                   [&](const moql::frame_part& f) { take(f); },
                   [&](const moql::group_finished& g) { finish(g); },
                   [&](const moql::groups_lost& l) {
                     std::printf("lost %zu %llu to %llu: %s\n", tracks_[l.subscription],
                                 static_cast<unsigned long long>(l.first), static_cast<unsigned long long>(l.last),
                                 net::named<moql::stream_code>(l.code).c_str());
                     std::fflush(stdout);
                   },
                   [&](const moql::subscription_closed& c) {
                     std::printf("track %zu: %s\n", tracks_[c.subscription], net::text_of(c.why, c.code).c_str());
                     std::fflush(stdout);
                   },
                   [&](const moql::goaway_received&) {
                     std::puts("goaway");
                     std::fflush(stdout);
                   },
                   [&](const moql::session_closed& c) { give_up(net::text_of(c)); },
                   [](const auto&) {},
               },
               e);
  }

 private:
  struct group {
    std::uint64_t frames = 0;
    std::string text{};
  };
  void subscribe(net::peer& p, moql::instant now) {
    for (std::size_t i = 0; i < options_.tracks; ++i) {
      const bool is_old = !moql::has_ranges(p.session.negotiated());
      moql::subscribe_options want;
      want.want = {.priority = 32, .ordered = true, .max_age_ms = 60'000, .group_start = options_.from};
      if (is_old) want.want = {.priority = 32};
      const auto id = p.session.subscribe(options_.broadcast, name_of(i), want, now);
      if (!id.has_value()) return give_up("cannot subscribe");
      tracks_[*id] = i;
    }
  }
  void take(const moql::frame_part& f) {
    group& g = groups_[{f.subscription, f.group}];
    g.text.append(reinterpret_cast<const char*>(f.payload.view().data()), f.payload.size());
    if (!f.is_last()) return;
    if (f.frame != g.frames || g.text != content(options_, tracks_[f.subscription], f.group, f.frame))
      give_up("frame " + std::to_string(f.frame) + " of group " + std::to_string(f.group) + " is not what was sent");
    ++g.frames;
    g.text.clear();
  }
  void finish(const moql::group_finished& g) {
    const bool is_whole = g.why == moql::errc::ok && groups_[{g.subscription, g.group}].frames == options_.frames;
    groups_.erase({g.subscription, g.group});
    if (is_whole) std::printf("%zu %llu\n", tracks_[g.subscription], static_cast<unsigned long long>(g.group));
    if (!is_whole)
      std::printf("cut %zu %llu: %s\n", tracks_[g.subscription], static_cast<unsigned long long>(g.group),
                  net::text_of(g.why, g.code).c_str());
    std::fflush(stdout);
  }
  void interrupted() override {
    succeed();
    leave();
  }

  const options& options_;
  std::map<moql::subscription_id, std::size_t> tracks_;
  std::map<std::pair<moql::subscription_id, std::uint64_t>, group> groups_;
};

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Publishes or reads endless tracks.");
  app.add_option("MODE", o.mode, "publish or read")->required()->check(CLI::IsMember({"publish", "read"}));
  app.add_option("URL", o.url)->required();
  app.add_option("BROADCAST", o.broadcast)->required();
  app.add_option("--tracks", o.tracks);
  app.add_option("--frames", o.frames, "In each group")->check(CLI::Range(1, 1000));
  app.add_option("--size", o.size, "Bytes of a frame");
  app.add_option("--interval", o.interval_ms, "Milliseconds from one group to the next")->check(CLI::Range(1, 100000));
  app.add_option("--from", o.from, "First group to read (03 on); default: the latest");
  net::add_shared_options(app, o);
  net::add_client_options(app, o);
  if (const auto code = net::parse(app, argc, argv)) return *code;
  return o.mode == "publish" ? publisher(o).run() : reader(o).run();
}
