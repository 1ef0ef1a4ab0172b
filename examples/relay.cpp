/// moql-relay: passes tracks from publishers to subscribers, over every transport, alone or as one of a mesh.
///
/// Exit codes: 0 stopped by a signal, 2 not started.

#include <boost/asio/signal_set.hpp>

#include <sys/resource.h>

#include "event_text.hpp"
#include "net/command_line.hpp"
#include "net/listen.hpp"
#include "net/own_certificate.hpp"
#include "net/uplinks.hpp"
#include "relay_report.hpp"

namespace {

struct options : net::shared_options {
  std::string address = "127.0.0.1", stats, drain_to;
  std::uint16_t port = 4443;
  std::uint32_t streams_max = 1000;
  std::vector<std::string> upstreams, peers, link_versions, may_announce, may_subscribe;
  std::uint64_t hop = 0;
  std::optional<std::uint64_t> cost, link_cost;
  moql::relay_limits caps;
  std::uint64_t cache_mb = 1024, track_mb = 64;
  std::int64_t linger_ms = 3000, move_ms = 5000;
  double stats_interval = 1, drain = 5, idle = 10;
};

[[nodiscard]] moql::duration from_seconds(double s) { return moql::microseconds(static_cast<std::int64_t>(s * 1e6)); }
[[nodiscard]] std::chrono::microseconds of_clock(moql::duration d) { return std::chrono::microseconds(d.us); }

[[nodiscard]] moql::version_set both(moql::version_set a, moql::version_set b) {
  a.bits &= b.bits;
  return a;
}
/// Whether `path` is one of these or lies below one; without any, everything does.
[[nodiscard]] bool is_below(const std::vector<std::string>& prefixes, std::string_view path) {
  return prefixes.empty() ||
         std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& p) { return moql::covers(p, path); });
}

/// Every TCP connection takes one, and the usual limit of 1024 is for interactive programs.
void raise_descriptor_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &files);
}

class server : public net::program {
 public:
  explicit server(const options& o) : options_(o) { wait_for_signal(); }

  [[nodiscard]] int run() {
    raise_descriptor_limit();
    if (relay_.core().options().hop == 0) return refuse("no random number for the Hop ID");
    const moql::version_set versions = net::versions_of(options_);
    net::shared_options on_links;
    on_links.versions = options_.link_versions;
    const moql::version_set dialled = both(versions, net::versions_of(on_links));
    const moql::version_set among_relays = both(dialled, moql::since(moql::lite04));
    if (!options_.peers.empty() && among_relays.bits == 0)
      return refuse("--peer needs version 04 or later: before it nothing says where a broadcast has been");
    std::string why;
    if (!options_.stats.empty()) {
      stats_.open(options_.stats, std::ios::app);
      if (!stats_) return refuse(options_.stats + ": cannot be written");
    }
    const auto certificate = net::load_or_make_certificate(options_.cert_file, options_.key_file, why);
    if (!certificate) return refuse(why);
    listener_ = net::listen(host_, listening(versions, *certificate), why);
    if (!listener_) return refuse(why);
    std::fprintf(stderr, "moql-relay: %s port %u, certificate SHA-256 %s\n", options_.address.c_str(),
                 unsigned{listener_->port()}, certificate->hash_hex.c_str());
    for (const std::string& url : options_.upstreams) links_.add(url, dialling(dialled), options_.link_cost);
    for (const std::string& url : options_.peers) links_.add(url, dialling(among_relays), options_.link_cost);
    if (!options_.quiet && ::isatty(STDERR_FILENO) != 0) show_status();
    if (stats_.is_open()) write_stats_later();
    host_.run();
    write_stats();
    return net::all_well;
  }

  void on_event(net::peer& p, const moql::event& e, moql::instant now) override {
    if (options_.log) std::fprintf(stderr, "%s %s\n", p.address().c_str(), examples::text_of(e).c_str());
    const auto* closed = std::get_if<moql::session_closed>(&e);
    // That a peer leaves, in order or not, is no news; that we had to throw it out is.
    if (closed != nullptr && !closed->by_peer && closed->why != moql::errc::ok &&
        closed->why != moql::errc::transport_closed && closed->why != moql::errc::goaway_timeout)
      say(p.address() + ": " + net::text_of(*closed));
    links_.on_event(p, e, now);
    relay_.on_event(p, e, now);
  }
  bool on_turn(moql::instant) override {
    links_.on_turn();
    relay_.on_turn();
    return false;
  }
  [[nodiscard]] moql::instant next_deadline() const override { return relay_.next_deadline(); }
  void on_deadline(moql::instant now) override { relay_.on_deadline(now); }
  void on_gone(net::peer& p, const net::ending& why) override {
    examples::add(gone_, p.session.counters());
    relay_.on_gone(p, host_.now());
    links_.on_gone(p, why, host_.now());
    if (options_.log)
      std::fprintf(stderr, "%s left (%s): %s\n", p.address().c_str(), std::string(p.transport()).c_str(),
                   why.text.c_str());
    if (is_leaving_ && host_.peers().empty()) host_.stop();
  }
  void on_unreachable(const net::ending& why) override { links_.on_unreachable(why); }

 private:
  static void say(const std::string& what) { std::fprintf(stderr, "moql-relay: %s\n", what.c_str()); }
  static int refuse(const std::string& why) {
    say(why);
    return net::not_started;
  }

  // ---- how it is set up

  [[nodiscard]] moql::relay_options relaying() {
    moql::relay_options r;
    r.hop = options_.hop != 0 ? options_.hop : net::random_hop();
    r.caps = options_.caps;
    r.caps.cache_bytes_max = options_.cache_mb << 20;
    r.caps.track_bytes_max = options_.track_mb << 20;
    r.linger = moql::milliseconds(options_.linger_ms);
    r.move_timeout = moql::milliseconds(options_.move_ms);
    r.hash_seed = net::random_hop();
    r.hooks.context = this;
    if (!options_.may_announce.empty() || !options_.may_subscribe.empty()) r.hooks.allows = allows;
    return r;
  }
  /// Whom we dialled we trust: that is what the prefixes are not for.
  static bool allows(void* context, moql::peer_id who, moql::relay_action what, std::string_view path,
                     std::string_view) noexcept {
    const auto* me = static_cast<const server*>(context);
    if (me->relay_.was_dialled(who)) return true;
    const bool announces = what == moql::relay_action::announce;
    return is_below(announces ? me->options_.may_announce : me->options_.may_subscribe, path);
  }
  [[nodiscard]] moql::config session_config(moql::version_set versions) const {
    moql::config c;
    c.versions = versions;
    c.hop = relay_.core().options().hop;
    c.cost = options_.cost;
    c.hash_seed = relay_.core().options().hash_seed;
    return c;
  }
  [[nodiscard]] net::dial_options dialling(moql::version_set versions) const {
    net::dial_options d = net::dialling(options_);
    d.session = session_config(versions);
    d.protocols = net::protocols_of(versions);
    d.idle_timeout = from_seconds(options_.idle);
    return d;
  }
  [[nodiscard]] net::listen_options listening(moql::version_set versions, const net::own_certificate& c) const {
    net::listen_options l;
    l.session = session_config(versions);
    l.protocols = net::protocols_of(versions);
    l.address = options_.address;
    l.port = options_.port;
    l.streams_max = options_.streams_max;
    l.connections_max = options_.caps.peers_max;
    l.idle_timeout = from_seconds(options_.idle);
    l.cert_file = c.cert_file;
    l.key_file = c.key_file;
    return l;
  }

  // ---- numbers

  [[nodiscard]] moql::session_counters sum() const {
    moql::session_counters s = gone_;
    for (const auto& p : host_.peers()) examples::add(s, p->session.counters());
    return s;
  }
  void show_status() {
    status_timer_.expires_after(std::chrono::seconds(1));
    status_timer_.async_wait([this](const boost::system::error_code& e) {
      if (e) return;
      std::fprintf(stderr, "\r%s\x1b[K", status_.line(relay_.core(), sum()).c_str());
      show_status();
    });
  }
  void write_stats() {
    if (!stats_.is_open()) return;
    const std::chrono::duration<double> up = std::chrono::steady_clock::now() - began_;
    stats_ << examples::json_line(relay_.core(), sum(), host_.peers().size(), up.count()) << std::endl;
  }
  void write_stats_later() {
    stats_timer_.expires_after(of_clock(from_seconds(options_.stats_interval)));
    stats_timer_.async_wait([this](const boost::system::error_code& e) {
      if (e) return;
      write_stats();
      write_stats_later();
    });
  }

  // ---- the end

  void wait_for_signal() {
    stopped_.async_wait([this](const boost::system::error_code& e, int) {
      if (e) return;
      if (is_leaving_) return host_.stop();  // the user means it
      leave();
      wait_for_signal();
    });
  }
  /// Everyone is told and has time to go elsewhere. Who needs none is let go earlier.
  void leave() {
    is_leaving_ = true;
    listener_->close();
    links_.stop();
    const moql::duration drain = from_seconds(options_.drain);
    for (const auto& p : host_.peers()) {  // from 04 on; only who dialled may be sent somewhere
      const bool has_dialled = p->session.side() == moql::endpoint::server;
      (void)p->session.goaway(has_dialled ? std::string_view(options_.drain_to) : std::string_view(), drain,
                              host_.now());
    }
    host_.touch();
    if (host_.peers().empty()) return host_.stop();
    leaving_until_ = host_.now() + drain;
    let_go();
  }
  void let_go() {
    patience_.expires_after(std::chrono::milliseconds(100));
    patience_.async_wait([this](const boost::system::error_code& e) {
      if (e) return;
      const bool is_over = host_.now() >= leaving_until_;
      for (const auto& p : host_.peers())
        if (is_over || relay_.is_idle(*p)) p->session.close();
      host_.touch();
      if (host_.now() >= leaving_until_ + moql::seconds(2)) return host_.stop();  // whoever does not hear
      let_go();
    });
  }

  const options& options_;
  net::host host_{*this};
  net::relay_peers relay_{host_, relaying()};
  net::uplinks links_{host_, relay_, say};
  moql::session_counters gone_{};
  examples::relay_status status_{};
  std::ofstream stats_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::unique_ptr<net::listener> listener_;
  boost::asio::steady_timer status_timer_{host_.io()}, stats_timer_{host_.io()}, patience_{host_.io()};
  boost::asio::signal_set stopped_{host_.io(), SIGINT, SIGTERM};
  moql::instant leaving_until_{};
  bool is_leaving_ = false;
};

void add_relay_options(CLI::App& app, options& o) {
  app.add_option("--port", o.port, "UDP and TCP; 0 is any free one")->capture_default_str();
  app.add_option("--address", o.address, "To listen on")->capture_default_str();
  app.add_option("--cert", o.cert_file, "Certificate chain, PEM; default: one made for this run");
  app.add_option("--key", o.key_file, "Its private key, PEM");
  app.add_option("--upstream", o.upstreams, "URL to dial, and again when it is lost; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--peer", o.peers, "The same for another relay of a mesh; drafts 04 and later only")
      ->allow_extra_args(false);
  app.add_option("--link-version", o.link_versions, "Drafts for --upstream and --peer; default: those of --version")
      ->delimiter(',')
      ->check(CLI::IsMember({"01", "02", "03", "04", "05", "06"}));
  app.add_option("--hop", o.hop, "Our Hop ID; default: a random one")->check(CLI::Range(1ull, (1ull << 53) - 1));
  app.add_option("--cost", o.cost, "Price of what we send, told to peers of draft 06; default 1");
  app.add_option("--link-cost", o.link_cost, "Price of what comes over --upstream and --peer; default: what they say");
  app.add_option("--allow-announce", o.may_announce, "Prefix that peers may announce below; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--allow-subscribe", o.may_subscribe, "Prefix that peers may subscribe below; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--stats", o.stats, "File for a line of JSON now and then");
  app.add_option("--stats-interval", o.stats_interval, "Seconds between them")
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
  app.add_option("--drain", o.drain, "Seconds that peers have to leave once it is stopped")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--drain-to", o.drain_to, "URL that peers are asked to go to then");
  app.add_option("--idle-timeout", o.idle, "Seconds of silence after which a peer is taken for lost")
      ->check(CLI::Range(0.5, 3600.0))
      ->capture_default_str();
}
void add_limits(CLI::App& app, options& o) {
  constexpr std::uint64_t mb_max = 1u << 24;
  app.add_option("--peers-max", o.caps.peers_max, "Sessions")->capture_default_str();
  app.add_option("--routes-max", o.caps.routes_max, "Announcements")->capture_default_str();
  app.add_option("--peer-routes-max", o.caps.routes_per_peer_max, "Announcements of one peer")->capture_default_str();
  app.add_option("--tracks-max", o.caps.tracks_max, "Tracks passed on")->capture_default_str();
  app.add_option("--peer-tracks-max", o.caps.tracks_per_peer_max, "Tracks that one peer is the first to ask for")
      ->capture_default_str();
  app.add_option("--readers-max", o.caps.readers_max, "Subscriptions")->capture_default_str();
  app.add_option("--fetches-max", o.caps.fetches_max, "Fetches passed on at once")->capture_default_str();
  app.add_option("--streams-max", o.streams_max, "Streams of each kind that a peer may have open")
      ->capture_default_str();
  app.add_option("--cache-mb", o.cache_mb, "Megabytes kept of all tracks")
      ->check(CLI::Range(std::uint64_t{1}, mb_max))
      ->capture_default_str();
  app.add_option("--track-mb", o.track_mb, "Megabytes kept of one track")
      ->check(CLI::Range(std::uint64_t{1}, mb_max))
      ->capture_default_str();
  app.add_option("--track-groups", o.caps.track_groups_max, "Groups kept of one track")->capture_default_str();
  app.add_option("--cache-age", o.caps.cache_age_max_ms, "Milliseconds that a group is kept at most")
      ->capture_default_str();
  app.add_option("--linger", o.linger_ms, "Milliseconds that a track whose source is lost waits for another")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{3'600'000}))
      ->capture_default_str();
  app.add_option("--move-timeout", o.move_ms, "Milliseconds that a new source has to answer, and an old one to finish")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{3'600'000}))
      ->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Passes tracks from publishers to subscribers, over QUIC, WebTransport and WebSocket on one port.");
  add_relay_options(app, o);
  add_limits(app, o);
  net::add_shared_options(app, o);
  net::add_client_options(app, o);
  if (const auto code = net::parse(app, argc, argv)) return *code;
  return server(o).run();
}
