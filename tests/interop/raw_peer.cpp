/// Our adapter for QUIC by itself, for tests against another QUIC stack: deno/README.md says what the options mean.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "raw_answerer.hpp"
#include "raw_asker.hpp"

namespace {

using namespace interop;

struct arguments {
  std::string url, role, scenario, cert, key, ca;
  std::optional<std::uint16_t> port;
  std::uint32_t streams = 100;
  unsigned timeout_s = 20;
};

void print(const nlohmann::json& line) {
  std::puts(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

class raw_program final : public net::program {
 public:
  explicit raw_program(const arguments& a) : a_(a), asker_(a.scenario), answerer_(a.scenario) {}

  int run() {
    std::string error;
    const auto factory = [this](std::shared_ptr<quic::link> l) -> std::shared_ptr<net::peer> {
      if (has_peer_) return nullptr;
      has_peer_ = true;
      return std::make_shared<raw_connection>(std::move(l), actor());
    };
    std::shared_ptr<quic::server> server;
    if (a_.port) {
      quic::connection_settings c;
      c.credentials = quic::server_credentials(a_.cert, a_.key, error);
      if (c.credentials == nullptr) return tell({raw_result::kind::fail, error});
      c.protocols = {std::string(raw_protocol)};
      c.streams_max = a_.streams;
      const auto s = std::make_shared<quic::station>(host_);
      if (!s->socket.bind(quic::address::parse("127.0.0.1", *a_.port), error))
        return tell({raw_result::kind::fail, error});
      server = std::make_shared<quic::server>(host_, s, std::move(c), 10, factory);
      print({{"listening", server->port()}});
    } else {
      dial(a_.scenario == "alpn" ? "something-else" : raw_protocol, factory);
      redial_ = [this, factory] { dial(raw_protocol, factory); };
    }
    boost::asio::steady_timer timer(host_.io(), std::chrono::seconds(a_.timeout_s));
    timer.async_wait([this](const boost::system::error_code& e) {
      if (!e) end({raw_result::kind::fail, "time-out"});
    });
    host_.run();
    return tell(result_);
  }

 private:
  raw_actor& actor() {
    if (a_.role == "asker") return asker_;
    return answerer_;
  }
  void dial(std::string_view alpn, const quic::peer_factory& f) {
    const auto u = moql::parse_url(a_.url);
    if (!u) return end({raw_result::kind::fail, "not a URL: " + a_.url});
    net::dial_options o;
    o.ca_file = a_.ca;
    o.insecure = a_.ca.empty();
    quic::dial(host_, *u, o, {std::string(alpn)}, f);
  }
  void end(raw_result r) {
    if (result_.what == raw_result::kind::going) result_ = std::move(r);
    host_.stop();
  }
  int tell(const raw_result& r) {
    static constexpr const char* words[] = {"fail", "pass", "fail", "unsupported"};
    static constexpr int codes[] = {1, 0, 1, 3};
    const auto i = static_cast<std::size_t>(r.what);
    nlohmann::json line{{"result", words[i]}};
    if (i != 1) line["why"] = r.why.empty() ? "ended early" : r.why;
    print(line);
    return codes[i];
  }

  void on_event(net::peer&, const moql::event&, moql::instant) override {}
  void on_gone(net::peer&, const net::ending& why) override {
    const raw_result& r = a_.role == "asker" ? asker_.result() : answerer_.result();
    end(r.what == raw_result::kind::going ? raw_result{raw_result::kind::fail, "it ended: " + why.text} : r);
  }
  void on_unreachable(const net::ending& why) override {
    if (a_.scenario == "alpn" && !std::exchange(is_refused_, true)) return redial_();  // as it should be
    end({raw_result::kind::fail, why.text});
  }

  const arguments& a_;
  raw_asker asker_;
  raw_answerer answerer_;
  net::host host_{*this};
  raw_result result_;
  std::function<void()> redial_;
  bool has_peer_ = false, is_refused_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  arguments a;
  CLI::App app("Streams of bytes on our QUIC adapter, for tests against other stacks.");
  const auto dial = app.add_option("--dial", a.url, "moqt URL to dial");
  app.add_option("--listen", a.port, "Port to accept one connection on, 0 for any")->excludes(dial);
  app.add_option("--role", a.role, "Who asks")->check(CLI::IsMember({"asker", "answerer"}))->required();
  app.add_option("--scenario", a.scenario, "What is asked")->required();
  app.add_option("--cert", a.cert, "PEM certificate chain")->check(CLI::ExistingFile);
  app.add_option("--key", a.key, "PEM private key")->check(CLI::ExistingFile);
  app.add_option("--ca", a.ca, "PEM certificate of the only authority to trust")->check(CLI::ExistingFile);
  app.add_option("--streams", a.streams, "Streams of each kind that the peer may have open");
  app.add_option("--timeout", a.timeout_s, "Seconds until giving up");
  CLI11_PARSE(app, argc, argv);
  if (a.url.empty() && !a.port) {
    std::fprintf(stderr, "either --dial or --listen is needed\n");
    return 2;
  }
  return raw_program(a).run();
}
