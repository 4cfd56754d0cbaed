// Package compose tests the compose file: it is read by the loader that Docker uses.
package compose

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/deploy/readmetest"
)

const stopsWithin = 15 * time.Second // of integration's test of stops

// ours are the services that run our programs.
var ours = []string{"consumer", "worker", "starter"}

func load(t *testing.T, envFile string) (*types.Project, error) {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithEnvFiles(envFile), cli.WithDotEnv, cli.WithInterpolation(true), cli.WithResolvedPaths(true), cli.WithProfiles([]string{"*"}))
	require.NoError(t, err)
	return o.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, ".env.example")
	require.NoError(t, err)
	return p
}

func TestTheExampleOfTheEnvironmentIsAllThatComposeNeeds(t *testing.T) {
	p := project(t)
	for _, name := range []string{"kafka", "topics", "clickhouse", "postgres", "temporal", "temporal-ui", "prometheus", "grafana", "consumer", "worker", "starter"} {
		require.Contains(t, p.Services, name)
	}
	empty := filepath.Join(t.TempDir(), "env")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err := load(t, empty)
	require.ErrorContains(t, err, "copy .env.example to .env", "no password has a default")
}

func TestEveryFileThatIsMountedIsThere(t *testing.T) {
	for name, s := range project(t).Services {
		for _, v := range s.Volumes {
			switch v.Type {
			case types.VolumeTypeBind:
				require.FileExists(t, v.Source+fileIn(v.Source), name)
				require.True(t, v.ReadOnly, "%s: %s", name, v.Source)
			case types.VolumeTypeVolume:
				require.Contains(t, project(t).Volumes, v.Source)
			}
		}
		if s.Build != nil {
			require.FileExists(t, filepath.Join(s.Build.Context, s.Build.Dockerfile))
		}
	}
}

// fileIn is a file of the path if that is a folder: an empty one would be as good as none.
func fileIn(path string) (file string) {
	_ = filepath.WalkDir(path, func(at string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && at != path {
			file = strings.TrimPrefix(at, path)
			return filepath.SkipAll
		}
		return nil
	})
	return file
}

func TestProgramsAreToldOnlyWhatTheREADMEKnows(t *testing.T) {
	p := project(t)
	known := readmetest.Names(t)
	for _, name := range ours {
		for variable := range p.Services[name].Environment {
			require.Contains(t, known, variable, name)
		}
	}
}

func TestOursHaveNoRightsAndTheTimeThatAStopTakes(t *testing.T) {
	p := project(t)
	for _, name := range ours {
		s := p.Services[name]
		require.True(t, s.ReadOnly, name)
		require.Equal(t, []string{"ALL"}, s.CapDrop, name)
		require.Empty(t, s.CapAdd, name)
		require.Contains(t, s.SecurityOpt, "no-new-privileges:true", name)
		require.NotEmpty(t, s.User, name)
		require.Empty(t, s.Volumes, name)
		if name != "starter" {
			require.Greater(t, time.Duration(*s.StopGracePeriod), stopsWithin, name)
			require.Equal(t, types.RestartPolicyUnlessStopped, s.Restart)
		}
	}
	var mib int64
	_, err := fmt.Sscan(*p.Services["worker"].Environment["WORKER_MEMORY_MIB"], &mib)
	require.NoError(t, err)
	require.GreaterOrEqual(t, int64(p.Services["worker"].MemLimit), mib<<20+600_000_000-400<<20, "integration's test of memory allows 600 MB at 400 MiB")
}

func TestOnlyThisMachineReachesThePorts(t *testing.T) {
	for name, s := range project(t).Services {
		for _, port := range s.Ports {
			host, err := netip.ParseAddr(port.HostIP)
			require.NoError(t, err, "%s: %s is on every address", name, port.Published)
			require.True(t, host.IsLoopback(), name)
		}
	}
}

// What others wait for has to say when it is there, and what it waits for has to exist.
func TestWhatIsWaitedForTellsThatItIsThere(t *testing.T) {
	p := project(t)
	for name, s := range p.Services {
		for on, d := range s.DependsOn {
			other, ok := p.Services[on]
			require.True(t, ok, "%s waits for %s", name, on)
			switch d.Condition {
			case types.ServiceConditionHealthy:
				require.NotNil(t, other.HealthCheck, "%s waits for the health of %s", name, on)
			case types.ServiceConditionCompletedSuccessfully:
				require.Contains(t, other.Restart, "on-failure", "%s waits for the end of %s", name, on)
			default:
				t.Errorf("%s waits for the start of %s only", name, on)
			}
		}
	}
	for _, name := range ours {
		require.Len(t, p.Services[name].DependsOn, 5, name)
	}
}

// Prometheus finds ours by name and port.
func TestPrometheusAsksWhereOursListen(t *testing.T) {
	text, err := os.ReadFile("../prometheus/prometheus.yml")
	require.NoError(t, err)
	for name, port := range map[string]string{"consumer": "9464", "worker": "9465"} {
		require.Equal(t, ":"+port, *project(t).Services[name].Environment["METRICS_ADDR"])
		require.Contains(t, string(text), fmt.Sprintf("{ names: [%s], type: A, port: %s,", name, port))
	}
}

// An image that is not named by its version is another one tomorrow.
func TestEveryImageIsOfAVersion(t *testing.T) {
	for name, s := range project(t).Services {
		_, tag, ok := strings.Cut(s.Image, ":")
		require.True(t, ok, name)
		require.NotEqual(t, "latest", tag, name)
	}
}
