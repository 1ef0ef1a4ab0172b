#pragma once
/// The place that a line of level `stream` or `datagram` was recorded in, with a session of ours in it.
///
/// What bytes alone do not say is taken from the line's text, and only that: whether a stream is left open, is opened a
/// second time, or is ended by the subscriber later.

#include "bench.hpp"
#include "decode.hpp"

namespace moql::vectors {

/// What our session did with the bytes.
struct reaction {
  scope how{scope::none};
  errc why{};
  version established{};
  bool is_established = false;
  bool is_alive = false;             ///< Another stream was opened afterwards, and answered.
  raw answer{};                      ///< On the stream in question, when the peer opened it.
  std::size_t groups = 0;            ///< Group streams that we opened.
  bool peer_left = false;            ///< The peer ended or took back the stream itself.
  std::vector<std::string> heard{};  ///< By the application, in the vectors' words.
  /// Whether both are one behaviour. How much of an answer was out before a fault depends on how the bytes came.
  [[nodiscard]] bool is_same_as(const reaction& o) const {
    return how == o.how && why == o.why && is_established == o.is_established && established == o.established &&
           is_alive == o.is_alive && heard == o.heard && (how != scope::none || answer == o.answer);
  }
};

class place {
 public:
  place(const json& line, version v, bool byte_by_byte)
      : line_(line),
        v_(v),
        message_(line.at("message").get<std::string>()),
        stream_(text("stream")),
        why_(text("why")),
        bytes_(bytes_from(line.at("hex"))),
        b_(v, settings(), byte_by_byte) {
    b_.hear = [this](const event& e) { take(e); };
  }

  reaction run() {
    write_hello();
    b_.start();
    if (message_ == "HANDSHAKE") return handshake();
    const bool is_setup = message_ == "SETUP" || (stream_ == "uni" && !bytes_.empty() && bytes_[0] == 1);
    if (!is_setup || !has_setup(v_) || is_again()) b_.peer_opens();
    (void)b_.session.announce("b");
    b_.settle();
    if (message_ == "SUBSCRIPTION" || stream_ == "group" || (is_datagram() && is_client())) {
      subscribe();
    } else if (is_announce()) {
      (void)b_.session.discover("", b_.now);
      b_.settle();
      at_ = b_.ours(true, 0x01);
      b_.send(*at_, bytes_, fin());
    } else if (is_datagram()) {
      b_.datagram(bytes_);
    } else {
      peer_stream(is_setup && stream_.empty());
    }
    b_.wait(seconds(5));
    return out();
  }

 private:
  [[nodiscard]] bool is_client() const { return settings().side == endpoint::client; }
  [[nodiscard]] bool is_announce() const { return message_ == "ANNOUNCE_STREAM" || stream_ == "announce-response"; }
  [[nodiscard]] std::string text(const char* key) const {
    return line_.contains(key) && line_[key].is_string() ? line_[key].get<std::string>() : "";
  }
  [[nodiscard]] bool fin() const { return line_.contains("fin") && line_["fin"].get<bool>(); }
  [[nodiscard]] bool says(std::string_view what) const { return why_.find(what) != std::string::npos; }
  [[nodiscard]] bool is_again() const { return why_.starts_with("a second "); }
  [[nodiscard]] bool is_datagram() const { return message_ == "DATAGRAM"; }
  [[nodiscard]] config settings() const {
    const std::string to = text("to"), from = text("from");
    const bool client = to.starts_with("subscriber") || to.starts_with("client") || from == "server" ||
                        (to.empty() && from.empty() && (is_announce() || stream_ == "group" || is_datagram()));
    config c;
    c.side = client ? endpoint::client : endpoint::server;
    c.over = binding::webtransport;
    c.hop = line_.contains("subscriber_origin") ? line_["subscriber_origin"].get<std::uint64_t>() : 0;
    return c;
  }

  // ---- the application

  void write_hello() {
    (void)cache_.begin_group(b_.now);
    (void)cache_.append(1000, bytes::copy("hello"));
    (void)cache_.end_group();
  }
  template <class R>
  void serve(const R& r) {
    if (r.broadcast != "b")
      refuse(r.request);
    else if (r.track == "t")
      (void)b_.session.serve(r.request, cache_);
  }
  void refuse(request_id id) {
    if (why_seen_ == errc::ok) why_seen_ = errc::refused_by_peer;
    (void)b_.session.reject(id, stream_code::not_found);
  }
  void say(std::string s) { heard_.push_back(std::move(s)); }
  void note(errc why) {
    if (why != errc::ok && why != errc::closed && why_seen_ == errc::ok) why_seen_ = why;
  }
  void take(const event& e) {
    std::visit(overload{
                   [&](const session_closed& c) { closed_ = c.why; },
                   [&](const announced& a) { say("+" + std::string(a.path)); },
                   [&](const announce_updated& a) { say("~" + std::string(a.path)); },
                   [&](const announce_ended& a) { say("-" + std::string(a.path)); },
                   [&](const interest_closed& c) {
                     if (c.why != errc::closed) say("error");
                     note(c.why);
                   },
                   [&](const group_started& g) { say("group " + std::to_string(g.group)); },
                   [&](const frame_part& p) {
                     if (!p.is_last()) return;
                     say("frame " + std::to_string(p.size) + "B" +
                         (has_timestamps(v_) ? " @" + std::to_string(p.timestamp) : ""));
                   },
                   [&](const group_finished& g) {
                     say("group " + std::to_string(g.group) + (g.why == errc::ok ? " end" : " error"));
                     note(g.why);
                   },
                   [&](const datagram_received& d) { say("datagram " + std::to_string(d.group)); },
                   [&](const subscription_closed& c) {
                     if (c.why != errc::ok && c.why != errc::closed) say("subscription error");
                     note(c.why);
                   },
                   [&](const subscribe_requested& r) { serve(r); },
                   [&](const track_requested& r) { serve(r); },
                   [&](const fetch_requested& r) { serve(r); },
                   [&](const request_closed& c) { note(c.why); },
                   [](const auto&) {},
               },
               e);
  }

  // ---- what the peer does

  /// The raw client or server of 01 and 02: `bytes_` is its half of the opening.
  reaction handshake() {
    b_.send(is_client() ? b_.wire.order.at(0) : b_.open(true), bytes_, fin());
    b_.wait(seconds(12));
    reaction r;
    r.is_established = b_.session.is_established() && !closed_;
    if (r.is_established) r.established = b_.session.negotiated();
    r.how = r.is_established ? scope::none : scope::session;
    r.why = closed_.value_or(errc::ok);
    return r;
  }
  void peer_stream(bool needs_type) {
    raw all = needs_type ? raw{0x01} : raw{};
    append(all, bytes_);
    for (int i = is_again() ? 2 : 1; i > 0; --i) {
      at_ = b_.open(stream_ != "uni" && !needs_type);
      b_.send(*at_, all, fin());
    }
    if (!says("then the publisher appends")) return;
    if (says("RESET_STREAM only")) b_.reset(*at_, 0);
    if (says("STOP_SENDING only")) b_.stop(*at_, 0);
    if (says("while later FIN")) b_.send(*at_, {}, true);
    (void)cache_.begin_group(b_.now);
    (void)cache_.append(2000, bytes::copy("again"));
    (void)cache_.end_group();
    b_.settle();
  }
  /// Subscribes as often as the bytes need: our first Subscribe ID is 0, the group lines of 06 name 1.
  void subscribe() {
    const bool is_second = message_ != "SUBSCRIPTION";
    if (is_second) (void)b_.session.subscribe("b", "other", {}, b_.now);
    (void)b_.session.subscribe("b", "t", {}, b_.now);
    b_.settle();
    raw info = has_track_stream(v_) ? bytes_of(msg::track_info{0, false, 5000, 1000}, v_) : raw{};
    raw ok = has_subscribe_end(v_) ? raw{} : bytes_of(msg::subscribe_ok{}, v_);
    std::vector<raw> groups;
    if (line_.contains("sent"))
      for (const json& s : line_["sent"]) {
        const std::string on = s.at("on").get<std::string>();
        if (on == "track") info = bytes_from(s.at("hex"));
        if (on == "subscribe") ok = bytes_from(s.at("hex"));
        if (on == "group") groups.push_back(bytes_from(s.at("hex")));
      }
    if (stream_ == "group") groups.push_back(bytes_);
    for (const stream_id id : std::vector(b_.wire.order))
      if (b_.wire.streams[id].is_bidi && !b_.wire.streams[id].sent.empty() && b_.wire.streams[id].sent[0] == 0x06)
        b_.send(*(at_ = id), info, true);
    if (!ok.empty()) b_.send(*(at_ = b_.ours(true, 0x02)), ok, false);
    for (const raw& g : groups) {
      at_ = b_.open(false);
      b_.send(*at_, g, stream_ == "group" ? fin() : !says("left open"));
    }
    if (is_datagram()) b_.datagram(bytes_);
  }

  // ---- what came of it

  reaction out() {
    reaction r;
    r.heard = heard_;
    r.why = why_seen_;
    r.peer_left = fin() || says("then the publisher appends");
    if (closed_) {
      r.how = scope::session;
      r.why = *closed_;
      return r;
    }
    if (message_ == "SUBSCRIPTION")  // whichever of its streams it was
      for (const auto& [id, s] : b_.wire.streams)
        if (s.is_refused()) at_ = id;
    const bool is_refused = at_ && b_.wire.streams[*at_].is_refused();
    if (at_ && !b_.wire.streams[*at_].is_ours) r.answer = b_.wire.streams[*at_].sent;
    for (const auto& [id, s] : b_.wire.streams)
      r.groups += s.is_ours && !s.is_bidi && !s.sent.empty() && s.sent[0] == 0;
    // A stream that the peer took back is not one that we refused.
    if (r.why == errc::reset_by_peer) {
      r.why = errc::ok;
    } else if (is_refused || r.why != errc::ok) {
      r.how = scope::stream;
      if (r.why == errc::ok) r.why = guess();
    }
    if (r.how == scope::none) r.why = errc::ok;
    const stream_id probe = b_.open(true);
    b_.send(probe, ask_for_all(), false);
    r.is_alive = !b_.wire.streams[probe].sent.empty();
    return r;
  }
  [[nodiscard]] raw ask_for_all() const {
    raw m{0x01};
    append(m, bytes_of(msg::announce_request{}, v_));
    return m;
  }
  /// Why a stream was refused that nobody is told of: judged from its bytes alone.
  [[nodiscard]] errc guess() const {
    const conduct& s = b_.wire.streams.at(*at_);
    const auto h = heading_of(s.is_ours ? s.sent : s.received);
    if (!h) return errc::stream_cut;
    if (s.is_ours) return decode_stream(v_, s.is_bidi, h->type, true, s.received).why;
    if (find_stream_type(h->type, s.is_bidi, v_) == nullptr) return errc::unknown_stream_type;
    const decoded_stream d = decode_stream(v_, s.is_bidi, h->type, false, byte_view(s.received).subspan(h->size));
    if (s.is_bidi && h->type == 0x04) return errc::not_supported;
    if (s.is_bidi || d.messages.empty() || (d.why != errc::ok && d.why != errc::stream_cut)) return d.why;
    const json& g = d.messages[0];
    if (g["message"] != "GROUP" || g["subscribe_id"] != (message_ == "SUBSCRIPTION" ? "0" : "1"))
      return errc::unknown_subscription;
    for (const std::string& x : heard_)
      if (x == "group " + g["group_sequence"].get<std::string>()) return errc::duplicate_group;
    return errc::group_past_end;
  }

  const json& line_;
  version v_;
  std::string message_, stream_, why_;
  raw bytes_;
  track_cache cache_{track_options{.max_age_ms = 5000, .timescale = 1000}};
  bench b_;
  std::optional<stream_id> at_{};
  std::optional<errc> closed_{};
  errc why_seen_{};
  std::vector<std::string> heard_{};
};

}  // namespace moql::vectors
