#pragma once
/// Two QUIC connections joined in memory, in virtual time, over a network that may lose packets.

#include <deque>
#include <random>

#include "net/certificate.hpp"
#include "quic/connection.hpp"

namespace testing {

struct quic_link_options {
  std::uint64_t seed = 1;
  unsigned loss_percent = 0;
  moql::duration delay = moql::milliseconds(1);
  std::vector<std::string> protocols{"moq-lite-06"};
  std::uint64_t streams_max = 1000;
  std::uint64_t stream_window = 256 * 1024;
  std::size_t stream_buffer = 64 * 1024;
  moql::duration idle_timeout = moql::seconds(30);
};

/// What both ends of all links use; made once, because keys take time.
struct quic_identity {
  quic_identity() {
    std::string error;
    const auto c = net::make_certificate(error);
    server = quic::detail::new_credentials();
    client = quic::detail::new_credentials();
    const auto datum = [](const std::string& s) {
      return gnutls_datum_t{reinterpret_cast<unsigned char*>(const_cast<char*>(s.data())),
                            static_cast<unsigned>(s.size())};
    };
    const gnutls_datum_t cert = datum(c->cert), key = datum(c->key);
    (void)gnutls_certificate_set_x509_key_mem(server.get(), &cert, &key, GNUTLS_X509_FMT_PEM);
    hash = c->hash;
  }
  quic::tls_credentials server, client;
  net::certificate_hash hash{};
  static const quic_identity& get() {
    static const quic_identity all;
    return all;
  }
};

class quic_link {
 public:
  explicit quic_link(quic_link_options o = {}) : options_(std::move(o)), random_(options_.seed) {
    (void)client_.quic.connect(client_.at, server_.at, settings(quic_identity::get().client),
                               {"localhost", false, {quic_identity::get().hash}}, now_);
    ignore_all nothing;
    while (!is_established() && step(nothing, nothing)) {
    }
  }
  quic_link(const quic_link&) = delete;
  quic_link& operator=(const quic_link&) = delete;

  [[nodiscard]] quic::connection& a() { return client_.quic; }
  [[nodiscard]] quic::connection& b() { return server_.quic; }
  [[nodiscard]] bool is_established() const { return client_.quic.is_established() && server_.quic.is_established(); }
  [[nodiscard]] moql::instant now() const { return now_; }
  [[nodiscard]] std::uint64_t packets() const { return packets_; }

  /// One packet arrives or one timer fires. False: nothing is in flight, and no timer has to do with what was.
  template <class SinkA, class SinkB>
  bool step(SinkA& sink_a, SinkB& sink_b) {
    net::events_to<SinkA> to_a(sink_a);
    net::events_to<SinkB> to_b(sink_b);
    client_.quic.bind(to_a);
    server_.quic.bind(to_b);
    flush(client_);
    flush(server_);
    const moql::instant due =
        std::min(client_.quic.next_deadline(), server_accepted_ ? server_.quic.next_deadline() : moql::never_due);
    if (!wire_.empty() && wire_.front().at <= due)
      arrive();
    else if (due < last_packet_ + quiet)
      fire(due);
    else
      return false;
    flush(client_);
    flush(server_);
    return true;
  }
  /// For the conformance suite: a lost packet may have carried one.
  [[nodiscard]] bool loses_datagrams() const { return options_.loss_percent != 0; }
  /// Nothing arrives any more.
  void cut() { losses_due_ = ~std::uint64_t{0}; }
  void lose_next(std::uint64_t packets) { losses_due_ = packets; }

 private:
  /// Loss is noticed sooner; only keep-alives and the end of idle connections are further away.
  static constexpr moql::duration quiet = moql::seconds(5);

  struct ignore_all {
    void on_open(moql::stream_id, moql::direction, moql::instant) noexcept {}
    void on_data(moql::stream_id, moql::bytes, bool, moql::instant) noexcept {}
    void on_reset(moql::stream_id, std::uint64_t, moql::instant) noexcept {}
    void on_stop(moql::stream_id, std::uint64_t, moql::instant) noexcept {}
    void on_writable(moql::stream_id) noexcept {}
    void on_credit(moql::direction) noexcept {}
    void on_datagram(moql::bytes, moql::instant) noexcept {}
    void on_close(const moql::close_info&, moql::instant) noexcept {}
  };
  struct end : quic::connection_holder {
    explicit end(std::uint16_t port) : at(quic::address::parse("127.0.0.1", port)) {}
    void on_established(quic::connection&) override {}
    void on_id(std::string_view) override {}
    void on_id_gone(std::string_view) override {}
    quic::address at;
    quic::connection quic{*this};
    std::uint8_t room_[2048]{};
  };
  struct packet {
    moql::instant at;
    bool to_server;
    std::vector<std::uint8_t> data;
  };
  struct writer {
    quic_link& link;
    end& from;
    [[nodiscard]] std::span<std::uint8_t> room() { return from.room_; }
    void put(std::size_t n, const quic::address&) {
      link.last_packet_ = link.now_;
      ++link.packets_;
      const bool is_chance = link.random_() % 100 < link.options_.loss_percent;
      if (is_chance || (link.losses_due_ != 0 && link.losses_due_-- != 0)) return;
      link.wire_.push_back({link.now_ + link.options_.delay, &from == &link.client_, {from.room_, from.room_ + n}});
    }
  };

  [[nodiscard]] quic::connection_settings settings(quic::tls_credentials c) const {
    quic::connection_settings s;
    s.credentials = std::move(c);
    s.protocols = options_.protocols;
    s.streams_max = options_.streams_max;
    s.stream_window = options_.stream_window;
    s.stream_buffer = options_.stream_buffer;
    s.idle_timeout = options_.idle_timeout;
    return s;
  }
  void flush(end& e) {
    if (&e == &server_ && !server_accepted_) return;
    writer w{*this, e};
    (void)e.quic.send(w, now_);
  }
  void arrive() {
    const packet p = std::move(wire_.front());
    wire_.pop_front();
    now_ = std::max(now_, p.at);
    if (p.to_server && !server_accepted_) {
      ngtcp2_pkt_hd hd{};
      if (ngtcp2_accept(&hd, p.data.data(), p.data.size()) != 0) return;
      server_accepted_ = true;
      (void)server_.quic.accept(server_.at, client_.at, settings(quic_identity::get().server), hd, now_);
    }
    end& to = p.to_server ? server_ : client_;
    to.quic.receive(to.at, (p.to_server ? client_ : server_).at, p.data, now_);
    to.quic.deliver();
  }
  void fire(moql::instant due) {
    now_ = std::max(now_, due);
    if (client_.quic.next_deadline() <= now_) client_.quic.on_deadline(now_);
    if (server_accepted_ && server_.quic.next_deadline() <= now_) server_.quic.on_deadline(now_);
  }

  quic_link_options options_;
  std::mt19937_64 random_;
  moql::instant now_ = moql::instant{1'000'000};
  moql::instant last_packet_ = now_;
  std::deque<packet> wire_;
  std::uint64_t packets_ = 0;
  std::uint64_t losses_due_ = 0;
  end client_{1}, server_{2};
  bool server_accepted_ = false;
};

}  // namespace testing
