#pragma once
/// A publisher of the mesh: announces one broadcast on every session it has and writes its tracks.

#include "relay_node.hpp"

namespace mesh {

/// Who has produced what, for those that check it.
struct producer {
  unsigned path = 0;
  std::uint64_t next[tracks_max] = {};        ///< The group each track comes to next.
  std::uint64_t at_healing[tracks_max] = {};  ///< Where that was when the network healed.
  bool is_current = false;                    ///< Somebody writes as this one.
};
struct producers {
  std::vector<producer> all;
  /// Those of a path, a bit each.
  [[nodiscard]] std::uint64_t of(unsigned path) const noexcept {
    std::uint64_t mask = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].path == path) mask |= std::uint64_t{1} << i;
    return mask;
  }
};

/// How requests are answered; all but the first are liars'.
enum class manners : std::uint8_t { serves, refuses, silent, no_capacity, empty };

struct publisher_node final : node {
  struct track {
    std::unique_ptr<track_cache> cache{};
    track_options options{};
    duration period{};
    instant due{};
    unsigned frame = 0;  ///< Of the group that is being written.
    bool is_in_group = false;
    std::size_t part_at = 0;  ///< Bytes of the frame that is being written in parts.
    bool is_in_frame = false;
  };
  publisher_node(world& its_world, role r, unsigned n, std::uint64_t its_hop, unsigned its_path, unsigned its_tracks,
                 producers& book) noexcept
      : node(its_world, r, n), path(its_path), tracks(its_tracks), book_(book) {
    hop = its_hop;
  }
  unsigned path;
  unsigned tracks;
  unsigned me = content::producers_max;  ///< Which producer.
  track t[tracks_max];
  purse money{};
  bool is_announcing = true;
  bool has_no_capacity = false;
  std::uint64_t warm = 0, cold = 0;
  std::vector<std::uint64_t> forged;  ///< Hops that it says it is reached by.
  manners how = manners::serves;
  bool is_gone = false;  ///< For ever.
  std::uint64_t refused = 0, served = 0;

  /// Becomes a producer that was not there before. False when there have been too many.
  bool become_new() {
    if (book_.all.size() >= content::producers_max) return false;
    if (me < content::producers_max) book_.all[me].is_current = false;
    me = static_cast<unsigned>(book_.all.size());
    book_.all.push_back({.path = path, .is_current = true});
    for (unsigned i = 0; i < tracks; ++i) {
      const std::uint64_t start = w.chance.chance(30) ? w.chance.below(50) : 0;
      book_.all[me].next[i] = start;
      renew(i);
    }
    w.say("publisher %u is now producer %u of %s, hop %llu", number, me, path_name(path).data(),
          static_cast<unsigned long long>(hop));
    return true;
  }
  /// The track ends (or just vanishes), and begins again behind its last group.
  void renew(unsigned i) {
    track& x = t[i];
    if (x.cache && w.chance.chance(70)) {  // otherwise it vanishes under its readers
      if (x.is_in_group) must(x.cache->abort_group(x.cache->next_sequence() - 1, application_code(4)));
      x.cache->finish();
      ended_.push_back(std::move(x.cache));
    }
    x.cache = std::make_unique<track_cache>(x.options, money.get());
    x.is_in_group = x.is_in_frame = false;
    x.due = w.now + w.chance.ms(1, 60);
    settle_due();
  }
  void settle_due() {
    due = never_due;
    if (!is_up) return;
    for (unsigned i = 0; i < tracks; ++i)
      if (t[i].due < due) due = t[i].due;
  }

  void joined(end& e) override {
    e.heard.wake = [](output_listener* l) noexcept {
      auto* x = static_cast<end::listener*>(l)->self;
      x->owner->w.touch(*x);
    };
    e.session_.wake(&e.heard);
    e.book = 0;
    if (hop == 0) (void)become_new();  // who is unknown may be anybody each time
  }
  void left(end& e) override { e.session_.wake(nullptr); }
  void hear(end& e, const event& what) override {
    if (std::holds_alternative<moql::connected>(what)) announce(e);
    if (std::holds_alternative<goaway_received>(what))
      if (edge& x = w.edges[e.home->edge]; x.current == e.home)
        x.current = nullptr, e.is_leaving = true, e.leave_by = w.now + w.chance.ms(200, 3000);
    if (const auto* r = std::get_if<subscribe_requested>(&what)) answer(e, r->request, r->broadcast, r->track);
    if (const auto* r = std::get_if<track_requested>(&what)) answer(e, r->request, r->broadcast, r->track);
    if (const auto* r = std::get_if<fetch_requested>(&what)) answer(e, r->request, r->broadcast, r->track);
  }
  void announce(end& e) {
    if (!is_announcing || !e.is_connected || e.session_.is_closed() || e.book != 0) return;
    const auto id = e.session_.announce(path_name(path), {.hops = forged, .warm = warm, .cold = cold});
    if (!id) return e.session_.close(session_code::internal_error);
    ids_.push_back(*id);
    e.book = static_cast<unsigned>(ids_.size());
  }
  void withdraw(end& e) {
    if (e.book == 0) return;
    (void)e.session_.withdraw(ids_[e.book - 1]);
    e.book = 0;
    w.touch(e);
  }
  void set_costs(std::uint64_t a, std::uint64_t b) {
    warm = a;
    cold = b;
    for_each_end([&](end& e) {
      if (e.book != 0) (void)e.session_.update(ids_[e.book - 1], {.hops = forged, .warm = warm, .cold = cold});
      w.touch(e);
    });
  }
  void set_announcing(bool on) {
    is_announcing = on;
    for_each_end([&](end& e) { on ? announce(e) : withdraw(e), w.touch(e); });
  }
  void for_each_end(auto&& f) {
    for (const auto& l : w.links)
      for (unsigned side = 0; side < 2; ++side)
        if (end& e = l->at(side); e.owner == this && !e.is_dead) f(e);
  }
  void tend() override {
    for_each_end([&](end& e) {
      if (!e.is_leaving || w.now < e.leave_by || e.session_.is_closed()) return;
      if (e.leaves_abruptly) return w.cut(*e.home);
      e.session_.close();
      w.touch(e);
    });
  }
  void act() override {
    for (unsigned i = 0; i < tracks; ++i)
      if (t[i].due <= w.now) write(i);
    settle_due();
  }

 private:
  void answer(end& e, request_id r, std::string_view broadcast, std::string_view name) {
    const unsigned i = track_named(name);
    if (how == manners::silent) return;
    if (how == manners::refuses) {
      (void)e.session_.reject(r, stream_code::not_found);
    } else if (how == manners::empty) {
      (void)e.session_.serve(r, nothing_);
    } else if (has_no_capacity || how == manners::no_capacity) {
      ++refused;
      (void)e.session_.reject(r, stream_code::no_capacity);
    } else if (path_named(broadcast) != path || i >= tracks) {
      (void)e.session_.reject(r, stream_code::not_found);
    } else {
      ++served;
      if (e.session_.serve(r, *t[i].cache) != errc::ok) (void)e.session_.reject(r, stream_code::internal_error);
    }
  }
  /// The next piece of a track.
  void write(unsigned i) {
    track& x = t[i];
    producer& p = book_.all[me];
    const unsigned key = track_key(path, i);
    track_cache& c = *x.cache;
    dice& d = w.chance;
    if (!x.is_in_group) {
      const content::plan plan = content::plan_of(me, key, p.next[i]);
      const std::uint64_t g = p.next[i]++;
      if (plan.is_skipped) {
        must(c.drop_groups(g, g));
        x.due = w.now + milliseconds(5);
        return;
      }
      if (plan.is_datagram) {
        const content::slice s = content::slice_of(me, key, g, 0, true);
        must(c.begin_group(g, now(), plan.is_both ? sent_by::both : sent_by::datagram));
        must(c.append(g, stamp(), content::payload(s)));
        must(c.end_group(g));
        x.due = w.now + x.period;
        return;
      }
      must(c.begin_group(g, now()));
      x.is_in_group = true;
      x.frame = 0;
    }
    const std::uint64_t g = p.next[i] - 1;
    const content::plan plan = content::plan_of(me, key, g);
    const unsigned until = plan.is_cut ? plan.frames - 1 : plan.frames;
    while (x.frame < until) {
      const content::slice s = content::slice_of(me, key, g, x.frame, false);
      if (x.is_in_frame || (s.size > 50 && d.chance(15))) {
        if (!x.is_in_frame) must(c.begin_frame(g, stamp(), s.size)), x.part_at = 0;
        const std::size_t rest = s.size - x.part_at;
        const std::size_t n = x.is_in_frame ? rest : rest / 2;
        must(c.append_part(g, content::payload({s.from + x.part_at, n})));
        x.part_at += n;
        x.is_in_frame = x.part_at != s.size;
      } else {
        must(c.append(g, stamp(), content::payload(s)));
      }
      if (!x.is_in_frame) ++x.frame;
      if (d.chance(35)) {
        x.due = w.now + d.ms(1, 30);
        return;
      }
    }
    if (plan.is_cut)
      must(c.abort_group(g, application_code(3)));
    else
      must(c.end_group(g));
    x.is_in_group = false;
    x.due = w.now + x.period;
  }
  [[nodiscard]] std::uint64_t stamp() const noexcept { return static_cast<std::uint64_t>(w.now.us / 1000); }
  void must(errc e) {
    if (e != errc::ok) w.fail("publisher %u cannot write: %s", number, text_of(e).data());
  }
  producers& book_;
  track_cache nothing_;
  std::vector<announcement_id> ids_;
  std::vector<std::unique_ptr<track_cache>> ended_;  ///< Their readers take what is left.
};

}  // namespace mesh
