#pragma once
/// Reading a whole file with an answer a person can use, and writing one that appears under its name only when it is
/// known to be right.

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace examples {

using byte_view = std::span<const std::uint8_t>;
using file_bytes = std::vector<std::uint8_t>;

struct file_closer {
  void operator()(std::FILE* f) const noexcept { std::fclose(f); }
};
using file_handle = std::unique_ptr<std::FILE, file_closer>;

/// "path: what is wrong", the form of every complaint of these programs.
[[nodiscard]] inline std::string complaint(const std::string& path, const std::string& what) {
  return path + ": " + what;
}
[[nodiscard]] inline std::string system_complaint(const std::string& path) {
  return complaint(path, std::strerror(errno));
}

/// Everything that is left in an open file; none, with the reason, when it cannot be read.
[[nodiscard]] inline std::optional<file_bytes> read_all(std::FILE* from, const std::string& name, std::string& why) {
  file_bytes all;
  std::size_t size = 0;
  do {
    all.resize(size + (size < 65536 ? 65536 : size));
    size += std::fread(all.data() + size, 1, all.size() - size, from);
  } while (size == all.size());
  all.resize(size);
  if (std::ferror(from) == 0) return all;
  why = system_complaint(name);
  return {};
}
/// The bytes of a regular file.
[[nodiscard]] inline std::optional<file_bytes> read_file(const std::string& path, std::string& why) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    why = complaint(path, "no such file");
  } else if (std::filesystem::is_directory(status)) {
    why = complaint(path, "is a directory, not a file");
  } else if (!std::filesystem::is_regular_file(status)) {
    why = complaint(path, "is not a regular file");
  } else {
    const file_handle f(std::fopen(path.c_str(), "rb"));
    if (f) return read_all(f.get(), path, why);
    why = system_complaint(path);
  }
  return {};
}

/// A file that is written under another name, beside its final one, and removed again unless `keep` is called.
class pending_file {
 public:
  /// An empty path: a file in the folder for temporary ones that nobody will keep.
  explicit pending_file(std::string path) : final_(std::move(path)) {
    std::error_code error;
    const auto status = std::filesystem::status(final_, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      why_ = complaint(final_, "exists and is not a regular file");
      return;
    }
    temporary_ =
        final_.empty() ? std::filesystem::temp_directory_path(error) / "moql-loopback" : std::filesystem::path(final_);
    temporary_ += "." + std::to_string(::getpid()) + ".part";
    file_.reset(std::fopen(temporary_.c_str(), "wb"));
    if (!file_) why_ = system_complaint(final_.empty() ? temporary_.string() : final_);
  }
  pending_file(const pending_file&) = delete;
  pending_file& operator=(const pending_file&) = delete;
  ~pending_file() {
    const bool was_created = file_ != nullptr || is_closed_;
    file_.reset();
    std::error_code error;
    if (was_created && !is_kept_) std::filesystem::remove(temporary_, error);
  }

  void write(byte_view v) {
    if (file_ && why_.empty() && std::fwrite(v.data(), 1, v.size(), file_.get()) != v.size())
      why_ = system_complaint(temporary_.string());
  }
  /// No more comes; the bytes can be read again at `temporary()`.
  void close() {
    if (!file_) return;
    is_closed_ = true;
    if (std::fclose(file_.release()) != 0 && why_.empty()) why_ = system_complaint(temporary_.string());
  }
  /// Gives the file its name, in one step.
  void keep() {
    close();
    if (final_.empty() || !why_.empty()) return;
    std::error_code error;
    std::filesystem::rename(temporary_, final_, error);
    is_kept_ = !error;
    if (error) why_ = complaint(final_, error.message());
  }
  [[nodiscard]] std::string temporary() const { return temporary_.string(); }
  /// What went wrong first; empty while all is well.
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  std::string final_;
  std::filesystem::path temporary_;
  file_handle file_;
  std::string why_;
  bool is_closed_ = false;
  bool is_kept_ = false;
};

}  // namespace examples
