// The gomoqt side of the scenarios in ../SCENARIOS.md.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"
	"github.com/qumo-dev/gomoqt/moqt"
)

const ours = "04" // moqt/alpn.go:6

type options struct {
	dial, version, role, scenario, cert, key, hash string
	listen                                         int
	timeout                                        time.Duration
}

func (o *options) publishes() bool { return o.role == "publisher" }
func (o *options) dials() bool     { return o.dial != "" }

// What cannot be done, and where in gomoqt that can be seen.
type unsupported string

func (u unsupported) Error() string { return string(u) }

func say(v any) {
	line, _ := json.Marshal(v)
	fmt.Println(string(line))
}

var once sync.Once

func finish(err error) {
	once.Do(func() {
		switch u := unsupported(""); {
		case err == nil:
			say(map[string]string{"result": "pass"})
			os.Exit(0)
		case errors.As(err, &u):
			say(map[string]string{"result": "unsupported", "why": err.Error()})
			os.Exit(3)
		default:
			say(map[string]string{"result": "fail", "why": err.Error()})
			os.Exit(1)
		}
	})
	select {} // another goroutine is at it
}

func parse() *options {
	o := &options{}
	flag.StringVar(&o.dial, "dial", "", "URL")
	flag.IntVar(&o.listen, "listen", -1, "port, 0 is any")
	flag.StringVar(&o.version, "version", "", "01..06")
	flag.StringVar(&o.role, "role", "", "publisher or subscriber")
	flag.StringVar(&o.scenario, "scenario", "", "name")
	flag.StringVar(&o.cert, "cert", "", "PEM file")
	flag.StringVar(&o.key, "key", "", "PEM file")
	flag.StringVar(&o.hash, "hash", "", "SHA-256 of the only certificate to accept")
	flag.String("qmux", "", "QMux revision; there is none here")
	flag.Int("streams", 0, "for our own driver")
	timeout := flag.Float64("timeout", 15, "seconds")
	flag.Parse()
	o.timeout = time.Duration(*timeout * float64(time.Second))
	return o
}

// What gomoqt 0.17.0 has no way to do, whatever the peer is.
func possible(o *options) error {
	switch {
	case o.version != ours:
		return unsupported("moqt/alpn.go:6: version 04 only")
	case o.scenario == "fetch" || o.scenario == "track-info" || o.scenario == "datagrams":
		return unsupported("not a scenario of version 04")
	case o.scenario == "withdraw" && o.publishes():
		return unsupported("moqt/mux.go:405: who listens to a prefix is forgotten with the last broadcast under it")
	case o.scenario == "goaway" && o.publishes() && o.dials():
		return unsupported("moqt/server.go:625: only a server sends GOAWAY")
	case o.scenario == "goaway" && !o.publishes() && !o.dials():
		return unsupported("moqt/server.go:398: a server's sessions tell nobody of a GOAWAY")
	}
	return nil
}

// ---- TLS

// The certificate and its SHA-256. Made up if no file is named: for ten days, as browsers want it.
func certificate(o *options) (tls.Certificate, string, error) {
	var cert tls.Certificate
	var err error
	if o.cert != "" {
		cert, err = tls.LoadX509KeyPair(o.cert, o.key)
	} else {
		cert, err = madeUp()
	}
	if err != nil {
		return cert, "", err
	}
	sum := sha256.Sum256(cert.Certificate[0])
	return cert, hex.EncodeToString(sum[:]), nil
}

func madeUp() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "localhost"},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(9 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func clientTLS(o *options, protocol string) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // checked below, or not at all
		NextProtos:         []string{protocol},
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if o.hash == "" {
				return nil
			}
			sum := sha256.Sum256(raw[0])
			if !strings.EqualFold(hex.EncodeToString(sum[:]), strings.ReplaceAll(o.hash, ":", "")) {
				return errors.New("this is not the certificate that was announced")
			}
			return nil
		},
	}
}

// ---- one session

// What a side of a scenario has to do with.
type stage struct {
	*options
	conn   connection
	sess   *moqt.Session
	server *moqt.Server
	goaway chan string
}

func (s *stage) close(code uint64, reason string) {
	// Past gomoqt, which does not close a session that has heard GOAWAY (moqt/session.go:1088).
	_ = s.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
	time.Sleep(200 * time.Millisecond) // the close has to get out before the process ends
}

func dial(o *options, mux *moqt.TrackMux) (*stage, error) {
	u, err := url.Parse(o.dial)
	if err != nil {
		return nil, err
	}
	s := &stage{options: o, goaway: make(chan string, 1)}
	d := moqt.Dialer{
		OnGoaway: func(uri string) { s.goaway <- uri },
		DialQUICFunc: func(ctx context.Context, addr string, _ *tls.Config, _ *quic.Config) (moqt.StreamConn, error) {
			conn, err := dialQUIC(ctx, addr, clientTLS(o, moqt.NextProtoMOQ))
			s.conn = conn
			return conn, err
		},
		DialWebTransportFunc: func(ctx context.Context, url string, _ http.Header, _ *tls.Config) (*http.Response,
			moqt.WebTransportSession, error) {
			rsp, conn, err := dialWeb(ctx, url, u.Host, clientTLS(o, moqt.NextProtoH3))
			if missing, ok := errors.AsType[*webtransport.RequirementsNotMetError](err); ok {
				err = unsupported("webtransport-go, client_conn.go: " + missing.Message)
			}
			if err == nil && conn.Subprotocol() != moqt.NextProtoMOQ {
				err = fmt.Errorf("the server chose protocol %q", conn.Subprotocol())
			}
			s.conn = conn
			return rsp, conn, err
		},
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	switch u.Scheme {
	case "moqt", "https":
		s.sess, err = d.Dial(context.Background(), o.dial, mux)
		return s, err
	}
	return nil, unsupported("moqt/dialer.go:68: scheme " + u.Scheme)
}

func listen(o *options, mux *moqt.TrackMux) (*stage, error) {
	cert, hash, err := certificate(o)
	if err != nil {
		return nil, err
	}
	ln, err := quic.ListenAddr(fmt.Sprintf("127.0.0.1:%d", o.listen), &tls.Config{
		Certificates: []tls.Certificate{cert},
		NextProtos:   []string{moqt.NextProtoMOQ, moqt.NextProtoH3},
	}, quicConfig())
	if err != nil {
		return nil, err
	}
	s := &stage{options: o, goaway: make(chan string, 1)}
	ready := make(chan *stage, 1)
	serve := moqt.HandleFunc(func(sess *moqt.Session) {
		s.sess = sess
		ready <- s // and no other: the next one waits here
		<-sess.Context().Done()
	})
	web := &webServer{}
	web.handler = &moqt.WebTransportHandler{
		TrackMux: mux,
		Handler:  serve,
		UpgradeFunc: func(w http.ResponseWriter, r *http.Request) (moqt.WebTransportSession, error) {
			conn, err := web.upgrade(w, r)
			s.conn = conn
			return conn, err
		},
	}
	s.server = &moqt.Server{
		TrackMux:           mux,
		Handler:            serve,
		WebTransportServer: web,
		ConnContext:        nil,
		Logger:             slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	go func() { _ = s.server.ServeQUICListener(noting{listener{ln}, s}) }()
	say(map[string]any{"listening": ln.Addr().(*net.UDPAddr).Port, "hash": hash})
	return <-ready, nil
}

// Remembers the connection that its session is made from.
type noting struct {
	listener
	s *stage
}

func (n noting) Accept(ctx context.Context) (moqt.StreamConn, error) {
	conn, err := n.listener.Accept(ctx)
	if err == nil {
		n.s.conn = conn.(quicConn)
	}
	return conn, err
}

func main() {
	o := parse()
	if err := possible(o); err != nil {
		finish(err)
	}
	time.AfterFunc(o.timeout, func() { finish(errors.New("time-out")) })
	mux := moqt.NewTrackMux(0)
	play := prepare(o, mux)
	var s *stage
	var err error
	if o.dials() {
		s, err = dial(o, mux)
	} else {
		s, err = listen(o, mux)
	}
	if err == nil {
		err = play(s)
	}
	finish(err)
}
