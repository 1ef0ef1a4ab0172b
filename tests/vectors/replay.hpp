#pragma once
/// Plays one side of a recorded session with a session of ours: the other side's bytes come in their order of time,
/// our application does what the recorded one did. Our streams are paired with the recorded ones by what they are for.

#include "publisher.hpp"
#include "subscriber.hpp"

namespace moql::vectors {

class replay {
 public:
  replay(const trace& t, payloads& p, who me, bool byte_by_byte)
      : t_(t), me_(me), bench_(t.ver, settings(t, me), byte_by_byte), ears(bench_, t), voice(bench_, t, p, me) {
    bench_.hear = [this](const event& e) {
      ears.hear(e);
      voice.hear(e, at_);
      if (const auto* c = std::get_if<session_closed>(&e)) closed = *c;
      if (std::holds_alternative<goaway_received>(e)) went_away = true;
    };
  }

  void run() {
    bench_.start();
    if (since(lite05).has(t_.ver) && opens_probe_unasked()) (void)bench_.session.probe();
    bench_.settle();
    auto next = t_.app.begin();
    for (const wire_event& e : t_.wire) {
      at_ = e.at;
      for (; next != t_.app.end() && next->at <= e.at; ++next)
        if (next->is_did && next->by == me_) perform(*next);
      bench_.now = bench_.now + milliseconds(1);
      if (e.from == me_)
        mine(e);
      else
        theirs(e);
    }
    bench_.wait(seconds(3));  // what was done behind the last event was not recorded
  }

  /// Ours for a recorded stream; none if we never opened one of that kind. Pairs in the order of opening.
  [[nodiscard]] std::optional<stream_id> pair(std::size_t n) {
    const recorded_stream& s = t_.streams[n];
    if (s.opener != me_)
      return bench_.wire.streams.contains(stream_id{s.quic_id}) ? std::optional(stream_id{s.quic_id}) : std::nullopt;
    if (const auto i = pairs_.find(n); i != pairs_.end()) return i->second;
    const std::string wanted = purpose_of(t_.ver, s.bidi, s.from(me_).bytes);
    if (wanted.empty()) return {};
    for (const stream_id id : bench_.wire.order) {
      const conduct& c = bench_.wire.streams.at(id);
      if (taken_.contains(id) || c.is_bidi != s.bidi || purpose_of(t_.ver, s.bidi, c.sent) != wanted) continue;
      taken_.insert(id);
      pairs_[n] = id;
      if (wanted.starts_with("subscribe ")) ids_[subscribe_id(s.from(me_).bytes)] = subscribe_id(c.sent);
      return id;
    }
    return {};
  }
  [[nodiscard]] const conduct& stream(stream_id id) const { return bench_.wire.streams.at(id); }
  [[nodiscard]] const witness& wire() const { return bench_.wire; }
  [[nodiscard]] std::uint64_t peer_hop() const { return bench_.session.peer().hop; }
  [[nodiscard]] bool is_paired(stream_id id) const { return taken_.contains(id); }
  /// The Subscribe ID that we use where the recorded side used `id`.
  [[nodiscard]] std::uint64_t our_id(std::uint64_t id) const {
    const auto i = ids_.find(id);
    return i == ids_.end() ? id : i->second;
  }
  [[nodiscard]] std::uint64_t subscribe_id(byte_view in) const {
    const auto d = decode<msg::subscribe>(in.subspan(1), t_.ver);
    return d.message.id;
  }

 private:
  const trace& t_;
  who me_;
  bench bench_;

 public:
  listener ears;
  broadcaster voice;
  std::optional<session_closed> closed{};
  bool went_away = false;  ///< The other side sent GOAWAY: no new streams (R-156).

 private:
  [[nodiscard]] static config settings(const trace& t, who me) {
    config c;
    c.side = me == who::client ? endpoint::client : endpoint::server;
    c.over = binding::webtransport;
    c.hop = t.origin(me);
    if (negotiates_in_band(t.ver) && me == who::server) c.versions = only(t.ver);  // as it was recorded: it selects
    for (const recorded_stream& s : t.streams) {
      if (s.bidi && s.opener != me && purpose_of(t.ver, true, s.from(s.opener).bytes) == "probe")
        c.probe = probe_level::report;
      if (s.bidi || s.opener != me || s.from(me).bytes.empty() || s.from(me).bytes[0] != 0x01) continue;
      const auto d = decode<msg::setup>(byte_view(s.from(me).bytes).subspan(1), t.ver);
      if (d.why == errc::ok) c.probe = static_cast<probe_level>(d.message.probe.value_or(0));
    }
    return c;
  }
  /// Its library opens a Probe stream by itself; ours when it is asked.
  [[nodiscard]] bool opens_probe_unasked() const {
    for (const app_event& a : t_.app)
      if (a.is_did && a.verb == "open_probe") return false;
    for (const recorded_stream& s : t_.streams)
      if (s.opener == me_ && s.bidi && purpose_of(t_.ver, true, s.from(me_).bytes) == "probe") return true;
    return false;
  }
  void perform(const app_event& a) {
    if (a.verb == "close_session") return;  // told by the wire
    if (a.verb == "goaway") {
      (void)bench_.session.goaway(a.text("uri"), {}, bench_.now);
      bench_.settle();
      (void)bench_.session.finish_goaway();
      bench_.settle();
    } else if (!ears.perform(a) && !voice.perform(a)) {
      throw bad_line("an application did what is unknown here: " + a.verb);
    }
  }
  void mine(const wire_event& e) {
    if (e.kind == wire_event::what::close) {
      bench_.wait(seconds(2));
      bench_.session.close(static_cast<session_code>(e.code));
      bench_.settle();
    } else if (e.kind == wire_event::what::data) {
      const recorded_stream& s = t_.streams[e.stream];
      const bool is_report = s.opener != me_ && s.bidi && purpose_of(t_.ver, true, s.from(s.opener).bytes) == "probe";
      if (is_report) {  // the application has measured this
        const auto d = decode<msg::probe>(e.bytes, t_.ver);
        if (d.why == errc::ok) (void)bench_.session.report(d.message.bitrate, d.message.rtt_ms);
        bench_.settle();
      }
    }
    if (e.kind != wire_event::what::datagram && e.kind != wire_event::what::close) (void)pair(e.stream);
  }
  void theirs(const wire_event& e) {
    if (e.kind == wire_event::what::datagram) {
      raw d = e.bytes;
      if (!d.empty()) renumber(d[0]);
      return bench_.datagram(d);
    }
    if (e.kind == wire_event::what::close) {
      bench_.wait(seconds(2));
      bench_.session.on_close({true, e.code, {}}, bench_.now);
      return bench_.settle();
    }
    const recorded_stream& s = t_.streams[e.stream];
    if (e.kind == wire_event::what::open) {
      (void)bench_.open(stream_id{s.quic_id}, s.bidi);
      return;
    }
    const auto id = pair(e.stream);
    if (!id) return;  // we did not open such a stream; whether that is right is judged afterwards
    switch (e.kind) {
      case wire_event::what::data: return bench_.send(*id, incoming(e, s), false);
      case wire_event::what::fin: return bench_.send(*id, {}, true);
      case wire_event::what::reset: return bench_.reset(*id, e.code);
      case wire_event::what::stop: return bench_.stop(*id, e.code);
      default: return;
    }
  }
  /// A Group stream names the subscription by the number that the recorded subscriber gave it; ours may differ.
  [[nodiscard]] raw incoming(const wire_event& e, const recorded_stream& s) {
    raw data = e.bytes;
    std::size_t& seen = fed_[e.stream];
    constexpr std::size_t id_at = 2;  // behind the type and a length below 64
    if (!s.bidi && s.opener != me_ && s.from(s.opener).bytes.at(0) == 0x00 && seen <= id_at &&
        id_at < seen + data.size())
      renumber(data[id_at - seen]);
    seen += e.bytes.size();
    return data;
  }
  void renumber(std::uint8_t& id) const {
    const std::uint64_t ours = our_id(id);
    if (id > 63 || ours > 63) throw bad_line("more subscriptions than this replay can renumber");
    id = static_cast<std::uint8_t>(ours);
  }

  std::uint64_t at_ = 0;
  std::map<std::size_t, stream_id> pairs_{};
  std::set<stream_id> taken_{};
  std::map<std::uint64_t, std::uint64_t> ids_{};
  std::map<std::size_t, std::size_t> fed_{};
};

}  // namespace moql::vectors
