#pragma once
/// The files of one folder over HTTP, for a page that talks to us.

#include <filesystem>

#include "files.hpp"
#include "net/web.hpp"

namespace examples {

/// Answers `/certificate.sha256` with the hash of our certificate, and names of files in `folder`, if one is given. A
/// target that leaves the folder is not found.
[[nodiscard]] inline net::web_handler web_files(const std::string& folder, std::string certificate_hash) {
  return [folder, hash = std::move(certificate_hash)](std::string_view target) -> std::optional<net::web_page> {
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/certificate.sha256") return net::web_page{hash, "text/plain"};
    if (folder.empty() || path.find("..") != path.npos || path.find('%') != path.npos) return {};
    const std::string file = folder + (path == "/" ? "/index.html" : std::string(path));
    std::string why;
    const auto all = read_file(file, why);
    if (!all) return {};
    const auto ends = [&](std::string_view with) { return file.ends_with(with); };
    const char* type = ends(".html")                   ? "text/html; charset=utf-8"
                       : ends(".js") || ends(".mjs")   ? "text/javascript"
                       : ends(".css")                  ? "text/css"
                       : ends(".json") || ends(".map") ? "application/json"
                                                       : "application/octet-stream";
    return net::web_page{{all->begin(), all->end()}, type};
  };
}

}  // namespace examples
