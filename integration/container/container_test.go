package container_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/container"
)

// dirVariable has this program start a ClickHouse with that directory, say so, and wait to be killed.
const dirVariable = "TEST_CONTAINER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		fmt.Println(keep(context.Background(), dir))
		select {}
	}
	defer func() { _ = container.Clean() }()
	m.Run()
}

func keep(ctx context.Context, dir string) string {
	s, err := start(ctx, dir)
	if err != nil {
		return err.Error()
	}
	return "started " + s.Addr()
}

func start(ctx context.Context, dir string) (*container.Server, error) {
	d, err := container.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s, err := d.ClickHouse(stack.ClickHouseOptions{Dir: dir})
	if err != nil {
		return nil, err
	}
	return s, s.Start(ctx)
}

// docker skips where the servers of tests are no containers.
func docker(t *testing.T) (context.Context, *container.Docker) {
	t.Helper()
	if os.Getenv("INTEGRATION_STACK") != "containers" {
		t.Skip("INTEGRATION_STACK is not containers: make test-containers")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	d, err := container.Connect(ctx)
	require.NoError(t, err)
	return ctx, d
}

func open(t *testing.T, addr string) driver.Conn {
	t.Helper()
	db, err := clickhouse.Open(&clickhouse.Options{Addr: []string{addr}, DialTimeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestContainersOfAKilledProcessAreRemovedByTheNextOneAndThoseOfALivingOneStay(t *testing.T) {
	ctx, d := docker(t)
	other := exec.CommandContext(ctx, os.Args[0])
	other.Env = append(os.Environ(), dirVariable+"="+t.TempDir())
	out, err := other.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, other.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	var addr string
	_, err = fmt.Sscanf(line, "started %s", &addr)
	require.NoError(t, err, line)

	db := open(t, addr)
	require.NoError(t, d.Sweep(ctx))
	require.NoError(t, db.Ping(ctx), "its process lives")
	require.NoError(t, other.Process.Kill())
	require.Error(t, other.Wait())
	require.NoError(t, db.Ping(ctx), "nobody has looked yet")
	require.NoError(t, d.Sweep(ctx))
	require.Error(t, db.Ping(ctx))
}

func TestAServerThatWasKilledWhileFrozenIsBackAtItsAddressWithItsData(t *testing.T) {
	ctx, _ := docker(t)
	s, err := start(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Remove()) })
	db, addr := open(t, s.Addr()), s.Addr()
	require.NoError(t, db.Exec(ctx, "CREATE TABLE kept ENGINE = MergeTree ORDER BY number AS SELECT number FROM numbers(1000)"))
	before := s.PID()
	require.Positive(t, before)

	require.NoError(t, s.Freeze())
	silent, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	require.Error(t, db.Ping(silent))
	require.NoError(t, s.Kill())
	require.NoError(t, s.Died(), "it was asked to")
	require.Zero(t, s.PID())
	require.ErrorContains(t, s.Freeze(), "not running")
	require.NoError(t, s.Kill(), "it is gone already")

	require.NoError(t, s.Start(ctx))
	require.Equal(t, addr, s.Addr())
	require.NotEqual(t, before, s.PID())
	var n uint64
	require.NoError(t, open(t, addr).QueryRow(ctx, "SELECT count() FROM kept").Scan(&n))
	require.EqualValues(t, 1000, n)
}

func TestAnEndThatNobodyAskedForIsTold(t *testing.T) {
	ctx, d := docker(t)
	s, err := start(ctx, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Remove()) })
	require.NoError(t, s.Died())
	all, err := d.ContainerList(ctx, client.ContainerListOptions{})
	require.NoError(t, err)
	for _, c := range all.Items {
		top, err := d.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{})
		require.NoError(t, err)
		if top.Container.State.Pid == s.PID() {
			_, err = d.ContainerKill(ctx, c.ID, client.ContainerKillOptions{Signal: "KILL"})
			require.NoError(t, err)
			break
		}
	}
	require.Eventually(t, func() bool { return s.Died() != nil }, 30*time.Second, 20*time.Millisecond)
	require.ErrorContains(t, s.Died(), "clickhouse ended by itself: exit code 137")
}
