/// moql-serve: accepts publishers and subscribers over every transport and passes tracks from the ones to the others.
/// A server for one machine: files for a browser, a test picture, no limits to set. `moql-relay` is for more than that.
///
/// Exit codes: 0 stopped by a signal, 2 not started.

#include <boost/asio/signal_set.hpp>

#include "event_text.hpp"
#include "net/command_line.hpp"
#include "net/listen.hpp"
#include "net/own_certificate.hpp"
#include "net/relay_peers.hpp"
#include "picture_track.hpp"
#include "web_files.hpp"

namespace {

struct options : net::shared_options {
  std::string address = "127.0.0.1", picture, web;
  std::uint16_t port = 4443;
  std::uint32_t streams_max = 1000;
};

class server : public net::program {
 public:
  explicit server(const options& o) : options_(o), progress_(o.quiet) {
    stopped_.async_wait([this](const boost::system::error_code& e, int) {
      if (!e) leave();
    });
  }

  [[nodiscard]] int run() {
    if (relay_.core().options().hop == 0) return refuse("no random number for the Hop ID");
    net::listen_options l;
    l.session.versions = net::versions_of(options_);
    l.session.hop = relay_.core().options().hop;
    l.session.hash_seed = relay_.core().options().hash_seed;
    l.protocols = net::protocols_of(l.session.versions);
    l.address = options_.address;
    l.port = options_.port;
    l.streams_max = options_.streams_max;
    std::string why;
    const auto certificate = net::load_or_make_certificate(options_.cert_file, options_.key_file, why);
    if (!certificate) return refuse(why);
    l.cert_file = certificate->cert_file;
    l.key_file = certificate->key_file;
    listener_ = net::listen(host_, l, why, examples::web_files(options_.web, certificate->hash_hex));
    if (!listener_) return refuse(why);
    if (!options_.picture.empty()) {
      picture_.emplace(host_);
      if (const moql::errc e = relay_.core().announce(net::relay_peers::scope, options_.picture); e != moql::errc::ok)
        return refuse("cannot announce '" + options_.picture + "': " + std::string(moql::text_of(e)));
    }
    std::fprintf(stderr, "moql-serve: %s port %u, certificate SHA-256 %s\n", options_.address.c_str(),
                 unsigned{listener_->port()}, certificate->hash_hex.c_str());
    host_.run();
    return net::all_well;
  }

  void on_event(net::peer& p, const moql::event& e, moql::instant now) override {
    if (options_.log) std::fprintf(stderr, "%s %s\n", p.address().c_str(), examples::text_of(e).c_str());
    const auto* closed = std::get_if<moql::session_closed>(&e);
    // That a peer leaves, in order or not, is no news; that we had to throw it out is.
    if (closed != nullptr && !closed->by_peer && closed->why != moql::errc::ok &&
        closed->why != moql::errc::transport_closed)
      std::fprintf(stderr, "moql-serve: %s: %s\n", p.address().c_str(), net::text_of(*closed).c_str());
    relay_.on_event(p, e, now);
    const moql::relay_counters& c = relay_.core().counters();
    progress_.bytes = c.bytes_in;
    progress_.groups = c.groups_in;
    progress_.drops = c.groups_lost;
    progress_.show("passed on");
  }
  bool on_turn(moql::instant) override {
    relay_.on_turn();
    return false;
  }
  [[nodiscard]] moql::instant next_deadline() const override { return relay_.next_deadline(); }
  void on_deadline(moql::instant now) override { relay_.on_deadline(now); }
  void on_gone(net::peer& p, const net::ending& why) override {
    relay_.on_gone(p, host_.now());
    if (options_.log)
      std::fprintf(stderr, "%s left (%s): %s\n", p.address().c_str(), std::string(p.transport()).c_str(),
                   why.text.c_str());
    if (is_leaving_ && host_.peers().empty()) host_.stop();
  }
  void on_unreachable(const net::ending& why) override {
    if (!why.text.empty()) std::fprintf(stderr, "moql-serve: %s\n", why.text.c_str());
  }

 private:
  /// One machine: a file that waits for a slow reader may take most of its memory.
  [[nodiscard]] moql::relay_options relaying() {
    moql::relay_options r;
    r.hop = net::random_hop();
    r.hash_seed = net::random_hop();
    r.caps.track_bytes_max = std::uint64_t{256} << 20;
    r.caps.cache_age_max_ms = moql::for_ever_ms;
    r.hooks.context = this;
    r.hooks.produced = [](void* context, moql::scope_id, std::string_view path,
                          std::string_view track) noexcept -> moql::track_cache* {
      auto* me = static_cast<server*>(context);
      const bool is_ours = me->picture_ && track == "picture" && moql::same_path(path, me->options_.picture);
      return is_ours ? &me->picture_->track() : nullptr;
    };
    return r;
  }
  static int refuse(const std::string& why) {
    std::fprintf(stderr, "moql-serve: %s\n", why.c_str());
    return net::not_started;
  }
  void leave() {
    is_leaving_ = true;
    listener_->close();
    if (host_.peers().empty()) return host_.stop();
    for (const auto& p : host_.peers()) p->session.close();
    host_.touch();
    patience_.expires_after(std::chrono::seconds(2));
    patience_.async_wait([this](const boost::system::error_code&) { host_.stop(); });
  }

  const options& options_;
  net::progress progress_;
  net::host host_{*this};
  net::relay_peers relay_{host_, relaying()};
  std::optional<examples::picture_track> picture_;
  std::unique_ptr<net::listener> listener_;
  boost::asio::steady_timer patience_{host_.io()};
  boost::asio::signal_set stopped_{host_.io(), SIGINT, SIGTERM};
  bool is_leaving_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Passes tracks from publishers to subscribers, over QUIC, WebTransport and WebSocket on one port.");
  app.add_option("--port", o.port, "UDP and TCP; 0 is any free one")->capture_default_str();
  app.add_option("--address", o.address, "To listen on")->capture_default_str();
  app.add_option("--cert", o.cert_file, "Certificate chain, PEM; default: one made for this run");
  app.add_option("--key", o.key_file, "Its private key, PEM");
  app.add_option("--streams", o.streams_max, "Streams of each kind that a peer may have open")->capture_default_str();
  app.add_option("--picture", o.picture, "Publish a moving test picture as this broadcast, track 'picture'");
  app.add_option("--web", o.web, "Serve the files of this folder over HTTP on the TCP port");
  net::add_shared_options(app, o);
  if (const auto code = net::parse(app, argc, argv)) return *code;
  return server(o).run();
}
