// Package webtransport stands in for the module that gomoqt does WebTransport with and that the Go module proxy does
// not serve (see ../README.md): just enough names for gomoqt to compile, and nothing that works. The driver brings a
// WebTransport of its own through the places that gomoqt has for that.
package webtransport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

var errAbsent = errors.New("this WebTransport implementation is not available")

type (
	SessionErrorCode uint32
	StreamErrorCode  uint32
	SessionState     struct {
		ConnectionState     quic.ConnectionState
		ApplicationProtocol string
	}
)

// None of these is ever made.
type (
	Session       struct{}
	SendStream    struct{}
	ReceiveStream struct{}
	Stream        struct {
		SendStream
		ReceiveStream
	}
)

func (*Session) AcceptStream(context.Context) (*Stream, error)           { return nil, errAbsent }
func (*Session) AcceptUniStream(context.Context) (*ReceiveStream, error) { return nil, errAbsent }
func (*Session) OpenStream() (*Stream, error)                            { return nil, errAbsent }
func (*Session) OpenStreamSync(context.Context) (*Stream, error)         { return nil, errAbsent }
func (*Session) OpenUniStream() (*SendStream, error)                     { return nil, errAbsent }
func (*Session) OpenUniStreamSync(context.Context) (*SendStream, error)  { return nil, errAbsent }
func (*Session) CloseWithError(SessionErrorCode, string) error           { return errAbsent }
func (*Session) SessionState() SessionState                              { return SessionState{} }
func (*Session) ConnectionStats() quic.ConnectionStats                   { return quic.ConnectionStats{} }
func (*Session) Context() context.Context                                { return context.Background() }
func (*Session) LocalAddr() net.Addr                                     { return nil }
func (*Session) RemoteAddr() net.Addr                                    { return nil }

func (*SendStream) Write([]byte) (int, error)          { return 0, errAbsent }
func (*SendStream) Close() error                       { return errAbsent }
func (*SendStream) CancelWrite(StreamErrorCode)        {}
func (*SendStream) SetWriteDeadline(time.Time) error   { return errAbsent }
func (*SendStream) Context() context.Context           { return context.Background() }
func (*ReceiveStream) Read([]byte) (int, error)        { return 0, errAbsent }
func (*ReceiveStream) CancelRead(StreamErrorCode)      {}
func (*ReceiveStream) SetReadDeadline(time.Time) error { return errAbsent }
func (*Stream) SetDeadline(time.Time) error            { return errAbsent }

type Dialer struct {
	TLSClientConfig      *tls.Config
	ApplicationProtocols []string
}

func (*Dialer) Dial(context.Context, string, http.Header) (*http.Response, *Session, error) {
	return nil, nil, errAbsent
}

type Upgrader struct {
	CheckOrigin          func(*http.Request) bool
	ApplicationProtocols []string
	ReorderingTimeout    time.Duration
}

func (*Upgrader) Upgrade(http.ResponseWriter, *http.Request) (*Session, error) { return nil, errAbsent }

type Server struct{ H3 *http3.Server }

func (*Server) ServeQUICConn(*quic.Conn) error { return errAbsent }
func (*Server) Serve(net.PacketConn) error     { return errAbsent }
func (*Server) Close() error                   { return nil }
