#pragma once
/// Bandwidth both ways (PROBE, and SESSION_UPDATE on 01 and 02) and GOAWAY both ways. Draft 06 sections 5.1.5, 5.1.6,
/// 7.17 and 7.18.

#include "../message/stream_type.hpp"
#include "opening.hpp"

namespace moql {

/// When a measurement is worth a report: the first one, when the last is old, or when it moved by more than a share
/// that shrinks from a quarter to nothing while the last report ages. As the deployed publishers do it.
struct report_policy {
  static constexpr duration oldest = seconds(10);
  static constexpr duration sample = milliseconds(100);  ///< How often it is worth looking.
  std::optional<instant> last{};
  std::uint64_t bitrate{};
  std::uint64_t rtt_ms{};

  [[nodiscard]] constexpr bool is_due(instant now, std::uint64_t new_bitrate, std::uint64_t new_rtt_ms) const noexcept {
    if (!last || now - *last >= oldest) return true;
    const auto moved = [](std::uint64_t from, std::uint64_t to) { return from > to ? from - to : to - from; };
    const auto left = static_cast<std::uint64_t>((oldest - (now - *last)).us);
    // moved / bitrate > (left / oldest) / 4, in whole numbers of a million
    const std::uint64_t threshold = bitrate / 1'000'000 * left / 40 + bitrate % 1'000'000 * left / 40'000'000;
    return moved(bitrate, new_bitrate) > threshold || moved(rtt_ms, new_rtt_ms) * 4 >= (rtt_ms == 0 ? 1 : rtt_ms);
  }
};

namespace detail {

class signals {
 public:
  signals(core& c, opening& o) noexcept : c_(c), opening_(o), watchers_(c.mem), uri_(c.mem) {}

  // ---- bandwidth

  /// Asks the peer for reports; `target` in bits per second, 0 for none. Deployed publishers reset a stream that names
  /// one, so leave it out unless the peer is known to take it.
  [[nodiscard]] errc probe(std::uint64_t target) noexcept {
    if (!c_.is_established) return errc::wrong_state;
    if (!has_probe(c_.ver)) return errc::not_in_version;
    stream_record* s = c_.streams.find(probe_);
    target_ = target;
    if (s == nullptr) {
      if (c_.is_going_away) return errc::going_away;
      if (!opening_.knows_peer()) {  // only after SETUP says that the peer probes
        is_probe_wanted_ = true;
        return errc::ok;
      }
      return open_probe();
    }
    return target == 0 ? errc::ok : send_target(*s);
  }
  void stop_probe() noexcept {
    is_probe_wanted_ = false;
    if (stream_record* s = c_.streams.find(probe_)) c_.leave(*s);
    probe_ = {};
  }
  void on_peer_setup() noexcept {
    if (!is_probe_wanted_) return;
    is_probe_wanted_ = false;
    if (const errc e = open_probe(); e != errc::ok) c_.tell(probe_closed{e, 0});
  }
  /// What we measure, for the peer: bits per second and milliseconds, 0 for unknown.
  [[nodiscard]] errc report(std::uint64_t bitrate, std::uint64_t rtt_ms) noexcept {
    if (!c_.is_established) return errc::wrong_state;
    if (negotiates_in_band(c_.ver)) return opening_.send_update(bitrate);
    for (std::size_t i = 0; i < watchers_.size();) {
      stream_record* s = c_.streams.find(watchers_[i]);
      if (s == nullptr || s->kind != stream_kind::probe_theirs || !s->ends.can_send()) {
        watchers_.erase(i);
        continue;
      }
      // A watcher that does not read gets the newest report only once it has room again.
      if (s->unsent().empty())
        if (const errc e = c_.say<prober>(*s, msg::probe{bitrate, rtt_ms}); e != errc::ok) return e;
      c_.flush(*s);
      ++i;
    }
    return errc::ok;
  }
  [[nodiscard]] bool is_watched() const noexcept { return !watchers_.empty(); }
  void on_stats(const transport_stats& t) noexcept {
    if (watchers_.empty() || t.send_bits_per_second == 0) return;
    const std::uint64_t rtt_ms = t.rtt_us == 0 ? 0 : t.rtt_us < 1000 ? 1 : t.rtt_us / 1000;
    if (!policy_.is_due(c_.now, t.send_bits_per_second, rtt_ms)) return;
    policy_ = {c_.now, t.send_bits_per_second, rtt_ms};
    (void)report(t.send_bits_per_second, rtt_ms);
  }
  [[nodiscard]] errc accept_probe(stream_record& s) noexcept {
    if (c_.settings.probe == probe_level::none) return errc::not_supported;
    if (watchers_.size() >= c_.caps().requests_max) return errc::limit_exceeded;
    if (!watchers_.push(c_.handle_of(s))) return errc::out_of_memory;
    s.kind = stream_kind::probe_theirs;
    policy_ = {};  // the first measurement goes out at once
    sample_due();
    return errc::ok;
  }
  /// As long as somebody probes, a deadline makes the caller pump, and with that measure.
  void sample_due() noexcept {
    if (is_watched()) c_.set_timer(timer_kind::sample, {}, report_policy::sample);
  }
  [[nodiscard]] step read_probe(stream_record& s, byte_view& in, errc& why) noexcept {
    prober::incoming m;
    const step got = c_.hear<prober>(s, in, m, why);
    if (got != step::ready) return got;
    const auto& p = std::get<msg::probe>(m);
    c_.answered(s);
    const bool is_target = s.kind == stream_kind::probe_theirs;
    // whoever only reports ignores targets. 03 and 04 have no levels.
    if (!is_target || !has_setup(c_.ver) || c_.settings.probe == probe_level::increase)
      c_.tell(bandwidth{is_target, p.bitrate, p.rtt_ms});
    return step::ready;
  }
  /// A Probe stream is over, or the peer reads no more reports on it.
  void probe_ended(stream_record& s, errc why, std::uint64_t code) noexcept {
    if (s.kind != stream_kind::probe_ours) return forget_watcher(c_.handle_of(s));
    probe_ = {};
    c_.tell(probe_closed{why, code});
  }

  // ---- goaway

  /// Asks the peer to leave, and to go to `uri` if it is not empty. Closes the session when `drain` passes; 0 waits.
  [[nodiscard]] errc goaway(std::string_view uri, duration drain) noexcept {
    if (!c_.is_established) return errc::wrong_state;
    if (!has_goaway(c_.ver)) return errc::not_in_version;
    if (has_sent_goaway_) return errc::wrong_state;
    if (c_.is_going_away) return errc::going_away;
    if (uri.size() > uri_bytes_max || !is_utf8(uri)) return errc::bad_argument;
    if (c_.is_client() && !uri.empty() && since(lite06).has(c_.ver)) return errc::bad_argument;
    stream_record* s = c_.open(stream_kind::goaway_ours, true, no_slot);
    if (s == nullptr || !c_.put_type(*s, static_cast<std::uint64_t>(bidi_type::goaway))) return errc::out_of_memory;
    has_sent_goaway_ = true;
    goaway_ = c_.handle_of(*s);
    c_.set_timer(timer_kind::goaway, {}, drain);
    return c_.say<goaway_sender>(*s, msg::goaway{uri});
  }
  /// We are ready to terminate: ends the Goaway stream.
  [[nodiscard]] errc finish_goaway() noexcept {
    stream_record* s = c_.streams.find(goaway_);
    if (s == nullptr || goaway_sender::send_fin(s->said, c_.ver) != errc::ok) return errc::wrong_state;
    c_.finish(*s);
    return errc::ok;
  }
  [[nodiscard]] step read_goaway(stream_record& s, byte_view& in, errc& why) noexcept {
    goaway_receiver::incoming m;
    const step got = c_.hear<goaway_receiver>(s, in, m, why);
    if (got == step::fault && why == errc::second_goaway && before(lite06).has(c_.ver)) {
      in = {};  // the earlier drafts say nothing: the first counts
      return step::wait;
    }
    if (got != step::ready) return got;
    const std::string_view uri = std::get<msg::goaway>(m).uri;
    why = errc::ok;
    if (c_.is_going_away)
      why = since(lite06).has(c_.ver) ? errc::second_goaway : errc::ok;
    else if (!c_.is_client() && !uri.empty() && since(lite06).has(c_.ver))
      why = errc::uri_from_client;
    else if (!uri_.append(uri.data(), uri.size()))
      why = errc::out_of_memory;
    else
      take_goaway();
    return why == errc::ok ? step::ready : step::fault;
  }
  void goaway_ended(stream_record& s, errc why) noexcept {
    if (s.kind == stream_kind::goaway_theirs && why == errc::ok && c_.is_going_away) c_.tell(goaway_finished{});
  }

 private:
  void forget_watcher(slot_handle h) noexcept {
    for (std::size_t i = 0; i < watchers_.size(); ++i)
      if (watchers_[i] == h) return watchers_.erase(i);
  }
  void take_goaway() noexcept {
    c_.is_going_away = true;
    c_.tell(goaway_received{{uri_.data(), uri_.size()}});
  }
  [[nodiscard]] errc open_probe() noexcept {
    if (has_setup(c_.ver) && opening_.peer().probe == probe_level::none) return errc::not_supported;
    stream_record* s = c_.open(stream_kind::probe_ours, true, no_slot);
    if (s == nullptr || !c_.put_type(*s, static_cast<std::uint64_t>(bidi_type::probe))) return errc::out_of_memory;
    probe_ = c_.handle_of(*s);
    return target_ == 0 ? errc::ok : send_target(*s);
  }
  [[nodiscard]] errc send_target(stream_record& s) noexcept {
    const errc e = c_.say<prober>(s, msg::probe{target_, 0});
    c_.flush(s);
    return e;
  }

  core& c_;
  opening& opening_;
  vec<slot_handle> watchers_;
  vec<char> uri_;
  report_policy policy_{};
  slot_handle probe_{};
  slot_handle goaway_{};
  std::uint64_t target_ = 0;
  bool is_probe_wanted_ = false;
  bool has_sent_goaway_ = false;
};

}  // namespace detail
}  // namespace moql
