#pragma once
/// Lines of qmux/frames.jsonl: the bytes say the fields, the fields become the bytes, and neither a cut, a split nor a
/// byte too many changes what is said.

#include "fields.hpp"
#include "moql/binding/qmux.hpp"

namespace moql::vectors {

inline std::optional<qmux::revision> revision_of(const json& line) {
  const std::string& s = line.at("qmux_version").get_ref<const std::string&>();
  const auto c = qmux::parse_token(s);
  if (!c || !c->protocol.empty()) return {};
  return c->wire;
}

inline std::string string_of(byte_view v) { return {reinterpret_cast<const char*>(v.data()), v.size()}; }

/// A frame as the JSON of the vectors.
struct qmux_json {
  json operator()(const qmux::frames::padding&) const { return {{"type", "padding"}}; }
  json operator()(const qmux::frames::reset_stream& f) const {
    return {{"type", "reset_stream"}, {"id", f.id}, {"code", f.code}, {"finalSize", f.final_size}};
  }
  json operator()(const qmux::frames::stop_sending& f) const {
    return {{"type", "stop_sending"}, {"id", f.id}, {"code", f.code}};
  }
  json operator()(const qmux::frames::stream& f) const {
    return {{"type", "stream"}, {"id", f.id}, {"offset", f.offset}, {"data", tests::to_hex(f.data)}, {"fin", f.fin}};
  }
  json operator()(const qmux::frames::max_data& f) const { return {{"type", "max_data"}, {"max", f.limit}}; }
  json operator()(const qmux::frames::max_stream_data& f) const {
    return {{"type", "max_stream_data"}, {"id", f.id}, {"max", f.limit}};
  }
  json operator()(const qmux::frames::max_streams& f) const {
    return {{"type", f.dir == direction::bidi ? "max_streams_bidi" : "max_streams_uni"}, {"max", f.limit}};
  }
  json operator()(const qmux::frames::data_blocked& f) const { return {{"type", "data_blocked"}, {"limit", f.limit}}; }
  json operator()(const qmux::frames::stream_data_blocked& f) const {
    return {{"type", "stream_data_blocked"}, {"id", f.id}, {"limit", f.limit}};
  }
  json operator()(const qmux::frames::streams_blocked& f) const {
    return {{"type", f.dir == direction::bidi ? "streams_blocked_bidi" : "streams_blocked_uni"}, {"limit", f.limit}};
  }
  json operator()(const qmux::frames::connection_close& f) const {
    return {{"type", f.application ? "application_close" : "connection_close"},
            {"code", f.code},
            {"reason", string_of(f.reason)}};
  }
  json operator()(const qmux::frames::reset_stream_at& f) const {
    return {{"type", "reset_stream_at"},
            {"id", f.id},
            {"code", f.code},
            {"finalSize", f.final_size},
            {"reliableSize", f.reliable_size}};
  }
  json operator()(const qmux::frames::datagram& f) const {
    return {{"type", "datagram"}, {"data", tests::to_hex(f.data)}};
  }
  json operator()(const qmux::frames::ping& f) const {
    return {{"type", f.is_response ? "ping_response" : "ping_request"}, {"sequence", f.sequence}};
  }
  json operator()(const qmux::frames::transport_parameters& f) const {
    qmux::parameters p;
    if (qmux::decode_parameters(f.payload, p) != errc::ok) return {{"type", "malformed transport_parameters"}};
    return {{"type", "transport_parameters"},
            {"params",
             {{"maxIdleTimeout", p.idle_ms},
              {"initialMaxData", p.max_data},
              {"initialMaxStreamDataBidiLocal", p.bidi_local},
              {"initialMaxStreamDataBidiRemote", p.bidi_remote},
              {"initialMaxStreamDataUni", p.uni},
              {"initialMaxStreamsBidi", p.streams_bidi},
              {"initialMaxStreamsUni", p.streams_uni},
              {"maxDatagramFrameSize", p.max_datagram_frame},
              {"maxRecordSize", p.max_record},
              {"resetStreamAt", p.reset_stream_at}}}};
  }
  // The revision before QMux; its reset has no size, which the vectors state as 0.
  json operator()(const qmux::legacy::reset_stream& f) const {
    return {{"type", "reset_stream"}, {"id", f.id}, {"code", f.code}, {"finalSize", 0}};
  }
  json operator()(const qmux::legacy::stream& f) const {
    return {{"type", "stream"}, {"id", f.id}, {"data", tests::to_hex(f.data)}, {"fin", f.fin}};
  }
  json operator()(const qmux::legacy::close& f) const {
    return {{"type", f.application ? "application_close" : "connection_close"},
            {"code", f.code},
            {"reason", string_of(f.reason)}};
  }
};

/// Whether the last field of a frame goes to the end of its record: then a cut is seen only before that field.
inline bool runs_on(const qmux::frame& f) {
  if (const auto* s = std::get_if<qmux::frames::stream>(&f)) return !s->has_length;
  const auto* d = std::get_if<qmux::frames::datagram>(&f);
  return d != nullptr && !d->has_length;
}
inline bool runs_on(const qmux::legacy_frame& f) {
  return std::holds_alternative<qmux::legacy::stream>(f) || std::holds_alternative<qmux::legacy::close>(f);
}

/// Exactly `size` bytes in a block of their own, so that a sanitizer sees who reads past them.
inline bytes alone(byte_view v) { return bytes::copy(v); }

/// What a byte stream that is cut in two at `at` turns into: each record or frame, or "wrong".
inline std::vector<std::string> through_inbox(byte_view stream, std::size_t at, bool is_sized) {
  buffer_pool pool;
  qmux::detail::inbox in(is_sized, qmux::frame_bytes_00);
  std::vector<std::string> out;
  for (const byte_view part : {stream.first(at), stream.subspan(at)}) {
    bytes data = alone(part);
    for (bool more = true; more;) {
      bytes unit;
      switch (in.next(data, unit, pool)) {
        case qmux::detail::inbox::found::unit: out.push_back(string_of(unit.view())); break;
        case qmux::detail::inbox::found::nothing: more = false; break;
        default: out.emplace_back("wrong"); return out;
      }
    }
  }
  return out;
}

template <class Frame>
verdict run_frame_as(const json& line, qmux::revision r) {
  const std::vector<std::uint8_t> hex = bytes_from(line.at("hex"));
  const bytes whole = alone(byte_view(hex));
  const auto f = qmux::decode_frame<Frame>(whole.view());
  if (f.why != errc::ok) return verdict::fail("refused: " + std::string(text_of(f.why)));
  if (f.size != hex.size()) return verdict::fail("read " + std::to_string(f.size) + " bytes");
  const json said = canonical(std::visit(qmux_json{}, f.value));
  const json stated = canonical(line.at("fields"));
  if (said != stated)
    return verdict::fail("means " + said.dump().substr(0, 300) + ", not " + stated.dump().substr(0, 300));
  const auto put = [](const auto& v) {
    std::vector<std::uint8_t> b(qmux::frame_size(v));
    b.resize(static_cast<std::size_t>(qmux::put_frame(v, b.data()) - b.data()));
    return b;
  };
  const std::vector<std::uint8_t> again = std::visit(put, f.value);
  const bool is_minimal = !line.contains("non_minimal") || line["non_minimal"] == false;
  if (is_minimal && again != hex) return verdict::fail("written as " + tests::to_hex(again).substr(0, 200));

  // A parameter list is written anew from its values too.
  if constexpr (std::is_same_v<Frame, qmux::frame>)
    if (const auto* list = std::get_if<qmux::frames::transport_parameters>(&f.value)) {
      qmux::parameters p;
      (void)qmux::decode_parameters(list->payload, p);
      std::vector<std::uint8_t> b(qmux::parameters_size(p));
      (void)qmux::put_parameters(p, b.data());
      if (is_minimal && string_of(byte_view(b)) != string_of(list->payload))
        return verdict::fail("the parameters are written as " + tests::to_hex(b));
    }

  for (std::size_t n = 0; n < hex.size(); ++n) {
    const bytes cut = alone(byte_view(hex).first(n));
    const auto c = qmux::decode_frame<Frame>(cut.view());
    if (c.why == errc::truncated) continue;
    if (c.why != errc::ok || !runs_on(c.value) || c.size != n)
      return verdict::fail("cut at " + std::to_string(n) + " it is not cut short");
  }
  std::vector<std::uint8_t> longer = hex;
  longer.push_back(0x7f);
  const bytes extra = alone(byte_view(longer));
  const auto l = qmux::decode_frame<Frame>(extra.view());
  if (l.why != errc::ok || l.size != (runs_on(l.value) ? longer.size() : hex.size()))
    return verdict::fail("a byte too many is taken for one of its own");

  if (!qmux::has_parameters(r)) return verdict::pass("frames");
  std::vector<std::uint8_t> sized(wire::varint_size(hex.size()));
  wire::writer w{sized.data()};
  wire::put_varint(w, hex.size());
  sized.insert(sized.end(), hex.begin(), hex.end());
  const std::vector<std::string> want{string_of(byte_view(hex))};
  for (std::size_t at = 0; at <= sized.size(); ++at)
    if (qmux::has_records(r) && through_inbox(byte_view(sized), at, true) != want)
      return verdict::fail("a record split at " + std::to_string(at) + " is another");
  bool is_bare = !qmux::has_records(r);
  if constexpr (std::is_same_v<Frame, qmux::frame>) is_bare = is_bare && !runs_on(f.value);
  for (std::size_t at = 0; is_bare && at <= hex.size(); ++at)
    if (through_inbox(byte_view(hex), at, false) != want)
      return verdict::fail("a frame split at " + std::to_string(at) + " is another");
  return verdict::pass("frames");
}

inline verdict run_qmux_frame(const json& line) {
  const auto r = revision_of(line);
  if (!r) return verdict::fail("an unknown QMux version");
  return qmux::has_parameters(*r) ? run_frame_as<qmux::frame>(line, *r) : run_frame_as<qmux::legacy_frame>(line, *r);
}

}  // namespace moql::vectors
