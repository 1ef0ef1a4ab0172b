#pragma once
/// A recorded session as JSON, in the format of tests/data/vectors/sessions: written from what a listener is told, and
/// told to a listener again.
///
/// `streams[]`: `{stream, kind, opener, quic_id, at, chunks[]}`, a chunk is `{at, from, hex | fin | reset | stop}`.
/// `at` numbers everything in the file in the order of time.

#include <nlohmann/json.hpp>

#include "files.hpp"
#include "hex.hpp"
#include "session_text.hpp"

namespace examples {

using json = nlohmann::ordered_json;

class recorder : public wire_listener {
 public:
  recorder(moql::version v, std::string scenario, std::string source)
      : file_{{"version", moql::facts(v).name},
              {"scenario", std::move(scenario)},
              {"source", std::move(source)},
              {"protocol", moql::facts(v).protocol},
              {"version_code", moql::facts(v).number},
              {"notes", json::array()},
              {"session_close", nullptr},
              {"streams", json::array()},
              {"datagrams", json::array()},
              {"expect", json::array()}} {}

  void opened(std::uint64_t stream, bool is_bidi, peer opener) override {
    json& all = file_["streams"];
    place_of_[stream] = all.size();
    all.push_back({{"stream", all.size()},
                   {"kind", is_bidi ? "bidi" : "uni"},
                   {"opener", name_of(opener)},
                   {"quic_id", stream},
                   {"at", at_++},
                   {"chunks", json::array()}});
  }
  void wrote(std::uint64_t stream, peer from, moql::byte_view data) override { add(stream, from, "hex", to_hex(data)); }
  void finished(std::uint64_t stream, peer from) override { add(stream, from, "fin", true); }
  void reset(std::uint64_t stream, peer from, std::uint64_t code) override { add(stream, from, "reset", code); }
  void stopped(std::uint64_t stream, peer from, std::uint64_t code) override { add(stream, from, "stop", code); }
  void datagram(peer from, moql::byte_view data) override {
    file_["datagrams"].push_back({{"at", at_++}, {"from", name_of(from)}, {"hex", to_hex(data)}});
  }
  void closed(peer from, std::uint64_t code, std::string_view reason) override {
    if (file_["session_close"].is_null())
      file_["session_close"] = {{"at", at_++}, {"from", name_of(from)}, {"code", code}, {"reason", reason}};
  }
  [[nodiscard]] std::string text() const { return file_.dump(1) + "\n"; }

 private:
  template <class T>
  void add(std::uint64_t stream, peer from, const char* what, const T& value) {
    const auto i = place_of_.find(stream);
    if (i != place_of_.end())
      file_["streams"][i->second]["chunks"].push_back({{"at", at_++}, {"from", name_of(from)}, {what, value}});
  }
  json file_;
  std::map<std::uint64_t, std::size_t> place_of_;
  std::size_t at_ = 0;
};

/// A recording that was read and found to be one.
class recording {
 public:
  /// None, with the reason, unless `text` is a recording; what travels in it may still be wrong.
  [[nodiscard]] static std::optional<recording> parse(byte_view text, std::string& why) {
    recording out;
    try {
      out.read(json::parse(text.begin(), text.end()));
      return out;
    } catch (const json::exception& e) {
      why = std::string("not a recorded session: ") + e.what();
    } catch (const not_a_recording& e) {
      why = "not a recorded session: " + e.what;
    }
    return {};
  }
  /// As the file says it, which may be none that the library speaks.
  [[nodiscard]] const std::string& version_name() const { return version_; }
  [[nodiscard]] const std::string& scenario() const { return scenario_; }
  /// Tells the listener everything in the order of time; `now` is the number of what is being told.
  void play(wire_listener& to, std::uint64_t& now) const {
    for (const auto& [at, tell] : events_) {
      now = at;
      tell(to);
    }
  }

 private:
  struct not_a_recording {
    std::string what;
  };
  using event = std::function<void(wire_listener&)>;

  static peer peer_named(const std::string& name) {
    if (name == "client") return peer::client;
    if (name == "server") return peer::server;
    throw not_a_recording{"\"" + name + "\" is neither client nor server"};
  }
  static file_bytes bytes_of(const json& hex) {
    std::string why;
    auto data = from_hex(hex.get_ref<const std::string&>(), why);
    if (!data) throw not_a_recording{why};
    return std::move(*data);
  }
  void add(const json& from, event e) {
    if (!events_.try_emplace(from.at("at").get<std::uint64_t>(), std::move(e)).second)
      throw not_a_recording{"two events are number " + from.at("at").dump()};
  }
  void read(const json& file) {
    version_ = file.at("version").get<std::string>();
    scenario_ = file.value("scenario", "");
    for (const json& s : file.at("streams")) read_stream(s);
    if (file.contains("datagrams"))
      for (const json& d : file.at("datagrams"))
        add(d, [from = peer_named(d.at("from")), data = bytes_of(d.at("hex"))](wire_listener& to) {
          to.datagram(from, data);
        });
    const json close = file.value("session_close", json());
    if (close.is_null()) return;
    add(close, [from = peer_named(close.at("from")), code = close.value("code", std::uint64_t{0}),
                reason = close.value("reason", "")](wire_listener& to) { to.closed(from, code, reason); });
  }
  void read_stream(const json& s) {
    const auto id = s.at("stream").get<std::uint64_t>();
    const auto kind = s.at("kind").get<std::string>();
    if (kind != "bidi" && kind != "uni") throw not_a_recording{"\"" + kind + "\" is neither bidi nor uni"};
    add(s, [id, is_bidi = kind == "bidi", opener = peer_named(s.at("opener"))](wire_listener& to) {
      to.opened(id, is_bidi, opener);
    });
    for (const json& c : s.at("chunks")) {
      const peer from = peer_named(c.at("from"));
      if (c.contains("hex")) {
        add(c, [id, from, data = bytes_of(c.at("hex"))](wire_listener& to) { to.wrote(id, from, data); });
      } else if (c.contains("fin")) {
        add(c, [id, from](wire_listener& to) { to.finished(id, from); });
      } else if (c.contains("reset")) {
        add(c, [id, from, code = c.at("reset").get<std::uint64_t>()](wire_listener& to) { to.reset(id, from, code); });
      } else {
        add(c, [id, from, code = c.at("stop").get<std::uint64_t>()](wire_listener& to) { to.stopped(id, from, code); });
      }
    }
  }

  std::string version_, scenario_;
  std::map<std::uint64_t, event> events_;
};

}  // namespace examples
