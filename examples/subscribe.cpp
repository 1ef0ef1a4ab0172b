/// moql-subscribe: one track of a broadcast, from any of the transports to a file or standard output.
///
/// Groups are written in order, whole groups only. What does not come is said, never passed over in silence.
/// Exit codes: 0 the track was received to its end, 1 it was not, 2 not started.

#include "event_text.hpp"
#include "net/client.hpp"
#include "net/ordered_groups.hpp"
#include "output.hpp"

namespace {

struct options : net::shared_options {
  std::string url, broadcast, track, out;
  std::optional<std::uint64_t> from, to;
  std::uint64_t max_age_ms = net::for_ever_ms;
  std::uint8_t priority = 128;
};

class subscriber : public net::client {
 public:
  subscriber(const options& o, examples::output& to)
      : client("moql-subscribe"),
        options_(o),
        out_([&to](moql::byte_view v) { to.write(v); }),
        to_(to),
        progress_(o.quiet) {}

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
            [&](const moql::connected&) { subscribe(p, now); },
            [&](const moql::subscription_started& s) {
              if (s.group) out_.start_at(*s.group);
            },
            [&](const moql::group_started& g) { out_.begin(g.group); },
            [&](const moql::frame_part& f) {
              progress_.bytes += f.payload.size();
              out_.take(f.group, f.payload);
            },
            [&](const moql::group_finished& g) { finished(g); },
            [&](const moql::datagram_received& d) {
              progress_.bytes += d.payload.size();
              out_.begin(d.group);
              out_.take(d.group, d.payload);
              finished({d.subscription, d.group, moql::errc::ok, 0});
            },
            [&](const moql::groups_lost& l) { lost(l); },
            [&](const moql::subscription_closed& c) { closed(p, c); },
            [&](const moql::goaway_received& g) { complain("the peer is going away" + net::quoted_reason(g.uri)); },
            [&](const moql::session_closed& c) { give_up(net::text_of(c)); },
            [](const auto&) {},
        },
        e);
    progress_.show("received");
    if (!to_.why().empty() && !is_decided()) {
      give_up(to_.why());
      p.session.close();
    }
  }

 private:
  void subscribe(net::peer& p, moql::instant now) {
    moql::subscribe_options want;
    want.want = {.priority = options_.priority,
                 .ordered = true,
                 .max_age_ms = options_.max_age_ms,
                 .group_start = options_.from,
                 .group_end = options_.to};
    // Versions 01 and 02 carry priorities below 64 only, and no ranges.
    if (!moql::has_ranges(p.session.negotiated())) want.want = {.priority = 32};
    const auto id = p.session.subscribe(options_.broadcast, options_.track, want, now);
    if (id.has_value()) return;
    give_up("cannot subscribe: " + std::string(moql::text_of(id.error())));
    p.session.close();
  }
  void finished(const moql::group_finished& g) {
    if (g.why == moql::errc::ok) {
      ++progress_.groups;
      return out_.finish(g.group);
    }
    ++progress_.drops;
    out_.give_up(g.group);
    complain("group " + std::to_string(g.group) + " was cut short: " + net::text_of(g.why, g.code));
  }
  void lost(const moql::groups_lost& l) {
    constexpr const char* how[] = {"dropped by the publisher", "skipped by the publisher", "not accounted for"};
    progress_.drops += l.last - l.first + 1;
    for (std::uint64_t g = l.first; g <= l.last && g - l.first < net::ordered_groups::skips_max; ++g) out_.give_up(g);
    complain("groups " + std::to_string(l.first) + " to " + std::to_string(l.last) + " were " +
             how[static_cast<std::size_t>(l.how)] + " (" + net::named<moql::stream_code>(l.code) + ")");
  }
  void closed(net::peer& p, const moql::subscription_closed& c) {
    out_.flush();
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
    out_.flush();
    succeed();
    leave();
  }

  const options& options_;
  net::ordered_groups out_;
  examples::output& to_;
  net::progress progress_;
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
  app.add_option("--priority", o.priority, "0 to 255, larger is sent first")->capture_default_str();
  net::add_shared_options(app, o);
  net::add_client_options(app, o);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? net::all_well : net::not_started;
  }
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
