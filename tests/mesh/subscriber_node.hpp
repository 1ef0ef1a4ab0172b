#pragma once
/// A subscriber of the mesh: keeps asking for what it wants and holds what it gets against what was written.

#include "publisher_node.hpp"

namespace mesh {

struct subscriber_node final : node {
  struct got_group {
    std::uint32_t next_frame = 0;
    std::uint32_t offset = 0;
    bool has_begun = false;
    bool is_over = false;
  };
  /// One track that is wanted, and the subscription for it if there is one.
  struct wish {
    unsigned path = 0, track = 0;
    msg::delivery want{};
    subscription_id id{};
    end* at = nullptr;
    instant retry_at{};
    std::uint64_t mask = 0;         ///< Producers that all of it may be of.
    std::vector<got_group> groups;  ///< By sequence.
    bool is_fresh = false;          ///< A group came that was begun after the healing.
    instant last_heard{};
    unsigned tries = 0;
    [[nodiscard]] bool is_live() const noexcept { return id != subscription_id{}; }
  };
  struct fetching {
    fetch_id id{};
    end* at = nullptr;
    unsigned path = 0, track = 0;
    std::uint64_t group = 0, mask = 0, frame = 0;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> last{};
  };
  subscriber_node(world& its_world, unsigned n, producers& book) noexcept
      : node(its_world, role::subscriber, n), book_(book) {
    due = {};
  }
  std::vector<wish> wishes;
  std::vector<fetching> fetches;
  bool is_done = false;  ///< Wants nothing more.
  bool is_churning = false, is_updating = false, is_fetching = false, is_querying = false;
  bool is_healed = false;
  std::uint64_t churns = 0, updates = 0, fetched = 0, queries = 0, whole = 0, resets = 0;
  std::uint64_t fetches_whole = 0, answers = 0;

  void joined(end& e) override {
    e.heard.wake = [](output_listener*) noexcept {};
    e.seen = 0;
  }
  void left(end& e) override { forget(e); }
  void hear(end& e, const event& what) override {
    if (const auto* p = std::get_if<frame_part>(&what)) return part(*p, e);
    if (const auto* g = std::get_if<group_started>(&what)) return started(*g, e);
    if (const auto* g = std::get_if<group_finished>(&what)) return finished(*g, e);
    if (const auto* d = std::get_if<datagram_received>(&what)) return datagram(*d, e);
    if (std::holds_alternative<moql::connected>(what)) {
      if (!e.session_.discover("", now())) e.session_.close(session_code::internal_error);
    } else if (const auto* a = std::get_if<announced>(&what)) {
      check_hops(w, e, *a);
      w.say("subscriber %u: %.*s is announced", number, static_cast<int>(a->path.size()), a->path.data());
      if (const unsigned p = path_named(a->path); p < paths_max) e.seen |= 1u << p;
    } else if (const auto* u = std::get_if<announce_updated>(&what)) {
      check_hops(w, e, *u);
    } else if (const auto* x = std::get_if<announce_ended>(&what)) {
      w.say("subscriber %u: %.*s is announced no longer", number, static_cast<int>(x->path.size()), x->path.data());
      if (const unsigned p = path_named(x->path); p < paths_max) e.seen &= ~(1u << p);
    } else if (const auto* c = std::get_if<subscription_closed>(&what)) {
      closed(*c, e);
    } else if (const auto* f = std::get_if<fetch_part>(&what)) {
      fetch_came(*f, e);
    } else if (const auto* o = std::get_if<fetch_closed>(&what)) {
      fetch_over(*o, e);
    } else if (const auto* q = std::get_if<track_answered>(&what)) {
      answers += q->why == errc::ok ? 1 : 0;
    } else if (std::holds_alternative<goaway_received>(what)) {
      if (edge& way = w.edges[e.home->edge]; way.current == e.home) way.current = nullptr;
      e.is_leaving = true;
      e.leave_by = w.now + w.chance.ms(300, 1500);
    } else if (std::holds_alternative<session_closed>(what)) {
      forget(e);
    }
  }
  void act() override {
    due = w.now + w.chance.ms(40, 80);
    end* e = best_end();
    for (wish& x : wishes) tend_to(x, e);
    if (e != nullptr) play(*e);
  }
  void tend() override {
    for (const auto& l : w.links) {
      end& e = l->a.owner == this ? l->a : l->b;
      if (e.owner != this || e.is_dead || !e.is_leaving || w.now < e.leave_by || e.session_.is_closed()) continue;
      e.session_.close();
      w.touch(e);
    }
  }
  /// Leaves everything.
  void finish() {
    is_done = true;
    is_churning = is_updating = is_fetching = is_querying = false;
    for (wish& x : wishes) drop(x);
    for (fetching& f : fetches) {
      (void)f.at->session_.cancel(f.id);
      w.touch(*f.at);
    }
    fetches.clear();
  }
  [[nodiscard]] bool is_receiving() const noexcept {
    for (const wish& x : wishes)
      if (x.is_live() && w.now - x.last_heard < seconds(2)) return true;
    return false;
  }

 private:
  [[nodiscard]] end* best_end() {
    end* found = nullptr;
    for (const auto& l : w.links) {
      end& e = l->a.owner == this ? l->a : l->b;
      if (e.owner != this || e.is_dead || !e.is_connected || e.session_.is_closed() || e.is_leaving) continue;
      found = &e;
    }
    return found;
  }
  void tend_to(wish& x, end* e) {
    if (is_done) return;
    if (x.is_live() && (x.at->is_leaving || x.at->is_retiring) && e != nullptr && e != x.at) drop(x);
    if (x.is_live() || e == nullptr || w.now < x.retry_at) return;
    if ((e->seen >> x.path & 1) == 0 && !w.chance.chance(2)) return;
    const auto id =
        e->session_.subscribe(path_name(x.path), track_name(x.track), {.want = x.want, .keep_open = false}, now());
    w.touch(*e);
    ++x.tries;
    if (!id) {
      x.retry_at = w.now + w.chance.ms(50, 400);
      return;
    }
    w.say("subscriber %u asks for %s/%s on link %u", number, path_name(x.path).data(), track_name(x.track).data(),
          e->home->number);
    x.id = *id;
    x.at = e;
    x.mask = ~std::uint64_t{0};
    x.groups.clear();
  }
  void drop(wish& x) {
    if (!x.is_live()) return;
    (void)x.at->session_.unsubscribe(x.id);
    w.touch(*x.at);
    x.id = {};
    x.at = nullptr;
  }
  void forget(end& e) {
    for (wish& x : wishes)
      if (x.at == &e) {
        x.id = {};
        x.at = nullptr;
      }
    std::erase_if(fetches, [&](const fetching& f) { return f.at == &e; });
  }
  /// What the faults make it do besides.
  void play(end& e) {
    dice& d = w.chance;
    if (is_churning && !wishes.empty()) {
      wish& x = wishes[d.below(wishes.size())];
      if (x.is_live()) {
        drop(x);
        x.retry_at = w.now + (d.chance(50) ? duration{} : d.ms(0, 200));
        ++churns;
      }
    }
    if (is_updating)
      for (wish& x : wishes)
        for (int n = 0; n < 3 && x.is_live() && has_ranges(e.home->ver); ++n) {
          msg::delivery want = x.want;
          want.priority = static_cast<std::uint8_t>(d.below(64));
          want.max_age_ms = d.chance(50) ? 60'000 : d.below(1000);
          if (x.at->session_.update(x.id, want) == errc::ok) x.want = want, ++updates;
          w.touch(*x.at);
        }
    if (is_fetching && has_fetch(e.home->ver) && fetches.size() < 8 && !wishes.empty()) {
      const wish& x = wishes[d.below(wishes.size())];
      std::uint64_t newest = 0;
      for (const producer& p : book_.all)
        if (p.path == x.path && p.next[x.track] > newest) newest = p.next[x.track];
      fetching f;
      f.group = d.chance(60) && newest > 0 ? newest - 1 - d.below(newest < 8 ? newest : 8) : d.below(newest + 50);
      fetch_options o{.priority = static_cast<std::uint8_t>(d.below(64))};
      if (has_frame_bounds(e.home->ver) && d.chance(30)) {
        o.frame_start = d.below(3);
        if (d.chance(50)) o.frame_end = o.frame_start + d.below(2);
      }
      const auto id = e.session_.fetch(path_name(x.path), track_name(x.track), f.group, o, now());
      w.touch(e);
      if (id) {
        f.id = *id;
        f.at = &e;
        f.path = x.path;
        f.track = x.track;
        f.mask = ~std::uint64_t{0};
        f.frame = o.frame_start;
        f.last = o.frame_end;
        fetches.push_back(f);
        ++fetched;
        if (d.chance(15)) {
          (void)e.session_.cancel(f.id);
          fetches.pop_back();
        }
      }
    }
    if (is_querying && has_track_stream(e.home->ver) && !wishes.empty()) {
      const wish& x = wishes[d.below(wishes.size())];
      if (e.session_.query_track(path_name(x.path), d.chance(80) ? track_name(x.track) : "none", now())) ++queries;
      w.touch(e);
    }
  }
  [[nodiscard]] wish* find(subscription_id id, const end& e) {
    for (wish& x : wishes)
      if (x.id == id && x.at == &e) return &x;
    // A session that is over takes no command, so what was left after that may still be heard of.
    if (!e.session_.is_closed()) w.fail("subscriber %u hears of a subscription that it does not have", number);
    return nullptr;
  }
  [[nodiscard]] got_group* group(wish& x, std::uint64_t sequence) {
    if (sequence > 100'000) {
      w.fail("subscriber %u is given group %llu", number, static_cast<unsigned long long>(sequence));
      return nullptr;
    }
    if (x.groups.size() <= sequence) x.groups.resize(sequence + 16);
    return &x.groups[sequence];
  }
  /// Narrows the producers that all that was heard may be of.
  void narrow(std::uint64_t& mask, unsigned path, auto&& fits) {
    std::uint64_t left = mask & book_.of(path);
    for (std::uint64_t m = left; m != 0; m &= m - 1) {
      const auto i = static_cast<unsigned>(std::countr_zero(m));
      if (!fits(i)) left &= ~(std::uint64_t{1} << i);
    }
    mask = left;
  }
  void began(wish& x, std::uint64_t sequence, got_group& g) {
    // No group begins twice on one subscription.
    if (g.has_begun)
      w.fail("subscriber %u: group %llu of %s/%s began twice", number, static_cast<unsigned long long>(sequence),
             path_name(x.path).data(), track_name(x.track).data());
    g.has_begun = true;
    ++w.groups;
    w.note(sequence);
  }
  void came(wish& x, std::uint64_t sequence) {
    x.last_heard = w.now;
    if (!is_healed || x.is_fresh) return;
    for (std::size_t i = 0; i < book_.all.size(); ++i)
      if ((x.mask >> i & 1) != 0 && book_.all[i].path == x.path && sequence >= book_.all[i].at_healing[x.track])
        x.is_fresh = true;
  }
  void started(const group_started& s, end& e) {
    wish* x = find(s.subscription, e);
    got_group* g = x == nullptr ? nullptr : group(*x, s.group);
    if (g == nullptr) return;
    began(*x, s.group, *g);
    // What is delivered of a group begins with its first frame, for no other was asked for.
    if (s.first_frame != 0)
      w.fail("subscriber %u: group %llu begins with frame %llu", number, static_cast<unsigned long long>(s.group),
             static_cast<unsigned long long>(s.first_frame));
    came(*x, s.group);
  }
  void part(const frame_part& p, end& e) {
    wish* x = find(p.subscription, e);
    got_group* g = x == nullptr ? nullptr : group(*x, p.group);
    if (g == nullptr) return;
    ++w.frames;
    // Frames follow one another, and so do their bytes.
    if (!g->has_begun || g->is_over || p.frame != g->next_frame || p.offset != g->offset)
      w.fail("subscriber %u: group %llu: frame %llu at %llu instead of %u at %u", number,
             static_cast<unsigned long long>(p.group), static_cast<unsigned long long>(p.frame),
             static_cast<unsigned long long>(p.offset), g->next_frame, g->offset);
    // Payload is what one producer wrote, and all of a subscription is of that one.
    const unsigned key = track_key(x->path, x->track);
    const std::uint64_t before = x->mask;
    narrow(x->mask, x->path,
           [&](unsigned i) { return content::matches(i, key, p.group, p.frame, p.size, p.offset, p.payload); });
    if (x->mask == 0) mixed_up(*x, before, p.group, p.frame);
    g->offset += static_cast<std::uint32_t>(p.payload.size());
    if (g->offset == p.size) {
      ++g->next_frame;
      g->offset = 0;
    }
    came(*x, p.group);
  }
  void mixed_up(const wish& x, std::uint64_t before, std::uint64_t group, std::uint64_t frame) {
    w.fail("subscriber %u: %s/%s group %llu frame %llu is not of the producer of what came before (%llx)", number,
           path_name(x.path).data(), track_name(x.track).data(), static_cast<unsigned long long>(group),
           static_cast<unsigned long long>(frame), static_cast<unsigned long long>(before & book_.of(x.path)));
  }
  void finished(const group_finished& f, end& e) {
    wish* x = find(f.subscription, e);
    got_group* g = x == nullptr ? nullptr : group(*x, f.group);
    if (g == nullptr) return;
    if (!g->has_begun || g->is_over) w.fail("subscriber %u: the end of no group", number);
    g->is_over = true;
    if (f.why != errc::ok) {
      ++resets;
      return;
    }
    ++whole;
    // A whole group has all the frames that were written.
    const unsigned key = track_key(x->path, x->track);
    narrow(x->mask, x->path, [&](unsigned i) {
      const content::plan p = content::plan_of(i, key, f.group);
      return !p.is_cut && !p.is_skipped && p.frames == g->next_frame && g->offset == 0;
    });
    if (x->mask == 0)
      w.fail("subscriber %u: %s/%s group %llu is called whole with %u frames", number, path_name(x->path).data(),
             track_name(x->track).data(), static_cast<unsigned long long>(f.group), g->next_frame);
  }
  void datagram(const datagram_received& d, end& e) {
    wish* x = find(d.subscription, e);
    got_group* g = x == nullptr ? nullptr : group(*x, d.group);
    if (g == nullptr) return;
    ++w.frames;
    began(*x, d.group, *g);
    g->is_over = true;
    const unsigned key = track_key(x->path, x->track);
    const std::uint64_t before = x->mask;
    narrow(x->mask, x->path, [&](unsigned i) {
      return content::plan_of(i, key, d.group).frames == 1 &&
             content::matches(i, key, d.group, 0, d.payload.size(), 0, d.payload);
    });
    if (x->mask == 0) mixed_up(*x, before, d.group, 0);
    came(*x, d.group);
  }
  void closed(const subscription_closed& c, end& e) {
    wish* x = find(c.subscription, e);
    if (x == nullptr) return;
    w.say("subscriber %u: %s/%s is closed: %s (%llx)", number, path_name(x->path).data(), track_name(x->track).data(),
          text_of(c.why).data(), static_cast<unsigned long long>(c.code));
    x->id = {};
    x->at = nullptr;
    x->retry_at = w.now + w.chance.ms(20, 300);
  }
  [[nodiscard]] fetching* find(fetch_id id, const end& e) {
    for (fetching& f : fetches)
      if (f.id == id && f.at == &e) return &f;
    if (!e.session_.is_closed()) w.fail("subscriber %u hears of a fetch that it does not have", number);
    return nullptr;
  }
  void fetch_came(const fetch_part& p, end& e) {
    fetching* f = find(p.fetch, e);
    if (f == nullptr) return;
    if (p.frame != f->frame || p.offset != f->offset) w.fail("subscriber %u: a fetch has a gap", number);
    const unsigned key = track_key(f->path, f->track);
    narrow(f->mask, f->path,
           [&](unsigned i) { return content::matches(i, key, f->group, p.frame, p.size, p.offset, p.payload); });
    if (f->mask == 0)
      w.fail("subscriber %u: fetch of %s/%s group %llu: frame %llu is nobody's", number, path_name(f->path).data(),
             track_name(f->track).data(), static_cast<unsigned long long>(f->group),
             static_cast<unsigned long long>(p.frame));
    f->offset += p.payload.size();
    if (f->offset == p.size) {
      ++f->frame;
      f->offset = 0;
    }
  }
  void fetch_over(const fetch_closed& c, end& e) {
    fetching* f = find(c.fetch, e);
    if (f == nullptr) return;
    if (c.why == errc::ok) {
      ++fetches_whole;
      const unsigned key = track_key(f->path, f->track);
      narrow(f->mask, f->path, [&](unsigned i) {
        const content::plan p = content::plan_of(i, key, f->group);
        const std::uint64_t until = f->last && *f->last + 1 < p.frames ? *f->last + 1 : p.frames;
        // A group that was cut later may have had all that was asked for.
        const bool has_all = !p.is_cut || (f->last && *f->last + 1 == f->frame);
        return has_all && !p.is_skipped && f->frame == until && f->offset == 0;
      });
      if (f->mask == 0)
        w.fail("subscriber %u: fetch of %s/%s group %llu is called whole with %llu frames, asked to %lld", number,
               path_name(f->path).data(), track_name(f->track).data(), static_cast<unsigned long long>(f->group),
               static_cast<unsigned long long>(f->frame), f->last ? static_cast<long long>(*f->last) : -1);
    }
    *f = fetches.back();
    fetches.pop_back();
  }
  producers& book_;
};

}  // namespace mesh
