#pragma once
/// What a simulated application does: it answers requests, writes tracks and changes its mind.

#include "sim.hpp"

namespace testing::sim {

inline void app::answer(request_id r, sent_track* t) {
  if (t == nullptr || t->cache == nullptr || (!is_quiet && pick().chance(5))) {
    if (check(s.reject(r, stream_code::not_found)) == errc::ok) requests.erase(r);
  } else if (!is_quiet && pick().chance(15)) {
    pending.emplace_back(r, t);
  } else {
    (void)check(s.serve(r, *t->cache));
  }
}
inline void app::settle_requests() {
  for (auto& [r, t] : std::exchange(pending, {}))
    if (requests.count(r) != 0) answer(r, t);
}

inline void app::leave_everything() {
  for (auto& [id, w] : watches)
    if (s.unsubscribe(id) == errc::ok) w.is_left = true;
  for (auto& [id, f] : fetches)
    if (s.cancel(id) == errc::ok) f.is_left = true;
  for (auto& [id, i] : interests)
    if (s.forget(id) == errc::ok) i.is_left = true;
  for (auto& [id, p] : published) (void)s.withdraw(id);
  published.clear();
  (void)s.stop_probe();
  (void)s.finish_goaway();
}

inline std::size_t app::frame_size() {
  const std::uint64_t kind = pick().below(100);
  std::size_t n = kind < 10 ? 0 : kind < 75 ? pick().below(300) : kind < 98 ? pick().below(5000) : pick().below(65536);
  if (world_.faults.bytes >= 1'000'000 && kind == 99 && pick().chance(10)) n = 1 << 20;
  n = n < world_.bytes_left ? n : world_.bytes_left;
  world_.bytes_left -= n;
  return n;
}
inline void app::append(sent_track& t, std::uint64_t sequence, sent_group& g) {
  if (g.part_missing != 0) {
    const std::size_t n = pick().between(1, g.part_missing);
    const sent_frame& f = g.frames.back();
    if (check(t.cache->append_part(sequence, world_.payload.at(f.from + g.part_at, n))) != errc::ok) return;
    g.part_at += n;
    g.part_missing -= n;
    return;
  }
  sent_frame f;
  f.size = frame_size();
  f.from = pick().below(noise::size - f.size);
  t.timestamp += pick().below(100);
  f.timestamp = t.timestamp - (t.timestamp > 50 ? pick().below(50) : 0);
  if (f.size > 1 && pick().chance(20)) {
    if (check(t.cache->begin_frame(sequence, f.timestamp, f.size)) != errc::ok) return;
    g.part_missing = f.size;
    g.part_at = 0;
  } else if (check(t.cache->append(sequence, f.timestamp, world_.payload.at(f.from, f.size))) != errc::ok) {
    return;
  }
  g.frames.push_back(f);
}
/// Something happens to a track.
inline void app::write(sent_track& t) {
  if (t.cache == nullptr || t.is_finished) return;
  const auto close_latest = [&](std::uint64_t by) {
    if (t.groups.empty()) return;
    auto& [sequence, g] = *t.groups.rbegin();
    if (sequence < by && g.state == group_state::open)
      g.state = g.part_missing == 0 ? group_state::complete : group_state::aborted;
  };
  const std::uint64_t what = pick().below(100);
  if (what < 45 || t.groups.empty()) {  // a group, as a whole or its beginning
    std::uint64_t sequence = t.cache->next_sequence() + (pick().chance(10) ? pick().below(4) : 0);
    if (pick().chance(8) && sequence > 3) sequence -= 1 + pick().below(3);
    if (pick().chance(15)) {
      const std::size_t n = pick().below(900);
      const std::size_t from = pick().below(noise::size - n);
      const sent_by how = pick().chance(50) ? sent_by::datagram : sent_by::both;
      sequence = t.cache->next_sequence();
      const auto closing = t.groups.empty() ? std::optional<std::uint64_t>{} : t.groups.rbegin()->first;
      if (check(t.cache->write_datagram(t.timestamp, world_.payload.at(from, n), world_.net.now(), how)) != errc::ok)
        return;
      if (closing) close_latest(sequence);
      t.groups[sequence] = {{{t.timestamp, from, n}}, group_state::complete, how};
      return;
    }
    if (t.groups.count(sequence) != 0) return;  // perhaps evicted
    if (check(t.cache->begin_group(sequence, world_.net.now())) != errc::ok) return;
    close_latest(sequence);
    sent_group& g = t.groups[sequence];
    for (std::uint64_t n = pick().chance(10) ? pick().below(50) : pick().below(8); n > 0; --n) append(t, sequence, g);
    if (g.part_missing == 0 && pick().chance(60) && check(t.cache->end_group(sequence)) == errc::ok)
      g.state = group_state::complete;
    return;
  }
  auto& [sequence, g] = *std::next(
      t.groups.rbegin(), static_cast<std::ptrdiff_t>(pick().below(t.groups.size() < 3 ? t.groups.size() : 3)));
  if (what < 80) {
    if (g.state != group_state::open) return;
    for (std::uint64_t n = pick().below(6); n > 0; --n) append(t, sequence, g);
  } else if (what < 92) {
    if (g.state == group_state::open && check(t.cache->end_group(sequence)) == errc::ok)
      g.state = g.part_missing == 0 ? group_state::complete : group_state::aborted;
  } else if (what < 95) {
    if (check(t.cache->abort_group(sequence, application_code(1))) == errc::ok) g.state = group_state::aborted;
  } else if (what < 98) {
    const std::uint64_t first = t.cache->next_sequence();
    if (check(t.cache->drop_groups(first, first + pick().below(3))) == errc::ok) t.has_drops = true;
  } else if (what == 98) {
    close_latest(UINT64_MAX);
    for (auto& [n, each] : t.groups)
      if (each.state == group_state::open)
        each.state = each.part_missing == 0 ? group_state::complete : group_state::aborted;
    t.cache->finish();
    t.is_finished = true;
  } else {
    t.cache.reset();
  }
}

inline msg::delivery app::some_delivery() {
  msg::delivery d;
  d.priority = static_cast<std::uint8_t>(pick().below(60));
  d.max_age_ms = pick().chance(25) ? pick().below(500) : 100'000'000;
  if (!has_ranges(world_.ver)) return d;
  d.ordered = has_ordered(world_.ver) && pick().chance(50);
  if (pick().chance(35)) d.group_start = pick().below(12);
  if (pick().chance(20)) d.group_end = d.group_start.value_or(0) + pick().below(8);
  if (!has_frame_bounds(world_.ver)) return d;
  if (pick().chance(10)) d.frame_start = pick().below(4);
  if (d.group_end && pick().chance(30)) d.frame_end = pick().below(5);
  return d;
}
inline std::vector<std::uint64_t> app::some_hops() {
  std::vector<std::uint64_t> hops;
  if (!since(lite03).has(world_.ver)) return hops;
  for (std::uint64_t n = pick().below(4); n > 0; --n) hops.push_back(pick().chance(15) ? 0 : 50 + n);
  if (pick().chance(10) && other().hop != 0) hops.push_back(other().hop);
  return hops;
}

inline void app::act() {
  static constexpr const char* paths[] = {"room/a", "room/b", "room/a/deep", "hall", "hall/x", "roomy"};
  static constexpr const char* prefixes[] = {"", "room", "room/a", "hall", "none"};
  static constexpr const char* names[] = {"video", "audio", "data"};
  const instant now = world_.net.now();
  const bool may_publish = world_.publishes(*this);
  const bool may_subscribe = world_.publishes(other());
  const std::uint64_t what = pick().below(100);
  if (what < 2) return;
  if (what < 50 && may_publish) {
    if (what < 8) {
      const std::string path = pick().one_of(paths);
      const auto hops = some_hops();
      const route r{hops, pick().below(5), pick().below(5)};
      if (const announcement_id id = check(s.announce(path, r)); id != announcement_id{}) published[id] = {path, hops};
    } else if (what < 11) {
      if (const auto i = some_of(published); i != published.end() && check(s.withdraw(i->first)) == errc::ok)
        published.erase(i);
    } else if (what < 13) {
      const auto hops = some_hops();
      const route r{hops, pick().below(5), pick().below(5)};
      if (const auto i = some_of(published); i != published.end() && check(s.update(i->first, r)) == errc::ok)
        i->second.second = hops;
    } else if (what < 18 && tracks.size() < 8) {
      const std::string broadcast = pick().one_of(paths);
      const std::string name = pick().one_of(names);
      if (find(tracks, broadcast, name) != nullptr) return;
      auto t = std::make_unique<sent_track>();
      t->broadcast = broadcast;
      t->name = name;
      t->options.priority = static_cast<std::uint8_t>(pick().below(256));
      t->options.timescale = 1000;
      t->options.max_age_ms = 100'000'000;
      if (pick().chance(20)) {
        t->is_roomy = false;
        t->options.max_age_ms = pick().below(300);
        t->options.bytes_max = 1000 + pick().below(50'000);
        t->options.groups_max = static_cast<std::uint32_t>(1 + pick().below(6));
      }
      t->cache = std::make_unique<track_cache>(t->options, memory_);
      tracks.push_back(std::move(t));
    } else if (!tracks.empty()) {
      write(*tracks[pick().below(tracks.size())]);
    }
    return;
  }
  if (what < 54) {
    if (pending.empty()) return;
    const std::size_t i = pick().below(pending.size());
    const auto [r, t] = pending[i];
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(i));
    if (requests.count(r) != 0) answer(r, t);
  } else if (what < 58) {
    const std::string prefix = pick().one_of(prefixes);
    if (const interest_id id = check(s.discover(prefix, now)); id != interest_id{}) interests[id].prefix = prefix;
  } else if (what < 60) {
    if (const auto i = some_of(interests); i != interests.end() && check(s.forget(i->first)) == errc::ok)
      i->second.is_left = true;
  } else if (what < 75 && may_subscribe) {
    subscribe_options o{some_delivery(), pick().chance(10), false};
    auto& theirs = other().tracks;
    std::string broadcast = pick().one_of(paths);
    std::string name = pick().one_of(names);
    if (!theirs.empty() && !pick().chance(5)) {
      sent_track& t = *theirs[pick().below(theirs.size())];
      broadcast = t.broadcast;
      name = t.name;
    }
    const subscription_id id = check(s.subscribe(broadcast, name, o, now));
    if (id != subscription_id{}) {
      watch& w = watches[id];
      w.broadcast = broadcast;
      w.name = name;
      w.wants.push_back(o.want);
    }
  } else if (what < 80) {
    const msg::delivery d = some_delivery();
    if (const auto i = some_of(watches); i != watches.end() && check(s.update(i->first, d)) == errc::ok)
      i->second.wants.push_back(d);
  } else if (what < 85) {
    if (const auto i = some_of(watches); i != watches.end() && check(s.unsubscribe(i->first)) == errc::ok)
      i->second.is_left = true;
  } else if (what < 91 && may_subscribe) {
    auto& theirs = other().tracks;
    if (theirs.empty()) return;
    sent_track& t = *theirs[pick().below(theirs.size())];
    fetching f;
    f.track = &t;
    f.group = pick().below(t.groups.empty() ? 2 : t.groups.rbegin()->first + 2);
    f.options.priority = static_cast<std::uint8_t>(pick().below(256));
    if (has_frame_bounds(world_.ver) && pick().chance(40)) {
      f.options.frame_start = pick().below(5);
      if (pick().chance(50)) f.options.frame_end = f.options.frame_start + pick().below(4);
    }
    f.next_frame = f.options.frame_start;
    if (const fetch_id id = check(s.fetch(t.broadcast, t.name, f.group, f.options, now)); id != fetch_id{})
      fetches[id] = f;
  } else if (what < 93) {
    if (const auto i = some_of(fetches); i != fetches.end() && check(s.cancel(i->first)) == errc::ok)
      i->second.is_left = true;
  } else if (what < 95 && may_subscribe) {
    auto& theirs = other().tracks;
    if (theirs.empty()) return;
    sent_track& t = *theirs[pick().below(theirs.size())];
    if (const track_query_id id = check(s.query_track(t.broadcast, t.name, now)); id != track_query_id{})
      queries[id] = &t;
  } else if (what < 97) {
    (void)check(pick().chance(30) ? s.stop_probe() : s.probe(pick().chance(30) ? 1'000'000 : 0));
  } else if (what < 99) {
    (void)check(s.report(pick().below(10'000'000), pick().below(100)));
  } else if (pick().chance(15)) {
    if (check(s.goaway(s.side() == endpoint::server ? "https://elsewhere/" : "", {}, now)) == errc::ok)
      world_.goaway_sent = true;
  }
}

}  // namespace testing::sim
