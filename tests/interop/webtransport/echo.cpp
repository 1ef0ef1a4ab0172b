/// A WebTransport server that answers bytes with bytes, no moql on it: for trying the layer against a browser.
///
/// What a bidirectional stream brings is echoed on it; what a unidirectional one brings, on one of ours, once it is
/// whole; datagrams come back. "close me", "stop me" and "reset me" as the whole of a stream's first piece do what they
/// say. Codes that arrive, and what else a page cannot see, are lines on standard output. Ends with its standard input.

#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdio>
#include <deque>
#include <map>

#include "net/own_certificate.hpp"
#include "webtransport/endpoint.hpp"

namespace {

using moql::direction;
using moql::stream_id;

class echo_peer final : public net::peer, private net::transport_events {
 public:
  echo_peer(std::shared_ptr<quic::link> l, webtransport::options o)
      : peer(moql::config{}), link_(std::move(l)), layer_(link_->quic, std::move(o), link_->host().now()) {
    link_->quic.bind(layer_);
  }
  [[nodiscard]] std::string_view transport() const override { return "echo"; }
  [[nodiscard]] std::string address() const override { return link_->address_text(); }
  void pump(moql::instant now) override {
    layer_.service(now);
    if (layer_.is_open() && !std::exchange(is_attached_, true)) {
      say("open path=" + layer_.path() + " protocol=" + std::string(layer_.protocol()) +
          " datagram=" + std::to_string(layer_.max_datagram()));
      layer_.attach(*this);
    }
    for (const auto& act : std::exchange(acts_, {})) act();
    while (!ready_.empty()) {
      const moql::open_result r = layer_.open(direction::uni);
      if (r.status != moql::transport_status::ok) break;
      out_[r.id] = std::move(ready_.front());
      ready_.pop_front();
    }
    for (auto& [id, o] : out_) write(id, o);
    std::erase_if(out_, [](const auto& o) { return o.second.is_over; });
    layer_.service(now);
    do {
      link_->flush();
    } while (layer_.flushed());
  }
  [[nodiscard]] moql::instant next_deadline() const override { return layer_.next_deadline(); }
  void on_deadline(moql::instant now) override { layer_.on_deadline(now); }
  [[nodiscard]] bool is_over() const override { return link_->is_over(); }
  [[nodiscard]] net::ending why() const override { return {layer_.why().empty(), layer_.why()}; }

 private:
  struct output {
    std::vector<std::uint8_t> bytes{};
    std::size_t sent = 0;
    bool fin = false, is_over = false;
  };

  static void say(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  }
  void write(stream_id id, output& o) {
    if (o.is_over || (o.sent == o.bytes.size() && !o.fin)) return;
    const moql::chunk c{o.bytes.data() + o.sent, o.bytes.size() - o.sent, nullptr};
    const moql::write_result r = layer_.write(id, {&c, 1}, o.fin);
    o.sent += r.accepted;
    if (r.status != moql::transport_status::blocked) {
      o.is_over = o.fin || r.status == moql::transport_status::closed;
      o.bytes.clear();
      o.sent = 0;
    }
  }
  stream_id open(direction d) {
    const moql::open_result r = layer_.open(d);
    if (r.status != moql::transport_status::ok) say("no stream can be opened");
    return r.id;
  }

  void on_open(stream_id id, direction d, moql::instant) noexcept override { is_uni_[id] = d == direction::uni; }
  void on_data(stream_id id, moql::bytes data, bool fin, moql::instant) noexcept override {
    const std::string text(data.text());
    acts_.push_back([this, id, n = data.size()] { layer_.consume(id, n); });
    if (text == "close me") return acts_.push_back([this] { layer_.close(4321, "server says bye"); });
    if (text == "stop me")
      return acts_.push_back([this, id] {
        layer_.stop(id, 55);
        layer_.reset(id, 56);
      });
    if (text == "reset me")
      return acts_.push_back([this] {
        const stream_id r = open(direction::uni);
        out_[r].bytes = {'x'};
        write(r, out_[r]);
        layer_.reset(r, 300);  // at once: the page must still learn whose stream that was
        const stream_id s = open(direction::bidi);
        out_[s].bytes = {'y'};
      });
    output& o = is_uni_[id] ? whole_[id] : out_[id];
    o.bytes.insert(o.bytes.end(), data.data(), data.data() + data.size());
    o.fin = o.fin || fin;
    if (!is_uni_[id] || !fin) return;
    ready_.push_back(std::move(whole_[id]));
    whole_.erase(id);
  }
  void on_reset(stream_id, std::uint64_t code, moql::instant) noexcept override {
    say("reset " + std::to_string(code));
  }
  void on_stop(stream_id id, std::uint64_t code, moql::instant) noexcept override {
    say("stop " + std::to_string(code));
    acts_.push_back([this, id, code] { layer_.reset(id, code); });
  }
  void on_writable(stream_id) noexcept override {}
  void on_credit(direction) noexcept override {}
  void on_datagram(moql::bytes data, moql::instant) noexcept override {
    acts_.push_back([this, d = data.clone()] { (void)layer_.datagram(d.view()); });
  }
  void on_close(const moql::close_info& why, moql::instant) noexcept override {
    say("close application=" + std::to_string(why.application) + " code=" + std::to_string(why.code) +
        " reason=" + std::string(why.reason));
  }

  std::shared_ptr<quic::link> link_;
  webtransport::session<quic::connection> layer_;
  bool is_attached_ = false;
  std::vector<std::function<void()>> acts_{};
  std::map<stream_id, bool> is_uni_{};
  std::map<stream_id, output> out_{}, whole_{};
  std::deque<output> ready_{};  ///< Until there is a stream for them.
};

class echo_program : public net::program {
 public:
  void on_event(net::peer&, const moql::event&, moql::instant) override {}
  void on_gone(net::peer&, const net::ending& why) override {
    std::printf("gone %s\n", why.text.c_str());
    std::fflush(stdout);
  }
  void on_unreachable(const net::ending&) override {}
};

}  // namespace

int main() {
  echo_program p;
  net::host h(p);
  std::string why;
  net::listen_options o;
  o.protocols = {"moq-lite-04", "moq-lite-05"};
  const auto certificate = net::load_or_make_certificate({}, {}, why);
  if (!certificate) return std::fprintf(stderr, "%s\n", why.c_str()), 2;
  o.cert_file = certificate->cert_file;
  o.key_file = certificate->key_file;
  webtransport::options w;
  w.side = webtransport::role::server;
  w.offer.protocols = o.protocols;
  const auto s = quic::listen(
      h, o, [w](std::shared_ptr<quic::link> l) { return std::make_shared<echo_peer>(std::move(l), w); }, why);
  if (!s) return std::fprintf(stderr, "%s\n", why.c_str()), 2;
  std::printf("port %u hash %s\n", unsigned{s->port()}, certificate->hash_hex.c_str());
  std::fflush(stdout);
  boost::asio::posix::stream_descriptor in(h.io(), 0);
  char byte;
  in.async_read_some(boost::asio::buffer(&byte, 1), [&](const boost::system::error_code&, std::size_t) { h.stop(); });
  h.run();
}
