#pragma once
/* An adapter written in C, and a program in C that uses one. */

#include <moql/adapter/c_transport.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Two ends joined in memory; nothing is lost and nothing is ever blocked. Null when memory ran out. */
typedef struct c_pipe c_pipe;
c_pipe* c_pipe_make(void);
void c_pipe_free(c_pipe* pipe);
/* The context that goes with the table, for side 0 or 1. */
void* c_pipe_end(c_pipe* pipe, int side);
const moql_transport_ops* c_pipe_ops(void);
/* Delivers the next event to its side; false when there is none. */
bool c_pipe_step(c_pipe* pipe, const moql_sink_ops* ops_0, void* sink_0, const moql_sink_ops* ops_1, void* sink_1);

/* Opens a stream of its own, writes a head and the payload of `owner` to it and ends it. 0 if all went as it should,
   otherwise the number of the step that did not. */
int c_user_sends(const moql_transport_ops* ops, void* context, const char* payload, size_t size, moql_owner* owner,
                 uint64_t* id);

/* Whatever an adapter reports, added up in C. */
typedef struct c_tally {
  int opened, pieces, fins, resets, stops, writable, credits, datagrams, closes;
  size_t bytes;
  uint64_t last_code;
  int64_t last_time_us;
  bool application;
  char reason[32];
  moql_owner* kept; /* of the last data that had one; the tally holds a share */
} c_tally;
const moql_sink_ops* c_tally_ops(void);
void c_tally_clear(c_tally* tally);

#ifdef __cplusplus
}
#endif
