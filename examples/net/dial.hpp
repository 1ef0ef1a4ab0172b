#pragma once
/// Dials a URL over the transport that its scheme names.

#include <string_view>

#include "host.hpp"
#include "options.hpp"

namespace net {

/// The peer appears in `h` when the connection is up; if it never is, the program hears `on_unreachable`.
void dial(host& h, std::string_view url, const dial_options& o);

}  // namespace net
