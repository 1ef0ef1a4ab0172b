#pragma once
/// One direction of a stream as the messages it is made of, to compare what two stacks wrote.

#include "judge.hpp"

namespace moql::vectors {

struct heading {
  std::uint64_t type{};
  std::size_t size{};  ///< Bytes of the type.
};
/// The stream's type; none while it is not complete.
inline std::optional<heading> heading_of(byte_view in) {
  wire::reader r{in.data(), in.data() + in.size(), {}};
  heading h;
  if (!wire::get_varint(r, h.type)) return {};
  h.size = in.size() - r.left();
  return h;
}

/// Which message comes next: number `index` of its direction. Empty when nothing may come.
inline std::string_view next_message(version v, bool bidi, std::uint64_t type, bool answer, std::size_t index,
                                     byte_view in) {
  if (!bidi) return type == 1 ? (index == 0 ? "SETUP" : "") : index == 0 ? "GROUP" : "FRAME";
  const auto lead = heading_of(in);
  const std::uint64_t kind = lead ? lead->type : 0;
  switch (type) {
    case 0x00: return index > 0 ? "SESSION_UPDATE" : answer ? "SESSION_SERVER" : "SESSION_CLIENT";
    case 0x20: return index > 0 ? "SESSION_UPDATE" : answer ? "SERVER_SETUP" : "CLIENT_SETUP";
    case 0x01:
      if (!answer) return index == 0 ? "ANNOUNCE_REQUEST" : "";
      if (index == 0 && has_announce_init(v)) return "ANNOUNCE_INIT";
      if (index == 0 && since(lite05).has(v)) return "ANNOUNCE_OK";
      if (before(lite06).has(v)) return "ANNOUNCE";
      return kind == 0 ? "ANNOUNCE_START" : kind == 1 ? "ANNOUNCE_END" : kind == 2 ? "ANNOUNCE_UPDATE" : "";
    case 0x02:
      if (!answer) return index == 0 ? "SUBSCRIBE" : "SUBSCRIBE_UPDATE";
      if (before(lite03).has(v) || kind == 0) return "SUBSCRIBE_OK";
      if (kind == 1) return has_subscribe_end(v) ? "SUBSCRIBE_END" : "SUBSCRIBE_DROP";
      return kind == 2 && has_subscribe_end(v) ? "SUBSCRIBE_DROP" : "";
    case 0x03: return answer ? "FRAME" : index == 0 ? "FETCH" : "";
    case 0x04: return "PROBE";
    case 0x05: return answer || index > 0 ? "" : "GOAWAY";
    case 0x06: return index > 0 ? "" : answer ? "TRACK_INFO" : "TRACK";
    default: return "";
  }
}

struct decoded_stream {
  std::vector<json> messages{};  ///< {"message": name, ...its fields}
  errc why{};                    ///< What is wrong with the first bytes that are no message; stream_cut: not complete.
};
/// `in` without the stream's type. Stops at the first error.
inline decoded_stream decode_stream(version v, bool bidi, std::uint64_t type, bool answer, byte_view in) {
  decoded_stream out;
  if (type == 0x20 && bidi && answer && !in.empty()) in = in.subspan(1);  // 0x21 precedes SERVER_SETUP
  while (!in.empty() && out.why == errc::ok) {
    const std::string_view name = next_message(v, bidi, type, answer, out.messages.size(), in);
    if (name.empty()) {  // a type nobody knows, or more than may come
      const message_head m = read_head(in, true, framing::length);
      const bool is_typed = bidi && answer && (type == 0x02 || type == 0x01);
      out.why = is_typed && (m.why != errc::ok || m.body_size > in.size() - m.size) ? errc::stream_cut
                                                                                    : errc::unexpected_message;
      break;
    }
    outcome o;
    if (!with_message(name, v, [&]<class M>(std::type_identity<M>) { o = judge_message<M>(v, in); }))
      o.why = errc::unknown_message;
    if (o.why == errc::ok && name == "FRAME") o = judge("FRAME", v, in);
    out.why = o.why;
    if (o.why != errc::ok) break;
    o.fields["message"] = name;
    out.messages.push_back(o.fields);
    in = in.subspan(o.used);
  }
  return out;
}

}  // namespace moql::vectors
