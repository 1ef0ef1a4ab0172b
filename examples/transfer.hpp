#pragma once
/// A file from one session to another in one version, over a network in memory: announced, discovered, subscribed to,
/// written group by group as the network drains, received in whatever order it arrives.

#include "reassembly.hpp"
#include "tap.hpp"
#include "transfer_setup.hpp"

namespace examples {

class transfer {
 public:
  /// `file` and `cut` must outlive the transfer: payload is never copied on the sending side.
  transfer(const transfer_options& o, const media& cut, byte_view file, pending_file& out)
      : options_(o),
        media_(cut),
        file_(file),
        net_(network_of(o)),
        client_(config_of(o, moql::endpoint::client), allocations_.get()),
        server_(config_of(o, moql::endpoint::server), allocations_.get()),
        client_wire_(net_.a(), peer::client, o.listeners),
        server_wire_(net_.b(), peer::server, o.listeners),
        track_(track_of(cut, file.size()), allocations_.get()),
        meter_({.max_age_ms = moql::for_ever_ms, .groups_max = 64}, allocations_.get()),
        received_(cut, moql::has_timestamps(o.ver), out) {
    result_.warm_groups = std::min(cut.groups.size() / 2, warm_groups_max);
  }

  /// For the clocks of listeners.
  [[nodiscard]] moql::instant now() const { return net_.now(); }

  [[nodiscard]] transfer_result run() {
    (void)client_.start(net_.a().protocol(), net_.now());
    (void)server_.start(net_.b().protocol(), net_.now());
    while (!is_over_ && result_.trouble.empty()) {
      turn();
      if (!move_on()) fail("nothing moves any more");
    }
    do turn();
    while (net_.step(client_, server_));  // datagrams may still be on their way
    count();
    client_.close();
    do turn();
    while (net_.step(client_, server_));
    if (net_.violations() != 0) fail("the transport was misused: " + std::string(net_.last_violation()));
    return std::move(result_);
  }

 private:
  static constexpr std::uint64_t bytes_ahead = 512 * 1024;
  static constexpr std::size_t warm_groups_max = 64;
  static constexpr std::size_t datagrams_a_turn = 32;  // a session drops those that the transport does not take
  static constexpr std::string_view broadcast = "examples/loopback", media_track = "media", meter_track = "meter";

  // ---- the loop

  void turn() {
    client_.on_deadline(net_.now());  // `pump` would do it too, but after the events that it causes could be told
    server_.on_deadline(net_.now());
    while (auto e = client_.next_event()) subscriber(*e);
    while (auto e = server_.next_event()) publisher(*e);
    publish();
    moql::pump(client_, client_wire_, net_.now());
    moql::pump(server_, server_wire_, net_.now());
  }
  /// Delivers what is next in flight; when nothing is, lets time pass to the next deadline.
  [[nodiscard]] bool move_on() {
    if (is_over_ || net_.step(client_, server_)) {
      idle_turns_ = 0;
      return true;
    }
    moql::instant next = client_.next_deadline();
    if (server_.next_deadline() < next) next = server_.next_deadline();
    if (next == moql::never_due || ++idle_turns_ > 100) return false;
    net_.advance_to(next);
    return true;
  }

  // ---- what the two applications do

  void publisher(const moql::event& e) {
    const auto serve = [&](moql::request_id id, std::string_view track) {
      if (track == media_track) return server_.serve(id, track_);
      if (track == meter_track) return server_.serve(id, meter_);
      return server_.reject(id, moql::stream_code::not_found);
    };
    std::visit(moql::overload{
                   [&](const moql::connected&) { want(server_.announce(broadcast).error(), "announce"); },
                   [&](const moql::subscribe_requested& r) {
                     want(serve(r.request, r.track), "serve a subscription");
                     has_subscriber_ = has_subscriber_ || r.track == media_track;
                   },
                   [&](const moql::track_requested& r) { want(serve(r.request, r.track), "serve a question"); },
                   [&](const moql::session_closed& c) { closed(c, "publisher"); },
                   [](const auto&) {},
               },
               e);
  }

  void subscriber(const moql::event& e) {
    std::visit(
        moql::overload{
            [&](const moql::connected&) { want(client_.discover("", net_.now()).error(), "discover"); },
            [&](const moql::announced& a) {
              if (a.path == broadcast) subscribe();
            },
            [&](const moql::track_known& t) { knows_meter_ = knows_meter_ || t.subscription == meter_subscription_; },
            [&](const moql::frame_part& p) {
              if (p.subscription != media_subscription_) return;
              received_.take(p.group, p.frame, p.timestamp, p.is_last(), p.payload);
              options_.progress(received_.bytes());
            },
            [&](const moql::group_finished& g) {
              if (g.subscription == media_subscription_) finish_group(g);
            },
            [&](const moql::datagram_received&) { ++result_.datagrams_received; },
            [&](const moql::groups_lost& l) {
              if (l.subscription == media_subscription_)
                fail("groups " + std::to_string(l.first) + " to " + std::to_string(l.last) + " were lost");
            },
            [&](const moql::subscription_closed& c) {
              if (c.subscription != media_subscription_) return;
              is_over_ = true;
              want(c.why, "receive the whole track");
            },
            [&](const moql::session_closed& c) { closed(c, "subscriber"); },
            [](const auto&) {},
        },
        e);
  }
  void subscribe() {
    moql::subscribe_options everything;
    everything.want.max_age_ms = moql::for_ever_ms;
    everything.want.group_start = 0;
    const auto id = client_.subscribe(broadcast, media_track, everything, net_.now());
    want(id.error(), "subscribe");
    if (id.has_value()) media_subscription_ = *id;
    if (!wants_meter()) return;
    const auto meter = client_.subscribe(broadcast, meter_track, everything, net_.now());
    want(meter.error(), "subscribe to the meter");
    if (meter.has_value()) meter_subscription_ = *meter;
  }
  [[nodiscard]] bool wants_meter() const {
    return options_.datagram_loss.has_value() && moql::has_datagrams(options_.ver);
  }
  void finish_group(const moql::group_finished& g) {
    want(g.why, "receive a group");
    received_.finish_group(g.group);
    if (received_.groups() == result_.warm_groups) warm_allocations_ = allocations_.count;
  }

  /// Writes on while the subscriber is not too far behind: what is in the cache and on its way stays bounded.
  void publish() {
    if (!has_subscriber_ || knows_meter_ != wants_meter() || track_.is_finished()) return;
    datagrams_due_ = datagrams_a_turn;
    for (; group_ < media_.groups.size(); ++group_, frame_ = 0, has_begun_ = false) {
      const media_group& g = media_.groups[group_];
      // 01 and 02 begin with the latest group there is, so the second one waits until the first is under way.
      const std::size_t ahead_max = received_.bytes() == 0 ? 1 : groups_ahead;
      if (!has_begun_ && group_ >= received_.groups() + ahead_max) return;
      if (!std::exchange(has_begun_, true)) want(track_.begin_group(g.sequence, net_.now()), "begin a group");
      for (; frame_ < g.frames.size(); ++frame_) {
        const media_frame& f = g.frames[frame_];
        const std::uint64_t ahead = written_ - received_.bytes();
        if (ahead != 0 && ahead + f.size > bytes_ahead) return;
        want(track_.append(f.timestamp, moql::bytes::borrow(file_.subspan(f.offset, f.size))), "write a frame");
        written_ += f.size;
        measure();
        if (!result_.trouble.empty()) return;
      }
      want(track_.end_group(), "end a group");
    }
    track_.finish();
  }
  /// A datagram with how much was written so far, as a meter would send it.
  void measure() {
    if (!knows_meter_ || datagrams_due_ == 0) return;
    --datagrams_due_;
    const std::string text = std::to_string(written_);
    want(meter_.write_datagram(result_.datagrams_sent, moql::bytes::copy(text), net_.now()), "write a datagram");
    ++result_.datagrams_sent;
  }

  // ---- the outcome

  void want(moql::errc e, const char* what) {
    if (e != moql::errc::ok) fail(std::string("could not ") + what + ": " + std::string(moql::text_of(e)));
  }
  void closed(const moql::session_closed& c, const char* who) {
    if (is_over_ && c.why == moql::errc::ok) return;
    fail(std::string("the ") + who + "'s session ended: " + std::string(moql::text_of(c.why)) + " " +
         std::string(c.reason));
  }
  void fail(const std::string& why) {
    if (result_.trouble.empty()) result_.trouble = why;
  }
  void count() {
    result_.groups = received_.groups();
    result_.frames = received_.frames();
    result_.bytes = received_.bytes();
    result_.streams = net_.counters().streams_opened;
    result_.control_bytes = net_.counters().bytes_sent - result_.bytes;
    result_.steady_allocations = allocations_.count - warm_allocations_;
    if (!received_.why().empty()) fail(received_.why());
  }

  const transfer_options& options_;
  const media& media_;
  byte_view file_;
  allocation_counter allocations_;
  moql::loopback_network net_;
  moql::session client_, server_;
  tap<moql::loopback_network::endpoint> client_wire_, server_wire_;
  moql::track_cache track_, meter_;
  reassembly received_;
  transfer_result result_{};
  moql::subscription_id media_subscription_{}, meter_subscription_{};
  bool has_subscriber_ = false;
  bool knows_meter_ = false;
  bool is_over_ = false;
  bool has_begun_ = false;
  std::size_t group_ = 0, frame_ = 0;  // what is written next
  std::uint64_t written_ = 0;
  std::uint64_t warm_allocations_ = 0;
  int idle_turns_ = 0;
  std::size_t datagrams_due_ = 0;
};

}  // namespace examples
