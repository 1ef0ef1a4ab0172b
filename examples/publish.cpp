/// moql-publish: a file, or what comes in on standard input, as one track of a broadcast.
///
/// A file is sent once, from the first subscription on, as fast as its readers take it: nothing of it expires. Standard
/// input is live: what nobody takes in time is dropped, as --max-age says.
/// Exit codes: 0 everything was sent to somebody, 1 it was not, 2 not started.

#include <boost/asio/posix/stream_descriptor.hpp>

#include <sys/stat.h>

#include "event_text.hpp"
#include "files.hpp"
#include "media.hpp"
#include "net/client.hpp"
#include "net/own_certificate.hpp"

namespace {

struct options : net::shared_options {
  std::string url, broadcast, track, file;
  std::uint64_t max_age_ms = 5000;
  std::uint8_t priority = 0;
  unsigned linger_ms = 1000;
};

/// Where frames come from: a file cut into groups, or standard input cut by time.
class source {
 public:
  source(std::optional<examples::media> cut, examples::file_bytes file)
      : cut_(std::move(cut)), file_(std::move(file)) {}
  [[nodiscard]] bool is_file() const { return cut_.has_value(); }
  [[nodiscard]] std::uint32_t timescale() const { return cut_ ? cut_->timescale : 1000; }
  [[nodiscard]] const examples::media& cut() const { return *cut_; }
  [[nodiscard]] moql::bytes frame(const examples::media_frame& f) const {
    return moql::bytes::borrow(moql::byte_view(file_).subspan(f.offset, f.size));
  }

 private:
  std::optional<examples::media> cut_;
  examples::file_bytes file_;
};

class publisher : public net::client {
 public:
  publisher(const options& o, const source& from)
      : client("moql-publish"),
        options_(o),
        from_(from),
        track_({.priority = o.priority,
                .max_age_ms = from.is_file() ? moql::for_ever_ms : o.max_age_ms,
                .timescale = from.timescale(),
                .bytes_max = std::uint64_t{1} << 40,  // a file is in memory anyway, the rest is bounded by its age
                .groups_max = from.is_file() ? UINT32_MAX : 1024u}),
        progress_(o.quiet) {}

  [[nodiscard]] int run() {
    net::dial_options d = net::dialling(options_);
    d.session.hop = net::random_hop();  // who produces it: a mesh may go on from another way to the same producer
    net::dial(host_, options_.url, d);
    if (!from_.is_file()) {
      input_.assign(::dup(STDIN_FILENO));
      read();
    }
    host_.run();
    if (!has_failed() || progress_.bytes != 0) progress_.total("published");
    return exit_code();
  }

  void on_event(net::peer& p, const moql::event& e, moql::instant) override {
    if (options_.log) std::fprintf(stderr, "%s\n", examples::text_of(e).c_str());
    const auto answer = [&](moql::request_id id, std::string_view broadcast, std::string_view track) {
      const bool is_ours = moql::same_path(broadcast, options_.broadcast) && track == options_.track;
      if (is_ours ? p.session.serve(id, track_) == moql::errc::ok : false) return true;
      (void)p.session.reject(id, moql::stream_code::not_found);
      return false;
    };
    std::visit(
        moql::overload{
            [&](const moql::connected&) {
              if (const auto a = p.session.announce(options_.broadcast); !a.has_value())
                abandon("cannot announce: " + std::string(moql::text_of(a.error())));
            },
            [&](const moql::subscribe_requested& r) {
              if (answer(r.request, r.broadcast, r.track)) readers_.push_back(r.request);
              has_had_reader_ = has_had_reader_ || !readers_.empty();
            },
            [&](const moql::track_requested& r) { (void)answer(r.request, r.broadcast, r.track); },
            [&](const moql::fetch_requested& r) { (void)answer(r.request, r.broadcast, r.track); },
            [&](const moql::request_closed& r) { std::erase(readers_, r.request); },
            [&](const moql::goaway_received& g) { complain("the peer is going away" + net::quoted_reason(g.uri)); },
            [&](const moql::session_closed& c) { give_up(net::text_of(c)); },
            [](const auto&) {},
        },
        e);
  }
  bool on_turn(moql::instant now) override {
    const bool has_written = from_.is_file() && has_had_reader_ && write(now);
    progress_.show("published");
    const bool is_done = track_.is_finished() && readers_.empty() && has_had_reader_;
    if (is_done && !std::exchange(is_leaving_, true))
      after_a_while(leave_after(),
                    [this] {  // the end has a way to go, too: until it has come, the connection may still be lost
                      succeed();
                      leave();
                    });
    return has_written;
  }

 private:
  static constexpr std::size_t streams_ahead = 16;  // groups that may wait for a slow reader
  static constexpr auto group_time = moql::seconds(1);

  /// Groups of the file, while what was written before is being taken. True if there was one.
  bool write(moql::instant now) {
    if (host_.peers().empty() || track_.is_finished() || is_decided()) return false;
    if (host_.peers().front()->session.streams_held() > streams_ahead) return false;
    if (next_group_ == from_.cut().groups.size()) {
      finish_later();
      return false;
    }
    const examples::media_group& g = from_.cut().groups[next_group_++];
    moql::errc why = track_.begin_group(g.sequence, now);
    for (const examples::media_frame& f : g.frames) {
      if (why == moql::errc::ok) why = track_.append(f.timestamp, from_.frame(f));
      progress_.bytes += f.size;
    }
    if (why == moql::errc::ok) why = track_.end_group();
    if (why != moql::errc::ok) abandon("cannot write: " + std::string(moql::text_of(why)));
    ++progress_.groups;
    return why == moql::errc::ok;
  }
  /// Standard input: every piece is a frame, a second is a group.
  void read() {
    input_.async_read_some(boost::asio::buffer(piece_), [this](const boost::system::error_code& e, std::size_t n) {
      const moql::instant now = host_.now();
      if (e) {
        track_.finish();
        if (!has_had_reader_) give_up("standard input ended before anybody subscribed");
        return host_.peers().empty() || !has_had_reader_ ? interrupted() : host_.touch();
      }
      if (track_.is_empty() || now - group_began_ >= group_time) {
        if (track_.is_empty()) began_ = now;
        group_began_ = now;
        (void)track_.begin_group(now);
        ++progress_.groups;
      }
      const auto ms = static_cast<std::uint64_t>((now - began_).us / 1000);
      (void)track_.append(ms, moql::bytes::copy(moql::byte_view(piece_).first(n)));
      progress_.bytes += n;
      host_.touch();
      read();
    });
  }
  /// Everything is on its way. A relay may take the end of a track for the end of interest in what it still has to pass
  /// on, so the end comes when that should be done.
  void finish_later() {
    if (std::exchange(is_finishing_, true)) return;
    after_a_while(std::chrono::milliseconds(options_.linger_ms), [this] {
      track_.finish();
      host_.touch();
    });
  }
  /// Up to 04 an end does not say which group was the last. Receivers give stragglers a second before they believe it,
  /// and a connection that is closed meanwhile looks lost.
  [[nodiscard]] std::chrono::milliseconds leave_after() const {
    const std::chrono::milliseconds linger(options_.linger_ms);
    if (host_.peers().empty() || !moql::before(moql::lite05).has(host_.peers().front()->session.negotiated()))
      return linger;
    return linger + std::chrono::seconds(1);
  }
  void after_a_while(std::chrono::milliseconds time, std::function<void()> then) {
    linger_.expires_after(time);
    linger_.async_wait([then = std::move(then)](const boost::system::error_code& e) {
      if (!e) then();
    });
  }
  void abandon(const std::string& why) {
    give_up(why);
    leave();
  }
  void interrupted() override {
    if (!from_.is_file() && has_had_reader_) succeed();  // live input ends when its user ends it
    give_up("interrupted");
    input_.close();
    leave();
  }

  const options& options_;
  const source& from_;
  moql::track_cache track_;
  net::progress progress_;
  boost::asio::posix::stream_descriptor input_{host_.io()};
  boost::asio::steady_timer linger_{host_.io()};
  std::array<std::uint8_t, 16384> piece_{};
  std::vector<moql::request_id> readers_;
  std::size_t next_group_ = 0;
  moql::instant began_{}, group_began_{};
  bool has_had_reader_ = false;
  bool is_finishing_ = false;
  bool is_leaving_ = false;
};

/// None, with the reason, if there is nothing to publish.
std::optional<source> open(const std::string& path, std::string& why) {
  struct stat input {};
  const bool is_stdin = path == "-";
  if (is_stdin && ::fstat(STDIN_FILENO, &input) == 0 && !S_ISREG(input.st_mode)) return source({}, {});
  auto file = is_stdin ? examples::read_all(stdin, "standard input", why) : examples::read_file(path, why);
  if (!file) return {};
  auto cut = examples::cut(*file, why);
  if (!cut) why = examples::complaint(path, "is empty, there is nothing to publish");
  if (!cut) return {};
  return source(std::move(cut), std::move(*file));
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Publishes FILE as TRACK of BROADCAST to the server at URL.");
  app.add_option("URL", o.url,
                 "moqt:// or moql:// (QUIC), https:// (WebTransport), ws:// or wss:// (WebSocket), tcp://")
      ->required();
  app.add_option("BROADCAST", o.broadcast, "Path of the broadcast")->required();
  app.add_option("TRACK", o.track, "Name of the track")->required();
  app.add_option("FILE", o.file, "What to send; - is standard input")->required();
  app.add_option("--max-age", o.max_age_ms, "Live input: milliseconds that a group is kept for")->capture_default_str();
  app.add_option("--priority", o.priority, "0 to 255, larger is sent first")->capture_default_str();
  app.add_option("--linger", o.linger_ms,
                 "Milliseconds between the last group and the end of the track, and until it leaves")
      ->capture_default_str();
  net::add_shared_options(app, o);
  net::add_client_options(app, o);
  if (const auto code = net::parse(app, argc, argv)) return *code;
  std::string why;
  const auto from = open(o.file, why);
  if (!from) {
    std::fprintf(stderr, "moql-publish: %s\n", why.c_str());
    return net::not_started;
  }
  return publisher(o, *from).run();
}
