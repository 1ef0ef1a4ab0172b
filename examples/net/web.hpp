#pragma once
/// Plain HTTP on the side: what a browser needs to come to a page that talks to us.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace net {

struct web_page {
  std::string body{}, type{};
};
/// Answers a GET that asks for no WebSocket; nothing is "not found".
using web_handler = std::function<std::optional<web_page>(std::string_view target)>;

}  // namespace net
