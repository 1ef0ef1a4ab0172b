#pragma once
/// What goes wrong: a fault begins at its time, does its harm, and is lifted at the latest when the network heals.

#include "cast.hpp"

namespace mesh {

enum class trouble : std::uint8_t {
  session_dies,
  relay_dies,
  relay_returns,
  relay_renamed,
  delay,
  reordering,
  stall,
  half_open,
  few_streams,
  small_windows,
  stream_resets,
  datagram_loss,
  datagram_twice,
  slow_reader,
  absurd_costs,
  forged_hops,
  silent_liar,
  clock_jump,
  relay_goaway,
  publisher_goaway,
  switchover,
  second_origin,
  publisher_flap,
  publisher_returns,
  track_restart,
  churn,
  update_storm,
  fetch_storm,
  query_storm,
  no_capacity,
  unauthorised,
  small_cache,
  few_places,
  session_memory,
  relay_memory,
  priorities,
  short_writes,
  count_
};
inline constexpr unsigned fault_kinds = static_cast<unsigned>(trouble::count_);
/// A name, and how often it is drawn: what seldom has an effect is tried more often.
struct trouble_facts {
  const char* name;
  unsigned weight;
};
inline constexpr trouble_facts fault_table[fault_kinds] = {
    {"a session dies", 10},
    {"a relay dies", 10},
    {"a relay restarts", 10},
    {"a relay restarts with another hop", 10},
    {"a link gets slow", 10},
    {"streams overtake one another", 10},
    {"a link stalls and resumes", 10},
    {"a link stalls and dies (half open)", 10},
    {"streams run out", 34},
    {"flow control runs out", 30},
    {"streams are reset", 32},
    {"datagrams get lost", 84},
    {"datagrams come twice", 84},
    {"somebody stops reading", 10},
    {"absurd costs", 10},
    {"forged hops", 10},
    {"a liar that never answers", 10},
    {"a clock jumps", 10},
    {"a relay goes away (GOAWAY)", 14},
    {"a publisher goes away (GOAWAY)", 14},
    {"a publisher changes networks", 14},
    {"a second origin", 10},
    {"an announcement flaps", 10},
    {"a publisher leaves and returns", 10},
    {"a track ends and begins again", 10},
    {"subscribers come and go", 10},
    {"SUBSCRIBE_UPDATE storm", 12},
    {"FETCH storm", 12},
    {"TRACK storm", 16},
    {"a publisher has no capacity", 14},
    {"the authoriser refuses", 14},
    {"a small cache", 22},
    {"few tracks, readers and routes", 14},
    {"a session's memory runs out", 25},
    {"a relay's memory runs out", 24},
    {"priorities on a narrow link", 16},
    {"short writes, small pieces", 10},
};

class faults : public cast {
 public:
  using cast::cast;
  std::uint64_t fired[fault_kinds] = {};

  /// Draws a fault for that time. `until`: everything has healed.
  void plan(instant at, instant until) {
    fault f;
    f.kind = draw();
    f.at = at;
    f.until = at + w.chance.ms(100, static_cast<std::uint64_t>((until - at).us / 1000) + 100);
    needs_windows = needs_windows || f.kind == trouble::small_windows || f.kind == trouble::priorities;
    planned_.push_back(f);
  }
  bool needs_windows = false;  ///< Flow control must be on from the start, or credit would not be counted.

  void run_faults() {
    for (std::size_t i = 0; i < planned_.size(); ++i) {
      fault& f = planned_[i];
      if (f.is_over) continue;
      if (!f.has_begun && w.now >= f.at) begin_some(f);
      if (f.has_begun && !f.is_over && w.now >= f.until) finish(f);
    }
  }
  void heal_all() {
    for (fault& f : planned_)
      if (f.has_begun && !f.is_over) finish(f);
    planned_.clear();
    for (relay_node* r : relays)
      if (!r->is_up) r->start();
  }

 private:
  struct fault {
    trouble kind{};
    instant at{}, until{};
    bool has_begun = false, is_over = false;
    node* who = nullptr;
    unsigned edge = 0;
    unsigned link = 0;  ///< Its number.
    unsigned side = 0;
    std::uint64_t before = 0;  ///< What had been counted when it began.
  };
  [[nodiscard]] trouble draw() {
    unsigned sum = 0;
    for (const trouble_facts& t : fault_table) sum += t.weight;
    std::uint64_t at = w.chance.below(sum);
    unsigned i = 0;
    for (; at >= fault_table[i].weight; ++i) at -= fault_table[i].weight;
    return static_cast<trouble>(i);
  }
  void count(const fault& f) { ++fired[static_cast<unsigned>(f.kind)]; }
  /// Another kind if this one finds nothing to spoil.
  void begin_some(fault& f) {
    f.has_begun = true;
    for (int tries = 0; tries < 6; ++tries) {
      f.before = 0;
      if (begin(f)) {
        if (w.is_verbose)
          w.say("on %s %u, link %u, side %u", f.who == nullptr ? "-" : role_names[static_cast<unsigned>(f.who->kind)],
                f.who == nullptr ? 0 : f.who->number, f.link, f.side);
        w.say("---- %s", fault_table[static_cast<unsigned>(f.kind)].name);
        return;
      }
      do f.kind = draw();
      while (f.kind == trouble::small_windows || f.kind == trouble::priorities);
    }
    f.is_over = true;
  }

  // ---- whom it hits

  [[nodiscard]] mesh::link* some_link(auto&& fits) {
    mesh::link* found = nullptr;
    std::uint64_t n = 0;
    for (const auto& l : w.links)
      if (l->is_up() && fits(*l) && w.chance.below(++n) == 0) found = l.get();
    return found;
  }
  [[nodiscard]] mesh::link* some_link() {
    return some_link([](const mesh::link&) { return true; });
  }
  [[nodiscard]] mesh::link* link_of(const fault& f) {
    for (const auto& l : w.links)
      if (l->number == f.link) return l.get();
    return nullptr;
  }
  [[nodiscard]] relay_node* some_relay() {
    relay_node* r = relays[w.chance.below(relays.size())];
    return r->is_up ? r : nullptr;
  }
  [[nodiscard]] publisher_node* some_publisher() {
    publisher_node* p = publishers[w.chance.below(publishers.size())];
    return p->is_up && p->kind == role::publisher ? p : nullptr;
  }
  [[nodiscard]] subscriber_node* some_subscriber() { return subscribers[w.chance.below(subscribers.size())]; }
  [[nodiscard]] bool take(fault& f, mesh::link* l) {
    if (l == nullptr) return false;
    f.link = l->number;
    f.edge = l->edge;
    return true;
  }
  void cut_links_of(const node& n, bool all) {
    for (const auto& l : w.links)
      if ((l->a.owner == &n || l->b.owner == &n) && l->is_up()) {
        w.cut(*l);
        if (!all) return;
      }
  }
  [[nodiscard]] std::uint64_t over_links(auto&& f) {
    std::uint64_t sum = 0;
    for (const auto& l : w.links) sum += f(*l);
    return sum;
  }
  void set_habits(auto&& f) {
    for (const auto& l : w.links) f(l->net.habits());
  }
  void restart(relay_node& r) {
    if (r.is_up) r.die();
    r.start();
  }

  bool begin(fault& f);
  void finish(fault& f);
  bool begin_liar(fault& f);
  bool begin_goaway(fault& f, role who);
  bool switch_over(fault& f);

  std::vector<fault> planned_;
  std::uint64_t next_hop_ = 5000;
};

}  // namespace mesh

#include "faults_begin.hpp"
#include "faults_end.hpp"
