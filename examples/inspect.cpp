/// moql-inspect: what moq-lite bytes say, message by message, and the byte and the rule where they are wrong.
///
/// Exit codes: 0 right, 1 the bytes break a rule, 2 there is nothing to look at (bad arguments, no such file, ...).

#include <CLI/CLI.hpp>

#include "recording.hpp"

namespace {

using namespace examples;

constexpr int right = 0, wrong = 1, unusable = 2;

struct options {
  std::string version_name = "06";
  std::string stream = "bidi";
  std::string side = "ask";
  std::string from = "opener";
  std::string format = "auto";
  std::optional<std::uint64_t> type;
  std::string input;
};

int refuse(const std::string& what) {
  std::fprintf(stderr, "moql-inspect: %s\n", what.c_str());
  return unusable;
}
int report(const std::string& where, const fault& f, const char* offset_in = "stream") {
  std::fprintf(stderr, "moql-inspect: %s: %s\n%s", where.c_str(), describe(f, offset_in).c_str(), picture(f).c_str());
  return wrong;
}

struct input {
  std::string name;  ///< For complaints.
  file_bytes data;
  [[nodiscard]] std::string_view text() const { return {reinterpret_cast<const char*>(data.data()), data.size()}; }
};

bool is_hex(std::string_view text) {
  std::string why;
  return from_hex(text, why).has_value();
}
/// No stream begins like JSON or consists of hex digits: its type is a small number.
std::string form_of(const input& in) {
  const std::size_t first = in.text().find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && in.text()[first] == '{') return "session";
  return is_hex(in.text()) ? "hex" : "raw";
}

/// A file, the standard input, or the argument itself when it is hex and no file has that name.
std::optional<input> read_input(const std::string& argument, std::string& why) {
  std::error_code error;
  std::optional<file_bytes> all;
  if (argument == "-") {
    all = read_all(stdin, "standard input", why);
  } else if (std::filesystem::exists(argument, error)) {
    all = read_file(argument, why);
  } else if (is_hex(argument)) {
    return input{"argument", {argument.begin(), argument.end()}};
  } else if (argument.find_first_not_of("0123456789abcdefABCDEF: ") == std::string::npos) {
    (void)from_hex(argument, why);
    why = complaint("argument", why);
  } else {
    why = complaint(argument, "no such file, and not hex text either");
  }
  if (!all) return {};
  return input{argument == "-" ? "standard input" : argument, std::move(*all)};
}

int inspect_datagram(moql::version v, const input& in) {
  std::optional<fault> bad;
  const std::string text = datagram_text(v, in.data, bad);
  if (bad) return report(in.name, *bad, "datagram");
  std::printf("datagram, version %s, %zu bytes\n%6d  %s\n", moql::facts(v).name.data(), in.data.size(), 0,
              text.c_str());
  return right;
}

int inspect_stream(moql::version v, const options& o, const input& in) {
  const bool is_bidi = o.stream == "bidi";
  const bool is_answer = o.side == "answer";
  if (is_answer && !is_bidi) return refuse("--side answer: only a bidi stream is answered");
  if (is_answer && !o.type)
    return refuse("--side answer: the answer does not carry the stream's type, so --type is needed");
  std::optional<peer> sender;
  if (o.from != "opener") sender = o.from == "client" ? peer::client : peer::server;
  stream_text text(v, is_bidi, is_answer, sender);
  if (o.type) {
    if (moql::find_stream_type(*o.type, is_bidi, v) == nullptr)
      return refuse("--type " + std::to_string(*o.type) + ": version " + o.version_name + " has no such " + o.stream +
                    " stream");
    text.set_type(*o.type);
  }
  std::printf("%s stream, version %s, %zu bytes\n", o.stream.c_str(), moql::facts(v).name.data(), in.data.size());
  text.feed(in.data, [](std::size_t at, const std::string& what) { std::printf("%6zu  %s\n", at, what.c_str()); });
  text.finish();
  std::fflush(stdout);
  return text.wrong() ? report(in.name, *text.wrong()) : right;
}

int inspect_session(const options& o, bool is_version_given, const input& in) {
  std::string why;
  const auto file = recording::parse(in.data, why);
  if (!file) return refuse(complaint(in.name, why));
  const auto v = moql::version_named(is_version_given ? o.version_name : file->version_name());
  if (!v)
    return refuse(complaint(in.name, "version " + file->version_name() +
                                         " is none that this library speaks; --version 06 would read it as 06"));
  std::uint64_t now = 0;
  session_text text(*v, stdout, [&] {
    char stamp[32];
    std::snprintf(stamp, sizeof stamp, "%6llu", static_cast<unsigned long long>(now));
    return std::string(stamp);
  });
  text.on_fault = [&](const std::string& where, const fault& f) {
    std::fflush(stdout);
    (void)report(in.name + ": event " + std::to_string(now) + ": " + where, f,
                 where.starts_with("datagram") ? "datagram" : "stream");
  };
  std::printf("session \"%s\", version %s\n", file->scenario().c_str(), moql::facts(*v).name.data());
  file->play(text, now);
  return text.faults() == 0 ? right : wrong;
}

int run(const options& o, bool is_version_given) {
  const auto v = moql::version_named(o.version_name);
  if (!v) return refuse("--version " + o.version_name + ": not one of 01, 02, 03, 04, 05, 06");
  std::string why;
  auto in = read_input(o.input, why);
  if (!in) return refuse(why);
  const std::string form = o.format != "auto" ? o.format : form_of(*in);
  if (form == "session") return inspect_session(o, is_version_given, *in);
  if (form == "hex") {
    auto data = from_hex(in->text(), why);
    if (!data) return refuse(complaint(in->name, why));
    in->data = std::move(*data);
  }
  if (in->data.empty()) return refuse(complaint(in->name, "is empty"));
  return o.stream == "datagram" ? inspect_datagram(*v, *in) : inspect_stream(*v, o, *in);
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  CLI::App app("Shows what moq-lite bytes say, and where they break a rule.");
  auto* version = app.add_option("--version", o.version_name, "Draft: 01 to 06; a recorded session knows its own")
                      ->capture_default_str();
  app.add_option("--stream", o.stream, "What INPUT is: bidi, uni or datagram")
      ->check(CLI::IsMember({"bidi", "uni", "datagram"}))
      ->capture_default_str();
  app.add_option("--side", o.side, "Direction of a bidi stream: ask (it begins with the type) or answer")
      ->check(CLI::IsMember({"ask", "answer"}))
      ->capture_default_str();
  app.add_option("--type", o.type, "Stream type as a number, for bytes that do not begin with it");
  app.add_option("--from", o.from, "Who sent it: client, server, or opener where that makes no difference")
      ->check(CLI::IsMember({"client", "server", "opener"}))
      ->capture_default_str();
  app.add_option("--format", o.format,
                 "Form of INPUT: auto, hex, raw (the bytes themselves) or session (a recording in JSON)")
      ->check(CLI::IsMember({"auto", "hex", "raw", "session"}))
      ->capture_default_str();
  app.add_option("INPUT", o.input, "Hex text, a file, or - for the standard input")->required();
  try {
    app.parse(argc, argv);
    return run(o, version->count() != 0);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& e) {
    return refuse(e.what());
  } catch (const std::exception& e) {  // memory ran out
    return refuse(e.what());
  }
}
