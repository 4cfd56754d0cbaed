package rig

import (
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"
)

// wireType is the name of our toxic in toxiproxy's registry.
const wireType = "wire"

// kind is what a wire does with what it carries.
type kind int

const (
	calm kind = iota
	refused
	losing
	slow
)

// weather is how a wire is for a time. What it was felt by is counted, so that nobody takes a trouble for real that met no traffic.
type weather struct {
	kind kind
	by   time.Duration
	over chan struct{} // closed when it is
	felt *atomic.Int64
}

// wire is one direction of all connections of a link, as a toxic of toxiproxy that is there from the beginning: its toxics cannot be
// added to a connection that waits for a server which does not read, and they do not count.
type wire struct {
	now atomic.Pointer[weather]
}

func (w *wire) set(next weather) {
	next.over, next.felt = make(chan struct{}), new(atomic.Int64)
	if before := w.now.Swap(&next); before != nil {
		close(before.over)
	}
}

// Pipe carries one connection.
func (w *wire) Pipe(stub *toxics.ToxicStub) {
	lost := false
	for {
		now := w.now.Load()
		if now.kind == refused || lost && now.kind == calm {
			now.felt.Add(1)
			stub.Close()
			for range stub.Input { //nolint:revive // until the other end has noticed
			}
			return
		}
		select {
		case <-stub.Interrupt:
			return
		case <-now.over:
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			if now.kind != calm {
				now.felt.Add(1)
			}
			if now.kind == losing {
				lost = true
				continue
			}
			hold(now)
			stub.Output <- c
		}
	}
}

// hold waits, but not longer than the weather lasts.
func hold(w *weather) {
	if w.kind != slow {
		return
	}
	t := time.NewTimer(w.by)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.over:
	}
}
