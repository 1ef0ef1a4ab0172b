#pragma once
/// Cases of level `stream` and `datagram`, and messages whose judgement depends on who sent them: they need a session.

#include "verdict.hpp"

namespace moql::vectors {

/// `line` is a whole line of invalid*.jsonl.
/// TODO: feed the bytes to a session in the role that the line names, then compare what it does to the stream and to
/// the session with `peer` and `session_survives`, or with `expect`.
inline void run_stream_case(const json& line, verdict& out) {
  (void)line;
  out = verdict::not_run("level stream and datagram, and messages judged by their sender");
}

}  // namespace moql::vectors
