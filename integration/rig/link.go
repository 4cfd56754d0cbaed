package rig

import (
	"errors"
	"fmt"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"github.com/ai-backlog/ingest/devstack/stack"
)

// Link is the network between the programs and one server: a proxy in this process, which passes everything on until it is told
// otherwise. One trouble replaces the one before it.
type Link struct {
	addr     string
	release  func()
	proxy    *toxiproxy.Proxy
	up, down *wire
}

// newLink has an address, and goes nowhere until it is opened.
func newLink() (l *Link, err error) {
	port, release, err := stack.ReservePort()
	return &Link{addr: fmt.Sprintf("127.0.0.1:%d", port), release: release}, err
}

// open lets connections through to the server.
func (l *Link) open(name, server string) error {
	toxics.Register(wireType, new(wire))
	l.proxy = toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), name, l.addr, server)
	for stream, w := range map[string]**wire{"upstream": &l.up, "downstream": &l.down} {
		t, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q}`, stream, wireType, stream)))
		if err != nil {
			return fmt.Errorf("link to %s: %w", name, err)
		}
		*w, _ = t.Toxic.(*wire)
	}
	l.Clear()
	if err := l.proxy.Start(); err != nil {
		return fmt.Errorf("link to %s: %w", name, err)
	}
	return nil
}

func (l *Link) close() {
	if l.proxy != nil {
		l.proxy.Stop()
	}
	l.release()
}

// Addr is where programs connect to; "" of no link.
func (l *Link) Addr() string {
	if l == nil {
		return ""
	}
	return l.addr
}

// Refuse ends every connection, also those that are made meanwhile.
func (l *Link) Refuse() { l.set(weather{kind: refused}, weather{kind: refused}) }

// Lose lets connections be and loses what is sent, in both directions, as a cable does that was pulled.
func (l *Link) Lose() { l.set(weather{kind: losing}, weather{kind: losing}) }

// LoseAnswers lets requests arrive and loses every answer: whoever asked cannot know whether it was done.
func (l *Link) LoseAnswers() { l.set(weather{}, weather{kind: losing}) }

// Slow holds each 32 KiB, or less, up for the time, in both directions.
func (l *Link) Slow(by time.Duration) {
	l.set(weather{kind: slow, by: by}, weather{kind: slow, by: by})
}

// Clear passes everything on again. Connections that lost something end, since what follows would make no sense.
func (l *Link) Clear() { l.set(weather{}, weather{}) }

func (l *Link) set(up, down weather) { l.up.set(up); l.down.set(down) }

// Felt is how many connections were ended, and pieces of data lost or held up, since the present trouble began.
func (l *Link) Felt() int64 { return l.up.now.Load().felt.Load() + l.down.now.Load().felt.Load() }

// Links are the network: nil ones are not there, and the programs reach that server directly.
type Links struct {
	Kafka, ClickHouse, Temporal *Link
}

func newLinks() (l Links, err error) {
	for _, link := range []**Link{&l.Kafka, &l.ClickHouse, &l.Temporal} {
		if *link, err = newLink(); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l Links) open(r *Rig) error {
	if l.Kafka == nil {
		return nil
	}
	return errors.Join(l.Kafka.open("kafka", r.Kafka.Addr()), l.ClickHouse.open("clickhouse", r.ClickHouse.Addr()), l.Temporal.open("temporal", r.Temporal.Addr()))
}

func (l Links) close() {
	for _, link := range []*Link{l.Kafka, l.ClickHouse, l.Temporal} {
		if link != nil {
			link.close()
		}
	}
}
