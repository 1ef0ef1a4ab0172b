// Property: whatever a peer sends and a socket takes, one QMux connection neither crashes, leaks nor hangs, keeps the
// contract of its sink, writes nothing but whole frames of its revision, keeps what it has shown unchanged until it is
// taken, lets no peer make it hold more than its limits say, and says the same however the bytes are cut.
//
// Input: revision, carrier and side; small limits; a seed for the fragments; then events: (what | which << 3) and its
// operands.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "../tests/sim_books.hpp"
#include "input.hpp"
#include "moql/binding/qmux.hpp"

namespace {

using namespace moql;
using fuzzing::input;
using fuzzing::must;
using testing::sim::balance;

/// Notes down what is heard, and knows the contract of transport.hpp.
class listener {
 public:
  struct stream {
    bool is_bidi = false;
    bool is_ours = false;
    bool is_ended = false;    // its receiving half
    bool is_stopped = false;  // by us
    bool is_blocked = false;
    std::uint64_t unread = 0;
  };
  std::map<std::uint64_t, stream> streams{};
  std::string log{};
  bool is_over = false;
  std::uint64_t unread_max = 0;

  void on_open(stream_id id, direction d, instant) noexcept {
    must(!is_over && streams.count(number(id)) == 0, "an open out of turn");
    streams[number(id)].is_bidi = d == direction::bidi;
    note("open", id, 0);
  }
  void on_data(stream_id id, bytes data, bool fin, instant) noexcept {
    stream& s = at(id);
    must(!s.is_ended && !s.is_stopped && (s.is_bidi || !s.is_ours), "data out of turn");
    must(!data.empty() || fin, "no data");
    s.is_ended = fin;
    s.unread += data.size();
    must(s.unread <= unread_max, "more than the stream's window");
    if (data.held_by() != nullptr && kept.size() < 50) kept.push_back(data);
    log += std::to_string(number(id)) + "+" + std::string(data.text()) + (fin ? "!" : ".");
  }
  void on_reset(stream_id id, std::uint64_t code, instant) noexcept {
    stream& s = at(id);
    must(!s.is_ended && !s.is_stopped && (s.is_bidi || !s.is_ours), "a reset out of turn");
    s.is_ended = true;
    note("reset", id, code);
  }
  void on_stop(stream_id id, std::uint64_t code, instant) noexcept {
    const stream& s = at(id);
    must(s.is_bidi || s.is_ours, "a stop of what we do not send");
    note("stop", id, code);
  }
  void on_writable(stream_id id) noexcept {
    stream& s = at(id);
    must(s.is_blocked, "writable and was not blocked");
    s.is_blocked = false;
  }
  void on_credit(direction) noexcept { must(!is_over, "credit after the end"); }
  void on_datagram(bytes data, instant) noexcept {
    must(!is_over, "a datagram after the end");
    log += "datagram " + std::string(data.text());
  }
  void on_close(const close_info& why, instant) noexcept {
    must(!is_over, "a second end");
    is_over = true;
    log += "close " + std::to_string(why.code) + std::string(why.reason);
  }
  std::vector<bytes> kept{};

  stream& at(stream_id id) {
    must(!is_over, "something after the end");
    must(streams.count(number(id)) != 0, "a stream that was not opened");
    return streams[number(id)];
  }

 private:
  static std::uint64_t number(stream_id id) { return static_cast<std::uint64_t>(id); }
  void note(const char* what, stream_id id, std::uint64_t code) {
    log += std::string(what) + std::to_string(number(id)) + " " + std::to_string(code) + ",";
  }
};
static_assert(transport_sink<listener>);

/// Reads what the connection writes as its peer would.
class reader {
 public:
  explicit reader(const qmux::config& c) : config_(c) {}
  void read(const std::string& bytes) {
    if (config_.over == qmux::carrier::messages) return frame(bytes);
    rest_ += bytes;
    while (!rest_.empty()) {
      if (qmux::has_records(config_.wire)) {
        wire::reader r{data(rest_), data(rest_) + rest_.size(), {}};
        std::uint64_t size = 0;
        if (!wire::get_varint(r, size) || size > r.left()) return;
        must(size <= qmux::record_bytes_default, "a record is too large");
        const std::size_t head = rest_.size() - r.left();
        frame(rest_.substr(head, size));
        rest_.erase(0, head + size);
      } else {
        const auto f = qmux::decode_frame({data(rest_), rest_.size()});
        if (f.why == errc::truncated) return;
        must(f.why == errc::ok, "no frame");
        frame(rest_.substr(0, f.size));
        rest_.erase(0, f.size);
      }
    }
  }

 private:
  static const std::uint8_t* data(const std::string& s) { return reinterpret_cast<const std::uint8_t*>(s.data()); }
  void frame(const std::string& s) {
    must(!is_closed_, "a frame after the close");
    const byte_view v{data(s), s.size()};
    if (!qmux::has_parameters(config_.wire)) {
      const auto f = qmux::decode_frame<qmux::legacy_frame>(v);
      must(f.why == errc::ok && f.size == s.size(), "not one frame");
      is_closed_ = std::holds_alternative<qmux::legacy::close>(f.value);
      return;
    }
    const auto f = qmux::decode_frame(v);
    must(f.why == errc::ok && f.size == s.size(), "not one frame");
    must(std::holds_alternative<qmux::frames::transport_parameters>(f.value) == !any_, "the parameters come first");
    any_ = true;
    is_closed_ = std::holds_alternative<qmux::frames::connection_close>(f.value);
    if (const auto* p = std::get_if<qmux::frames::stream>(&f.value)) {
      must(p->data.size() <= qmux::stream_payload_max, "a payload is too large");
      must(p->offset == sent_[p->id] && ended_.count(p->id) == 0, "stream data out of order");
      sent_[p->id] += p->data.size();
      if (p->fin) ended_[p->id] = true;
    } else if (const auto* r = std::get_if<qmux::frames::reset_stream>(&f.value)) {
      must(r->final_size == sent_[r->id] && ended_.count(r->id) == 0, "a reset of what is over, or of another size");
      ended_[r->id] = true;
    }
  }
  qmux::config config_;
  std::string rest_{};
  std::map<std::uint64_t, std::uint64_t> sent_{};
  std::map<std::uint64_t, bool> ended_{};
  bool any_ = false;
  bool is_closed_ = false;
};

class stage {
 public:
  stage(const qmux::config& c, balance& b) : config_(c), memory_(b), reader_(c), c_(c, now_, b.get()) {
    heard_.unread_max = qmux::has_parameters(c.wire) ? c.caps.max_stream_data : SIZE_MAX;
  }
  std::string run(input in, std::optional<unsigned> fragments) {
    random_.seed(fragments.value_or(0));
    is_split_ = fragments.has_value();
    while (!in.empty()) step(in);
    if (!c_.is_closed()) {
      flush(SIZE_MAX);
      c_.close(7, "enough");
    }
    flush(SIZE_MAX);
    c_.on_transport_closed(heard_, now_);
    must(c_.output().empty() && c_.wish() == qmux::wish::drop && c_.next_deadline() == never_due, "more after the end");
    heard_.kept.clear();
    return heard_.log;
  }

 private:
  /// The socket takes at most `most` bytes; until then what was shown has not changed.
  void flush(std::size_t most) {
    for (int rounds = 0;; ++rounds) {
      must(rounds < 100'000, "the output never ends");
      std::string all;
      for (const byte_view p : c_.output()) all.append(reinterpret_cast<const char*>(p.data()), p.size());
      if (shown_.size() > 0) {
        must(all.compare(0, shown_.size(), shown_) == 0 || all.empty(), "what was shown has changed");
        if (all.empty()) return;
      }
      shown_ = all;
      if (all.empty() || most == 0) return;
      const bool is_whole = config_.over == qmux::carrier::messages;
      const std::size_t n = is_whole || most > all.size() ? all.size() : most;
      reader_.read(all.substr(0, n));
      shown_.erase(0, is_whole ? all.size() : n);
      c_.on_sent(heard_, n, now_);
      if (is_whole) shown_.clear();
      most = most == SIZE_MAX ? most : most - (n < most ? n : most);
    }
  }
  void feed(byte_view data, bool is_binary) {
    if (config_.over == qmux::carrier::messages) {
      c_.on_message(heard_, bytes::copy(data), is_binary, now_);
      return;
    }
    while (!data.empty()) {
      std::size_t n = data.size();
      if (is_split_ && n > 1) n = random_() % 3 == 0 ? 1 + random_() % n : 1;
      // Not owned: it is gone when this returns, and so must be whatever was not copied.
      const bytes piece = bytes::copy(data.first(n));
      const std::size_t used = c_.on_bytes(heard_, piece, now_);
      must(used <= n, "more taken than given");
      must(used == n || !config_.protocols.empty(), "less taken than given");
      data = data.subspan(used);
    }
  }
  void step(input& in) {
    const std::uint8_t b = in.byte();
    const std::size_t which = b >> 3;
    switch (b & 7) {
      case 0: feed(in.some(), true); break;
      case 1: {  // a record, or whatever stands for one
        const byte_view v = in.some();
        std::vector<std::uint8_t> all(wire::varint_size(v.size()));
        wire::writer w{all.data()};
        wire::put_varint(w, v.size());
        if (config_.over == qmux::carrier::messages || !qmux::has_records(config_.wire)) all.clear();
        all.insert(all.end(), v.begin(), v.end());
        feed(byte_view(all), true);
        break;
      }
      case 2: {
        const open_result r = c_.open(which % 2 == 0 ? direction::bidi : direction::uni);
        must((r.status == transport_status::ok) == (r.id != no_stream), "an id without a stream");
        if (r.status != transport_status::ok) break;
        must(!c_.is_closed() && heard_.streams.count(static_cast<std::uint64_t>(r.id)) == 0, "an id twice");
        auto& s = heard_.streams[static_cast<std::uint64_t>(r.id)];
        s.is_ours = true;
        s.is_bidi = which % 2 == 0;
        break;
      }
      case 3: {
        const stream_id id = pick(which);
        std::string text(static_cast<std::size_t>(in.byte()) << (which % 10), 'x');
        const bytes owned = bytes::copy(text);
        const chunk parts[] = {{owned.data(), owned.size() / 3, owned.held_by()},
                               {owned.data() + owned.size() / 3, owned.size() - owned.size() / 3, nullptr}};
        const write_result r = c_.write(id, parts, which >= 16);
        must(r.accepted <= text.size(), "more accepted than offered");
        must(r.status != transport_status::ok || r.accepted == text.size(), "less accepted than said");
        must(r.status != transport_status::too_large && r.status != transport_status::unsupported, "another answer");
        if (r.status == transport_status::blocked) heard_.streams[static_cast<std::uint64_t>(id)].is_blocked = true;
        break;
      }
      case 4: {
        const stream_id id = pick(which / 2);
        if (which % 2 == 0) {
          c_.reset(id, in.byte());
        } else {
          c_.stop(id, in.byte());
          const auto s = heard_.streams.find(static_cast<std::uint64_t>(id));
          if (s != heard_.streams.end()) s->second.is_stopped = true;
        }
        break;
      }
      case 5: {
        const stream_id id = pick(which);
        const auto s = heard_.streams.find(static_cast<std::uint64_t>(id));
        if (s == heard_.streams.end()) break;
        const std::uint64_t n = s->second.unread;
        c_.consume(id, static_cast<std::size_t>(n));
        s->second.unread = 0;
        break;
      }
      case 6: flush(which == 31 ? SIZE_MAX : which * which * 40); break;
      default: other(which, in); break;
    }
    must(qmux::has_parameters(config_.wire) ? memory_.bytes < 4'000'000 : memory_.bytes < 8'000'000,
         "memory grows beyond the limits");
  }
  void other(std::size_t what, input& in) {
    switch (what % 8) {
      case 0:
        now_ = now_ + milliseconds(in.byte() * 100);
        if (c_.next_deadline() <= now_) c_.on_deadline(heard_, now_);
        break;
      case 1: c_.priority(pick(in.byte()), in.byte() % 4); break;
      case 2: {
        const std::string d(in.byte() * 40u, 'd');
        const transport_status s = c_.datagram({reinterpret_cast<const std::uint8_t*>(d.data()), d.size()});
        must(s != transport_status::ok || qmux::has_datagrams(config_.wire), "a datagram where there are none");
        break;
      }
      case 3:
        if (what != 27) break;
        c_.close(in.byte(), "bye");
        heard_.is_over = true;
        break;
      case 4: feed(in.some(), false); break;
      case 5:
        if (what == 29) c_.on_transport_closed(heard_, now_);
        break;
      default: {
        const stream_id id = pick(in.byte());
        (void)c_.write(id, {}, true);
        break;
      }
    }
  }
  [[nodiscard]] stream_id pick(std::size_t which) const {
    if (heard_.streams.empty()) return stream_id{which};
    auto i = heard_.streams.begin();
    std::advance(i, static_cast<std::ptrdiff_t>(which % heard_.streams.size()));
    return stream_id{i->first};
  }

  qmux::config config_;
  balance& memory_;
  instant now_{1'000'000};
  listener heard_{};
  reader reader_;
  qmux::connection c_;
  std::minstd_rand random_{};
  bool is_split_ = false;
  std::string shown_{};  // of the output, and not taken yet
};

qmux::config settings(std::uint8_t head, std::uint8_t small) {
  static constexpr std::string_view tokens[] = {"moq-lite-06", "moq-lite-05"};
  qmux::config c;
  c.wire = static_cast<qmux::revision>(head & 3);
  c.over = (head & 4) != 0 ? qmux::carrier::messages : qmux::carrier::byte_stream;
  if (!qmux::has_parameters(c.wire)) c.over = qmux::carrier::messages;
  c.who = (head & 8) != 0 ? qmux::side::server : qmux::side::client;
  c.reference_codes = (head & 16) != 0;
  if ((head & 32) != 0) c.protocols = tokens;
  if ((small & 1) != 0) c.caps.max_stream_data = 40;
  if ((small & 2) != 0) c.caps.max_data = 100;
  if ((small & 4) != 0) c.caps.max_streams_bidi = c.caps.max_streams_uni = 2;
  if ((small & 8) != 0) c.caps.stream_backlog_bytes = 50;
  if ((small & 16) != 0) c.caps.committed_bytes = 60;
  if ((small & 32) != 0) c.caps.datagrams_max = c.caps.pongs_max = 1;
  if ((small & 64) != 0) c.caps.reason_bytes_max = 2;
  if ((small & 128) != 0) c.caps.max_datagram_frame = 0;
  c.caps.legacy_streams_max = 20;
  return c;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const qmux::config c = settings(data[0], data[1]);
  std::string heard[2];
  for (const bool split : {false, true}) {
    balance b;
    b.allowed = data[3] >= 240 ? (data[3] - 240u) * 3u : SIZE_MAX;  // memory runs out now and then
    {
      stage s(c, b);
      heard[split ? 1 : 0] =
          s.run(input({data + 4, size - 4}), split ? std::optional<unsigned>(data[2]) : std::nullopt);
    }
    must(b.blocks == 0, "memory leaks");
    must(b.sizes_match, "a block came back with another size");
  }
  if (data[3] < 240 && heard[0] != heard[1]) {
    std::fprintf(stderr, "whole:%s\n\nin pieces:%s\n", heard[0].c_str(), heard[1].c_str());
    must(false, "fragments change what is heard");
  }
  return 0;
}
