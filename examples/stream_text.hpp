#pragma once
/// One direction of one stream as text: its type, every message with its draft's names, every frame with its size and
/// time, and the first byte that breaks a rule. Bytes may come in any portions.

#include "stream_rules.hpp"

#include <functional>
#include <string_view>
#include <vector>

namespace examples {

/// What is wrong, where, and the bytes of the message or frame header it is in.
struct fault {
  moql::errc why{};
  place at{};  ///< Offsets in the stream's direction.
  std::vector<std::uint8_t> bytes{};
  std::size_t bytes_from{};
};

/// "byte 7 (offset in stream): R-021 a field runs past the end of its message (SUBSCRIBE, Track Name)".
[[nodiscard]] inline std::string describe(const fault& f, std::string_view offset_in = "stream") {
  const moql::error_facts& facts = moql::facts(f.why);
  std::string out = "byte " + std::to_string(f.at.from) + " (offset in " + std::string(offset_in) + "): ";
  if (!facts.rule.empty()) out += std::string(facts.rule) + " ";
  out += facts.text;
  return f.at.name.empty() ? out : out + " (" + f.at.name + ")";
}
/// The bytes around the fault, and a caret under each that is wrong; two lines.
[[nodiscard]] inline std::string picture(const fault& f) {
  constexpr std::size_t row = 16;
  const std::size_t lead = f.at.from > f.bytes_from + row / 2 ? f.at.from - row / 2 : f.bytes_from;
  std::string hex = "  " + std::to_string(lead) + ":";
  std::string carets(hex.size(), ' ');
  const std::size_t end = f.bytes_from + f.bytes.size();
  for (std::size_t at = lead; at < lead + row && (at < end || at == f.at.from); ++at) {
    hex += ' ';
    if (at < end)
      moql::inspect::print_hex(hex, f.bytes[at - f.bytes_from]);
    else
      hex += "..";
    carets += at == f.at.from || (at > f.at.from && at < f.at.to) ? " ^^" : "   ";
  }
  return hex + "\n" + carets.substr(0, carets.find_last_not_of(' ') + 1) + "\n";
}

class stream_text {
 public:
  /// Called with the offset at which the thing begins.
  using say = std::function<void(std::size_t, const std::string&)>;

  /// `sender` may be unknown; then rules that depend on it are not judged.
  stream_text(moql::version v, bool is_bidi, bool is_answer, std::optional<peer> sender)
      : ver_(v), is_bidi_(is_bidi), is_answer_(is_answer), rules_(v, sender) {}

  /// An answer does not carry the type; the other direction does.
  void set_type(std::uint64_t type) {
    type_ = type;
    if (carries_frames()) {
      groups_ = moql::group_reader(ver_, moql::limits{}.frame_bytes_max);
      frames_ = moql::frame_reader(ver_, moql::limits{}.frame_bytes_max);
      if (is_bidi_) has_header_ = true;
    }
  }
  [[nodiscard]] std::optional<std::uint64_t> type() const { return type_; }
  [[nodiscard]] const std::optional<fault>& wrong() const { return wrong_; }
  [[nodiscard]] std::size_t size() const { return at_; }

  void feed(moql::byte_view in, const say& tell) {
    while (!in.empty() && !wrong_) {
      if (type_ && carries_frames() && has_header_) {
        take_frame(in, tell);
      } else {
        unit_.push_back(in.front());
        ++at_;
        in = in.subspan(1);
        if (!type_)
          take_type(tell);
        else if (carries_frames())
          take_group_header(tell);
        else
          with_rules(*type_, is_bidi_, is_answer_, [&]<class Rules>() { take_message<Rules>(tell); });
      }
    }
  }
  /// FIN. Whether the direction may end here is one of the rules.
  void finish() {
    if (wrong_) return;
    moql::errc why = moql::errc::ok;
    std::string where;
    if (!type_) {
      why = moql::errc::stream_cut;
      where = "before its type";
    } else if (carries_frames()) {
      if (has_header_ && frames_.is_at_boundary()) return;
      why = moql::errc::stream_cut;
      where = has_header_ ? "FRAME " + std::to_string(frames_.index()) + progress() : "GROUP";
    } else {
      with_rules(*type_, is_bidi_, is_answer_, [&]<class Rules>() { why = Rules::receive_fin(state_, ver_); });
      where = unit_.empty() ? "" : std::to_string(unit_.size()) + " bytes of a message";
    }
    if (why == moql::errc::ok) return;
    if (!tail_.empty()) {
      unit_ = tail_;
      unit_from_ = at_ - tail_.size();
    }
    fail(why, {at_, at_, where});
  }

 private:
  static constexpr std::size_t header_bytes = moql::msg::frame::bytes_max;

  [[nodiscard]] bool carries_frames() const {
    if (!is_bidi_) return *type_ == static_cast<std::uint64_t>(moql::uni_type::group);
    return is_answer_ && *type_ == static_cast<std::uint64_t>(moql::bidi_type::fetch);
  }
  [[nodiscard]] place in_stream(place p) const {
    p.from += unit_from_;
    p.to += unit_from_;
    return p;
  }
  void fail(moql::errc why, const place& at) { wrong_ = fault{why, at, unit_, unit_from_}; }
  void next_unit() {
    unit_.clear();
    unit_from_ = at_;
  }

  void take_type(const say& tell) {
    moql::wire::reader r{unit_.data(), unit_.data() + unit_.size(), {}};
    std::uint64_t type{};
    if (!moql::wire::get_varint(r, type)) return;
    const moql::stream_type_facts* known = moql::find_stream_type(type, is_bidi_, ver_);
    if (known == nullptr)
      return fail(moql::errc::unknown_stream_type, {unit_from_, at_, "type " + std::to_string(type)});
    tell(unit_from_, std::string(known->name) + " stream");
    set_type(type);
    next_unit();
  }

  template <class Rules>
  void take_message(const say& tell) {
    using half = typename incoming_half<Rules>::type;
    moql::byte_view in(&unit_.back(), 1);
    typename Rules::incoming m;
    moql::errc why{};
    const bool had_lead = state_.lead_seen;
    const std::uint8_t state = state_.received;
    const moql::step got = Rules::receive(state_, ver_, caps_, in, m, why);
    if (got == moql::step::ready) why = rules_.judge(m);
    if (why != moql::errc::ok) {
      return fail(why, in_stream(locate<half>(unit_, state, ver_, why)));
    }
    if (got == moql::step::ready) {
      const auto print = [&](const auto& x) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(x)>, std::monostate>)
          tell(unit_from_, moql::inspect::print(x, ver_));
      };
      std::visit(print, m);
    } else if (state_.reader.is_inside()) {
      return;
    } else if (had_lead == state_.lead_seen) {
      tell(unit_from_, "a message of a type to come, " + std::to_string(unit_.size()) + " bytes, skipped");
    }
    next_unit();
  }

  void take_group_header(const say& tell) {
    moql::byte_view in(&unit_.back(), 1);
    moql::msg::group m;
    moql::errc why{};
    const moql::step got = groups_.header(in, m, why);
    if (got == moql::step::fault) return fail(why, in_stream(locate<moql::msg::group>(unit_, ver_, why)));
    if (got == moql::step::wait) return;
    tell(unit_from_, moql::inspect::print(m, ver_));
    frames_ = groups_.frames();
    has_header_ = true;
    next_unit();
  }

  void take_frame(moql::byte_view& in, const say& tell) {
    const moql::byte_view before = in;
    moql::frame_piece p;
    moql::errc why{};
    const moql::step got = frames_.next(in, p, why);
    const std::size_t taken = before.size() - in.size();
    at_ += taken;
    for (std::size_t i = 0; i < taken && unit_.size() < header_bytes; ++i) unit_.push_back(before[i]);
    if (got == moql::step::fault) return fail(why, header_fault(why));
    const std::size_t kept = std::min(taken, header_bytes);
    tail_.assign(before.begin() + static_cast<std::ptrdiff_t>(taken - kept),
                 before.begin() + static_cast<std::ptrdiff_t>(taken));
    if (got == moql::step::wait) return;
    frame_size_ = p.size;
    frame_done_ = p.offset + p.payload.size();
    if (!p.is_last()) return;
    std::string line = "FRAME " + std::to_string(p.index) + ": " + std::to_string(p.size) + " bytes";
    if (moql::has_timestamps(ver_)) line += ", timestamp " + std::to_string(p.timestamp);
    tell(unit_from_, line);
    frame_size_ = frame_done_ = 0;
    tail_.clear();
    next_unit();
  }
  /// Which of a frame's two fields is wrong.
  [[nodiscard]] place header_fault(moql::errc why) const {
    const std::string frame = "FRAME " + std::to_string(frames_.index());
    if (!moql::has_timestamps(ver_)) return {unit_from_, at_, frame + ", Message Length"};
    const std::size_t length_at = unit_from_ + moql::wire::varint_width(unit_.front());
    if (why == moql::errc::bad_timestamp) return {unit_from_, length_at, frame + ", Timestamp Delta"};
    return {length_at, at_, frame + ", Message Length"};
  }
  [[nodiscard]] std::string progress() const {
    return frame_size_ == 0 ? "" : ", " + std::to_string(frame_done_) + " of " + std::to_string(frame_size_) + " bytes";
  }

  moql::version ver_;
  bool is_bidi_;
  bool is_answer_;
  session_rules rules_;
  moql::limits caps_{};
  std::optional<std::uint64_t> type_{};
  moql::machine_state state_{};
  moql::group_reader groups_{};
  moql::frame_reader frames_{};
  bool has_header_ = false;
  std::uint64_t frame_size_ = 0;
  std::uint64_t frame_done_ = 0;
  std::size_t at_ = 0;
  std::vector<std::uint8_t> unit_{};  ///< The message under way, or the beginning of the frame.
  std::size_t unit_from_ = 0;
  std::vector<std::uint8_t> tail_{};  ///< The last bytes of a frame that is not complete.
  std::optional<fault> wrong_{};
};

}  // namespace examples
