#pragma once
/// The readers of the stream layer as bytewise::reader: what they say becomes a line of text that does not depend on
/// where fragments end. A reader that breaks its own promises (input left behind, a fault that changes) says so loudly.

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bytewise.hpp"
#include "moql/stream/group_reader.hpp"
#include "moql/stream/halves.hpp"
#include "moql/wire/inspect.hpp"

namespace moql::bytewise {

/// A promise of the reader itself is broken: never a matter of what was read.
inline void promise(bool kept, const char* what) {
  if (kept) return;
  std::fputs(what, stderr);
  std::abort();
}

[[nodiscard]] inline std::string name_of(errc e) { return "fault: " + std::string(text_of(e)) + ";"; }

/// `[index time size:payload]` for each frame; `[` without `]` is a frame that has begun.
class frame_log {
 public:
  frame_log(version v, std::uint64_t frame_max = 1 << 20, std::uint64_t first = 0) : reader_(v, frame_max, first) {}
  explicit frame_log(frame_reader r) : reader_(r) {}
  void feed(byte_view in, std::string& log) {
    errc why{};
    const step got = reader_.feed(
        in, [&](const frame_piece& p) { print(p, log); }, why);
    promise(got != step::ready && (got == step::fault || fault_ == errc::ok), "a fault went away");
    if (got == step::fault) fail(why, log);
  }
  void fin(std::string& log) {
    if (fault_ == errc::ok) log += reader_.is_at_boundary() ? "end;" : "cut;";
  }
  void print(const frame_piece& p, std::string& log) {
    if (p.is_first()) {
      log += '[' + std::to_string(p.index) + ' ' + std::to_string(p.timestamp) + ' ' + std::to_string(p.size) + ':';
      taken_ = 0;
    }
    promise(p.offset == taken_, "a gap in a frame");
    taken_ += p.payload.size();
    for (const std::uint8_t b : p.payload) log += static_cast<char>(b);
    if (p.is_last()) log += ']';
  }
  void fail(errc why, std::string& log) {
    promise(fault_ == errc::ok || why == fault_, "a fault changed");
    if (fault_ == errc::ok) log += name_of(why);
    fault_ = why;
  }
  [[nodiscard]] frame_reader& reader() { return reader_; }
  [[nodiscard]] bool has_failed() const { return fault_ != errc::ok; }

 protected:
  frame_reader reader_;
  std::uint64_t taken_ = 0;
  errc fault_{};
};

/// The same through `next`, the pull form.
class pulled_frame_log : public frame_log {
 public:
  using frame_log::frame_log;
  void feed(byte_view in, std::string& log) {
    while (true) {
      frame_piece p;
      errc why{};
      const step got = reader_.next(in, p, why);
      if (got == step::ready) {
        print(p, log);
        continue;
      }
      if (got == step::fault) fail(why, log);
      promise(got == step::fault || (in.empty() && fault_ == errc::ok), "input is left, or a fault went away");
      return;
    }
  }
};

/// `{id sequence first}`, then frames.
class group_log {
 public:
  group_log(version v, std::uint64_t frame_max = 1 << 20) : reader_(v, frame_max), frames_(v, frame_max) {}
  void feed(byte_view in, std::string& log) {
    if (!reader_.has_header()) {
      msg::group g;
      errc why{};
      const step got = reader_.header(in, g, why);
      if (got == step::fault) return frames_.fail(why, log);
      if (got == step::wait) {
        promise(in.empty() && !frames_.has_failed(), "input is left, or a fault went away");
        return;
      }
      log += '{' + std::to_string(g.subscribe_id) + ' ' + std::to_string(g.sequence) + ' ' +
             std::to_string(g.frame_start) + '}';
    }
    errc why{};
    const step got = reader_.frames().feed(
        in, [&](const frame_piece& p) { frames_.print(p, log); }, why);
    if (got == step::fault) frames_.fail(why, log);
  }
  void fin(std::string& log) {
    if (!frames_.has_failed()) log += reader_.may_end() ? "end;" : "cut;";
  }

 private:
  group_reader reader_;
  frame_log frames_;
};

template <class Exchange>
struct machine_for;
template <class Out, class In>
struct machine_for<exchange<Out, In>> {
  using type = machine<Out, In>;
};

/// The messages that one side of a control stream receives, one per line.
template <class Exchange>
class machine_log {
 public:
  using machine_type = typename machine_for<Exchange>::type;
  explicit machine_log(version v, const limits& caps = {}, memory m = {}) : machine_(v, caps, m), version_(v) {}
  void feed(byte_view in, std::string& log) {
    while (true) {
      typename machine_type::incoming got;
      errc why{};
      const step s = machine_.receive(in, got, why);
      if (s == step::ready) {
        std::visit(
            [&]<class M>(const M& m) {
              if constexpr (!std::is_same_v<M, std::monostate>) log += inspect::print(m, version_) + ';';
            },
            got);
        continue;
      }
      promise(s == step::fault || (in.empty() && fault_ == errc::ok), "input is left, or a fault went away");
      if (s == step::fault) {
        promise(fault_ == errc::ok || why == fault_, "a fault changed");
        if (fault_ == errc::ok) log += name_of(why);
        fault_ = why;
      }
      return;
    }
  }
  void fin(std::string& log) {
    const errc e = machine_.receive_fin();
    promise(fault_ == errc::ok || e == fault_, "a fault changed");
    if (fault_ == errc::ok) log += e == errc::ok ? "end;" : name_of(e);
    fault_ = e;
  }
  [[nodiscard]] machine_type& get() { return machine_; }

 private:
  machine_type machine_;
  version version_;
  errc fault_{};
};

}  // namespace moql::bytewise
