package rig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
)

// Gate is an address that speaks TLS in front of a server that cannot.
type Gate struct {
	Addr string

	key   atomic.Pointer[string] // of Temporal's API; nil: none is asked for
	close func()
}

// GateOptions say who is let in.
type GateOptions struct {
	Pair    Pair
	Clients *Authority // whose certificates clients must show; nil: none
	Key     string     // that Temporal's clients must send; "": none
}

func (o GateOptions) listen() (net.Listener, *tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(o.Pair.Cert, o.Pair.Key)
	if err != nil {
		return nil, nil, err
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if o.Clients != nil {
		pem, err := os.ReadFile(o.Clients.File)
		if err != nil {
			return nil, nil, err
		}
		cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		cfg.ClientCAs.AppendCertsFromPEM(pem)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener on loopback does not wait
	return l, cfg, err
}

// SealTCP passes on bytes, of ClickHouse's native protocol for instance.
func SealTCP(to string, o GateOptions) (*Gate, error) {
	plain, cfg, err := o.listen()
	if err != nil {
		return nil, err
	}
	l := tls.NewListener(plain, cfg)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go pass(c, to)
		}
	}()
	return &Gate{Addr: l.Addr().String(), close: func() { _ = l.Close() }}, nil
}

// pass joins the connection with one of its own to the server; the end of either is the end of both.
func pass(c net.Conn, to string) {
	s, err := net.Dial("tcp", to) //nolint:noctx // on loopback
	if err != nil {
		_ = c.Close()
		return
	}
	var wg sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, s}, {s, c}} {
		wg.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_, _ = c.Close(), s.Close()
		})
	}
	wg.Wait()
}

// SealTemporal passes on gRPC. Of a call without the key it says what Temporal's frontend says of one that its authorizer denies.
func SealTemporal(to string, o GateOptions) (*Gate, error) {
	l, cfg, err := o.listen()
	if err != nil {
		return nil, err
	}
	var plain http.Protocols
	plain.SetUnencryptedHTTP2(true)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	proxy.Transport, proxy.FlushInterval = &http.Transport{Protocols: &plain}, -1
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { refuse(w, "14", "the server is away") }
	g := &Gate{Addr: l.Addr().String()}
	g.Key(o.Key)
	cfg.NextProtos = []string{"h2"}
	s := &http.Server{TLSConfig: cfg, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 0, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // G112: it is for a test
		if key := *g.key.Load(); key != "" && r.Header.Get("Authorization") != "Bearer "+key {
			refuse(w, "7", "Request unauthorized.")
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	g.close = func() { _ = s.Close() }
	go func() {
		if err := s.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			panic(err) //nolint:forbidigo // the test has lost its server
		}
	}()
	return g, nil
}

// refuse answers with a status of gRPC and nothing else.
func refuse(w http.ResponseWriter, status, message string) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Grpc-Status", status)
	w.Header().Set("Grpc-Message", message)
	w.WriteHeader(http.StatusOK)
}

// Key is what clients must send from now on.
func (g *Gate) Key(key string) { g.key.Store(&key) }

// Close ends it.
func (g *Gate) Close() { g.close() }
