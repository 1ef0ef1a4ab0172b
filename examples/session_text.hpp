#pragma once
/// All streams of one session as text, in the order in which things happened.

#include "stream_text.hpp"

#include <cstdio>
#include <map>

namespace examples {

/// Whoever is told what travels on one connection. Streams are named by any number that is used once.
class wire_listener {
 public:
  wire_listener() = default;
  wire_listener(const wire_listener&) = delete;
  wire_listener& operator=(const wire_listener&) = delete;
  virtual ~wire_listener() = default;
  virtual void opened(std::uint64_t stream, bool is_bidi, peer opener) = 0;
  virtual void wrote(std::uint64_t stream, peer from, moql::byte_view data) = 0;
  virtual void finished(std::uint64_t stream, peer from) = 0;
  virtual void reset(std::uint64_t stream, peer from, std::uint64_t code) = 0;
  virtual void stopped(std::uint64_t stream, peer from, std::uint64_t code) = 0;
  virtual void datagram(peer from, moql::byte_view data) = 0;
  virtual void closed(peer from, std::uint64_t code, std::string_view reason) = 0;
};

/// One datagram: its line, or what is wrong with it.
[[nodiscard]] inline std::string datagram_text(moql::version v, moql::byte_view data, std::optional<fault>& wrong) {
  const auto d = moql::decode<moql::msg::datagram>(data, v);
  moql::errc why = d.why == moql::errc::need_more ? moql::errc::truncated : d.why;
  place at{data.size(), data.size(), "DATAGRAM"};
  if (why == moql::errc::ok && data.size() > moql::datagram_bytes_max) {
    why = moql::errc::message_too_large;
    at.from = moql::datagram_bytes_max;
  }
  if (why != moql::errc::ok) {
    wrong = fault{why, at, {data.begin(), data.end()}, 0};
    return {};
  }
  const auto& m = d.message;
  return "DATAGRAM {Subscribe ID=" + std::to_string(m.subscribe_id) + ", Group Sequence=" + std::to_string(m.sequence) +
         ", Timestamp=" + std::to_string(m.timestamp) + "}: " + std::to_string(m.payload.size()) + " bytes";
}

class session_text : public wire_listener {
 public:
  /// `stamp` says when it is; what it returns begins each line.
  using clock = std::function<std::string()>;
  session_text(moql::version v, std::FILE* out, clock stamp) : ver_(v), out_(out), stamp_(std::move(stamp)) {}

  /// How many directions and datagrams broke a rule.
  [[nodiscard]] std::size_t faults() const { return faults_; }
  /// Called for each of those, with where it was.
  std::function<void(const std::string&, const fault&)> on_fault = [](const std::string&, const fault&) {};

  void opened(std::uint64_t stream, bool is_bidi, peer opener) override {
    streams_.try_emplace(stream, ver_, is_bidi, opener);
    line(opener, streams_.at(stream).name(stream), "opened");
  }
  void wrote(std::uint64_t stream, peer from, moql::byte_view data) override {
    record* s = find(stream);
    if (s == nullptr) return;
    stream_text& text = s->from(from);
    if (!s->has_type_for(from)) return;
    const bool was_wrong = text.wrong().has_value();
    text.feed(data, [&](std::size_t, const std::string& what) { line(from, s->name(stream), what); });
    if (!was_wrong) check(stream, *s, from);
  }
  void finished(std::uint64_t stream, peer from) override {
    record* s = find(stream);
    if (s == nullptr) return;
    line(from, s->name(stream), "FIN");
    stream_text& text = s->from(from);
    const bool was_wrong = text.wrong().has_value();
    if (s->has_type_for(from)) text.finish();
    if (!was_wrong) check(stream, *s, from);
  }
  void reset(std::uint64_t stream, peer from, std::uint64_t code) override {
    if (record* s = find(stream)) line(from, s->name(stream), "RESET_STREAM, code " + std::to_string(code));
  }
  void stopped(std::uint64_t stream, peer from, std::uint64_t code) override {
    if (record* s = find(stream)) line(from, s->name(stream), "STOP_SENDING, code " + std::to_string(code));
  }
  void datagram(peer from, moql::byte_view data) override {
    std::optional<fault> wrong;
    const std::string text = datagram_text(ver_, data, wrong);
    if (!wrong) return line(from, "datagram", text);
    ++faults_;
    on_fault("datagram from the " + std::string(name_of(from)), *wrong);
  }
  void closed(peer from, std::uint64_t code, std::string_view reason) override {
    std::string text = "the session is closed, code " + std::to_string(code);
    if (!reason.empty()) text += ": " + std::string(reason);
    line(from, "session", text);
  }

 private:
  struct record {
    record(moql::version v, bool bidi, peer who)
        : is_bidi(bidi),
          opener(who),
          client(v, bidi, who != peer::client, peer::client),
          server(v, bidi, who != peer::server, peer::server) {}
    [[nodiscard]] stream_text& from(peer p) { return p == peer::client ? client : server; }
    /// An answer is read as the type that its stream was opened with; without one it cannot be read.
    [[nodiscard]] bool has_type_for(peer sender) {
      if (sender == opener || from(sender).type()) return true;
      const auto type = from(opener).type();
      if (type) from(sender).set_type(*type);
      return type.has_value();
    }
    [[nodiscard]] std::string name(std::uint64_t number) const {
      return (is_bidi ? "bidi " : "uni ") + std::to_string(number);
    }
    bool is_bidi;
    peer opener;
    stream_text client, server;
  };
  [[nodiscard]] record* find(std::uint64_t stream) {
    const auto i = streams_.find(stream);
    return i == streams_.end() ? nullptr : &i->second;
  }
  void check(std::uint64_t stream, record& s, peer from) {
    const auto& wrong = s.from(from).wrong();
    if (!wrong) return;
    ++faults_;
    line(from, s.name(stream), "WRONG: " + describe(*wrong));
    on_fault("stream " + s.name(stream) + " from the " + name_of(from), *wrong);
  }
  void line(peer from, const std::string& where, const std::string& what) {
    std::fprintf(out_, "%s  %s > %s  %-9s  %s\n", stamp_().c_str(), name_of(from), name_of(other(from)), where.c_str(),
                 what.c_str());
  }

  moql::version ver_;
  std::FILE* out_;
  clock stamp_;
  std::size_t faults_ = 0;
  std::map<std::uint64_t, record> streams_;
};

}  // namespace examples
