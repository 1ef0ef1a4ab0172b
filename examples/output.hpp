#pragma once
/// A file or, without a name, standard output.

#include <optional>

#include "files.hpp"

namespace examples {

class output {
 public:
  explicit output(const std::string& path) {
    if (!path.empty()) file_.emplace(path);
  }
  void write(byte_view v) {
    if (file_) return file_->write(v);
    if (!v.empty() && why_.empty() && std::fwrite(v.data(), 1, v.size(), stdout) != v.size())
      why_ = system_complaint("standard output");
  }
  /// All is well: the file gets its name.
  void keep() {
    if (file_) return file_->keep();
    flush();
  }
  /// Whoever reads along on standard output has it now.
  void flush() {
    if (file_) return;
    if (std::fflush(stdout) != 0 && why_.empty()) why_ = system_complaint("standard output");
  }
  [[nodiscard]] const std::string& why() const { return file_ ? file_->why() : why_; }

 private:
  std::optional<pending_file> file_;
  std::string why_;
};

}  // namespace examples
