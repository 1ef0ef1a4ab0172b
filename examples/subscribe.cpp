/// moql-subscribe: one track of a broadcast, from any of the transports to a file or standard output.
///
/// Groups are written in order, whole groups only. What does not come, or not in time, is said, never passed over in
/// silence.
/// Exit codes: 0 the track was received to its end, 1 it was not, 2 not started.

#include <moql/session/in_order_feed.hpp>

#include "event_text.hpp"
#include "net/client.hpp"
#include "output.hpp"

namespace {

struct options : net::shared_options {
  std::string url, broadcast, track, out;
  std::optional<std::uint64_t> from, to;
  std::uint64_t max_age_ms = moql::for_ever_ms;
  std::uint64_t wait_ms = 10'000, hold_mb = 64, patience = 0;
  std::uint8_t priority = 128;
};

class subscriber : public net::client {
 public:
  subscriber(const options& o, examples::output& to)
      : client("moql-subscribe"), options_(o), to_(to), progress_(o.quiet) {}

  [[nodiscard]] int run() {
    net::dial(host_, options_.url, net::dialling(options_));
    host_.run();
    if (!has_failed() || progress_.bytes != 0) progress_.total("received");
    return exit_code();
  }

  void on_event(net::peer& p, const moql::event& e, moql::instant now) override {
    if (options_.log) std::fprintf(stderr, "%s\n", examples::text_of(e).c_str());
    std::visit(
        moql::overload{
            [&](const moql::connected&) {
              if (options_.patience == 0) return subscribe(p, now);
              wait_for_broadcast(p, now);
            },
            [&](const moql::announce_updated&) {},
            [&](const moql::announced& a) {
              if (is_waiting_ && moql::same_path(a.path, options_.broadcast)) subscribe(p, now);
            },
            [&](const moql::frame_part& f) { progress_.bytes += f.payload.size(); },
            [&](const moql::datagram_received& d) { progress_.bytes += d.payload.size(); },
            [&](const moql::goaway_received& g) { complain("the peer is going away" + net::quoted_reason(g.uri)); },
            [&](const moql::session_closed& c) { give_up(net::text_of(c)); },
            [](const auto&) {},
        },
        e);
    if (reader_ && moql::feed(*reader_, subscription_, e, now)) take_out(p);
    if (const auto* c = std::get_if<moql::subscription_closed>(&e)) closed(p, *c);
    progress_.show("received");
  }

 private:
  /// Somebody may be about to publish it.
  void wait_for_broadcast(net::peer& p, moql::instant now) {
    is_waiting_ = p.session.discover(options_.broadcast, now).has_value();
    if (!is_waiting_) return subscribe(p, now);
    patience_.expires_after(std::chrono::seconds(options_.patience));
    patience_.async_wait([this](const boost::system::error_code& e) {
      if (e || !is_waiting_) return;
      give_up("nobody announces the broadcast '" + options_.broadcast + "'");
      leave();
    });
  }
  void subscribe(net::peer& p, moql::instant now) {
    is_waiting_ = false;
    patience_.cancel();
    moql::subscribe_options want;
    want.want = {.priority = options_.priority,
                 .ordered = true,
                 .max_age_ms = options_.max_age_ms,
                 .group_start = options_.from,
                 .group_end = options_.to};
    // Versions 01 and 02 carry priorities below 64 only, and no ranges.
    if (!moql::has_ranges(p.session.negotiated())) want.want = {.priority = 32};
    const auto id = p.session.subscribe(options_.broadcast, options_.track, want, now);
    if (!id.has_value()) {
      give_up("cannot subscribe: " + std::string(moql::text_of(id.error())));
      return p.session.close();
    }
    subscription_ = *id;
    moql::in_order_options in_order{
        .wait_max = options_.wait_ms > INT64_MAX / 1000
                        ? moql::for_ever
                        : moql::milliseconds(static_cast<std::int64_t>(options_.wait_ms)),
        .bytes_max = options_.hold_mb > UINT64_MAX / 1'000'000 ? UINT64_MAX : options_.hold_mb * 1'000'000,
        .groups_max = 10'000,
        .whole_groups = true,
        .ver = p.session.negotiated()};
    if (options_.max_age_ms != moql::for_ever_ms) in_order.max_age_ms = options_.max_age_ms;
    reader_.emplace(in_order);
  }
  /// Writes what is in order by now, and says what is not.
  void take_out(net::peer& p) {
    while (const auto item = reader_->next())
      std::visit(moql::overload{
                     [](const moql::group_begins&) {},
                     [&](const moql::group_part& f) { to_.write(f.payload.view()); },
                     [&](const moql::group_ends&) { ++progress_.groups; },
                     [&](const moql::groups_skipped& s) { skipped(p, s); },
                 },
                 *item);
    to_.flush();
    if (!to_.why().empty() && !is_decided()) {
      give_up(to_.why());
      p.session.close();
    }
    wait();
  }
  void skipped(net::peer& p, const moql::groups_skipped& s) {
    progress_.drops += s.last - s.first + 1;
    const bool is_one = s.first == s.last;
    if (is_one) (void)p.session.skip(subscription_, s.first);  // its rest would come for nothing
    if (is_interrupted_) return;
    std::string what = is_one ? "group " + std::to_string(s.first) + " was "
                              : "groups " + std::to_string(s.first) + " to " + std::to_string(s.last) + " were ";
    complain(what + why_skipped(s));
  }
  [[nodiscard]] std::string why_skipped(const moql::groups_skipped& s) const {
    const std::string code = " (" + net::named<moql::stream_code>(s.code) + ")";
    switch (s.why) {
      case moql::skip::dropped: return "dropped by the publisher" + code;
      case moql::skip::before_start: return "skipped by the publisher" + code;
      case moql::skip::unaccounted: return "not accounted for" + code;
      case moql::skip::expired: return "too old";
      case moql::skip::waited: return "not there after " + std::to_string(options_.wait_ms) + " ms";
      case moql::skip::bytes_full: return "not there when " + std::to_string(options_.hold_mb) + " MB were held";
      case moql::skip::groups_full: return "not there when too many later groups were";
      case moql::skip::out_of_memory: return "lost for want of memory";
      case moql::skip::late: return "too late: later ones had been written";
      case moql::skip::cut: return "cut short: " + net::text_of(s.error, s.code);
      case moql::skip::ended: break;
    }
    return "not there at the end";
  }
  /// Looks again when the reader has waited long enough.
  void wait() {
    const moql::instant next = reader_->next_deadline();
    if (next == deadline_) return;
    deadline_ = next;
    timer_.cancel();
    if (next == moql::never_due) return;
    timer_.expires_after(std::chrono::microseconds(std::max<std::int64_t>(0, next.us - host_.now().us)));
    timer_.async_wait([this](const boost::system::error_code& e) {
      if (e || host_.peers().empty()) return;
      deadline_ = moql::never_due;
      reader_->on_deadline(host_.now());
      take_out(*host_.peers().front());
      host_.touch();
    });
  }
  void closed(net::peer& p, const moql::subscription_closed& c) {
    if (c.why == moql::errc::transport_closed) return;  // the session says it too, and why
    const bool is_whole = c.why == moql::errc::ok;
    if (is_whole) {
      succeed();
    } else if (c.why == moql::errc::refused_by_peer || (c.why == moql::errc::reset_by_peer && progress_.groups == 0)) {
      give_up("no track '" + options_.track + "' of broadcast '" + options_.broadcast +
              "': " + net::text_of(c.why, c.code));
    } else {
      give_up("the subscription ended: " + net::text_of(c.why, c.code));
    }
    p.session.close();
  }
  /// What is whole by now is what was wanted.
  void interrupted() override {
    is_interrupted_ = true;
    if (reader_ && !host_.peers().empty()) {
      reader_->close(host_.now());
      take_out(*host_.peers().front());
    }
    succeed();
    leave();
  }

  const options& options_;
  std::optional<moql::in_order_reader> reader_;
  moql::subscription_id subscription_{};
  examples::output& to_;
  net::progress progress_;
  boost::asio::steady_timer timer_{host_.io()}, patience_{host_.io()};
  moql::instant deadline_ = moql::never_due;
  bool is_interrupted_ = false;
  bool is_waiting_ = false;  ///< For the broadcast to be announced.
};

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Receives TRACK of BROADCAST from the server at URL and writes its groups in order.");
  app.add_option("URL", o.url,
                 "moqt:// or moql:// (QUIC), https:// (WebTransport), ws:// or wss:// (WebSocket), tcp://")
      ->required();
  app.add_option("BROADCAST", o.broadcast, "Path of the broadcast")->required();
  app.add_option("TRACK", o.track, "Name of the track")->required();
  app.add_option("-o,--out", o.out, "File to write; standard output if there is none");
  app.add_option("--from", o.from, "First group (03 on); default: the latest");
  app.add_option("--to", o.to, "Last group (03 on); default: to the end of the track");
  app.add_option("--max-age", o.max_age_ms, "Milliseconds after which a group is no longer wanted; default: never");
  app.add_option("--patience", o.patience, "Seconds to wait for a broadcast that nobody announces yet")
      ->capture_default_str();
  app.add_option("--wait", o.wait_ms, "Milliseconds that a group which does not come on holds up those behind it")
      ->capture_default_str();
  app.add_option("--hold", o.hold_mb, "Megabytes that may be held behind such a group, or of one that is not whole")
      ->capture_default_str();
  app.add_option("--priority", o.priority, "0 to 255, larger is sent first")->capture_default_str();
  net::add_shared_options(app, o);
  net::add_client_options(app, o);
  if (const auto code = net::parse(app, argc, argv)) return *code;
  examples::output to(o.out);
  if (!to.why().empty()) {
    std::fprintf(stderr, "moql-subscribe: %s\n", to.why().c_str());
    return net::not_started;
  }
  int code = subscriber(o, to).run();
  if (code == net::all_well) to.keep();
  if (!to.why().empty()) {
    std::fprintf(stderr, "moql-subscribe: %s\n", to.why().c_str());
    code = net::went_wrong;
  }
  return code;
}
