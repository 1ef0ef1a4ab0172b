#pragma once
/// Header sections through nghttp3's QPACK, without a dynamic table: nothing is remembered from one to the next.

#include <moql/base/bytes.hpp>

#include <nghttp3/nghttp3.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace webtransport {

/// The fields of a request or an answer in their order, names in lower case.
struct header_fields {
  std::vector<std::pair<std::string, std::string>> all{};

  void add(std::string_view name, std::string_view value) { all.emplace_back(name, value); }
  [[nodiscard]] std::size_t count(std::string_view name) const {
    std::size_t n = 0;
    for (const auto& f : all) n += f.first == name;
    return n;
  }
  /// Empty if there is none. Several lines of one field are one list, as HTTP says.
  [[nodiscard]] std::string value(std::string_view name) const {
    std::string out;
    bool is_first = true;
    for (const auto& [n, v] : all) {
      if (n != name) continue;
      if (!std::exchange(is_first, false)) out += ", ";
      out += v;
    }
    return out;
  }
};

/// Names and values together; a section that claims more is refused.
inline constexpr std::size_t fields_bytes_max = 32 * 1024;

/// A field section (the body of HEADERS) of `fields`.
[[nodiscard]] inline std::vector<std::uint8_t> encode_fields(const header_fields& fields) {
  const nghttp3_mem* mem = nghttp3_mem_default();
  nghttp3_qpack_encoder* made = nullptr;
  if (nghttp3_qpack_encoder_new(&made, 0, mem) != 0) return {};
  const std::unique_ptr<nghttp3_qpack_encoder, decltype(&nghttp3_qpack_encoder_del)> encoder(
      made, &nghttp3_qpack_encoder_del);
  std::vector<nghttp3_nv> lines;
  for (const auto& [name, value] : fields.all) {
    const auto octets = [](const std::string& s) {  // nghttp3 only reads them
      return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(s.data()));
    };
    lines.push_back({octets(name), octets(value), name.size(), value.size(), NGHTTP3_NV_FLAG_NONE});
  }
  nghttp3_buf prefix, section, instructions;
  for (nghttp3_buf* b : {&prefix, &section, &instructions}) nghttp3_buf_init(b);
  std::vector<std::uint8_t> out;
  if (nghttp3_qpack_encoder_encode(encoder.get(), &prefix, &section, &instructions, 0, lines.data(), lines.size()) ==
      0) {
    out.assign(prefix.pos, prefix.last);
    out.insert(out.end(), section.pos, section.last);
  }
  for (nghttp3_buf* b : {&prefix, &section, &instructions}) nghttp3_buf_free(b, mem);
  return out;
}

/// None if the section is broken, refers to a dynamic table, or is larger than `fields_bytes_max` once decoded.
[[nodiscard]] inline std::optional<header_fields> decode_fields(moql::byte_view in) {
  const nghttp3_mem* mem = nghttp3_mem_default();
  nghttp3_qpack_decoder* made = nullptr;
  if (nghttp3_qpack_decoder_new(&made, 0, 0, mem) != 0) return {};
  const std::unique_ptr<nghttp3_qpack_decoder, decltype(&nghttp3_qpack_decoder_del)> decoder(
      made, &nghttp3_qpack_decoder_del);
  nghttp3_qpack_stream_context* begun = nullptr;
  if (nghttp3_qpack_stream_context_new(&begun, 0, mem) != 0) return {};
  const std::unique_ptr<nghttp3_qpack_stream_context, decltype(&nghttp3_qpack_stream_context_del)> context(
      begun, &nghttp3_qpack_stream_context_del);
  header_fields out;
  std::size_t size = 0;
  while (true) {
    nghttp3_qpack_nv line{};
    std::uint8_t flags = 0;
    const auto n =
        nghttp3_qpack_decoder_read_request(decoder.get(), context.get(), &line, &flags, in.data(), in.size(), 1);
    if (n < 0 || (flags & NGHTTP3_QPACK_DECODE_FLAG_BLOCKED) != 0) return {};
    in = in.subspan(static_cast<std::size_t>(n));
    if ((flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT) != 0) {
      const auto text = [](nghttp3_rcbuf* b) {
        const nghttp3_vec v = nghttp3_rcbuf_get_buf(b);
        std::string s(reinterpret_cast<const char*>(v.base), v.len);
        nghttp3_rcbuf_decref(b);
        return s;
      };
      std::string name = text(line.name), value = text(line.value);
      size += name.size() + value.size() + 32;  // as RFC 9114 section 4.2.2 counts
      if (size > fields_bytes_max) return {};
      out.all.emplace_back(std::move(name), std::move(value));
    } else if ((flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL) != 0) {
      return out;
    } else if (n == 0) {
      return {};
    }
    if ((flags & NGHTTP3_QPACK_DECODE_FLAG_FINAL) != 0) return out;
  }
}

}  // namespace webtransport
