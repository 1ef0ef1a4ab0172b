// vectors DIR [--verbose]: runs every messages*.jsonl, invalid*.jsonl and sessions/*.json of a folder, and of it and
// its folder qmux every frames*.jsonl, reactions*.jsonl and recorded connection. The last line is "N passed, M failed";
// the exit code is 0 only when nothing failed, 2 when the folder is not usable.

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "invalid.hpp"
#include "qmux_sessions.hpp"
#include "sessions.hpp"
#include "streams.hpp"
#include "valid.hpp"

namespace {

namespace fs = std::filesystem;
using namespace moql::vectors;

/// The folder cannot be used at all.
struct unusable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::vector<fs::path> sorted(const fs::path& dir) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(dir)) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

template <class F>
verdict guarded(const std::string& where, F f) {
  try {
    return f();
  } catch (const bad_line& e) {
    return verdict::fail(e.what());
  } catch (const nlohmann::json::exception& e) {  // a key that every line has is missing, or of another type
    throw unusable(where + ": " + e.what());
  }
}

json parsed(const fs::path& file) {
  std::ifstream in(file);
  if (!in) throw unusable("cannot read " + file.string());
  try {
    return json::parse(in);
  } catch (const nlohmann::json::exception& e) {
    throw unusable(file.string() + ": not JSON: " + e.what());
  }
}

void run_lines(const fs::path& file, verdict (*judge)(const json&), report& out) {
  std::ifstream in(file);
  if (!in) throw unusable("cannot read " + file.string());
  std::size_t number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = file.string() + ":" + std::to_string(number);
    json line;
    try {
      line = json::parse(text);
    } catch (const nlohmann::json::exception& e) {
      throw unusable(where + ": not JSON: " + e.what());
    }
    const std::string id =
        line.is_object() && line.contains("id") && line["id"].is_string() ? line["id"].get<std::string>() : where;
    out.add(id, guarded(where, [&] { return judge(line); }));
  }
}

/// `each(json, name, add)` judges one file.
template <class Each>
void run_file(const fs::path& file, report& out, Each&& each) {
  const json whole = parsed(file);
  const std::string name = file.filename().string();
  const verdict v = guarded(file.string(), [&] {
    each(whole, name, [&](const std::string& id, const verdict& one) { out.add(id, one); });
    return verdict::pass("");
  });
  if (v.result == verdict::kind::fail) out.add(name, v);
}

/// Of the folder itself, whose other .json files may be anything, only what says its QMux version.
void run_qmux(const fs::path& dir, report& out) {
  for (const fs::path& p : sorted(dir)) {
    const std::string name = p.filename().string();
    if (name.ends_with(".jsonl") && name.starts_with("frames")) run_lines(p, run_qmux_frame, out);
    if (name.ends_with(".jsonl") && name.starts_with("reactions")) run_lines(p, run_qmux_reaction, out);
    if (p.extension() != ".json") continue;
    const json whole = parsed(p);
    const auto has = [&](const char* key) { return whole.is_object() && whole.contains(key); };
    if (has("qmux_version") && has("messages"))
      run_file(p, out, [](const json& j, const std::string& id, auto&& add) { run_qmux_session(j, id, add); });
    else if (has("offers"))
      run_file(p, out, [](const json& j, const std::string& id, auto&& add) { run_qmux_offers(j, id, add); });
  }
}

void run(const fs::path& dir, report& out) {
  if (!fs::is_directory(dir)) throw unusable("no such folder: " + dir.string());
  for (const fs::path& p : sorted(dir)) {
    const std::string name = p.filename().string();
    if (!name.ends_with(".jsonl")) continue;
    if (name.starts_with("messages")) run_lines(p, run_valid, out);
    if (name.starts_with("invalid")) run_lines(p, run_invalid, out);
  }
  if (fs::is_directory(dir / "sessions"))
    for (const fs::path& p : sorted(dir / "sessions"))
      if (p.extension() == ".json")
        run_file(p, out, [](const json& j, const std::string& id, auto&& add) { run_session(j, id, add); });
  run_qmux(dir, out);
  if (fs::is_directory(dir / "qmux")) run_qmux(dir / "qmux", out);
  if (out.empty()) throw unusable("no vectors in " + dir.string());
}

}  // namespace

int main(int argc, char** argv) {
  const char* dir = nullptr;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--verbose") == 0)
      verbose = true;
    else if (dir == nullptr && argv[i][0] != '-')
      dir = argv[i];
    else
      dir = nullptr, i = argc;
  }
  if (dir == nullptr) {
    std::fprintf(stderr, "usage: vectors DIR [--verbose]\n");
    return 2;
  }
  try {
    report out(verbose);
    run(dir, out);
    return out.finish();
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "vectors: %s\n", e.what());
    return 2;
  }
}
