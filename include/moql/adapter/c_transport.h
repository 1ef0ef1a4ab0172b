#pragma once
/* The boundary to a QUIC stack (transport.hpp) for C: C11, and any C++.
 *
 * Two tables of functions. An adapter fills in `moql_transport_ops`; what it is to report, it reports through the
 * `moql_sink_ops` that it is given. c_transport.hpp joins both to the C++ side.
 *
 * Threads: one connection belongs to one thread at a time, and everything here happens on it: operations, events, and
 *   `retain` and `release` of every owner.
 * Nesting: an event only notes something down and may be reported from inside a callback of the stack; operations are
 *   never called from inside an event. The C++ side carries out what came of the events afterwards, once per batch.
 * Ids: picked by the adapter, never used twice on one connection, never MOQL_NO_STREAM.
 * Codes: 64 bits in both directions; MOQL_NO_CODE is a reset or stop whose application code is unknown.
 * Growth: `struct_size` is sizeof the table as its author knew it. Members are only ever added at the end, and a reader
 *   takes what lies behind `struct_size` for NULL. The other structs do not change.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No function of a table throws. */
#if defined(__cplusplus) && __cplusplus >= 201703L
#define MOQL_NOEXCEPT noexcept
#else
#define MOQL_NOEXCEPT
#endif
/* Both languages look at the same memory, each through a type of its own. */
#if defined(__GNUC__) || defined(__clang__)
#define MOQL_MAY_ALIAS __attribute__((__may_alias__))
#else
#define MOQL_MAY_ALIAS
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef uint8_t moql_direction;
enum { MOQL_BIDI = 0, MOQL_UNI = 1 };

typedef uint8_t moql_status;
enum { MOQL_OK = 0, MOQL_BLOCKED = 1, MOQL_CLOSED = 2, MOQL_TOO_LARGE = 3, MOQL_UNSUPPORTED = 4 };

#define MOQL_NO_STREAM UINT64_MAX
#define MOQL_NO_CODE UINT64_MAX

/* Whoever owns a buffer that the other side may keep referring to, which it does between `retain` and `release`. */
typedef struct MOQL_MAY_ALIAS moql_owner {
  void (*retain)(struct moql_owner* self) MOQL_NOEXCEPT;
  void (*release)(struct moql_owner* self) MOQL_NOEXCEPT;
} moql_owner;

/* A piece of outgoing bytes; may be empty. Without an owner the memory is valid during the call only. */
typedef struct MOQL_MAY_ALIAS moql_chunk {
  const uint8_t* data;
  size_t size;
  moql_owner* owner;
} moql_chunk;

/* 0 is "not known". */
typedef struct moql_stats {
  uint64_t rtt_us;
  uint64_t min_rtt_us;
  uint64_t send_bits_per_second;
  uint64_t congestion_window;
  uint64_t in_flight;
} moql_stats;

typedef struct moql_close_info {
  bool application; /* closed on purpose by the peer's application, with `code` of its session space */
  uint64_t code;
  const char* reason; /* UTF-8, not ended by a zero; valid during the call */
  size_t reason_size;
} moql_close_info;

/* What an adapter provides for one connection, its `context`. */
typedef struct moql_transport_ops {
  size_t struct_size;

  /* MOQL_OK with an id in *id, MOQL_CLOSED, or MOQL_BLOCKED: no stream credit, then `on_credit` follows when there is.
     The peer need not hear of a stream before something is written to it. */
  moql_status (*open)(void* context, moql_direction direction, uint64_t* id) MOQL_NOEXCEPT;
  /* Takes chunks in order and says in *accepted how many bytes. Not all: MOQL_BLOCKED, and `on_writable` follows.
     `fin` counts only if everything was taken; no chunks and `fin` is a bare FIN. MOQL_CLOSED: this send side is over
     and is not tried again. Accepted bytes belong to the adapter: it copies them, or retains the chunk's owner. */
  moql_status (*write)(void* context, uint64_t id, const moql_chunk* chunks, size_t count, bool fin,
                       size_t* accepted) MOQL_NOEXCEPT;
  /* RESET_STREAM and STOP_SENDING: idempotent, legal in any state. A reset drops what has not been sent. */
  void (*reset)(void* context, uint64_t id, uint64_t code) MOQL_NOEXCEPT;
  void (*stop)(void* context, uint64_t id, uint64_t code) MOQL_NOEXCEPT;
  /* Closes the connection with an application code; no operation is called afterwards. `reason` is valid during the
     call and not ended by a zero. */
  void (*close)(void* context, uint64_t code, const char* reason, size_t reason_size) MOQL_NOEXCEPT;
  /* The negotiated token, valid as long as the connection; its length in *length. */
  /* clang-format off */
  const char* (*protocol)(void* context, size_t* length) MOQL_NOEXCEPT;
  /* clang-format on */

  /* From here on NULL will do. */

  /* `size` bytes given to `on_data` are done with: return that much stream credit. */
  void (*consume)(void* context, uint64_t id, size_t size) MOQL_NOEXCEPT;
  /* A hint; larger is sent first. */
  void (*priority)(void* context, uint64_t id, int32_t order) MOQL_NOEXCEPT;
  /* Sent or copied before it returns. */
  moql_status (*datagram)(void* context, const uint8_t* data, size_t size) MOQL_NOEXCEPT;
  /* The largest datagram that fits now; 0 means none can be sent. */
  size_t (*max_datagram)(void* context) MOQL_NOEXCEPT;
  /* Fills in what is known; *stats is all zero before. */
  void (*stats)(void* context, moql_stats* stats) MOQL_NOEXCEPT;
} moql_transport_ops;

/* What an adapter reports, to `context` of the one who listens. Times are microseconds of the caller's clock, which
   must not run backwards. None of these calls back. */
typedef struct moql_sink_ops {
  size_t struct_size;

  /* The peer opened a stream; comes before every other event of it. */
  void (*on_open)(void* context, uint64_t id, moql_direction direction, int64_t now_us) MOQL_NOEXCEPT;
  /* In order, each byte once; no bytes only with `fin`. The listener retains `owner` if it keeps the bytes beyond the
     call. With NULL for an owner they must stay valid until what came of the events has been carried out. */
  void (*on_data)(void* context, uint64_t id, const uint8_t* data, size_t size, moql_owner* owner, bool fin,
                  int64_t now_us) MOQL_NOEXCEPT;
  void (*on_reset)(void* context, uint64_t id, uint64_t code, int64_t now_us) MOQL_NOEXCEPT;
  /* `reset` follows, whether or not the stack has already done so. */
  void (*on_stop)(void* context, uint64_t id, uint64_t code, int64_t now_us) MOQL_NOEXCEPT;
  void (*on_writable)(void* context, uint64_t id) MOQL_NOEXCEPT;
  void (*on_credit)(void* context, moql_direction direction) MOQL_NOEXCEPT;
  /* Exactly once, last. */
  void (*on_close)(void* context, const moql_close_info* why, int64_t now_us) MOQL_NOEXCEPT;

  /* From here on NULL will do: then nobody wants it. */

  /* Memory as in `on_data`. */
  void (*on_datagram)(void* context, const uint8_t* data, size_t size, moql_owner* owner, int64_t now_us) MOQL_NOEXCEPT;
} moql_sink_ops;

#ifdef __cplusplus
}
#endif
