#pragma once
/// The scenarios of SCENARIOS.md: their names, the versions that have them, and who plays them.

#include <array>

#include "both_ways.hpp"
#include "publishers.hpp"
#include "questioners.hpp"

namespace interop {

struct scenario {
  std::string_view name;
  moql::version_set in = moql::always;
  bool needs_datagrams = false;
};

inline constexpr std::array scenarios{
    scenario{"announce-discover"},
    scenario{"discover-announce"},
    scenario{"withdraw"},
    scenario{"subscribe-1"},
    scenario{"subscribe-3"},
    scenario{"late-join"},
    scenario{"range", moql::since(moql::lite03)},
    scenario{"priority-update", moql::since(moql::lite03)},
    scenario{"sizes"},
    scenario{"many-groups"},
    scenario{"end-of-track"},
    scenario{"unknown-broadcast"},
    scenario{"unknown-track"},
    scenario{"unsubscribe"},
    scenario{"fetch", moql::since(moql::lite05)},
    scenario{"track-info", moql::since(moql::lite05)},
    scenario{"datagrams", moql::since(moql::lite05), true},
    scenario{"probe", moql::since(moql::lite03)},
    scenario{"goaway", moql::since(moql::lite04)},
    scenario{"reset"},
    scenario{"stop"},
    scenario{"close-subscriber"},
    scenario{"close-publisher"},
    scenario{"loss"},
    scenario{"reverse"},
};

[[nodiscard]] inline const scenario* find_scenario(std::string_view name) {
  for (const scenario& s : scenarios)
    if (s.name == name) return &s;
  return nullptr;
}
[[nodiscard]] inline std::unique_ptr<actor> make_actor(stage& s, const settings& o, bool publishes) {
  if (o.scenario == "reverse") return std::make_unique<both_ways>(s, o);
  return publishes ? make_publisher(s, o) : make_subscriber(s, o);
}

}  // namespace interop
