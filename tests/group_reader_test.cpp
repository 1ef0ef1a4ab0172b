// Group streams as a subscriber reads them: the GROUP header and what follows, however it arrives.

#include <doctest/doctest.h>

#include <algorithm>

#include "stream_logs.hpp"

using namespace moql;
using namespace moql::bytewise;

namespace {

using octets = std::vector<std::uint8_t>;

std::string read(version v, const octets& in, std::uint64_t frame_max = 1 << 20) {
  const verdict got = every_way([&] { return group_log(v, frame_max); }, in);
  CHECK(got.difference == "");
  return got.log;
}

}  // namespace

TEST_CASE("GROUP vectors of every version, split at every byte [seed 2.3, 9.1]") {
  for (const version v : {lite01, lite02, lite03, lite04, lite05}) {
    CHECK(read(v, hex("02 01 07")) == "{1 7 0}end;");
    CHECK(read(v, hex("02 05 0a")) == "{5 10 0}end;");
  }
  CHECK(read(lite06, hex("03 01 08 00")) == "{1 8 0}end;");
  CHECK(read(lite06, hex("03 05 0a 03")) == "{5 10 3}end;");
}

TEST_CASE("frames follow GROUP without a gap, numbered from Frame Start [seed 2.1, 9.2]") {
  CHECK(read(lite04, hex("02 05 0a 02 6869 00")) == "{5 10 0}[0 0 2:hi][1 0 0:]end;");
  CHECK(read(lite05, hex("02 05 0a 8002bf20 02 6869 5770 00")) == "{5 10 0}[0 90000 2:hi][1 93000 0:]end;");
  CHECK(read(lite06, hex("03 05 0a 03 8002bf20 02 6869 5770 00")) == "{5 10 3}[3 90000 2:hi][4 93000 0:]end;");
}

TEST_CASE("a group may have no frames [seed 2.3]") {
  CHECK(read(lite01, hex("02 00 00")) == "{0 0 0}end;");
  CHECK(read(lite06, hex("03 00 00 00")) == "{0 0 0}end;");
}

TEST_CASE("the largest integer in every field of GROUP [seed 9.1]") {
  const std::string most = "4611686018427387903";
  CHECK(read(lite05, hex("10 ffffffffffffffff ffffffffffffffff")) == "{" + most + " " + most + " 0}end;");
  CHECK(read(lite06, hex("18 ffffffffffffffff ffffffffffffffff ffffffffffffffff 00 01 61")) ==
        "{" + most + " " + most + " " + most + "}[" + most + " 0 1:a]end;");
}

TEST_CASE("integers and the length of GROUP may be wider than they need to be") {
  CHECK(read(lite05, hex("400a c000000000000005 400a 00 01 61")) == "{5 10 0}[0 0 1:a]end;");
  CHECK(read(lite06, hex("c000000000000018 c000000000000005 c00000000000000a c000000000000003 00 00")) ==
        "{5 10 3}[3 0 0:]end;");
}

TEST_CASE("R-018 a byte too many inside GROUP is an error [seed 9.1]") {
  for (const version v : {lite01, lite02, lite03, lite04, lite05}) {
    CHECK(read(v, hex("03 01 07 00")) == name_of(errc::trailing));
    CHECK(read(v, hex("11 ffffffffffffffff ffffffffffffffff 00")) == name_of(errc::trailing));
  }
  CHECK(read(lite06, hex("04 01 08 00 00")) == name_of(errc::trailing));
  CHECK(read(lite06, hex("18 01 08 00")) == "cut;");
  // No GROUP is longer than three integers of eight bytes: such a length need not be awaited.
  CHECK(read(lite06, hex("19 01 08 00")) == name_of(errc::trailing));
  CHECK(read(lite01, hex("ffffffffffffffff")) == name_of(errc::trailing));
}

TEST_CASE("R-021 a field that runs past the end of GROUP is an error [seed 9.1]") {
  CHECK(read(lite05, hex("00")) == name_of(errc::truncated));
  CHECK(read(lite05, hex("01 05")) == name_of(errc::truncated));
  CHECK(read(lite05, hex("02 05 40 00")) == name_of(errc::truncated));
  CHECK(read(lite06, hex("02 05 0a")) == name_of(errc::truncated));
  CHECK(read(lite06, hex("03 05 0a c0 00000000000000")) == name_of(errc::truncated));
}

TEST_CASE("R-020 R-133 a Group stream that ends inside GROUP or inside a frame is cut [seed 2.3]") {
  for (const auto& f : all_versions) {
    octets in = has_frame_bounds(f.id) ? hex("03 05 4009 00") : hex("03 05 4009");
    std::vector<std::size_t> boundaries{in.size()};
    const octets frame = has_timestamps(f.id) ? hex("02 03 616263") : hex("03 616263");
    for (int i = 0; i < 2; ++i) {
      in.insert(in.end(), frame.begin(), frame.end());
      boundaries.push_back(in.size());
    }
    if (has_frame_bounds(f.id)) in[0] = 4;
    every_cut([&] { return group_log(f.id); }, in,
              [&](std::size_t n, const std::string& log) {
                const bool boundary = std::find(boundaries.begin(), boundaries.end(), n) != boundaries.end();
                CHECK_MESSAGE(log.ends_with(boundary ? "end;" : "cut;"), "cut at " << n << ": " << log);
              });
  }
}

TEST_CASE("limit: a frame too large for the reader faults the group, whatever came before it [seed 10.1]") {
  CHECK(read(lite06, hex("03 05 0a 00 00 02 6869 00 4065"), 100) ==
        "{5 10 0}[0 0 2:hi]" + name_of(errc::frame_too_large));
  CHECK(read(lite03, hex("02 05 0a 4065"), 100) == "{5 10 0}" + name_of(errc::frame_too_large));
}

TEST_CASE("a fault of group_reader is sticky") {
  group_reader r(lite06, 100);
  errc why{};
  msg::group g;
  const octets bad = hex("04 01 08 00 00");
  byte_view in(bad);
  CHECK(r.header(in, g, why) == step::fault);
  const octets good = hex("03 01 08 00");
  for (int i = 0; i < 2; ++i) {
    why = errc::ok;
    in = good;
    CHECK(r.header(in, g, why) == step::fault);
    CHECK(why == errc::trailing);
    CHECK_FALSE(r.has_header());
    CHECK_FALSE(r.may_end());
  }
  group_reader unset;
  in = good;
  CHECK(unset.header(in, g, why) == step::fault);
}

TEST_CASE("GROUP takes its own bytes and no more") {
  const octets all = hex("03 05 0a 03 00 01 61");
  for (std::size_t split = 0; split <= all.size(); ++split) {
    group_reader r(lite06, 100);
    errc why{};
    msg::group g;
    byte_view in = byte_view(all).first(split);
    const step first = r.header(in, g, why);
    if (split < 4) {
      CHECK(first == step::wait);
      CHECK(in.empty());
      in = byte_view(all).subspan(split);
      CHECK(r.header(in, g, why) == step::ready);
      CHECK(in.size() == 3);
    } else {
      CHECK(first == step::ready);
      CHECK(in.size() == split - 4);
    }
    CHECK(r.frames().index() == 3);
    CHECK(r.may_end());
  }
}
