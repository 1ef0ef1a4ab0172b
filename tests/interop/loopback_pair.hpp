#pragma once
/// Both sides of a scenario in one process: two sessions on the network in memory, in virtual time, so that a minute
/// passes in no time and every run is the same.

#include <moql/adapter/loopback.hpp>

#include <map>
#include <memory>

#include "scenarios.hpp"

namespace interop {

class loopback_pair {
 public:
  loopback_pair(const settings& o, bool client_publishes, std::uint64_t seed, std::uint32_t streams)
      : net_(options(o, seed, streams)), client_(*this, o, true), server_(*this, o, false) {
    client_.publishes = client_publishes;
    server_.publishes = !client_publishes;
  }

  /// `pass` when both sides passed within `limit`.
  outcome run(moql::duration limit) {
    (void)client_.session_.start(net_.a().protocol(), net_.now());
    (void)server_.session_.start(net_.b().protocol(), net_.now());
    while (true) {
      serve();
      if (client_.is_over() && server_.is_over()) break;
      if (net_.next_due() <= next_alarm()) {
        if (net_.step(client_.session_, server_.session_)) continue;
      }
      const moql::instant next = next_alarm();
      if (next == moql::never_due || next - moql::instant{} > limit) break;
      if (next > net_.now()) net_.advance_to(next);
      ring();
    }
    if (net_.violations() != 0) return {verdict::fail, "the network complains: " + std::string(net_.last_violation())};
    outcome how;
    for (const side* s : {&client_, &server_}) {
      const outcome each = s->result();
      if (each.what == verdict::pass) continue;
      how.what = each.what;
      how.why += (how.why.empty() ? "" : " | ") + std::string(s->publishes ? "publisher: " : "subscriber: ") + each.why;
    }
    return how;
  }

 private:
  class side final : public stage {
   public:
    side(loopback_pair& p, settings o, bool is_client)
        : session_(config_of(o, is_client)), publishes(is_client), pair_(p), options_(std::move(o)) {
      options_.dials = is_client;
    }
    moql::session& session() override { return session_; }
    moql::instant now() const override { return pair_.net_.now(); }
    void after(moql::duration d, std::function<void()> f) override {
      pair_.alarms_.emplace((now() + d).us, std::move(f));
    }
    void finished(outcome how) override { how_ = std::move(how); }
    void vanish() override {
      how_ = outcome{};
      pair_.net_.cut(0);
    }
    void drain() {
      while (const auto e = session_.next_event()) {
        if (std::holds_alternative<moql::connected>(*e)) {
          actor_ = make_actor(*this, options_, publishes);
          actor_->up();
        } else if (actor_ && !actor_->is_over()) {
          actor_->hear(*e);
        } else if (const auto* c = std::get_if<moql::session_closed>(&*e); c != nullptr && !actor_) {
          how_ = {verdict::fail, "no session: " + text_of(*c)};
        }
      }
    }
    [[nodiscard]] bool is_over() const { return how_.has_value() && session_.is_closed(); }
    [[nodiscard]] outcome result() const {
      if (how_) return *how_;
      return {verdict::fail, "in vain: " + (actor_ ? actor_->missing() : std::string("no session"))};
    }
    moql::session session_;
    bool publishes;

   private:
    [[nodiscard]] static moql::config config_of(const settings& o, bool is_client) {
      return {.side = is_client ? moql::endpoint::client : moql::endpoint::server,
              .versions = moql::only(o.ver),
              .path = is_client ? "/interop" : "",
              .probe = moql::probe_level::report};
    }
    loopback_pair& pair_;
    settings options_;
    std::unique_ptr<actor> actor_{};
    std::optional<outcome> how_{};
  };

  /// A network with every bad habit but loss: that would be a scenario of its own.
  [[nodiscard]] static moql::loopback_options options(const settings& o, std::uint64_t seed, std::uint32_t streams) {
    moql::loopback_options n;
    n.seed = seed;
    n.chunk_max = 4096;
    n.delay_min = moql::milliseconds(1);
    n.delay_max = moql::milliseconds(8);
    n.reorder_streams = true;
    n.stream_window = 256 * 1024;
    n.connection_window = 1024 * 1024;
    n.streams_bidi = n.streams_uni = streams;
    n.protocol = moql::facts(o.ver).protocol;
    return n;
  }
  void serve() {
    do {
      client_.drain();
      server_.drain();
      moql::pump(client_.session_, net_.a(), net_.now());
      moql::pump(server_.session_, net_.b(), net_.now());
    } while (client_.session_.has_events() || server_.session_.has_events());
  }
  [[nodiscard]] moql::instant next_alarm() const {
    moql::instant next = alarms_.empty() ? moql::never_due : moql::instant{alarms_.begin()->first};
    for (const side* s : {&client_, &server_}) next = std::min(next, s->session_.next_deadline());
    return next;
  }
  void ring() {
    while (!alarms_.empty() && alarms_.begin()->first <= net_.now().us) {
      const auto f = std::move(alarms_.begin()->second);
      alarms_.erase(alarms_.begin());
      f();
    }
  }

  moql::loopback_network net_;
  std::multimap<std::int64_t, std::function<void()>> alarms_{};
  side client_, server_;
};

}  // namespace interop
