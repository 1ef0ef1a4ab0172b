/// moql-picture: publishes a moving test picture to whoever connects, over QUIC, WebTransport and WebSocket on one
/// port.
///
/// The smallest whole program: a server, one broadcast with one live track, a page to look at it. Subscribers read the
/// track through cursors of their own; what a slow one cannot take in time is dropped for it alone.
/// Exit codes: 0 stopped by a signal, 2 not started.

#include <boost/asio/signal_set.hpp>

#include "net/command_line.hpp"
#include "net/listen.hpp"
#include "net/own_certificate.hpp"
#include "picture_track.hpp"
#include "web_files.hpp"

namespace {

class picture_server : public net::program {
 public:
  picture_server() {
    stopped_.async_wait([this](const boost::system::error_code& e, int) {
      if (!e) leave();
    });
  }
  int run(net::listen_options o, const std::string& broadcast, const std::string& web) {
    broadcast_ = broadcast;
    std::string why;
    const auto certificate = net::load_or_make_certificate(o.cert_file, o.key_file, why);
    if (certificate) {
      o.cert_file = certificate->cert_file;
      o.key_file = certificate->key_file;
      listener_ = net::listen(host_, o, why, examples::web_files(web, certificate->hash_hex));
    }
    if (!listener_) {
      std::fprintf(stderr, "moql-picture: %s\n", why.c_str());
      return net::not_started;
    }
    std::printf("port %u\n", unsigned{listener_->port()});
    std::fflush(stdout);
    host_.run();
    return net::all_well;
  }

  void on_event(net::peer& p, const moql::event& e, moql::instant) override {
    const auto answer = [&](moql::request_id id, std::string_view broadcast, std::string_view track) {
      if (moql::same_path(broadcast, broadcast_) && track == "picture")
        (void)p.session.serve(id, picture_.track());
      else
        (void)p.session.reject(id, moql::stream_code::not_found);
    };
    std::visit(moql::overload{
                   [&](const moql::connected&) { (void)p.session.announce(broadcast_); },
                   [&](const moql::subscribe_requested& r) { answer(r.request, r.broadcast, r.track); },
                   [&](const moql::track_requested& r) { answer(r.request, r.broadcast, r.track); },
                   [&](const moql::fetch_requested& r) { answer(r.request, r.broadcast, r.track); },
                   [](const auto&) {},
               },
               e);
  }
  void on_gone(net::peer& p, const net::ending& why) override {
    std::fprintf(stderr, "%s left: %s\n", p.address().c_str(), why.text.c_str());
    if (is_leaving_ && host_.peers().empty()) host_.stop();
  }
  void on_unreachable(const net::ending&) override {}

 private:
  /// Tells everybody, and waits a little for them to hear it.
  void leave() {
    is_leaving_ = true;
    listener_->close();
    if (host_.peers().empty()) return host_.stop();
    for (const auto& p : host_.peers()) p->session.close();
    host_.touch();
    patience_.expires_after(std::chrono::seconds(2));
    patience_.async_wait([this](const boost::system::error_code&) { host_.stop(); });
  }

  net::host host_{*this};
  examples::picture_track picture_{host_};
  std::string broadcast_;
  std::unique_ptr<net::listener> listener_;
  boost::asio::steady_timer patience_{host_.io()};
  boost::asio::signal_set stopped_{host_.io(), SIGINT, SIGTERM};
  bool is_leaving_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  net::listen_options o;
  std::string broadcast = "test/picture", web;
  CLI::App app("Publishes a moving test picture.");
  app.add_option("--port", o.port, "UDP and TCP; 0 is any free one")->capture_default_str();
  app.add_option("--cert", o.cert_file, "Certificate chain, PEM; default: one made for this run");
  app.add_option("--key", o.key_file, "Its private key, PEM");
  app.add_option("--broadcast", broadcast, "Its path")->capture_default_str();
  app.add_option("--web", web, "Serve the files of this folder over HTTP on the TCP port");
  if (const auto code = net::parse(app, argc, argv)) return *code;
  o.protocols = net::protocols_of(o.session.versions);
  return picture_server().run(o, broadcast, web);
}
