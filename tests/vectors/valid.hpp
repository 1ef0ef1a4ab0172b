#pragma once
/// Lines of messages*.jsonl: the bytes say the fields, and the fields become the bytes.

#include "judge.hpp"

namespace moql::vectors {

/// Null when `fields` (canonical, from the line) and `ours` say the same, else what differs. What is not on the wire of
/// this message (a timescale beside frames) is left out.
inline std::string compare_fields(const json& fields, const json& ours, const std::string& message) {
  std::set<std::string> seen;
  for (const auto& [key, value] : fields.items()) {
    if (key == "timescale" && (message == "GROUP_STREAM" || message == "FETCH_RESPONSE")) continue;
    if (key == "group_sequence" && message == "FETCH_RESPONSE") continue;
    std::string mine = key;
    for (const auto& [k, v] : ours.items())
      if (other_key(k) == key) mine = k;
    if (!ours.contains(mine)) return "we have no field " + key;
    seen.insert(mine);
    if (key == "frames") {
      if (value.size() != ours.at(key).size()) return "we found " + std::to_string(ours.at(key).size()) + " frames";
      for (std::size_t i = 0; i < value.size(); ++i)
        if (const std::string d = compare_fields(value[i], ours.at(key)[i], "FRAME"); !d.empty())
          return "frame " + std::to_string(i) + ": " + d;
      continue;
    }
    // The table of types names a stream; the vectors also say which side of it: "SessionCompat client".
    if (message == "STREAM_TYPE" && key == "name" &&
        value.get<std::string>().starts_with(ours.at(key).get<std::string>() + " "))
      continue;
    if (ours.at(mine) != value)
      return key + " is " + ours.at(mine).dump().substr(0, 200) + ", not " + value.dump().substr(0, 200);
  }
  for (const auto& [key, value] : ours.items()) {
    if (seen.contains(key) || value.is_null()) continue;
    const bool derived =
        key.starts_with("payload") || key.starts_with("timestamp");  // payload, its length and digest; both timestamps
    if (!derived) return "we also found " + key + " = " + value.dump().substr(0, 200);
  }
  return {};
}

/// The bytes for a line's fields. Payloads that the line only counts are taken from `known`, the decoded bytes.
inline std::vector<std::uint8_t> encode_fields(const std::string& name, version v, const json& fields,
                                               byte_view known) {
  inspect::arena memory;
  std::vector<std::uint8_t> out;
  const auto add = [&](const auto& m) {
    std::vector<std::uint8_t> b(encoded_size(m, v));
    if (const encoded e = encode(m, v, b); e.why != errc::ok)
      throw bad_line("cannot be encoded: " + std::string(moql::text_of(e.why)));
    out.insert(out.end(), b.begin(), b.end());
  };
  const auto frames = [&](const json& all, bool absolute) {
    std::int64_t before = 0;
    for (const json& f : all) {
      msg::frame m;
      std::vector<std::uint8_t> payload;
      if (f.contains("payload")) {
        payload = bytes_from(f.at("payload"));
      } else {  // only counted: find it where the frame before it ended
        const auto n = f.at("payload_len").get<std::size_t>();
        byte_view rest = known.subspan(out.size());
        const auto d = decode<msg::frame>(rest, v);
        if (d.why != errc::ok || rest.size() < d.used + n) throw bad_line("the payload is not in the bytes");
        payload.assign(rest.begin() + static_cast<std::ptrdiff_t>(d.used),
                       rest.begin() + static_cast<std::ptrdiff_t>(d.used + n));
      }
      m.size = payload.size();
      if (has_timestamps(v)) {
        const json c = canonical(f.at(absolute ? "timestamp" : "timestamp_delta"));
        const std::int64_t t = std::stoll(c.get<std::string>());
        m.timestamp_delta = absolute ? t - before : t;
        before = t;
      }
      add(m);
      out.insert(out.end(), payload.begin(), payload.end());
    }
  };
  if (name == "VARINT" || name == "STREAM_TYPE") {
    const std::uint64_t n =
        std::stoull(canonical(fields.at(name == "VARINT" ? "value" : "stream_type")).get<std::string>());
    if (n > wire::varint_max) throw bad_line("above 2^62-1");
    out.resize(wire::varint_size(n));
    wire::writer w{out.data()};
    wire::put_varint(w, n);
  } else if (name == "FRAME") {
    frames(json::array({fields}), false);
  } else if (name == "FETCH_RESPONSE") {
    frames(fields.at("frames"), true);
  } else if (name == "GROUP_STREAM") {
    msg::group g;
    from_json_visitor j{v, fields, memory};
    (void)msg::group::fields(g, j);
    add(g);
    frames(fields.at("frames"), true);
  } else {
    with_message(name, v, [&]<class M>(std::type_identity<M>) {
      M m{};
      byte_view tail;
      if (fields.contains("payload_len"))
        tail = known.last(std::min(known.size(), fields.at("payload_len").get<std::size_t>()));
      from_json_visitor j{v, fields, memory, tail};
      (void)M::fields(m, j);
      for (const auto& [key, value] : fields.items())
        if (!j.used.contains(key)) throw bad_line("the field " + key + " is unknown here");
      add(m);
    });
  }
  return out;
}

inline verdict run_valid(const json& line) {
  const auto v = version_of(line);
  if (!v) return verdict::skipped("06wip messages that published 06 writes differently");
  const std::string name = line.at("message").get<std::string>();
  const std::vector<std::uint8_t> bytes = bytes_from(line.at("hex"));
  const json& fields = line.at("fields");
  const bool bidi = line.contains("stream") && line["stream"] == "bidi";

  const outcome o = judge(name, *v, byte_view(bytes), bidi);
  if (o.why == errc::uri_too_long && line["version"] == "06wip")
    return verdict::pass(text_of(o), "R-161 published 06 bounds the GOAWAY URI, the dialect before it did not");
  if (o.why != errc::ok) return verdict::fail(text_of(o));
  if (o.used != bytes.size())
    return verdict::fail("we left " + std::to_string(bytes.size() - o.used) + " bytes unread");
  json stated = canonical(fields);
  if (stated.contains("payload_len") && !o.fields.contains("payload_len")) {  // a payload that is a field, not a frame
    const std::vector<std::uint8_t> payload = bytes_from(o.fields.at("payload"));
    if (stated["payload_len"] != std::to_string(payload.size()) ||
        stated.at("payload_sha256") != sha256_hex(byte_view(payload)))
      return verdict::fail("the payload is another");
    stated.erase("payload_len");
    stated.erase("payload_sha256");
  }
  if (const std::string d = compare_fields(stated, o.fields, name); !d.empty()) return verdict::fail(d);
  std::string cause;
  if (line.contains("stream_type_hex") && line["stream_type_hex"].is_string() && name != "STREAM_TYPE") {
    const std::vector<std::uint8_t> type = bytes_from(line["stream_type_hex"]);
    const outcome number = judge("VARINT", *v, byte_view(type));
    const bool is_reply = name == "SESSION_SERVER_COMPAT" && number.largest == msg::server_setup::lead;
    const bool is_older = name.starts_with("SESSION_") && (number.largest == 0x40 || number.largest == 0x41);
    if (is_older)
      cause = "Q-04 opened behind a stream type (0x40, 0x41) that only an older stack used";
    else if (!is_reply && judge("STREAM_TYPE", *v, byte_view(type), bidi).why != errc::ok)
      return verdict::fail("its stream type is unknown to us");
  }

  const auto set = [&](const char* key) { return line.contains(key) && !line[key].is_null() && line[key] != false; };
  if (set("decode_only") || set("non_minimal") || set("peer_decode")) return verdict::pass("decoded", cause);
  const std::vector<std::uint8_t> again = encode_fields(name, *v, fields, byte_view(bytes));
  if (again != bytes)
    return verdict::fail("we encode " + tests::to_hex(again).substr(0, 200) + ", not " +
                         tests::to_hex(bytes).substr(0, 200));
  return verdict::pass("decoded, and encoded to the same bytes", cause);
}

}  // namespace moql::vectors
