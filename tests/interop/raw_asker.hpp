#pragma once
/// The side that asks and decides: deno/README.md says what.

#include <functional>
#include <set>

#include "raw_connection.hpp"

namespace interop {

class raw_asker final : public raw_actor {
 public:
  explicit raw_asker(const std::string& scenario) : scenario_(scenario) {
    static const std::map<std::string, void (raw_asker::*)(raw_connection&, moql::instant)> all = {
        {"alpn", &raw_asker::one_echo},        {"uni-1000", &raw_asker::uni},
        {"empty", &raw_asker::empty},          {"echo", &raw_asker::echo},
        {"large", &raw_asker::large},          {"datagrams", &raw_asker::datagrams},
        {"reset-asker", &raw_asker::reset},    {"reset-answerer", &raw_asker::be_reset},
        {"stop-asker", &raw_asker::stop},      {"stop-answerer", &raw_asker::be_stopped},
        {"close-asker", &raw_asker::one_echo}, {"close-answerer", &raw_asker::be_closed},
    };
    const auto found = all.find(scenario);
    if (found == all.end())
      result_ = {raw_result::kind::unsupported, "no scenario " + scenario};
    else
      ask_ = found->second;
  }
  [[nodiscard]] const raw_result& result() const { return result_; }

 private:
  void act(raw_connection& c, moql::instant now) override {
    if (is_done()) return;
    if (c.closed && scenario_ != "close-answerer") return fail("the connection was closed: " + c.closed->reason);
    for (auto& [id, s] : c.streams)
      if (s.stop && !s.is_over && scenario_ != "stop-answerer") give_up(c, id, s);
    if (c.transport_below().protocol() != raw_protocol) return fail("another protocol was agreed on");
    (this->*ask_)(c, now);
    if (is_done() && !c.closed) {
      const bool with_code = scenario_ == "close-asker";
      c.close(with_code ? 0x1234 : 0, with_code ? "bye now" : "");
    }
  }

  // ---- questions

  /// A close before the handshake is confirmed loses its code and reason (RFC 9000, 10.2.3).
  void one_echo(raw_connection& c, moql::instant) {
    if (opened_++ == 0) expected_[say(c, "echo\nhello", true)] = "hello";
    compare(c, 1);
  }

  /// Each comes back on a stream of the other side.
  void uni(raw_connection& c, moql::instant) {
    for (raw_stream* s = nullptr; opened_ < 1000 && (s = c.open(moql::direction::uni)) != nullptr; ++opened_) {
      s->out = "uni stream " + std::to_string(opened_);
      s->end = true;
      missing_.insert(s->out);
    }
    for (auto& [id, s] : c.streams) {
      if (s.is_ours || !s.fin || !seen_.insert(id).second) continue;
      if (missing_.erase(s.in) == 0) return fail("nobody sent " + s.in);
    }
    if (opened_ == 1000 && missing_.empty()) pass();
  }
  void empty(raw_connection& c, moql::instant) {
    if (opened_++ == 0) {
      raw_stream* u = c.open(moql::direction::uni);
      if (u == nullptr) return fail("no credit");
      u->end = true;
      (void)say(c, "echo\n", true);
    }
    std::size_t back = 0;
    for (const auto& [id, s] : c.streams)
      if (!(s.is_ours && s.is_uni) && s.fin) {
        ++back;
        if (!s.in.empty()) return fail("something came out of nothing");
      }
    if (back == 2) pass();
  }
  void echo(raw_connection& c, moql::instant) {
    for (; opened_ < 200; ++opened_) {
      moql::stream_id id{};
      raw_stream* s = c.open(moql::direction::bidi, &id);
      if (s == nullptr) break;
      expected_[id] = raw_pattern(opened_ * 37);
      s->out = "echo\n" + expected_[id];
      s->end = true;
    }
    compare(c, 200);
  }
  void large(raw_connection& c, moql::instant) {
    if (opened_++ == 0) {
      const moql::stream_id id = say(c, "echo\n" + raw_pattern(20 << 20), true);
      expected_[id] = raw_pattern(20 << 20);
    }
    compare(c, 1);
  }
  /// Ten may be lost.
  void datagrams(raw_connection& c, moql::instant now) {
    auto& quic = c.transport_below();
    if (quic.max_datagram() == 0) return fail("no datagrams");
    for (std::string& d : std::exchange(c.datagrams, {}))
      if (!said_.contains(d))
        return fail("a datagram came that nobody sent");
      else
        missing_.erase(d);
    if (opened_ == 0) give_up_at_ = now + moql::seconds(5);
    if (opened_ < 100) {
      const std::size_t n = std::min(100 + opened_ * 10, quic.max_datagram());
      std::string d = "datagram " + std::to_string(opened_++) + " ";
      d.resize(n, 'x');
      if (quic.datagram({reinterpret_cast<const std::uint8_t*>(d.data()), d.size()}) != moql::transport_status::ok)
        return fail("a datagram was not taken");
      missing_.insert(d);
      said_.insert(std::move(d));
      c.wake_at = now + moql::milliseconds(2);
      return;
    }
    if (missing_.empty()) return pass();
    if (now < give_up_at_) return void(c.wake_at = give_up_at_);
    missing_.size() <= 10 ? pass() : fail(std::to_string(missing_.size()) + " of 100 datagrams did not come back");
  }
  void reset(raw_connection& c, moql::instant now) {
    if (opened_++ == 0) {
      id_ = say(c, "read\nsome bytes", false);
      c.wake_at = give_up_at_ = now + moql::milliseconds(200);  // the question has to arrive first
      return;
    }
    raw_stream& s = c.streams[id_];
    if (now < give_up_at_) return void(c.wake_at = give_up_at_);
    if (!std::exchange(s.is_over, true)) c.transport_below().reset(id_, 55);
    if (!s.fin) return;
    s.in == "reset 55" ? pass() : fail("the answerer heard " + s.in);
  }
  void be_reset(raw_connection& c, moql::instant) {
    if (opened_++ == 0) id_ = say(c, "reset 55\n", true);
    raw_stream& s = c.streams[id_];
    if (s.fin) return cannot(s);
    if (s.reset) *s.reset == 55 ? pass() : fail("reset with " + std::to_string(*s.reset));
  }
  void stop(raw_connection& c, moql::instant) {
    if (opened_ == 0) id_ = say(c, "tell\n", true);
    raw_stream& s = c.streams[id_];
    if (opened_ == 0 || (opened_ == 1 && s.in.empty())) return void(opened_ = 1);
    if (opened_ == 1) c.transport_below().stop(id_, 44);
    opened_ = 2;
    for (const auto& [id, u] : c.streams)
      if (!u.is_ours && u.fin) return u.in == "stopped 44" ? pass() : fail("the answerer heard " + u.in);
  }
  void be_stopped(raw_connection& c, moql::instant) {
    if (opened_++ == 0) id_ = say(c, "stop 44\n", false);
    raw_stream& s = c.streams[id_];
    if (s.fin && s.in.starts_with("cannot ")) {  // some stop with 0 only
      s.fin = false;
      s.end = true;
      code_ = 0;
      id_ = say(c, "stop 0\n", false);
      return;
    }
    if (!s.stop) {
      if (s.out.size() < 1000 && !s.is_blocked) s.out.append(1000, 's');
      return;
    }
    if (!s.is_over) give_up(c, id_, s);
    *s.stop == code_ ? pass() : fail("stopped with " + std::to_string(*s.stop));
  }
  void be_closed(raw_connection& c, moql::instant) {
    if (opened_++ == 0) (void)say(c, "close 4660 bye now\n", true);
    if (!c.closed) return;
    const auto& how = *c.closed;
    how.application&& how.code == 4660 && how.reason == "bye now"
        ? pass()
        : fail("closed with " + std::to_string(how.code) + " \"" + how.reason + '"');
  }

  // ---- helpers

  moql::stream_id say(raw_connection& c, std::string text, bool end) {
    moql::stream_id id{};
    raw_stream* s = c.open(moql::direction::bidi, &id);
    if (s == nullptr) return fail("no credit"), moql::no_stream;
    s->out = std::move(text);
    s->end = end;
    return id;
  }
  static void give_up(raw_connection& c, moql::stream_id id, raw_stream& s) {
    c.transport_below().reset(id, *s.stop);
    s.is_over = true;
  }
  void compare(raw_connection& c, std::size_t total) {
    for (const auto& [id, text] : expected_) {
      const raw_stream& s = c.streams[id];
      if (s.reset) return fail("an echo was reset");
      if (!s.fin || !seen_.insert(id).second) continue;
      if (s.in != text) return fail("an echo differs");
    }
    if (seen_.size() == total) pass();
  }
  void cannot(const raw_stream& s) {
    result_ = s.in.starts_with("cannot ") ? raw_result{raw_result::kind::unsupported, s.in.substr(7)}
                                          : raw_result{raw_result::kind::fail, "no reset but " + s.in};
  }
  [[nodiscard]] bool is_done() const { return result_.what != raw_result::kind::going; }
  void pass() { result_ = {raw_result::kind::pass}; }
  void fail(std::string why) { result_ = {raw_result::kind::fail, std::move(why)}; }

  std::string scenario_;
  void (raw_asker::*ask_)(raw_connection&, moql::instant) = &raw_asker::one_echo;
  raw_result result_;
  std::size_t opened_ = 0;
  std::uint64_t code_ = 44;
  moql::stream_id id_ = moql::no_stream;
  moql::instant give_up_at_{};
  std::set<std::string> missing_, said_;
  std::set<moql::stream_id> seen_;
  std::map<moql::stream_id, std::string> expected_;
};

}  // namespace interop
