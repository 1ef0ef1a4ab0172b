/* C11: what an adapter and its user look like without any C++. */

#include "c_transport_user.h"

#include <stdlib.h>
#include <string.h>

/* ---- memory that is handed over the boundary */

typedef struct block {
  moql_owner owner; /* first: a block is its owner */
  int shares;
  uint8_t data[];
} block;

static void block_retain(moql_owner* self) { ++((block*)self)->shares; }
static void block_release(moql_owner* self) {
  if (--((block*)self)->shares == 0) free(self);
}
static block* block_copy(const void* data, size_t size) {
  block* b = malloc(sizeof *b + size);
  if (b == NULL) return NULL;
  b->owner = (moql_owner){block_retain, block_release};
  b->shares = 1;
  if (size != 0) memcpy(b->data, data, size);
  return b;
}

/* ---- the adapter */

enum kind { EVENT_DATA, EVENT_RESET, EVENT_STOP, EVENT_DATAGRAM, EVENT_CLOSE };

typedef struct event {
  struct event* next;
  enum kind kind;
  int to;
  uint64_t id, code;
  moql_owner* owner;
  const uint8_t* data;
  size_t size;
  bool fin;
} event;

typedef struct half { /* what one side sends on one stream */
  bool exists, over, ended /* the receiver has heard the end */, stopped;
} half;

typedef struct stream {
  bool announced;
  half halves[2]; /* by sender */
} stream;

typedef struct end {
  c_pipe* pipe;
  int side;
  bool over;
  uint64_t next[2]; /* by direction */
} end;

struct c_pipe {
  end ends[2];
  stream* streams; /* by id, which is counted as in QUIC */
  size_t room;
  event* first;
  event** last;
  int64_t now_us;
};

static stream* find(c_pipe* p, uint64_t id) { return id < p->room ? &p->streams[id] : NULL; }
static half* sends(end* e, uint64_t id) {
  stream* s = find(e->pipe, id);
  return s == NULL || !s->halves[e->side].exists ? NULL : &s->halves[e->side];
}
static half* hears(end* e, uint64_t id) {
  stream* s = find(e->pipe, id);
  return s == NULL || !s->halves[1 - e->side].exists ? NULL : &s->halves[1 - e->side];
}
static bool post(end* from, event what) {
  event* e = malloc(sizeof *e);
  if (e == NULL) return false;
  *e = what;
  e->next = NULL;
  e->to = 1 - from->side;
  *from->pipe->last = e;
  from->pipe->last = &e->next;
  return true;
}

static moql_status pipe_open(void* context, moql_direction direction, uint64_t* id) {
  end* me = context;
  c_pipe* p = me->pipe;
  if (me->over) return MOQL_CLOSED;
  const uint64_t wanted = me->next[direction] << 2 | (uint64_t)direction << 1 | (uint64_t)me->side;
  if (wanted >= p->room) {
    const size_t room = (size_t)wanted * 2 + 8;
    stream* more = realloc(p->streams, room * sizeof *more);
    if (more == NULL) return MOQL_BLOCKED;
    memset(more + p->room, 0, (room - p->room) * sizeof *more);
    p->streams = more;
    p->room = room;
  }
  ++me->next[direction];
  p->streams[wanted].halves[me->side].exists = true;
  p->streams[wanted].halves[1 - me->side].exists = direction == MOQL_BIDI;
  *id = wanted;
  return MOQL_OK;
}

static moql_status pipe_write(void* context, uint64_t id, const moql_chunk* chunks, size_t count, bool fin,
                              size_t* accepted) {
  end* me = context;
  half* h = sends(me, id);
  *accepted = 0;
  if (me->over || h == NULL || h->over) return MOQL_CLOSED;
  for (size_t i = 0; i < count; ++i) {
    if (chunks[i].size == 0) continue;
    event e = {.kind = EVENT_DATA, .id = id, .data = chunks[i].data, .size = chunks[i].size};
    if (chunks[i].owner != NULL) {
      e.owner = chunks[i].owner;
      e.owner->retain(e.owner);
    } else {
      block* b = block_copy(chunks[i].data, chunks[i].size);
      if (b == NULL) return MOQL_BLOCKED;
      e.owner = &b->owner;
      e.data = b->data;
    }
    if (!post(me, e)) {
      e.owner->release(e.owner);
      return MOQL_BLOCKED;
    }
    *accepted += chunks[i].size;
  }
  if (fin) {
    if (!post(me, (event){.kind = EVENT_DATA, .id = id, .fin = true})) return MOQL_BLOCKED;
    h->over = true;
  }
  return MOQL_OK;
}

static void pipe_reset(void* context, uint64_t id, uint64_t code) {
  end* me = context;
  half* h = sends(me, id);
  if (me->over || h == NULL || h->ended) return;
  if (post(me, (event){.kind = EVENT_RESET, .id = id, .code = code})) h->over = true;
}

static void pipe_stop(void* context, uint64_t id, uint64_t code) {
  end* me = context;
  half* h = hears(me, id);
  if (me->over || h == NULL || h->ended || h->stopped) return;
  h->stopped = post(me, (event){.kind = EVENT_STOP, .id = id, .code = code});
}

static void pipe_close(void* context, uint64_t code, const char* reason, size_t reason_size) {
  end* me = context;
  if (me->over) return;
  me->over = true;
  block* b = block_copy(reason, reason_size);
  event e = {.kind = EVENT_CLOSE, .code = code};
  if (b != NULL) {
    e.owner = &b->owner;
    e.data = b->data;
    e.size = reason_size;
  }
  if (!post(me, e) && b != NULL) free(b);
}

static const char* pipe_protocol(void* context, size_t* size) {
  (void)context;
  static const char token[] = "moq-lite-04";
  *size = sizeof token - 1;
  return token;
}

static moql_status pipe_datagram(void* context, const uint8_t* data, size_t size) {
  end* me = context;
  if (me->over) return MOQL_CLOSED;
  if (size > 1200) return MOQL_TOO_LARGE;
  block* b = block_copy(data, size);
  if (b == NULL) return MOQL_OK; /* lost, as datagrams are */
  if (!post(me, (event){.kind = EVENT_DATAGRAM, .owner = &b->owner, .data = b->data, .size = size})) free(b);
  return MOQL_OK;
}

static size_t pipe_max_datagram(void* context) { return ((end*)context)->over ? 0 : 1200; }

/* `consume`, `priority` and `stats` are left NULL. */
static const moql_transport_ops pipe_ops = {
    .struct_size = sizeof(moql_transport_ops),
    .open = pipe_open,
    .write = pipe_write,
    .reset = pipe_reset,
    .stop = pipe_stop,
    .close = pipe_close,
    .protocol = pipe_protocol,
    .datagram = pipe_datagram,
    .max_datagram = pipe_max_datagram,
};
const moql_transport_ops* c_pipe_ops(void) { return &pipe_ops; }

c_pipe* c_pipe_make(void) {
  c_pipe* p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  for (int side = 0; side < 2; ++side) p->ends[side] = (end){.pipe = p, .side = side};
  p->last = &p->first;
  return p;
}
void* c_pipe_end(c_pipe* pipe, int side) { return &pipe->ends[side]; }

static event* take(c_pipe* p) {
  event* e = p->first;
  if (e == NULL) return NULL;
  p->first = e->next;
  if (p->first == NULL) p->last = &p->first;
  return e;
}
static void drop(event* e) {
  if (e->owner != NULL) e->owner->release(e->owner);
  free(e);
}
void c_pipe_free(c_pipe* pipe) {
  for (event* e = take(pipe); e != NULL; e = take(pipe)) drop(e);
  free(pipe->streams);
  free(pipe);
}

/* A peer's stream is unknown until something of it arrives. */
static void announce(end* me, uint64_t id, const moql_sink_ops* ops, void* sink) {
  stream* s = find(me->pipe, id);
  if ((id & 1) == (uint64_t)me->side || s->announced) return;
  s->announced = true;
  ops->on_open(sink, id, (id & 2) != 0 ? MOQL_UNI : MOQL_BIDI, me->pipe->now_us);
}

static void deliver(end* me, const event* e, const moql_sink_ops* ops, void* sink) {
  const int64_t now = me->pipe->now_us;
  half *in = NULL, *out = NULL;
  if (me->over) return;
  switch (e->kind) {
    case EVENT_DATA:
      in = hears(me, e->id);
      if (in->ended) return;
      announce(me, e->id, ops, sink);
      in->ended = e->fin;
      ops->on_data(sink, e->id, e->data, e->size, e->owner, e->fin, now);
      return;
    case EVENT_RESET:
      in = hears(me, e->id);
      if (in->ended) return;
      announce(me, e->id, ops, sink);
      in->ended = true;
      ops->on_reset(sink, e->id, e->code, now);
      return;
    case EVENT_STOP:
      out = sends(me, e->id);
      if (out->ended) return;
      announce(me, e->id, ops, sink);
      ops->on_stop(sink, e->id, e->code, now);
      return;
    case EVENT_DATAGRAM:
      if (ops->on_datagram != NULL) ops->on_datagram(sink, e->data, e->size, e->owner, now);
      return;
    case EVENT_CLOSE:
      me->over = true;
      ops->on_close(sink, &(moql_close_info){true, e->code, (const char*)e->data, e->size}, now);
      return;
  }
}

bool c_pipe_step(c_pipe* pipe, const moql_sink_ops* ops_0, void* sink_0, const moql_sink_ops* ops_1, void* sink_1) {
  event* e = take(pipe);
  if (e == NULL) return false;
  ++pipe->now_us;
  if (e->to == 0)
    deliver(&pipe->ends[0], e, ops_0, sink_0);
  else
    deliver(&pipe->ends[1], e, ops_1, sink_1);
  drop(e);
  return true;
}

/* ---- a program that uses an adapter */

int c_user_sends(const moql_transport_ops* ops, void* context, const char* payload, size_t size, moql_owner* owner,
                 uint64_t* id) {
  size_t length = 0, accepted = 0;
  const char* token = ops->protocol(context, &length);
  if (token == NULL || length == 0) return 1;
  *id = MOQL_NO_STREAM;
  if (ops->open(context, MOQL_UNI, id) != MOQL_OK || *id == MOQL_NO_STREAM) return 2;
  const moql_chunk chunks[] = {{(const uint8_t*)"head ", 5, NULL}, {(const uint8_t*)payload, size, owner}};
  if (ops->write(context, *id, chunks, 2, false, &accepted) != MOQL_OK || accepted != 5 + size) return 3;
  if (ops->write(context, *id, NULL, 0, true, &accepted) != MOQL_OK || accepted != 0) return 4;
  if (ops->struct_size < sizeof *ops) return 5;
  if (ops->max_datagram(context) < 3) return 6;
  if (ops->datagram(context, (const uint8_t*)"one", 3) != MOQL_OK) return 7;
  moql_stats stats = {0};
  ops->stats(context, &stats);
  ops->priority(context, *id, -5);
  return stats.rtt_us == 0 ? 8 : 0;
}

static void tally_open(void* context, uint64_t id, moql_direction direction, int64_t now_us) {
  c_tally* t = context;
  (void)id, (void)direction;
  ++t->opened;
  t->last_time_us = now_us;
}
static void tally_data(void* context, uint64_t id, const uint8_t* data, size_t size, moql_owner* owner, bool fin,
                       int64_t now_us) {
  c_tally* t = context;
  (void)id, (void)data;
  ++t->pieces;
  t->bytes += size;
  t->fins += fin;
  t->last_time_us = now_us;
  if (owner == NULL) return;
  owner->retain(owner);
  c_tally_clear(t);
  t->kept = owner;
}
static void tally_reset(void* context, uint64_t id, uint64_t code, int64_t now_us) {
  c_tally* t = context;
  (void)id;
  ++t->resets;
  t->last_code = code;
  t->last_time_us = now_us;
}
static void tally_stop(void* context, uint64_t id, uint64_t code, int64_t now_us) {
  c_tally* t = context;
  (void)id;
  ++t->stops;
  t->last_code = code;
  t->last_time_us = now_us;
}
static void tally_writable(void* context, uint64_t id) {
  (void)id;
  ++((c_tally*)context)->writable;
}
static void tally_credit(void* context, moql_direction direction) {
  (void)direction;
  ++((c_tally*)context)->credits;
}
static void tally_close(void* context, const moql_close_info* why, int64_t now_us) {
  c_tally* t = context;
  ++t->closes;
  t->application = why->application;
  t->last_code = why->code;
  t->last_time_us = now_us;
  if (why->reason_size < sizeof t->reason) memcpy(t->reason, why->reason, why->reason_size);
}
static void tally_datagram(void* context, const uint8_t* data, size_t size, moql_owner* owner, int64_t now_us) {
  c_tally* t = context;
  (void)data, (void)size, (void)owner;
  ++t->datagrams;
  t->last_time_us = now_us;
}

static const moql_sink_ops tally_ops = {
    .struct_size = sizeof(moql_sink_ops),
    .on_open = tally_open,
    .on_data = tally_data,
    .on_reset = tally_reset,
    .on_stop = tally_stop,
    .on_writable = tally_writable,
    .on_credit = tally_credit,
    .on_close = tally_close,
    .on_datagram = tally_datagram,
};
const moql_sink_ops* c_tally_ops(void) { return &tally_ops; }
void c_tally_clear(c_tally* tally) {
  if (tally->kept != NULL) tally->kept->release(tally->kept);
  tally->kept = NULL;
}
