#pragma once
/// The list of all messages: for tests, fuzzing, tools and documentation. Never included by the library.

#include "announce.hpp"
#include "fetch.hpp"
#include "goaway.hpp"
#include "group.hpp"
#include "probe.hpp"
#include "session.hpp"
#include "setup.hpp"
#include "stream_type.hpp"
#include "subscribe.hpp"
#include "track.hpp"

namespace moql::msg {

/// Calls `f.template operator()<M>()` for every message.
constexpr void for_each_message(auto&& f) {
  f.template operator()<session_client>();
  f.template operator()<session_server>();
  f.template operator()<client_setup>();
  f.template operator()<server_setup>();
  f.template operator()<session_update>();
  f.template operator()<setup>();
  f.template operator()<announce_request>();
  f.template operator()<announce_init>();
  f.template operator()<announce_ok>();
  f.template operator()<announce>();
  f.template operator()<announce_start>();
  f.template operator()<announce_end>();
  f.template operator()<announce_update>();
  f.template operator()<subscribe>();
  f.template operator()<subscribe_update>();
  f.template operator()<subscribe_ok>();
  f.template operator()<subscribe_end>();
  f.template operator()<subscribe_drop>();
  f.template operator()<track>();
  f.template operator()<track_info>();
  f.template operator()<fetch>();
  f.template operator()<probe>();
  f.template operator()<goaway>();
  f.template operator()<group>();
  f.template operator()<frame>();
  f.template operator()<datagram>();
}

}  // namespace moql::msg
