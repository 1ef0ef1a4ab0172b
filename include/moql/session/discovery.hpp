#pragma once
/// Our Announce streams: which broadcasts or routes exist under a prefix. Draft 06 section 5.1.1.

#include "../stream/announce_reader.hpp"
#include "core.hpp"

namespace moql::detail {

struct interest {
  explicit interest(memory m = {}) noexcept : prefix(m), routes(m) {}
  vec<char> prefix;
  announce_reader routes;
  slot_handle stream{};
  bool is_holding = false;    ///< The initial set is still coming in; nothing of it has been reported.
  bool is_gone = false;       ///< Closed; the slot waits for its last event to be heard.
  bool is_forgotten = false;  ///< By the application: it hears nothing more of it.
  [[nodiscard]] std::string_view prefix_view() const noexcept { return {prefix.data(), prefix.size()}; }
  void recycle() noexcept {
    prefix.clear();
    routes.recycle();
    stream = {};
    is_holding = is_gone = is_forgotten = false;
  }
};

class discovery {
 public:
  explicit discovery(core& c) noexcept : c_(c), interests_(c.mem), joined_(c.mem) {}

  [[nodiscard]] errc discover(std::string_view prefix, interest_id& out) noexcept {
    if (!is_valid_path(prefix) || !c_.can_travel(prefix)) return errc::bad_argument;
    slot_handle h;
    interest* i = interests_.take(h);
    if (i == nullptr) return errc::out_of_memory;
    stream_record* s =
        i->prefix.append(prefix.data(), prefix.size()) ? c_.open(stream_kind::announce_ours, true, h.index) : nullptr;
    if (s == nullptr) {
      interests_.give(h);
      return errc::out_of_memory;
    }
    i->stream = c_.handle_of(*s);
    out = id_of<interest_id>(h);
    const errc why = c_.is_established ? begin(*s) : errc::ok;
    if (why != errc::ok) (void)forget(out);
    return why;
  }
  /// Not interested any longer; nothing more is heard of it.
  [[nodiscard]] errc forget(interest_id id) noexcept {
    interest* i = interests_.find(slot_of(id));
    if (i == nullptr || i->is_gone) return errc::stale_handle;
    if (stream_record* s = c_.streams.find(i->stream)) c_.leave(*s);
    i->is_gone = i->is_forgotten = true;
    i->stream = {};
    c_.cancel_timer(timer_kind::initial_set, slot_of(id));
    c_.tell({{}, about::interest, slot_of(id), {}, true});
    return errc::ok;
  }

  /// The version is known: writes the request.
  [[nodiscard]] errc begin(stream_record& s) noexcept {
    interest& i = interests_[s.owner];
    announce_reader::options o;
    o.ver = c_.ver;
    o.own_hop = since(lite04).has(c_.ver) ? c_.settings.hop : 0;
    o.entries_max = c_.caps().announcements_max;
    o.hash_seed = c_.settings.hash_seed;
    o.strict_ended = c_.settings.strict_ended;
    i.routes.start(o);
    i.is_holding = !only(lite03, lite04).has(c_.ver);
    const msg::announce_request m{.prefix = i.prefix_view(), .exclude_hop = c_.settings.hop};
    if (!c_.put_type(s, static_cast<std::uint64_t>(bidi_type::announce))) return errc::out_of_memory;
    return c_.say<announce_asker>(s, m);
  }
  [[nodiscard]] step read(stream_record& s, byte_view& in, errc& why) noexcept {
    const slot_handle h = interests_.handle_of(s.owner);
    interest& i = interests_[s.owner];
    announce_asker::incoming m;
    const step got = c_.hear<announce_asker>(s, in, m, why);
    if (got != step::ready) return got;
    if (i.is_holding) c_.set_timer(timer_kind::initial_set, h, c_.caps().straggler_timeout);
    why = i.routes.take(m, [&](announce_reader::change c, slot_handle entry) { report(h, i, c, entry); });
    return why == errc::ok ? step::ready : step::fault;
  }
  /// The stream ended, however: everything it told is unavailable.
  void ended(stream_record& s, errc why, std::uint64_t code) noexcept {
    const slot_handle h = interests_.handle_of(s.owner);
    interest& i = interests_[s.owner];
    release_held(h, i);
    i.routes.end([&](announce_reader::change c, slot_handle entry) { report(h, i, c, entry); });
    c_.tell({interest_closed{id_of<interest_id>(h), why, code}, about::interest, h, {}, true});
    i.is_gone = true;
    i.stream = {};
    c_.cancel_timer(timer_kind::initial_set, h);
  }
  /// The publisher promised more initial announcements than it sends: what is there is reported.
  void initial_set_due(std::uint32_t index) noexcept { release_held(interests_.handle_of(index), interests_[index]); }
  void end_all(errc why, std::uint64_t code) noexcept {
    interests_.for_each([&](slot_handle, interest& i) {
      if (stream_record* s = i.is_gone ? nullptr : c_.streams.find(i.stream)) ended(*s, why, code);
    });
  }

  /// Whether an event about this interest is still to be heard; fills in what an announcement borrows.
  [[nodiscard]] bool prepare(queued_event& q) noexcept {
    interest* i = interests_.find(q.slot);
    if (i == nullptr) return false;
    if (i->is_forgotten) return false;
    if (q.entry == slot_handle{}) return true;
    announced_route* r = i->routes.find(q.entry);
    if (r == nullptr) return false;
    const std::string_view prefix = i->prefix_view();
    const std::string_view suffix = r->suffix_view();
    joined_.clear();
    char* to = joined_.extend(prefix.size() + suffix.size() + 1);
    if (to == nullptr) {
      c_.lose_event();
      return false;
    }
    const std::size_t n = join(prefix, suffix, c_.prefixes(), to);
    const std::string_view path(joined_.data(), n);
    const auto fill = [&](auto& e) {
      e.prefix = prefix;
      e.suffix = suffix;
      e.path = path;
      if constexpr (requires { e.hops; }) {
        e.hops = r->hops.view();
        e.warm = r->warm;
        e.cold = r->cold;
      }
    };
    if (auto* a = std::get_if<announced>(&*q.what)) fill(*a);
    if (auto* u = std::get_if<announce_updated>(&*q.what)) fill(*u);
    if (auto* e = std::get_if<announce_ended>(&*q.what)) fill(*e);
    return true;
  }
  void free(const queued_event& q) noexcept {
    interest* i = interests_.find(q.slot);
    if (i == nullptr) return;
    if (q.entry == slot_handle{})
      interests_.give(q.slot);
    else
      i->routes.release(q.entry);
  }

 private:
  void report(slot_handle h, interest& i, announce_reader::change c, slot_handle entry) noexcept {
    const auto id = id_of<interest_id>(h);
    switch (c) {
      case announce_reader::change::started:
        if (!i.is_holding) c_.tell({announced{.interest = id}, about::interest, h, entry, false});
        break;
      case announce_reader::change::updated:
        if (!i.is_holding) c_.tell({announce_updated{{.interest = id}}, about::interest, h, entry, false});
        break;
      case announce_reader::change::ended:
        if (i.is_holding)
          i.routes.release(entry);
        else
          c_.tell({announce_ended{.interest = id}, about::interest, h, entry, !is_live(i, entry)});
        break;
      case announce_reader::change::initial_set: release_held(h, i); break;
    }
  }
  /// An entry that is ended only for us (its path looped) stays in the reader's books.
  [[nodiscard]] static bool is_live(interest& i, slot_handle entry) noexcept {
    const announced_route* r = i.routes.find(entry);
    return r != nullptr && r->hidden;
  }
  void release_held(slot_handle h, interest& i) noexcept {
    if (!i.is_holding) return;
    i.is_holding = false;
    c_.cancel_timer(timer_kind::initial_set, h);
    std::uint64_t n = 0;
    i.routes.for_each([&](slot_handle entry, announced_route&) {
      ++n;
      report(h, i, announce_reader::change::started, entry);
    });
    c_.tell({announced_all{id_of<interest_id>(h), n}, about::interest, h, {}, false});
  }
  core& c_;
  slab<interest> interests_;
  vec<char> joined_;
};

}  // namespace moql::detail
