#pragma once
/// The inside of session.hpp: HTTP/3 on the streams that are ours, and the course of a session.

#include "session.hpp"

namespace webtransport {

// ---- below

template <moql::transport Lower>
void session<Lower>::open_own_streams() noexcept {
  if (!has_own_control_) {
    const moql::open_result r = lower_.open(moql::direction::uni);
    if (r.status != moql::transport_status::ok) return;
    has_own_control_ = true;
    stream& s = add(r.id, moql::direction::uni, true);
    s.use = stream_use::control;
    s.http = std::make_unique<http_side>();
    say(key(r.id), http3::control_stream_opening, false);
  }
  if (options_.side == role::server || connect_id_ != none || !control_.has_settings()) return;
  if (!allows_webtransport(control_.get())) return refuse("the server's SETTINGS do not offer WebTransport");
  const moql::open_result r = lower_.open(moql::direction::bidi);
  if (r.status != moql::transport_status::ok) return;
  connect_id_ = key(r.id);
  stream& s = add(r.id, moql::direction::bidi, true);
  s.use = stream_use::connect;
  s.http = std::make_unique<http_side>();
  say(connect_id_, headers_frame(fields_of(options_.ask)), false);
}

template <moql::transport Lower>
void session<Lower>::run_deferred() noexcept {
  for (const deferred& d : std::exchange(deferred_, {})) {
    switch (d.what) {
      case action::consume: lower_.consume(d.id, static_cast<std::size_t>(d.number)); break;
      case action::stop: lower_.stop(d.id, d.number); break;
      case action::reset: lower_.reset(d.id, d.number); break;
    }
  }
}

/// Writes what we owe a stream; if it is blocked, `on_writable` brings us back.
template <moql::transport Lower>
void session<Lower>::talk(key_type id, stream& s) noexcept {
  if (s.out_over) return;
  if (s.http == nullptr) {
    moql::transport_status r = write_preamble(moql::stream_id{id}, s);
    if (r == moql::transport_status::ok && s.fin_waits) r = lower_.write(moql::stream_id{id}, {}, true).status;
    if (r == moql::transport_status::closed || (r == moql::transport_status::ok && s.fin_waits))
      end_out(moql::stream_id{id}, s);
    return;
  }
  http_side& h = *s.http;
  if (h.sent == h.out.size() && !h.has_fin) return;
  const moql::chunk c{h.out.data() + h.sent, h.out.size() - h.sent, nullptr};
  lower_.priority(moql::stream_id{id}, INT32_MAX);  // or an end would wait behind everything that it ends
  const moql::write_result r = lower_.write(moql::stream_id{id}, {&c, 1}, h.has_fin);
  h.sent += r.accepted;
  if (r.status == moql::transport_status::closed || (r.status == moql::transport_status::ok && h.has_fin))
    end_out(moql::stream_id{id}, s);
}
template <moql::transport Lower>
void session<Lower>::say(key_type id, moql::byte_view text, bool fin) noexcept {
  stream* s = find(id);
  if (s == nullptr || s->out_over || s->http->has_fin) return;
  s->http->out.insert(s->http->out.end(), text.begin(), text.end());
  s->http->has_fin = fin;
  talking_.push_back(id);
}

template <moql::transport Lower>
moql::transport_status session<Lower>::write_preamble(moql::stream_id id, stream& s) noexcept {
  const wire::preamble p = preamble(s);
  if (!s.is_local || s.preamble_sent == p.size) return moql::transport_status::ok;
  const moql::chunk c{p.data.data() + s.preamble_sent, p.size - s.preamble_sent, nullptr};
  const moql::write_result r = lower_.write(id, {&c, 1}, false);
  s.preamble_sent = static_cast<std::uint8_t>(s.preamble_sent + r.accepted);
  return r.status;
}

template <moql::transport Lower>
void session<Lower>::shut(http3::code code, std::string_view reason) noexcept {
  if (std::exchange(is_over_, true)) return;
  lower_.close(static_cast<std::uint64_t>(code), reason);
}

// ---- streams

template <moql::transport Lower>
void session<Lower>::identify(moql::stream_id id, stream& s, wire::stream_head h) noexcept {
  const bool is_server = options_.side == role::server;
  const auto only_one = [&](bool& has, stream_use use) {
    s.use = use;
    if (std::exchange(has, true)) fail(http3::code::stream_creation_error, "two streams of a kind that comes once");
  };
  switch (h.kind) {
    case wire::stream_kind::control: return only_one(has_control_, stream_use::control);
    case wire::stream_kind::qpack_encoder: return only_one(has_encoder_, stream_use::qpack);
    case wire::stream_kind::qpack_decoder: return only_one(has_decoder_, stream_use::qpack);
    case wire::stream_kind::push:
      return fail(is_server ? http3::code::stream_creation_error : http3::code::id_error, "a push was never allowed");
    case wire::stream_kind::unknown: return reject(id, s, http3::code::stream_creation_error);
    case wire::stream_kind::request:
      if (!is_server) return fail(http3::code::stream_creation_error, "the server opened a request");
      s.use = stream_use::request;
      s.http = std::make_unique<http_side>();
      s.http->frames = http3::request_reader(h.number);
      if (connect_id_ != none) refuse_request(id, s, {429, {}, {}, "one session per connection"});
      return;
    case wire::stream_kind::session: break;
  }
  if (!wire::is_session_id(h.number)) return fail(http3::code::id_error, "a stream of a session that cannot be");
  s.use = stream_use::session;
  s.session = h.number;
  s.early = std::make_unique<early_input>();
  if (has_ended_) return reject(id, s, http3::code::session_gone);
  if (is_open_ && h.number != connect_id_) return reject(id, s, http3::code::buffered_stream_rejected);
  if (is_open_ && upper_ != nullptr) return;
  if (early_.size() >= options_.early_streams_max) return reject(id, s, http3::code::buffered_stream_rejected);
  early_.push_back(key(id));
}

template <moql::transport Lower>
void session<Lower>::take(moql::stream_id id, stream& s, moql::bytes data, bool fin) noexcept {
  switch (s.use) {
    case stream_use::unknown: return;
    case stream_use::control:
      owe(id, data.size());
      if (const http3::code c = control_.take(data.view()); c != http3::code::no_error)
        return fail(c, "the control stream breaks the rules of HTTP/3");
      accept_if_ready();
      [[fallthrough]];
    case stream_use::qpack:
      if (s.use == stream_use::qpack) owe(id, data.size());
      if (fin) fail(http3::code::closed_critical_stream, "a stream that must stay open has ended");
      return;
    case stream_use::connect:
    case stream_use::request: owe(id, data.size()); return read_http(id, s, data.view(), fin);
    case stream_use::refused: return;
    case stream_use::session:
      if (!s.is_told && (upper_ == nullptr || !is_open_)) return hold(id, s, std::move(data), fin);
      if (!s.is_told) tell_early(id, s);
      upper_on([&](auto& u) { u.on_data(id, std::move(data), fin, now_); });
      break;
  }
  if (fin) end_in(id, s);
}

template <moql::transport Lower>
void session<Lower>::read_http(moql::stream_id id, stream& s, moql::byte_view in, bool fin) noexcept {
  http3::element_piece p;
  auto why = http3::code::no_error;
  for (bool more = true; more && !is_deaf() && !s.in_over;) {
    switch (s.http->frames.next(in, p, why)) {
      case http3::request_reader::got::nothing: more = false; break;
      case http3::request_reader::got::headers:
        if (p.size > section_bytes_max) return fail(http3::code::excessive_load, "a header section is too long");
        s.http->section.insert(s.http->section.end(), p.body.begin(), p.body.end());
        if (p.is_last) read_section(id, s);
        break;
      case http3::request_reader::got::data:
        if (s.use == stream_use::connect) read_capsules(p.body);
        break;
    }
  }
  if (why != http3::code::no_error) return fail(why, "a frame came where it may not");
  if (!fin || is_deaf() || s.in_over) return;
  if (s.http->frames.is_inside()) return fail(http3::code::frame_error, "a request ended inside of a frame");
  if (s.use == stream_use::request) return abandon(id, s, http3::code::request_incomplete);
  if (s.use == stream_use::connect && !is_open_) {
    if (options_.side == role::client) return refuse("the server ended the request without an answer");
    connect_id_ = none;
    return abandon(id, s, http3::code::request_cancelled);
  }
  s.in_over = true;  // before `end`, which may see that nothing is left to wait for
  if (s.use == stream_use::connect) {
    if (capsules_.finish() != http3::code::no_error) return fail(capsules_.finish(), "the session ended in a capsule");
    end({true, 0, {}});
  }
  end_in(id, s);
}

template <moql::transport Lower>
void session<Lower>::read_section(moql::stream_id id, stream& s) noexcept {
  const auto fields = decode_fields(s.http->section);
  s.http->section.clear();
  if (!fields) return fail(http3::code::qpack_decompression_failed, "a header section cannot be decoded");
  if (options_.side == role::client) {
    const outcome o = judge_answer(*fields, options_.ask);
    if (o.what == outcome::kind::interim) return;
    if (o.what == outcome::kind::refused) return refuse(o.why);
    s.http->frames.open_tunnel();
    protocol_ = o.protocol;
    path_ = options_.ask.path;
    return become_open();
  }
  s.http->frames.open_tunnel();
  answer a = judge_request(*fields, options_.offer);
  if (a.status == 200 && connect_id_ != none) a = {429, {}, {}, "one session per connection"};
  if (a.status != 200) return refuse_request(id, s, a);
  s.use = stream_use::connect;
  connect_id_ = key(id);
  answer_ = std::move(a);
  accept_if_ready();
}

template <moql::transport Lower>
void session<Lower>::read_capsules(moql::byte_view in) noexcept {
  const http3::code c = capsules_.take(in);
  if (capsules_.is_closed()) end({true, capsules_.code(), capsules_.reason()});
  if (c != http3::code::no_error) fail(c, "a capsule breaks the rules of WebTransport");
}

template <moql::transport Lower>
void session<Lower>::refuse_request(moql::stream_id id, stream& s, const answer& a) noexcept {
  if (!is_open_) why_ = "the request was refused: " + a.why;
  s.use = stream_use::refused;
  say(key(id), headers_frame(fields_of(a)), true);
  defer(action::stop, id, static_cast<std::uint64_t>(http3::code::no_error));
  s.in_over = true;
}

/// Nothing sensible can come of this stream of the peer's any longer.
template <moql::transport Lower>
void session<Lower>::abandon(moql::stream_id id, stream& s, http3::code code) noexcept {
  if (!s.out_over) defer(action::reset, id, static_cast<std::uint64_t>(code));
  streams_.erase(key(id));
}

// ---- streams that came before the session

template <moql::transport Lower>
void session<Lower>::hold(moql::stream_id id, stream& s, moql::bytes data, bool fin) noexcept {
  early_input& e = *s.early;
  if (!data.empty() && data.held_by() == nullptr) data = data.clone();
  e.size += data.size();
  early_bytes_ += data.size();
  if (!data.empty()) e.data.push_back(std::move(data));
  e.has_fin = e.has_fin || fin;
  s.in_over = s.in_over || fin;  // not `end_in`: the session above has yet to hear of it
  if (early_bytes_ > options_.early_bytes_max) reject(id, s, http3::code::buffered_stream_rejected);
}
template <moql::transport Lower>
void session<Lower>::drop_early_data(moql::stream_id id, stream& s) noexcept {
  if (s.early == nullptr) return;
  early_bytes_ -= s.early->size;
  owe(id, s.early->size);
  s.early->data.clear();
  s.early->size = 0;
}
template <moql::transport Lower>
void session<Lower>::reject(moql::stream_id id, stream& s, http3::code code) noexcept {
  drop_early_data(id, s);
  defer(action::stop, id, static_cast<std::uint64_t>(code));
  abandon(id, s, code);
}
template <moql::transport Lower>
void session<Lower>::release_early() noexcept {
  for (const key_type k : std::exchange(early_, {})) {
    stream* s = find(k);
    if (s == nullptr || s->use != stream_use::session) continue;
    if (s->session != connect_id_)
      reject(moql::stream_id{k}, *s, http3::code::buffered_stream_rejected);
    else if (upper_ == nullptr)
      early_.push_back(k);
    else if (s->early->has_fin || s->early->reset || !s->early->data.empty())
      tell_early(moql::stream_id{k}, *s);
  }
}
template <moql::transport Lower>
void session<Lower>::tell_early(moql::stream_id id, stream& s) noexcept {
  const std::unique_ptr<early_input> e = std::move(s.early);
  s.is_told = true;
  early_bytes_ -= e->size;
  upper_->on_open(id, s.dir, now_);
  for (std::size_t i = 0; i < e->data.size(); ++i)
    upper_->on_data(id, std::move(e->data[i]), e->has_fin && i + 1 == e->data.size(), now_);
  if (e->data.empty() && e->has_fin) upper_->on_data(id, {}, true, now_);
  if (e->reset) upper_->on_reset(id, *e->reset, now_);
  if (e->stop) upper_->on_stop(id, *e->stop, now_);
  if (e->has_fin || e->reset) end_in(id, s);
}

// ---- the course of a session

template <moql::transport Lower>
void session<Lower>::accept_if_ready() noexcept {
  if (options_.side == role::client || connect_id_ == none || is_open_ || !control_.has_settings()) return;
  stream* s = find(connect_id_);
  if (s == nullptr) return;
  if (!allows_webtransport(control_.get())) {
    refuse_request(moql::stream_id{std::exchange(connect_id_, none)}, *s,
                   {400, {}, {}, "the client's SETTINGS do not offer WebTransport"});
    return;
  }
  say(connect_id_, headers_frame(fields_of(answer_)), false);
  protocol_ = answer_.protocol;
  path_ = answer_.path;
  become_open();
}
template <moql::transport Lower>
void session<Lower>::become_open() noexcept {
  is_open_ = true;
  why_.clear();
  deadline_ = moql::never_due;
  release_early();
}
template <moql::transport Lower>
void session<Lower>::refuse(std::string why) noexcept {
  is_refused_ = true;
  if (why_.empty()) why_ = std::move(why);
}
/// The peer's end, or the connection's.
template <moql::transport Lower>
void session<Lower>::end(const moql::close_info& why) noexcept {
  if (std::exchange(has_ended_, true)) return;
  is_ended_by_peer_ = true;
  deadline_ = now_ + options_.closing_max;
  reason_ = why.reason;
  ended_ = {why.application, why.code, reason_};
  if (!why.application && why_.empty())
    why_ = (is_open_ ? "the connection was lost" : "there was no session yet when the connection was lost") +
           (reason_.empty() ? std::string() : ": " + reason_);
  if (!is_over_) say(connect_id_, {}, true);
  if (upper_ != nullptr) std::exchange(upper_, nullptr)->on_close(ended_, now_);
}
/// The CONNECT stream was reset, or what we say on it is not wanted: the session is over either way.
template <moql::transport Lower>
void session<Lower>::lose_connect(moql::stream_id id, stream& s, std::uint64_t code) noexcept {
  if (!is_open_ && options_.side == role::client) return refuse("the server reset the request");
  if (is_open_) {
    const auto plain = wire::stream_code_of(code);
    end({false, plain ? *plain : code, "the session's stream was reset"});
  } else {
    connect_id_ = none;
  }
  abandon(id, s, http3::code::request_cancelled);
}
/// The peer has broken HTTP/3 or WebTransport: the connection ends.
template <moql::transport Lower>
void session<Lower>::fail(http3::code code, std::string why) noexcept {
  if (fault_ != http3::code::no_error) return;
  fault_ = code;
  why_ = std::move(why);
  end({false, static_cast<std::uint64_t>(code), why_});
}
/// Both sides have said that the session is over.
template <moql::transport Lower>
void session<Lower>::leave() noexcept {
  if (is_ended_by_peer_) return shut(http3::code::no_error, {});
  if (!std::exchange(is_lingering_, true)) deadline_ = std::min(deadline_, now_ + options_.lingering_max);
}

}  // namespace webtransport
