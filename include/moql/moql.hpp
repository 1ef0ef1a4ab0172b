#pragma once
/// Everything an application needs: a session, track caches, and the loop that connects a session to a transport.

#include "adapter/pump.hpp"
#include "adapter/transport.hpp"
#include "delivery/track_cache.hpp"
#include "session/in_order_feed.hpp"
#include "session/session.hpp"
