#pragma once
/// The side that does what it is asked to: deno/README.md says what that is.

#include "raw_connection.hpp"

namespace interop {

class raw_answerer final : public raw_actor {
 public:
  explicit raw_answerer(std::string scenario) : scenario_(std::move(scenario)) {}

  [[nodiscard]] const raw_result& result() const { return result_; }

 private:
  enum class task : std::uint8_t { unknown, echo, count, tell, nothing };

  void act(raw_connection& c, moql::instant) override {
    if (c.closed) return judge(*c.closed);
    auto& quic = c.transport_below();
    for (const std::string& d : std::exchange(c.datagrams, {}))
      (void)quic.datagram({reinterpret_cast<const std::uint8_t*>(d.data()), d.size()});
    for (auto& [id, s] : c.streams) {
      if (s.stop && !s.is_over && tasks_[id] != task::tell) give_up(c, id, s);
      if (s.is_ours) continue;
      if (s.is_uni)
        answer_uni(id, s);
      else
        answer_bidi(c, id, s);
      if (c.is_closing()) return;
    }
    while (!to_say_.empty()) {  // streams of our own, as far as there is credit
      raw_stream* s = c.open(moql::direction::uni);
      if (s == nullptr) break;
      s->out = std::move(to_say_.front());
      s->end = true;
      to_say_.pop_front();
    }
  }

  void give_up(raw_connection& c, moql::stream_id id, raw_stream& s) {
    c.transport_below().reset(id, *s.stop);
    s.is_over = true;
  }
  void answer_uni(moql::stream_id id, raw_stream& s) {
    if (!s.fin || tasks_[id] == task::nothing) return;
    tasks_[id] = task::nothing;
    to_say_.push_back(std::move(s.in));
  }
  void answer_bidi(raw_connection& c, moql::stream_id id, raw_stream& s) {
    task& t = tasks_[id];
    if (t == task::unknown) {
      const std::size_t at = s.in.find('\n');
      if (at == std::string::npos) return;
      const std::string line = s.in.substr(0, at);
      s.in.erase(0, at + 1);
      t = begin(c, id, s, line);
    }
    switch (t) {
      case task::echo:
        if (s.out.size() < most_ahead) {
          s.out += std::exchange(s.in, {});
          s.end = s.fin;
        }
        break;
      case task::count:
        counts_[id] += std::exchange(s.in, {}).size();
        if (s.fin) reply(t, s, "fin " + std::to_string(counts_[id]));
        if (s.reset) reply(t, s, "reset " + std::to_string(*s.reset));
        break;
      case task::tell:
        if (s.stop) {
          to_say_.push_back("stopped " + std::to_string(*s.stop));
          give_up(c, id, s);
          t = task::nothing;
        } else if (s.out.empty()) {
          s.out.assign(1000, 't');
        }
        break;
      case task::unknown:
      case task::nothing: s.in.clear(); break;
    }
  }
  task begin(raw_connection& c, moql::stream_id id, raw_stream& s, const std::string& line) {
    const std::size_t blank = line.find(' ');
    const std::string name = line.substr(0, blank);
    const auto [code, rest] = number_and_rest(blank == std::string::npos ? "" : line.substr(blank + 1));
    if (name == "echo") return task::echo;
    if (name == "read") return task::count;
    if (name == "tell") return task::tell;
    if (name == "stop") {
      c.transport_below().stop(id, code);
      s.end = true;
    } else if (name == "reset") {
      const moql::chunk some{reinterpret_cast<const std::uint8_t*>("some"), 4};
      (void)c.transport_below().write(id, {&some, 1}, false);
      c.transport_below().reset(id, code);
      s.is_over = true;
    } else if (name == "close") {
      c.close(code, rest);
      result_ = {raw_result::kind::pass};
    } else {
      s.out = "cannot " + name;
      s.end = true;
    }
    return task::nothing;
  }
  static void reply(task& t, raw_stream& s, std::string text) {
    s.out = std::move(text);
    s.end = true;
    t = task::nothing;
  }
  void judge(const raw_connection::closing& how) {
    const bool with_code = scenario_ == "close-asker";
    const bool is_right =
        how.application && how.code == (with_code ? 0x1234 : 0) && how.reason == (with_code ? "bye now" : "");
    result_ = is_right ? raw_result{raw_result::kind::pass}
                       : raw_result{raw_result::kind::fail,
                                    "closed with " + std::to_string(how.code) + " \"" + how.reason + '"'};
  }

  static constexpr std::size_t most_ahead = 4 << 20;
  std::string scenario_;
  raw_result result_;
  std::map<moql::stream_id, task> tasks_;
  std::map<moql::stream_id, std::size_t> counts_;
  std::deque<std::string> to_say_;
};

}  // namespace interop
