#pragma once
/// Recorded sessions: every chunk in its order of time, and what the applications saw.

#include "verdict.hpp"

namespace moql::vectors {

/// `file` is a whole file of sessions/.
/// TODO: play one side's bytes into a session of the other side and compare its events with `expect`.
inline void run_session(const json& file, verdict& out) {
  (void)file;
  out = verdict::not_run("recorded sessions");
}

}  // namespace moql::vectors
