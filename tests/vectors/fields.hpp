#pragma once
/// Messages as the JSON of the vectors, both ways, from their one declaration. A field's key is its name in the draft
/// in snake_case; integers become decimal strings, so that 62 bits survive.

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

#include "../hex.hpp"
#include "moql/message/all.hpp"
#include "moql/wire/inspect.hpp"
#include "verdict.hpp"

namespace moql::vectors {

/// What a line says that cannot be: a field that is missing, of a wrong type or out of range.
struct bad_line : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::string snake_case(std::string_view name) {
  std::string out;
  for (const char c : name) out += c == ' ' ? '_' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}
/// Fields that the recorded implementation calls otherwise.
inline std::string_view other_key(std::string_view key) { return key == "hop" ? "origin" : std::string_view{}; }

inline std::vector<std::uint8_t> bytes_from(const json& j) {
  const std::string& s = j.get_ref<const std::string&>();
  if (s.size() % 2 != 0 || s.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw bad_line("not hex: " + s.substr(0, 40));
  return tests::from_hex(s);
}

/// Numbers as decimal strings, everything else as it is.
inline json canonical(const json& j) {
  if (j.is_number_unsigned()) return std::to_string(j.get<std::uint64_t>());
  if (j.is_number_integer()) return std::to_string(j.get<std::int64_t>());
  if (!j.is_structured()) return j;
  json out = j.is_array() ? json::array() : json::object();
  for (const auto& [key, value] : j.items()) {
    if (j.is_array())
      out.push_back(canonical(value));
    else
      out[key] = canonical(value);
  }
  return out;
}

// ---------------------------------------------------------------------------------------------- message to JSON

/// Also notes what explains another decoder's view: which keys are paths, and the largest integer on the wire.
struct to_json_visitor {
  version ver;
  json out = json::object();
  std::set<std::string> paths{};
  std::uint64_t largest = 0;

  template <class Kind, class T>
  bool operator()(const field_name& name, Kind, const T& v, version_set in = always) {
    if (!in.has(ver)) return true;
    const std::string key = snake_case(name.in(ver));
    if constexpr (std::is_base_of_v<wire::path_kind, Kind> || std::same_as<T, decltype(msg::announce_init::suffixes)>)
      paths.insert(key);
    if constexpr (std::same_as<Kind, wire::plus_one_kind>)
      if (v) seen(*v + 1);
    out[key] = value(v);
    return true;
  }
  bool rule(bool, errc, version_set = always) { return true; }
  bool parameters(auto... known) {
    const auto each = [&](const auto& p) {
      out[snake_case(p.name)] = *p.value && p.in.has(ver) ? value(**p.value) : json();
    };
    (each(known), ...);
    return true;
  }

 private:
  void seen(std::uint64_t v) { largest = std::max(largest, v); }
  json value(std::uint64_t v) {
    seen(v);
    return std::to_string(v);
  }
  json value(std::uint8_t v) { return std::to_string(unsigned{v}); }
  json value(std::int64_t v) {
    seen(wire::zigzag(v));
    return std::to_string(v);
  }
  json value(bool v) { return v; }
  json value(const text& v) { return std::string(v.view()); }
  json value(byte_view v) { return tests::to_hex(v); }
  template <class T>
  json value(const std::optional<T>& v) {
    return v ? value(*v) : json();
  }
  template <class T>
  json value(const T& record) {
    to_json_visitor inner{ver};
    (void)T::fields(record, inner);
    seen(inner.largest);
    return inner.out;
  }
  template <class E, class K, std::size_t Max>
  json value(const wire::list<E, K, Max>& v) {
    json all = json::array();
    for (const E& e : v) all.push_back(value(e));
    return all;
  }
};

// ---------------------------------------------------------------------------------------------- JSON to message

/// Throws bad_line. `payload` stands in for byte fields of which the line has only length and digest.
struct from_json_visitor {
  version ver;
  const json& in;
  inspect::arena& memory;
  byte_view payload{};
  std::set<std::string> used{};

  template <class Kind, class T>
  bool operator()(const field_name& name, Kind, T& out, version_set present = always) {
    if (!present.has(ver)) return true;
    const std::string key = snake_case(name.in(ver));
    used.insert(key);
    if constexpr (std::same_as<T, byte_view>)
      if (!in.contains(key) && in.contains(key + "_len")) {
        used.insert({key + "_len", key + "_sha256"});
        out = payload;
        return true;
      }
    if (!in.contains(key)) throw bad_line("the field " + key + " is missing");
    value(in.at(key), out, key);
    return true;
  }
  bool rule(bool, errc, version_set = always) { return true; }
  bool parameters(auto... known) {
    const auto each = [&](const auto& p) {
      for (const std::string& key : {snake_case(p.name), std::string(other_key(snake_case(p.name)))}) {
        if (key.empty()) continue;
        used.insert(key);
        if (p.in.has(ver) && in.contains(key) && !in.at(key).is_null()) value(in.at(key), p.value->emplace(), key);
      }
    };
    (each(known), ...);
    return true;
  }

 private:
  static std::string integer(const json& j, const std::string& key) {
    const json c = canonical(j);
    if (!c.is_string()) throw bad_line(key + " is not an integer");
    return c.get<std::string>();
  }
  template <class I>
  static I parsed(const json& j, const std::string& key) {
    const std::string s = integer(j, key);
    I v{};
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (error != std::errc{} || end != s.data() + s.size()) throw bad_line(key + " is not an integer: " + s);
    return v;
  }
  void value(const json& j, std::uint64_t& v, const std::string& key) { v = parsed<std::uint64_t>(j, key); }
  void value(const json& j, std::int64_t& v, const std::string& key) { v = parsed<std::int64_t>(j, key); }
  void value(const json& j, std::uint8_t& v, const std::string& key) { v = parsed<std::uint8_t>(j, key); }
  void value(const json& j, bool& v, const std::string& key) {
    v = j.is_boolean() ? j.get<bool>() : parsed<std::uint8_t>(j, key) != 0;
  }
  void value(const json& j, text& v, const std::string& key) {
    if (!j.is_string()) throw bad_line(key + " is not a string");
    v = memory.keep(std::string_view(j.get_ref<const std::string&>()));
  }
  void value(const json& j, byte_view& v, const std::string& key) {
    if (!j.is_string()) throw bad_line(key + " is not hex");
    v = memory.keep(byte_view(bytes_from(j)));
  }
  template <class T>
  void value(const json& j, std::optional<T>& v, const std::string& key) {
    if (j.is_null())
      v.reset();
    else
      value(j, v.emplace(), key);
  }
  template <class T>
  void value(const json& j, T& record, const std::string& key) {
    if (!j.is_object()) throw bad_line(key + " is not an object");
    from_json_visitor inner{ver, j, memory};
    (void)T::fields(record, inner);
  }
  template <class E, class K, std::size_t Max>
  void value(const json& j, wire::list<E, K, Max>& v, const std::string& key) {
    if (!j.is_array()) throw bad_line(key + " is not a list");
    std::vector<E> all;
    for (const json& e : j) value(e, all.emplace_back(), key);
    v = memory.keep(all);
  }
};

}  // namespace moql::vectors
