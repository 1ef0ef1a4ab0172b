// What an adapter keeps of a stream until it has arrived.

#include <doctest/doctest.h>

#include <string>

#include "moql/adapter/send_queue.hpp"

using namespace moql;

namespace {

/// Counts its shares, so that a test sees who still holds on to it.
struct shared_text : owner {
  explicit shared_text(std::string s)
      : owner{+[](owner* o) noexcept { ++static_cast<shared_text*>(o)->shares; },
              +[](owner* o) noexcept { --static_cast<shared_text*>(o)->shares; }},
        text(std::move(s)) {}
  [[nodiscard]] chunk as_chunk() { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size(), this}; }
  std::string text;
  int shares = 0;
};

chunk unowned(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size(), nullptr}; }

std::string from(const send_queue& q, std::uint64_t offset, std::size_t pieces = 1000) {
  std::string out;
  q.gather(offset, [&](byte_view v) {
    out.append(reinterpret_cast<const char*>(v.data()), v.size());
    return --pieces != 0;
  });
  return out;
}

constexpr std::size_t plenty = 1 << 20;

}  // namespace

TEST_CASE("a send queue shows its bytes from any offset, whatever pieces they came in [seed 3.1.2]") {
  buffer_pool pool;
  shared_text a("abcdef"), b("ghi");
  send_queue q;
  CHECK(q.push(a.as_chunk(), plenty, pool) == 6);
  CHECK(q.push(unowned("12"), plenty, pool) == 2);
  CHECK(q.push(unowned(""), plenty, pool) == 0);
  CHECK(q.push(b.as_chunk(), plenty, pool) == 3);
  const std::string all = "abcdef12ghi";
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(from(q, i) == all.substr(i));
  CHECK(from(q, all.size()).empty());
  CHECK(from(q, 4, 1) == "ef");  // whoever has enough stops
  CHECK(q.size() == all.size());
}

TEST_CASE("a send queue shares what has an owner, and copies what has none [seed 3.1.2]") {
  buffer_pool pool;
  shared_text a("owned");
  std::string mine = "borrowed";
  {
    send_queue q;
    CHECK(q.push(a.as_chunk(), plenty, pool) == 5);
    CHECK(q.push(unowned(mine), plenty, pool) == 8);
    CHECK(a.shares == 1);
    CHECK(pool.lent() == 1);
    mine = "changed!";
    CHECK(from(q, 0) == "ownedborrowed");
  }
  CHECK(a.shares == 0);
  CHECK(pool.lent() == 0);
}

TEST_CASE("a send queue lets a piece go when all of it has arrived, and not before [seed 3.1.2]") {
  buffer_pool pool;
  shared_text a("aaaa"), b("bbbb");
  send_queue q;
  CHECK(q.push(a.as_chunk(), plenty, pool) == 4);
  CHECK(q.push(b.as_chunk(), plenty, pool) == 4);
  q.ack(3);
  CHECK(a.shares == 1);
  CHECK(q.begin() == 3);
  CHECK(from(q, 3) == "abbbb");
  CHECK(from(q, 2).empty());  // that has arrived
  q.ack(4);
  CHECK(a.shares == 0);
  q.ack(2);  // late news
  CHECK(q.begin() == 4);
  q.ack(8);
  CHECK(b.shares == 0);
  CHECK(q.size() == 0);
  CHECK(q.end() == 8);
  CHECK(q.push(unowned("more"), plenty, pool) == 4);
  CHECK(from(q, 8) == "more");
}

TEST_CASE("a send queue takes no more than there is room for [seed 10.1]") {
  buffer_pool pool;
  shared_text a("abcdef");
  send_queue q;
  CHECK(q.push(a.as_chunk(), 4, pool) == 4);
  CHECK(q.push(unowned("xyz"), 0, pool) == 0);
  CHECK(q.push(unowned("xyz"), 2, pool) == 2);
  CHECK(from(q, 0) == "abcdxy");
}

TEST_CASE("a send queue that is cut keeps what was sent and lets the rest go [seed 3.1.2]") {
  buffer_pool pool;
  shared_text a("aaaa"), b("bbbb"), c("cccc");
  send_queue q;
  for (shared_text* t : {&a, &b, &c}) CHECK(q.push(t->as_chunk(), plenty, pool) == 4);
  q.cut(6);
  CHECK(from(q, 0) == "aaaabb");
  CHECK(c.shares == 0);
  CHECK(b.shares == 1);
  q.cut(4);
  CHECK(b.shares == 0);
  CHECK(q.push(unowned("dd"), plenty, pool) == 2);
  CHECK(q.push(unowned("ee"), plenty, pool) == 2);
  CHECK(from(q, 0) == "aaaaddee");
  CHECK(from(q, 5) == "dee");
  q.ack(5);
  q.cut(0);  // what has arrived stays arrived
  CHECK(q.end() == 5);
  CHECK(q.size() == 0);
  q.clear();
  CHECK(q.end() == 0);
  CHECK(pool.lent() == 0);
  CHECK(a.shares == 0);
}

TEST_CASE("small writes to a send queue share a buffer [seed 10.1]") {
  buffer_pool pool;
  send_queue q;
  std::string all;
  for (int i = 0; i < 100; ++i) {
    const std::string s = std::to_string(i);
    CHECK(q.push(unowned(s), plenty, pool) == s.size());
    all += s;
  }
  CHECK(from(q, 0) == all);
  CHECK(pool.lent() <= 4);
  q.ack(all.size());
  CHECK(pool.lent() == 0);
  CHECK(q.push(unowned("z"), plenty, pool) == 1);  // the buffer that had room is gone
  CHECK(from(q, all.size()) == "z");
}

TEST_CASE("a send queue without memory takes nothing and stays whole [seed 10.1]") {
  const memory_source nothing{+[](void*, std::size_t) noexcept -> void* { return nullptr; },
                              +[](void*, void*, std::size_t) noexcept {}, nullptr};
  const memory none{&nothing};
  buffer_pool empty(none), pool;
  shared_text a("abc");
  send_queue poor(none);
  CHECK(poor.push(a.as_chunk(), plenty, pool) == 0);
  CHECK(a.shares == 0);
  send_queue q;
  CHECK(q.push(unowned("abc"), plenty, empty) == 0);
  CHECK(q.push(a.as_chunk(), plenty, empty) == 3);
  CHECK(from(q, 0) == "abc");
}
