package main

// gomoqt over connections that are made here: over QUIC because its own do not tell which port they got, and over
// WebTransport because its own implementation cannot be had.

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
	"github.com/qumo-dev/gomoqt/moqt"
	"github.com/qumo-dev/gomoqt/transport"
)

// The peer must notice within the time-out of a scenario that we are gone.
func quicConfig() *quic.Config {
	return &quic.Config{
		MaxIdleTimeout:                   5 * time.Second,
		KeepAlivePeriod:                  time.Second,
		EnableDatagrams:                  true,
		EnableStreamResetPartialDelivery: true,
		MaxIncomingStreams:               1000,
		MaxIncomingUniStreams:            1000,
	}
}

// How a connection ended.
type ending struct {
	application bool // closed by the peer's application, with code and reason
	local       bool // closed by this side
	code        uint64
	reason      string
	err         error
}

// A connection as gomoqt wants it, and what the driver wants besides.
type connection interface {
	moqt.StreamConn
	// Blocks until the end.
	ended() ending
}

// ---- QUIC

type quicConn struct{ conn *quic.Conn }

func (c quicConn) AcceptStream(ctx context.Context) (transport.Stream, error) {
	return c.conn.AcceptStream(ctx)
}
func (c quicConn) AcceptUniStream(ctx context.Context) (transport.ReceiveStream, error) {
	return c.conn.AcceptUniStream(ctx)
}
func (c quicConn) OpenStream() (transport.Stream, error)        { return c.conn.OpenStream() }
func (c quicConn) OpenUniStream() (transport.SendStream, error) { return c.conn.OpenUniStream() }
func (c quicConn) OpenStreamSync(ctx context.Context) (transport.Stream, error) {
	return c.conn.OpenStreamSync(ctx)
}
func (c quicConn) OpenUniStreamSync(ctx context.Context) (transport.SendStream, error) {
	return c.conn.OpenUniStreamSync(ctx)
}
func (c quicConn) CloseWithError(code transport.ConnErrorCode, reason string) error {
	return c.conn.CloseWithError(code, reason)
}
func (c quicConn) Context() context.Context              { return c.conn.Context() }
func (c quicConn) LocalAddr() net.Addr                   { return c.conn.LocalAddr() }
func (c quicConn) RemoteAddr() net.Addr                  { return c.conn.RemoteAddr() }
func (c quicConn) QUICConn() *quic.Conn                  { return c.conn }
func (c quicConn) ConnectionStats() quic.ConnectionStats { return c.conn.ConnectionStats() }
func (c quicConn) TLS() *tls.ConnectionState {
	state := c.conn.ConnectionState().TLS
	return &state
}
func (c quicConn) ended() ending {
	<-c.conn.Context().Done()
	err := context.Cause(c.conn.Context())
	if app, ok := errors.AsType[*quic.ApplicationError](err); ok {
		return ending{app.Remote, !app.Remote, uint64(app.ErrorCode), app.ErrorMessage, err}
	}
	return ending{err: err}
}

func dialQUIC(ctx context.Context, addr string, tlsConfig *tls.Config) (quicConn, error) {
	conn, err := quic.DialAddr(ctx, addr, tlsConfig, quicConfig())
	return quicConn{conn}, err
}

type listener struct{ ln *quic.Listener }

func (l listener) Accept(ctx context.Context) (moqt.StreamConn, error) {
	conn, err := l.ln.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return quicConn{conn}, nil
}
func (l listener) Close() error   { return l.ln.Close() }
func (l listener) Addr() net.Addr { return l.ln.Addr() }

// ---- WebTransport

type webConn struct {
	sess *webtransport.Session
	conn *quic.Conn // below it
}

// gomoqt knows the errors of quic-go only.
func translated(err error) error {
	if e, ok := errors.AsType[*webtransport.StreamError](err); ok {
		return &quic.StreamError{ErrorCode: quic.StreamErrorCode(e.ErrorCode), Remote: e.Remote}
	}
	if e, ok := errors.AsType[*webtransport.SessionError](err); ok {
		return &quic.ApplicationError{ErrorCode: quic.ApplicationErrorCode(e.ErrorCode), ErrorMessage: e.Message,
			Remote: e.Remote}
	}
	return err
}

type webSend struct{ *webtransport.SendStream }

func (s webSend) Write(b []byte) (int, error) {
	n, err := s.SendStream.Write(b)
	return n, translated(err)
}
func (s webSend) CancelWrite(code transport.StreamErrorCode) {
	s.SendStream.CancelWrite(webtransport.StreamErrorCode(code))
}

type webReceive struct{ *webtransport.ReceiveStream }

func (s webReceive) Read(b []byte) (int, error) {
	n, err := s.ReceiveStream.Read(b)
	return n, translated(err)
}
func (s webReceive) CancelRead(code transport.StreamErrorCode) {
	s.ReceiveStream.CancelRead(webtransport.StreamErrorCode(code))
}

type webStream struct{ *webtransport.Stream }

func (s webStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	return n, translated(err)
}
func (s webStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	return n, translated(err)
}
func (s webStream) CancelWrite(code transport.StreamErrorCode) {
	s.Stream.CancelWrite(webtransport.StreamErrorCode(code))
}
func (s webStream) CancelRead(code transport.StreamErrorCode) {
	s.Stream.CancelRead(webtransport.StreamErrorCode(code))
}

func (c webConn) AcceptStream(ctx context.Context) (transport.Stream, error) {
	s, err := c.sess.AcceptStream(ctx)
	return webStream{s}, translated(err)
}
func (c webConn) AcceptUniStream(ctx context.Context) (transport.ReceiveStream, error) {
	s, err := c.sess.AcceptUniStream(ctx)
	return webReceive{s}, translated(err)
}
func (c webConn) OpenStream() (transport.Stream, error) {
	s, err := c.sess.OpenStream()
	return webStream{s}, translated(err)
}
func (c webConn) OpenUniStream() (transport.SendStream, error) {
	s, err := c.sess.OpenUniStream()
	return webSend{s}, translated(err)
}
func (c webConn) OpenStreamSync(ctx context.Context) (transport.Stream, error) {
	s, err := c.sess.OpenStreamSync(ctx)
	return webStream{s}, translated(err)
}
func (c webConn) OpenUniStreamSync(ctx context.Context) (transport.SendStream, error) {
	s, err := c.sess.OpenUniStreamSync(ctx)
	return webSend{s}, translated(err)
}
func (c webConn) CloseWithError(code transport.ConnErrorCode, reason string) error {
	return translated(c.sess.CloseWithError(webtransport.SessionErrorCode(code), reason))
}
func (c webConn) Context() context.Context { return c.sess.Context() }
func (c webConn) LocalAddr() net.Addr      { return c.sess.LocalAddr() }
func (c webConn) RemoteAddr() net.Addr     { return c.sess.RemoteAddr() }
func (c webConn) Subprotocol() string      { return c.sess.SessionState().ApplicationProtocol }
func (c webConn) ConnectionStats() quic.ConnectionStats {
	return c.conn.ConnectionStats() // gomoqt asks for it and answers no probe without
}
func (c webConn) TLS() *tls.ConnectionState {
	state := c.sess.SessionState().ConnectionState.TLS
	return &state
}
func (c webConn) ended() ending {
	<-c.sess.Context().Done()
	_, err := c.sess.AcceptStream(context.Background()) // the context does not say why
	if e, ok := errors.AsType[*webtransport.SessionError](err); ok {
		return ending{e.Remote, !e.Remote, uint64(e.ErrorCode), e.Message, err}
	}
	return ending{err: err}
}

func dialWeb(ctx context.Context, url, addr string, tlsConfig *tls.Config) (*http.Response, webConn, error) {
	conn, err := quic.DialAddr(ctx, addr, tlsConfig, quicConfig())
	if err != nil {
		return nil, webConn{}, err
	}
	// Not Transport.Dial, which closes the connection before the session's code and reason are out.
	t := webtransport.Transport{ApplicationProtocols: []string{moqt.NextProtoMOQ}}
	client, err := t.NewClientConn(conn)
	if err != nil {
		return nil, webConn{}, err
	}
	rsp, sess, err := client.Dial(ctx, url, nil)
	return rsp, webConn{sess, conn}, err
}

// Answers the connections that a moqt.Server passes on because they speak HTTP/3.
type webServer struct {
	server  webtransport.Server
	once    sync.Once
	handler http.Handler
	of      sync.Map // contexts of gomoqt's by connection
}

type connKey struct{}

func (s *webServer) ServeQUICConn(conn moqt.StreamConn) error {
	s.once.Do(func() {
		s.server.H3 = &http3.Server{Handler: s.handler, ConnContext: func(_ context.Context, c *quic.Conn) context.Context {
			ctx, _ := s.of.Load(c)
			return context.WithValue(ctx.(context.Context), connKey{}, c)
		}}
		s.server.ApplicationProtocols = []string{moqt.NextProtoMOQ}
		s.server.CheckOrigin = func(*http.Request) bool { return true }
	})
	raw, ok := conn.(interface{ QUICConn() *quic.Conn })
	if !ok {
		return errors.New("not a connection of this program")
	}
	s.of.Store(raw.QUICConn(), conn.Context())
	return s.server.ServeQUICConn(raw.QUICConn())
}
func (s *webServer) Close() error { return s.server.Close() }
func (s *webServer) upgrade(w http.ResponseWriter, r *http.Request) (webConn, error) {
	sess, err := s.server.Upgrade(w, r)
	return webConn{sess, r.Context().Value(connKey{}).(*quic.Conn)}, err
}
