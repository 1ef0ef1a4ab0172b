// Property: no bytes crash a decoder; what it accepts encodes again to bytes that mean the same; a whole body never
// asks for more.
//
// The first byte picks the message, the second the version, the rest is the input. Standalone build:
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude fuzz/decode.cpp -o decode
// With -DMOQL_PLANT_BUG one bug is planted in this file; tools/fuzz_plant.sh checks that it is found.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "moql/message/all.hpp"
#include "moql/wire/inspect.hpp"

using namespace moql;

namespace {

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr, "property broken: %s\n", what);
  std::abort();
}
void holds(bool property, const char* what) {
  if (!property) broken(what);
}

/// The input in a block of exactly its size, so that one byte too far is seen.
struct exact {
  explicit exact(byte_view v)
      : bytes(static_cast<std::uint8_t*>(std::malloc(v.size() + (v.empty() ? 1 : 0)))), size(v.size()) {
    for (std::size_t i = 0; i < size; ++i) bytes[i] = v[i];
  }
  exact(const exact&) = delete;
  exact& operator=(const exact&) = delete;
  ~exact() { std::free(bytes); }
  [[nodiscard]] byte_view view() const { return {bytes, size}; }
  std::uint8_t* bytes;
  std::size_t size;
};

#ifdef MOQL_PLANT_BUG
/// A decoder that lets a string end one byte behind its message: the slip that is easiest to make.
void planted(byte_view in) {
  wire::reader r{in.data(), in.data() + in.size(), {}};
  std::uint64_t n{};
  while (wire::get_varint(r, n) && n != 0 && n <= r.left() + 1) {
    volatile std::uint8_t last = r.p[n - 1];
    (void)last;
    if (n > r.left()) return;
    r.p += n;
  }
}
#endif

/// Walks everything that a decoded message refers to.
template <class M>
void touch(const M& m, version v) {
  holds(!inspect::print(m, v).empty(), "it prints");
}

template <class M>
void check_accepted(const M& m, version v, std::size_t took) {
  touch(m, v);
  std::vector<std::uint8_t> again(encoded_size(m, v));
  const encoded e = encode(m, v, again);
  holds(e.why == errc::ok && e.size == again.size(), "what was accepted can be written");
  holds(e.size <= took, "what we write is never longer than what we read");
  const decoded<M> d = decode<M>(byte_view(again), v);
  holds(d.why == errc::ok && d.used == again.size(), "what we write can be read");
  holds(inspect::same_in(d.message, m, v), "what was written means the same");
  std::vector<std::uint8_t> third(encoded_size(d.message, v));
  (void)encode(d.message, v, third);
  holds(third == again, "the second writing has the same bytes");
}

template <class M>
void check(byte_view in, version v) {
  // As a whole message, from a stream.
  const decoded<M> d = decode<M>(in, v);
  if (d.why == errc::ok) {
    holds(d.used <= in.size(), "no more is used than is there");
    check_accepted(d.message, v, d.used);
    // Every shorter input asks for more, or is refused for what it already shows; it is never accepted as something
    // else.
    if constexpr (framing_of<M>() != framing::bare)
      for (std::size_t n = 0; n < d.used && n < 64; ++n)
        holds(decode<M>(in.first(n), v).why == errc::need_more, "a prefix needs more");
  } else if (d.why == errc::need_more) {
    holds(d.used == 0, "need_more takes nothing");
  }
  // As a body that is complete.
  M m{};
  const errc why = decode_body(in, v, m);
  holds(why != errc::need_more, "a whole body never needs more");
  if (why == errc::ok) {
    const measured at = measure(m, v);
    // Only the 16-bit length can make an accepted body unwritable.
    if (at.why == errc::ok)
      check_accepted(m, v, in.size() + 16);
    else
      holds(framing_of<M>() == framing::u16, "what was accepted can be written");
  }
  holds(fault_offset<M>(in, v) <= in.size(), "the fault lies inside");
}

struct picker {
  unsigned wanted;
  version v;
  byte_view in;
  unsigned at = 0;
  template <class M>
  void operator()() {
    if (at++ == wanted && M::in.has(v)) check<M>(in, v);
  }
};
struct counter {
  unsigned n = 0;
  template <class M>
  constexpr void operator()() {
    ++n;
  }
};
constexpr unsigned messages = [] {
  counter c;
  msg::for_each_message(c);
  return c.n;
}();

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const exact in(byte_view(data + 2, size - 2));
  picker p{data[0] % messages, all_versions[data[1] % all_versions.size()].id, in.view()};
  msg::for_each_message(p);
#ifdef MOQL_PLANT_BUG
  planted(in.view());
#endif
  return 0;
}
