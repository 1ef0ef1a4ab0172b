#pragma once
/// Who wants to know of a change, and has not been told since it last looked: two rings, so that a change costs only
/// those who look.

namespace moql {

/// Embedded in whatever reads a cache. `changed` is called once after a change and again only after `rearm`. From
/// inside the call nothing but `rearm` and `detach` of the caller itself may be used.
struct cache_listener {
  cache_listener* before = nullptr;
  cache_listener* after = nullptr;
  void (*changed)(cache_listener*) noexcept = nullptr;
  class track_cache* cache = nullptr;
};

namespace detail {

class cache_listeners {
 public:
  void attach(cache_listener& l) noexcept { link(idle_, l); }
  static void detach(cache_listener& l) noexcept { unlink(&l); }
  void rearm(cache_listener& l) noexcept {
    unlink(&l);
    link(idle_, l);
  }
  void wake() noexcept {
    if (idle_.after == &idle_) return;
    ring now;  // who asks again from inside a call waits for the next change
    now.after = idle_.after;
    now.before = idle_.before;
    now.after->before = now.before->after = &now;
    idle_.before = idle_.after = &idle_;
    while (now.after != &now) {
      cache_listener* l = now.after;
      unlink(l);
      link(woken_, *l);
      l->changed(l);
    }
  }
  /// The cache dies: everyone is told, with a null `cache`.
  void dismiss() noexcept {
    dismiss(idle_);
    dismiss(woken_);
  }

 private:
  struct ring : cache_listener {
    ring() noexcept { before = after = this; }
  };
  static void dismiss(ring& r) noexcept {
    for (cache_listener* l = r.after; l != &r; l = r.after) {
      unlink(l);
      l->cache = nullptr;
      l->changed(l);
    }
  }
  static void link(cache_listener& ring, cache_listener& l) noexcept {
    l.before = ring.before;
    l.after = &ring;
    ring.before->after = &l;
    ring.before = &l;
  }
  static void unlink(cache_listener* l) noexcept {
    if (l->before == nullptr) return;
    l->before->after = l->after;
    l->after->before = l->before;
    l->before = l->after = nullptr;
  }
  ring idle_;
  ring woken_;
};

}  // namespace detail
}  // namespace moql
