//go:build unix

package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
)

// Stack is all servers, or those that were named, with their data below one directory. Those that were not named are nil.
type Stack struct {
	Kafka      *Server
	ClickHouse *Server
	Temporal   *Server
}

// New is a stack on free ports, not yet started, with its data in dir/kafka, dir/clickhouse and dir/temporal. Without names it
// has all of Names.
func New(b Binaries, dir string, names ...string) (*Stack, error) {
	if len(names) == 0 {
		names = Names()
	}
	var s Stack
	for _, name := range names {
		data := filepath.Join(dir, name)
		var err error
		switch name {
		case KafkaName:
			s.Kafka, err = Kafka(KafkaOptions{Binaries: b, Dir: data})
		case ApacheKafkaName:
			s.Kafka, err = ApacheKafka(KafkaOptions{Binaries: b, Dir: data})
		case ClickHouseName:
			s.ClickHouse, err = ClickHouse(ClickHouseOptions{Binaries: b, Dir: data})
		case TemporalName:
			s.Temporal, err = Temporal(TemporalOptions{Binaries: b, Dir: data})
		default:
			err = fmt.Errorf("there is no server %q, only %v and %s", name, Names(), ApacheKafkaName)
		}
		if err != nil {
			s.release()
			return nil, err
		}
	}
	return &s, nil
}

// Servers are those the stack has.
func (s *Stack) Servers() []*Server {
	return slices.DeleteFunc([]*Server{s.Kafka, s.ClickHouse, s.Temporal}, func(x *Server) bool { return x == nil })
}

// Start starts all at once and returns when each answers. If one fails the others are stopped.
func (s *Stack) Start(ctx context.Context) error {
	err := s.each(func(x *Server) error { return x.Start(ctx) })
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	return nil
}

// Stop stops all at once and returns when they are gone.
func (s *Stack) Stop() error {
	return s.each((*Server).Stop)
}

func (s *Stack) each(do func(*Server) error) error {
	servers := s.Servers()
	failed := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, x := range servers {
		wg.Go(func() { failed[i] = do(x) })
	}
	wg.Wait()
	return errors.Join(failed...)
}

func (s *Stack) release() {
	for _, x := range s.Servers() {
		x.Release()
	}
}

// Env are the settings by which the programs of the ingest find these servers, and TEST_KAFKA, TEST_CLICKHOUSE and
// TEST_TEMPORAL (host:port) by which tests know that they may do as they like with them.
func (s *Stack) Env() []string {
	var env []string
	if s.Kafka != nil {
		env = append(env, "KAFKA_SERVERS="+s.Kafka.Addr(), "TEST_KAFKA="+s.Kafka.Addr())
	}
	if s.ClickHouse != nil {
		host, port, _ := net.SplitHostPort(s.ClickHouse.Addr())
		env = append(env, "CLICKHOUSE_HOST="+host, "CLICKHOUSE_PORT="+port,
			"TEST_CLICKHOUSE="+s.ClickHouse.Addr(), "TEST_CLICKHOUSE_HTTP="+s.ClickHouse.HTTPAddr())
	}
	if s.Temporal != nil {
		env = append(env, "TEMPORAL_ADDRESS="+s.Temporal.Addr(), "TEST_TEMPORAL="+s.Temporal.Addr())
	}
	return env
}
