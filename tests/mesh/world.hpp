#pragma once
/// Parties, the connections between them, one virtual clock, and the first promise that was broken.

#include <cstdarg>
#include <cstdio>

#include "link.hpp"

namespace mesh {

enum class role : std::uint8_t { relay, publisher, subscriber, liar };
inline constexpr const char* role_names[] = {"relay", "publisher", "subscriber", "liar"};

/// A party. Its sessions are ends of links; its clock may run ahead of the world's.
struct node {
  node(world& its_world, role r, unsigned n) noexcept : w(its_world), kind(r), number(n) {}
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  virtual ~node() = default;
  virtual void joined(end&) {}
  virtual void hear(end&, const event&) = 0;
  /// All events that there were have been heard.
  virtual void heard() {}
  /// The link is about to be destroyed.
  virtual void left(end&) {}
  /// `due` has come.
  virtual void act() {}
  /// Looks after its sessions, now and then.
  virtual void tend() {}
  [[nodiscard]] instant now() const noexcept;
  world& w;
  role kind;
  unsigned number;
  std::uint64_t hop = 0;
  std::uint64_t cost = 1;
  duration skew{};
  bool is_up = true;
  instant due = never_due;  ///< In the world's time.
  limits caps{};
};

/// Who is connected with whom, whenever both are there.
struct edge {
  node* a;  ///< Dials.
  node* b;
  version ver{};
  loopback_options habits{};
  bool is_on = true;
  instant redial_at{};
  link* current = nullptr;
  std::uint64_t poor_side = 2;  ///< The next session of this side gets memory for so many requests.
  std::uint64_t poor_requests = 0;
  bool is_shy = false;  ///< Datagrams do not fit.
};

class world {
 public:
  world(std::uint64_t its_seed, bool verbose) : seed(its_seed), chance(its_seed), is_verbose(verbose) {}
  world(const world&) = delete;
  world& operator=(const world&) = delete;
  ~world() {
    while (!links.empty()) remove(*links.back());
    nodes.clear();
  }

  const std::uint64_t seed;
  dice chance;
  instant now{};
  std::vector<std::unique_ptr<node>> nodes;
  std::vector<edge> edges;
  std::vector<std::unique_ptr<link>> links;
  std::uint64_t steps = 0, events = 0, frames = 0, groups = 0, hash = 0;
  bool is_verbose;
  bool is_batched = false;          ///< All that is due at once is delivered before anybody looks.
  std::uint64_t looked_at = 0;      ///< Sessions in which was looked for forgotten output.
  std::uint64_t poor_refusals = 0;  ///< Requests for memory that sessions were refused.
  std::string fault;

  // ---- what is said

  void fail(const char* format, ...) {
    if (!fault.empty()) return;
    va_list args;
    va_start(args, format);
    fault = format_of(format, args);
    va_end(args);
    if (is_verbose) std::printf("%10.6f  BROKEN: %s\n", static_cast<double>(now.us) / 1e6, fault.c_str());
  }
  void say(const char* format, ...) {
    if (!is_verbose) return;
    va_list args;
    va_start(args, format);
    std::printf("%10.6f  %s\n", static_cast<double>(now.us) / 1e6, format_of(format, args).c_str());
    va_end(args);
  }
  void note(std::uint64_t v) noexcept { hash = mixed(hash ^ v); }

  // ---- connections

  unsigned connect(node& a, node& b, version v, const loopback_options& habits) {
    edges.push_back({.a = &a, .b = &b, .ver = v, .habits = habits});
    return static_cast<unsigned>(edges.size() - 1);
  }
  link& dial(unsigned i) {
    edge& e = edges[i];
    loopback_options o = e.habits;
    o.protocol = facts(e.ver).protocol;
    o.seed = chance.next();
    if (e.is_shy) o.max_datagram = 100;
    config c[2];
    purse* money[2] = {purse_for(e, 0), purse_for(e, 1)};
    for (unsigned side = 0; side < 2; ++side) {
      const node& n = side == 0 ? *e.a : *e.b;
      c[side].side = side == 0 ? endpoint::client : endpoint::server;
      c[side].versions = only(e.ver);
      c[side].hop = n.hop;
      c[side].cost = n.cost;
      c[side].caps = n.caps;
    }
    e.poor_side = 2;
    links.push_back(std::make_unique<link>(o, c[0], money[0]->get(), *e.a, c[1], money[1]->get(), *e.b, i));
    link& l = *links.back();
    l.slot = static_cast<unsigned>(links.size() - 1);
    l.number = dialled_++;
    l.ver = e.ver;
    l.money[0] = money[0];
    l.money[1] = money[1];
    due_.push_back(never_due);
    e.current = &l;
    l.net.advance_to(now);
    say("link %u: %s %u and %s %u, draft %s", l.number, name(*e.a), e.a->number, name(*e.b), e.b->number,
        facts(e.ver).name.data());
    for (unsigned side = 0; side < 2; ++side) {
      end& x = l.at(side);
      x.heard.self = &x;
      if (x.session_.start(o.protocol, x.owner->now()) != errc::ok) x.session_.close(session_code::internal_error);
      x.owner->joined(x);
      touch(x);
    }
    return l;
  }
  /// Breaks without a word, for both sides.
  void cut(link& l) {
    say("link %u is cut", l.number);
    l.net.advance_to(now);
    l.net.cut(0);
    l.is_stalled = false;
    refresh(l);
  }
  /// The party of this end is gone from one moment to the next.
  void abandon(end& e) {
    e.is_dead = true;
    if (!e.home->at(1 - e.side).is_told) cut(*e.home);
  }
  void remove(link& l) {
    for (unsigned side = 0; side < 2; ++side)
      if (!l.at(side).is_dead) l.at(side).owner->left(l.at(side));
    std::erase_if(dirty_, [&](const end* e) { return e->home == &l; });
    if (edges[l.edge].current == &l) edges[l.edge].current = nullptr;
    note(l.net.trace());
    if (l.net.violations() != 0)
      fail("the transport's contract, link %u: %s", l.number, std::string(l.net.last_violation()).c_str());
    for (unsigned side = 0; side < 2; ++side) check_books(l, l.at(side));
    purse* money[2] = {l.money[0], l.money[1]};
    const unsigned number = l.number;
    const unsigned slot = l.slot;
    if (slot + 1 != links.size()) {
      std::swap(links[slot], links.back());
      links[slot]->slot = slot;
      due_[slot] = due_.back();
    }
    links.pop_back();
    due_.pop_back();
    for (purse* p : money) {
      if (p->bytes != 0)
        fail("a session of link %u leaves %lld bytes behind", number, static_cast<long long>(p->bytes));
      poor_refusals += p->refusals;
      p->allowed = ~std::uint64_t{0};
      p->refusals = 0;
      free_purses_.push_back(p);
    }
  }

  // ---- time

  void touch(end& e) {
    if (e.is_dirty || e.is_dead) return;
    e.is_dirty = true;
    dirty_.push_back(&e);
  }
  void set_due(node& n, instant t) noexcept { n.due = t; }
  void refresh(link& l) noexcept {
    instant t = l.next_due();
    for (unsigned side = 0; side < 2; ++side) {
      end& e = l.at(side);
      if (e.is_dead) continue;
      const instant d = e.session_.next_deadline();
      if (d == never_due) continue;
      const instant mine{d.us - e.owner->skew.us};
      if (mine < t) t = mine;
    }
    due_[l.slot] = t;
  }
  /// Everything that can happen without time passing.
  void settle() {
    for (std::size_t turns = 0; !dirty_.empty() && fault.empty();) {
      end& e = *dirty_.back();
      dirty_.pop_back();
      e.is_dirty = false;
      work(e);
      if (++turns > 1'000'000) fail("the parties never come to rest");
    }
  }
  /// Goes to whatever is next; false when nothing is due until then.
  bool step(instant until) {
    settle();
    if (!fault.empty()) return false;
    std::size_t at = 0;
    instant first = never_due;
    for (std::size_t i = 0; i < due_.size(); ++i)
      if (due_[i] < first) {
        first = due_[i];
        at = i;
      }
    instant acts = never_due;
    node* actor = nullptr;
    for (const auto& n : nodes)
      if (n->due < acts) {
        acts = n->due;
        actor = n.get();
      }
    if (++steps > 2'000'000) fail("the mesh never comes to rest");
    if (acts <= first) {
      if (acts > until || actor == nullptr) return pass(until);
      if (acts > now) now = acts;
      actor->due = never_due;
      actor->act();
      return true;
    }
    if (first > until) return pass(until);
    if (first > now) now = first;
    link& l = *links[at];
    l.net.advance_to(now);
    sink a{l.a, l.a.owner->skew};
    sink b{l.b, l.b.owner->skew};
    if (!l.is_stalled)
      for (int n = is_batched ? 32 : 1; n > 0 && l.next_due() <= now; --n) (void)l.net.step(a, b);
    touch(l.a);
    touch(l.b);
    refresh(l);
    return true;
  }
  void run_until(instant t) {
    while (fault.empty() && step(t)) {
    }
  }

 private:
  [[nodiscard]] static std::string format_of(const char* format, va_list args) {
    char text[512];
    (void)std::vsnprintf(text, sizeof text, format, args);
    return text;
  }
  [[nodiscard]] static const char* name(const node& n) noexcept { return role_names[static_cast<unsigned>(n.kind)]; }
  bool pass(instant until) {
    if (until > now) now = until;
    return false;
  }
  [[nodiscard]] purse* purse_for(const edge& e, unsigned side) {
    if (free_purses_.empty()) {
      purses_.push_back(std::make_unique<purse>());
      free_purses_.push_back(purses_.back().get());
    }
    purse* p = free_purses_.back();
    free_purses_.pop_back();
    if (e.poor_side == side) p->allowed = e.poor_requests;
    return p;
  }
  void work(end& e);
  /// What a session opens it finishes, gives up for one of its reasons, or still has.
  void check_books(const link& l, const end& e) {
    const session_counters& c = e.session_.counters();
    const std::uint64_t ended = c.groups_finished + c.groups_aborted + c.groups_evicted + c.groups_behind +
                                c.groups_expired + c.groups_unwanted;
    if (ended > c.groups_opened || (e.is_told && ended != c.groups_opened))
      fail(
          "link %u, %s %u: %llu groups opened, %llu ended (%llu finished, %llu aborted, %llu evicted, %llu behind, "
          "%llu expired, %llu unwanted)",
          l.number, name(*e.owner), e.owner->number, static_cast<unsigned long long>(c.groups_opened),
          static_cast<unsigned long long>(ended), static_cast<unsigned long long>(c.groups_finished),
          static_cast<unsigned long long>(c.groups_aborted), static_cast<unsigned long long>(c.groups_evicted),
          static_cast<unsigned long long>(c.groups_behind), static_cast<unsigned long long>(c.groups_expired),
          static_cast<unsigned long long>(c.groups_unwanted));
  }

  std::vector<instant> due_;  ///< Of each link.
  std::vector<end*> dirty_;
  std::vector<std::unique_ptr<purse>> purses_;
  std::vector<purse*> free_purses_;
  unsigned dialled_ = 0;
};

inline instant node::now() const noexcept { return w.now + skew; }

/// The events of a session, then what it wants to say.
inline void world::work(end& e) {
  if (e.is_dead) return;
  link& l = *e.home;
  l.net.advance_to(now);
  const auto drain = [&] {
    while (e.session_.has_events()) {
      const auto what = e.session_.next_event();
      if (!what) break;
      ++events;
      if (std::holds_alternative<session_closed>(*what)) {
        if (e.is_told) fail("session_closed twice, link %u", l.number);
        e.is_told = true;
        const auto& c = std::get<session_closed>(*what);
        say("link %u: %s %u hears that it is closed: %s", l.number, name(*e.owner), e.owner->number,
            text_of(c.why).data());
      }
      if (std::holds_alternative<moql::connected>(*what)) e.is_connected = true;
      e.owner->hear(e, *what);
    }
    e.owner->heard();
  };
  if (e.is_reading) drain();
  tap t(e.side == 0 ? l.net.a() : l.net.b());
  pump(e.session_, t, e.owner->now());
  l.opens_blocked += t.opens_blocked;
  l.writes_blocked += t.writes_blocked;
  if (t.is_inverted)
    fail("link %u, %s %u: a group of rank %d was written before stream %llu of rank %d", l.number, name(*e.owner),
         e.owner->number, t.ranks[0], static_cast<unsigned long long>(t.late), t.ranks[1]);
  if (e.is_reading && e.session_.has_events()) touch(e);
  refresh(l);
}

}  // namespace mesh
