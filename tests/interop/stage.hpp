#pragma once
/// What a scenario stands on: one session, time, and somebody to tell how it ended.

#include <moql/moql.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace interop {

enum class verdict : std::uint8_t { pass, fail, unsupported };
struct outcome {
  verdict what{};
  std::string why{};
};

/// The session is established when an actor first sees the stage, and lives as long as it.
class stage {
 public:
  stage() = default;
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;
  virtual ~stage() = default;
  [[nodiscard]] virtual moql::session& session() = 0;
  [[nodiscard]] virtual moql::instant now() const = 0;
  /// Between two batches of events, never from inside an event.
  virtual void after(moql::duration d, std::function<void()> f) = 0;
  /// Called once. The session has been closed then.
  virtual void finished(outcome how) = 0;
  /// The connection and this side of it are lost without a word. Counts as a pass.
  virtual void vanish() = 0;
};

/// What every scenario is told.
struct settings {
  std::string scenario;
  moql::version ver{};
  bool dials = false;
  bool has_slashes = false;  ///< Paths begin and prefixes end with a slash, as one implementation wants them.
  bool any_end =
      false;  ///< A connection that is lost is as good as a close with NO_ERROR: one implementation loses it.
  bool any_reason = false;  ///< The reason of a close is not compared: one implementation makes it up.
  /// Milliseconds from the first SUBSCRIBE of a track to its first group: one implementation refuses a group that comes
  /// before it has noted what it asked for.
  unsigned begin_after_ms = 0;

  [[nodiscard]] std::string path(std::string_view name) const {
    return (has_slashes ? "/room/" : "room/") + std::string(name);
  }
  [[nodiscard]] std::string prefix() const { return has_slashes ? "/room/" : "room"; }
};

/// Slashes around a path do not count.
[[nodiscard]] inline std::string_view bare(std::string_view path) {
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return path;
}
[[nodiscard]] inline std::string code_text(std::uint64_t code) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(code));
  return text;
}
[[nodiscard]] inline std::string text_of(const moql::session_closed& c) {
  std::string out = c.by_peer ? "the peer closed with " : "closed with ";
  out += code_text(c.code);
  if (!c.reason.empty()) out += " \"" + std::string(c.reason) + '"';
  if (c.why != moql::errc::ok) out += ": " + std::string(moql::text_of(c.why));
  return out;
}

/// One side of a scenario.
class actor {
 public:
  actor(stage& s, const settings& o) : stage_(s), options_(o) {}
  actor(const actor&) = delete;
  actor& operator=(const actor&) = delete;
  virtual ~actor() = default;

  /// The session is established.
  virtual void up() = 0;
  /// Everything else that the session tells.
  virtual void hear(const moql::event& e) = 0;
  /// One line for whoever waited in vain.
  [[nodiscard]] virtual std::string missing() const = 0;
  [[nodiscard]] bool is_over() const { return is_over_; }

  void fail(std::string why) {
    if (is_over_) return;
    session().close(moql::session_code::internal_error, why);
    end({verdict::fail, std::move(why)});
  }

 protected:
  void pass() { end({}); }
  void unsupported(std::string why) {
    session().close();
    end({verdict::unsupported, std::move(why)});
  }
  void vanish() {
    is_over_ = true;
    stage_.vanish();
  }
  void after(std::int64_t ms, std::function<void()> f) {
    stage_.after(moql::milliseconds(ms), [this, f = std::move(f)] {
      if (!is_over_) f();
    });
  }
  /// For commands that cannot fail unless something is wrong.
  bool must(moql::errc e, std::string_view what) {
    if (e == moql::errc::ok) return true;
    fail(std::string(what) + ": " + std::string(moql::text_of(e)));
    return false;
  }
  [[nodiscard]] moql::session& session() { return stage_.session(); }
  [[nodiscard]] moql::instant now() const { return stage_.now(); }
  [[nodiscard]] const settings& options() const { return options_; }

 private:
  void end(outcome how) {
    if (is_over_) return;
    is_over_ = true;
    stage_.finished(std::move(how));
  }
  stage& stage_;
  settings options_;
  bool is_over_ = false;
};

}  // namespace interop
