//go:build unix

package main

import (
	"context"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"
)

// advertised is a listener that says it listens elsewhere: kfake tells clients to come by its listener's address.
type advertised struct {
	net.Listener
	addr *net.TCPAddr
}

func (a advertised) Addr() net.Addr { return a.addr }

// listen is how kfake gets its listener.
func (o options) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address) //nolint:noctx // a listener on loopback does not wait
	if err != nil || o.advertise == "" {
		return l, err
	}
	addr, err := net.ResolveTCPAddr(network, o.advertise)
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("-advertise=%s: %w", o.advertise, err)
	}
	return advertised{Listener: l, addr: addr}, nil
}

// direct has a client of our own reach the broker whatever lies between it and those that it advertises itself to.
func direct(port int) kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	})
}
