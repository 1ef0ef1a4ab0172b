#pragma once
/// Recorded connections: ours takes the place of each side in turn, hears what the other side sent, does what the
/// recorded side did, and must then hear the same streams and say the same frames.

#include "qmux_reactions.hpp"

namespace moql::vectors {

/// Keeps what is heard of every stream, and consumes it at once.
class heard_streams {
 public:
  struct stream {
    std::string hex{};
    bool is_opened = false;
    bool fin = false;
    std::vector<std::uint64_t> resets{}, stops{};
    friend bool operator==(const stream&, const stream&) = default;
  };
  std::map<std::uint64_t, stream> streams{};
  std::vector<std::string> datagrams{};
  std::vector<std::pair<std::uint64_t, std::size_t>> to_consume{};
  std::string closed{};
  std::string wrong{};

  void on_open(stream_id id, direction, instant) noexcept { of(id).is_opened = true; }
  void on_data(stream_id id, bytes data, bool fin, instant) noexcept {
    stream& s = of(id);
    if (s.fin || !s.resets.empty()) wrong = "data behind the end";
    s.hex += tests::to_hex(data.view());
    s.fin = fin;
    to_consume.emplace_back(static_cast<std::uint64_t>(id), data.size());
  }
  void on_reset(stream_id id, std::uint64_t code, instant) noexcept { of(id).resets.push_back(code); }
  void on_stop(stream_id id, std::uint64_t code, instant) noexcept { of(id).stops.push_back(code); }
  void on_writable(stream_id) noexcept {}
  void on_credit(direction) noexcept {}
  void on_datagram(bytes data, instant) noexcept { datagrams.push_back(tests::to_hex(data.view())); }
  void on_close(const close_info& why, instant) noexcept {
    if (!closed.empty()) wrong = "a second end";
    closed =
        (why.application ? "application " : "connection ") + std::to_string(why.code) + " " + std::string(why.reason);
  }

 private:
  stream& of(stream_id id) {
    if (!closed.empty()) wrong = "something behind the end";
    return streams[static_cast<std::uint64_t>(id)];
  }
};
static_assert(transport_sink<heard_streams>);

/// A message of a recording: its bytes and the one frame in it, as the recorder read it.
struct recorded_message {
  std::vector<std::uint8_t> bytes{};
  json frame{};
  bool from_client = false;
  instant at{};
  explicit recorded_message(const json& m)
      : bytes(bytes_from(m.at("hex"))),
        frame(m.at("frames").at(0)),
        from_client(m.at("from") == "client"),
        at(instant{1'000'000} + milliseconds(m.value("ms", 0))) {}
  [[nodiscard]] std::string type() const { return frame.value("type", std::string("none")); }
  [[nodiscard]] std::uint64_t number(const char* key) const {
    return std::stoull(canonical(frame.at(key)).get<std::string>());
  }
  /// Stream data is what the message ends with.
  [[nodiscard]] byte_view data() const { return byte_view(bytes).last(static_cast<std::size_t>(number("len"))); }
  [[nodiscard]] bool is_about_credit() const {
    return type().starts_with("max_") || type().starts_with("ping_") || type() == "none";
  }
};

class qmux_replay {
 public:
  qmux_replay(const json& session, bool as_client) : as_client_(as_client) {
    for (const json& m : session.at("messages")) messages_.emplace_back(m);
    const auto r = revision_of(session);
    if (!r) throw bad_line("an unknown QMux version");
    config_.wire = *r;
    config_.who = as_client ? qmux::side::client : qmux::side::server;
    config_.over = qmux::carrier::messages;
    config_.reference_codes = true;
    token_ = session.at("subprotocol").get<std::string>();
    if (const auto c = qmux::parse_token(token_)) config_.protocol = c->protocol;
    for (const recorded_message& m : messages_)
      if (m.from_client == as_client && m.type() == "transport_parameters") take_settings(m);
  }
  /// Empty, or what is not as it was recorded.
  std::string run() {
    qmux::connection c(config_, messages_.empty() ? instant{} : messages_.front().at);
    for (const recorded_message& m : messages_) {
      if (c.next_deadline() <= m.at) c.on_deadline(heard_, m.at);  // we ping when it is time, not when they did
      collect(c, m.at);
      if (m.from_client == as_client_) {
        if (const std::string d = act(c, m); !d.empty()) return d;
      } else {
        c.on_message(heard_, alone(byte_view(m.bytes)), true, m.at);
        expect(m);
      }
      for (const auto& [id, n] : std::exchange(heard_.to_consume, {})) c.consume(stream_id{id}, n);
    }
    collect(c, messages_.back().at);
    return compare(c);
  }

 private:
  void take_settings(const recorded_message& m) {
    const auto f = qmux::decode_frame(byte_view(m.bytes));
    const auto* list = std::get_if<qmux::frames::transport_parameters>(&f.value);
    qmux::parameters p;
    if (f.why != errc::ok || list == nullptr || qmux::decode_parameters(list->payload, p) != errc::ok)
      throw bad_line("unreadable parameters");
    qmux::limits& l = config_.caps;
    l.idle_timeout = milliseconds(static_cast<std::int64_t>(p.idle_ms));
    l.max_data = p.max_data;
    l.max_stream_data = p.uni;
    l.max_streams_bidi = p.streams_bidi;
    l.max_streams_uni = p.streams_uni;
    l.max_datagram_frame = static_cast<std::size_t>(p.max_datagram_frame);
    l.max_record = static_cast<std::size_t>(p.max_record);
    // One number of ours stands for three of theirs: a side that wrote others, by hand, is not compared in this.
    says_the_same_ = p.bidi_local == p.uni && p.bidi_remote == p.uni &&
                     p.reset_stream_at == (config_.wire == qmux::revision::qmux02);
  }
  void collect(qmux::connection& c, instant now) {
    for (;;) {
      std::string one;
      for (const byte_view p : c.output()) one += tests::to_hex(p);
      if (one.empty()) return;
      said_.push_back(one);
      c.on_sent(heard_, one.size() / 2, now);
    }
  }
  /// What the recorded side did when it sent this.
  std::string act(qmux::connection& c, const recorded_message& m) {
    const std::string t = m.type();
    if (t == "transport_parameters") {
      if (says_the_same_)
        want_.push_back(tests::to_hex(m.bytes));
      else
        want_.emplace_back();
      return {};
    }
    if (m.is_about_credit()) return {};
    if (c.fault() != qmux::fault::none && t != "connection_close") return {};  // it was slower to refuse than we are
    if (t == "application_close") {
      c.close(m.number("code"), m.frame.value("reason", std::string{}));
      is_closed_by_us_ = true;
    } else if (t != "connection_close") {  // that one we must come to by ourselves
      const std::uint64_t id = m.number("stream");
      const bool is_ours = (id & 1) == (as_client_ ? 0 : 1);
      const auto dir = (id & 2) == 0 ? direction::bidi : direction::uni;
      while (is_ours && opened_[id & 2] <= id >> 2) {
        const open_result o = c.open(dir);
        if (o.status != transport_status::ok) return "a stream cannot be opened that was";
        ++opened_[id & 2];
      }
      if (t == "stream") {
        const bool fin = m.frame.value("fin", false);
        if (fin) ended_.insert(id);
        const chunk piece{m.data().data(), m.data().size(), nullptr};
        const write_result w = c.write(stream_id{id}, std::span(&piece, piece.size == 0 ? 0 : 1), fin);
        if (w.status != transport_status::ok) return "a write to stream " + std::to_string(id) + " is not taken";
      } else if (t == "reset_stream") {
        ended_.insert(id);
        c.reset(stream_id{id}, m.number("code"));
      } else if (t == "stop_sending") {
        if (stopped_.contains(id) || over_.contains(id))
          return {};  // of a stream that is over anyway: we need not say so
        stopped_.insert(id);
        c.stop(stream_id{id}, m.number("code"));
      }
    }
    std::string hex = tests::to_hex(m.bytes);
    if (t == "stream" && m.frame.value("fin", false) && !m.data().empty()) {  // we send the FIN by itself
      want_.emplace_back();
      want_.emplace_back();
    } else {
      want_.push_back(std::move(hex));
    }
    return {};
  }
  /// What the application must hear of this.
  void expect(const recorded_message& m) {
    const std::string t = m.type();
    if (t == "stream") {
      const std::uint64_t id = m.number("stream");
      if (over_.contains(id)) return;
      auto& s = open(id);
      if (!stopped_.contains(id)) {
        s.hex += tests::to_hex(m.data());
        s.fin = m.frame.value("fin", false);
      }
      if (m.frame.value("fin", false)) over_.insert(id);
    } else if (t == "reset_stream") {
      const std::uint64_t id = m.number("stream");
      if (!over_.insert(id).second) return;
      auto& s = open(id);
      if (!stopped_.contains(id)) s.resets.push_back(m.number("code"));
    } else if (t == "stop_sending") {
      const std::uint64_t id = m.number("stream");
      if (ended_.contains(id)) return;
      open(id).stops.push_back(m.number("code"));
    } else if (t == "application_close" || t == "connection_close") {
      if (is_closed_by_us_) return;
      closed_ = t.substr(0, t.find('_')) + " " + std::to_string(m.number("code")) + " " +
                m.frame.value("reason", std::string{});
    }
  }
  heard_streams::stream& open(std::uint64_t id) {
    auto& s = expected_[id];
    s.is_opened = (id & 1) == (as_client_ ? 1 : 0);
    return s;
  }
  std::string compare(const qmux::connection& c) {
    if (!heard_.wrong.empty()) return heard_.wrong;
    for (const auto& [id, s] : expected_)
      if (!(heard_.streams[id] == s))
        return "stream " + std::to_string(id) + " is heard with " + std::to_string(heard_.streams[id].hex.size() / 2) +
               " bytes, not " + std::to_string(s.hex.size() / 2) + ", or ends in another way";
    if (heard_.streams.size() != expected_.size()) return "we hear of other streams";
    const bool is_our_refusal = c.fault() != qmux::fault::none;
    if (!is_our_refusal && heard_.closed != closed_) return "the end is '" + heard_.closed + "', not '" + closed_ + "'";
    std::vector<std::string> said;
    for (const std::string& hex : said_) {
      const auto b = tests::from_hex(hex);
      const std::uint8_t first = b[0];
      if ((first >= 0x10 && first <= 0x13) || first == 0xf4) continue;  // credit and pings go by our own clock
      said.push_back(hex);
    }
    if (said.size() != want_.size())
      return "we say " + std::to_string(said.size()) + " things, not " + std::to_string(want_.size());
    for (std::size_t i = 0; i < said.size(); ++i)
      if (!want_[i].empty() && said[i] != want_[i])
        return "we say " + said[i].substr(0, 80) + " where it was " + want_[i].substr(0, 80);
    return {};
  }

  bool as_client_;
  std::string token_{};
  qmux::config config_{};
  std::vector<recorded_message> messages_{};
  heard_streams heard_{};
  std::map<std::uint64_t, heard_streams::stream> expected_{};
  std::string closed_{};
  std::set<std::uint64_t> over_{}, ended_{}, stopped_{};  // of the peer's sending, of ours, of our hearing
  std::map<std::uint64_t, std::uint64_t> opened_{};       // ours, by kind
  std::vector<std::string> said_{}, want_{};              // an empty string stands for any frame
  bool says_the_same_ = false;
  bool is_closed_by_us_ = false;
};

/// `add(id, verdict)` for each side.
template <class Add>
void run_qmux_session(const json& session, const std::string& name, Add&& add) {
  for (const bool as_client : {true, false}) {
    const std::string d = qmux_replay(session, as_client).run();
    add(name + (as_client ? " as client" : " as server"), d.empty() ? verdict::pass("sessions") : verdict::fail(d));
  }
}

/// handshake.json: what real clients offer. A server of ours finds in it what it wants most.
template <class Add>
void run_qmux_offers(const json& file, const std::string& name, Add&& add) {
  for (const json& o : file.at("offers")) {
    std::string field;
    for (const auto& [key, value] : o.at("request").at("headers").items())
      if (key == "Sec-WebSocket-Protocol" || key == "sec-websocket-protocol") field = value.template get<std::string>();
    qmux::token_list tokens(field);
    std::string wrong;
    for (const json& want : o.at("protocols")) {
      const auto t = tokens.next();
      if (!t || *t != want.get_ref<const std::string&>()) wrong = "the list reads otherwise at " + want.dump();
      if (t && !qmux::parse_token(*t)) wrong = "an unknown token: " + std::string(*t);
    }
    if (tokens.next()) wrong = "the list has more tokens";
    // Each of ours that is offered is found when nothing is wanted more.
    std::vector<std::string_view> ours(preferred_protocols.begin(), preferred_protocols.end());
    ours.emplace_back("moq-lite-06-wip");
    for (const std::string_view protocol : ours) {
      const std::string_view one[] = {protocol};
      const auto chosen = qmux::choose(field, one, {.bare = false, .webtransport = false});
      const json token = "qmux-02." + std::string(protocol);
      const bool is_offered =
          std::find(o.at("protocols").begin(), o.at("protocols").end(), token) != o.at("protocols").end();
      if (chosen.has_value() != is_offered)
        wrong = "the choice for " + std::string(protocol);
      else if (is_offered && !(*chosen == qmux::choice{qmux::revision::qmux02, protocol}))
        wrong = "not the newest wire for " + std::string(protocol);
    }
    add(name + " " + o.at("name").get<std::string>(), wrong.empty() ? verdict::pass("offers") : verdict::fail(wrong));
  }
}

}  // namespace moql::vectors
