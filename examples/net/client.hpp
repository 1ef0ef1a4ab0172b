#pragma once
/// What programs that dial have in common: one connection, one outcome, and a way out when the user interrupts.

#include <boost/asio/signal_set.hpp>

#include "command_line.hpp"
#include "dial.hpp"

namespace net {

class client : public program {
 public:
  /// `name` begins every complaint.
  explicit client(std::string name) : name_(std::move(name)) {
    signals_.async_wait([this](const boost::system::error_code& e, int) {
      if (!e) interrupted();
    });
  }
  void on_gone(peer&, const ending& why) override {
    give_up(why.text);
    host_.stop();
  }
  void on_unreachable(const ending& why) override {
    give_up(why.text);
    host_.stop();
  }

 protected:
  /// SIGINT or SIGTERM.
  virtual void interrupted() = 0;

  /// Done as wanted; what comes afterwards changes nothing.
  void succeed() { decide(all_well, {}); }
  /// Not done; the first reason is the one that counts.
  void give_up(const std::string& why) { decide(went_wrong, why); }
  [[nodiscard]] bool is_decided() const { return is_decided_; }
  [[nodiscard]] bool has_failed() const { return exit_code_ != all_well; }
  /// Closes in order, and then `host_.run` returns.
  void leave() {
    for (const auto& p : host_.peers()) p->session.close();
    if (host_.peers().empty()) return host_.stop();
    host_.touch();
  }
  /// After `host_.run`: says why it failed, if it did.
  [[nodiscard]] int exit_code() const {
    if (has_failed()) complain(why_.empty() ? "not done" : why_);
    return exit_code_;
  }
  void complain(const std::string& what) const { std::fprintf(stderr, "%s: %s\n", name_.c_str(), what.c_str()); }

  host host_{*this};

 private:
  void decide(int code, const std::string& why) {
    if (std::exchange(is_decided_, true)) return;
    exit_code_ = code;
    why_ = why;
  }

  std::string name_, why_;
  boost::asio::signal_set signals_{host_.io(), SIGINT, SIGTERM};
  bool is_decided_ = false;
  int exit_code_ = went_wrong;
};

}  // namespace net
