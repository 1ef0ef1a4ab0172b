#pragma once
/// What became of one line, and the sum over all of them.

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace moql::vectors {

using json = nlohmann::json;

/// The result of one case. `cause` says, where our reaction is not the recorded one, which rule (R-..), quirk (Q-..) or
/// limit makes it so. A difference without a cause is a failure.
struct verdict {
  enum class kind { pass, fail, skipped };
  kind result = kind::pass;
  std::string text{};   ///< For a failure: what is wrong. For the others: what we did.
  std::string cause{};  ///< Why we differ, or empty.

  static verdict pass(std::string text, std::string cause = {}) {
    return {kind::pass, std::move(text), std::move(cause)};
  }
  static verdict fail(std::string text) { return {kind::fail, std::move(text), {}}; }
  static verdict skipped(std::string text) { return {kind::skipped, std::move(text), {}}; }
};

class report {
 public:
  explicit report(bool verbose) : verbose_(verbose) {}
  void add(const std::string& id, const verdict& v) {
    switch (v.result) {
      case verdict::kind::pass:
        ++passed_;
        if (v.cause.empty()) ++agreed_[v.text];
        for (std::size_t at = 0; at < v.cause.size();) {  // several are joined by a plus
          const std::size_t end = std::min(v.cause.find(" + ", at), v.cause.size());
          ++differed_[v.cause.substr(at, end - at)];
          at = end + 3;
        }
        break;
      case verdict::kind::fail:
        ++failed_;
        std::printf("FAILED  %s: %s\n", id.c_str(), v.text.c_str());
        break;
      case verdict::kind::skipped: ++skipped_[v.text]; break;
    }
    if (verbose_ && v.result != verdict::kind::fail)
      std::printf("%-8s%s: %s%s%s\n", name(v.result), id.c_str(), v.text.c_str(),
                  v.cause.empty() ? "" : "; differs by ", v.cause.c_str());
  }
  /// Prints the sums; the last line is "N passed, M failed". Returns the exit code.
  int finish() const {
    print("as recorded", agreed_);
    print("unlike the recorded peer, because of", differed_);
    print("skipped", skipped_);
    std::printf("%d passed, %d failed\n", passed_, failed_);
    return failed_ == 0 ? 0 : 1;
  }
  [[nodiscard]] bool empty() const { return passed_ + failed_ == 0 && skipped_.empty(); }

 private:
  using sums = std::map<std::string, int>;
  static const char* name(verdict::kind k) { return k == verdict::kind::pass ? "ok" : "skipped"; }
  static void print(const char* title, const sums& s) {
    int all = 0;
    for (const auto& [text, n] : s) all += n;
    if (all == 0) return;
    std::printf("%s: %d\n", title, all);
    for (const auto& [text, n] : s) std::printf("  %5d  %s\n", n, text.c_str());
  }
  bool verbose_;
  int passed_ = 0;
  int failed_ = 0;
  sums agreed_, differed_, skipped_;
};

}  // namespace moql::vectors
