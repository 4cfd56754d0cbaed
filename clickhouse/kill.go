package clickhouse

import (
	"context"
	"errors"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Killer ends inserts that nobody waits for any more. It asks every host that
// is configured, because an insert may run on any of them.
type Killer struct {
	hosts []string
	conns []driver.Conn
}

// NewKiller connects when it is first used.
func NewKiller(c Config) (*Killer, error) {
	k := &Killer{hosts: c.Addresses()}
	for _, addr := range k.hosts {
		c.Hosts = []string{addr}
		conn, err := Open(c)
		if err != nil {
			return nil, errors.Join(err, k.Close())
		}
		k.conns = append(k.conns, conn)
	}
	return k, nil
}

// Close ends the connections.
func (k *Killer) Close() error {
	var errs []error
	for _, c := range k.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Kill tells the user's running queries whose ID begins with the prefix to end,
// and answers how many there were. It does not wait for their end, which a
// merge or a slow disk can delay: that is what the quiet time is for. It
// returns nil only when every host answered, since an insert that sleeps on a
// silent one may still land. It takes no grant to end one's own queries.
func (k *Killer) Kill(ctx context.Context, prefix string) (int, error) {
	return k.each(ctx, prefix, true)
}

// Running is how many of the user's queries with such an ID run on all hosts.
func (k *Killer) Running(ctx context.Context, prefix string) (int, error) {
	return k.each(ctx, prefix, false)
}

const whose = " WHERE user = currentUser() AND startsWith(query_id, ?)"

func (k *Killer) each(ctx context.Context, prefix string, kill bool) (sum int, err error) {
	if prefix == "" {
		return 0, errors.New("an empty prefix would be every query")
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	for at, conn := range k.conns {
		var n uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM system.processes"+whose, prefix).Scan(&n)
		if err == nil && n > 0 && kill {
			err = conn.Exec(ctx, "KILL QUERY"+whose+" ASYNC", prefix)
		}
		if err != nil {
			return sum, Wrap(err, "end running inserts on %s", k.hosts[at])
		}
		sum += int(n)
	}
	return sum, nil
}
