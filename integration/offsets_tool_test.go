package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/ai-backlog/ingest/devstack/stack"
	"github.com/ai-backlog/ingest/integration/load"
	"github.com/ai-backlog/ingest/integration/rig"
)

// Kafka's own tool moves the group's offsets while no consumer runs: to the beginning, for one partition back, and forwards. All from
// there on is present once; what was skipped forwards is nowhere, until a replay brings it.
func TestOffsetsThatKafkasOwnToolResets(t *testing.T) {
	s := newApache(t)
	for p := range int32(4) {
		s.sendTo(p, 300, 5)
	}
	s.exact()
	reset := func(args ...string) {
		s.consumer.Kill()
		s.until("the group is empty", func() bool { // the tool refuses while a member is up
			groups, err := kadm.NewClient(s.Client).DescribeGroups(s.ctx, rig.Group)
			return err == nil && groups[rig.Group].State == "Empty"
		})
		s.tool(append([]string{"--group", rig.Group, "--reset-offsets", "--execute"}, args...)...)
		require.NoError(t, s.consumer.Restart())
	}
	reset("--topic", load.Logs, "--to-earliest")
	s.sendTo(0, 100, 0)
	s.exact()
	reset("--topic", load.Logs+":1", "--to-offset", "17")
	s.sendTo(1, 100, 0)
	s.exact()
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	s.clean(load.Logs)

	s.consumer.Kill()
	s.sendTo(2, 200, 0)
	s.sent.Good.Add(-200)
	reset("--topic", load.Logs+":2", "--to-latest")
	s.sendTo(2, 50, 0)
	s.exact()
	require.NoError(t, s.Marked(s.ctx, load.Logs))
	require.EqualValues(t, 200, s.audit(1).Gaps.Offsets)
	s.sent.Good.Add(200)
	s.starter("replay", "--topic", load.Logs, "--all")
	s.exact()
	s.clean(load.Logs)
}

// tools is what has Kafka's own tools, which the broker runs without.
const tools = `<project><modelVersion>4.0.0</modelVersion><groupId>ai-backlog</groupId><artifactId>tools</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>4.3.1</version></dependency></dependencies></project>`

// tool runs kafka-consumer-groups.sh, as it is without its script.
func (s *scene) tool(args ...string) {
	s.t.Helper()
	bin, err := stack.Prepare(s.ctx, os.Stderr, stack.ApacheKafkaName)
	require.NoError(s.t, err)
	if s.jars == "" {
		s.jars = s.t.TempDir()
		require.NoError(s.t, os.WriteFile(filepath.Join(s.jars, "pom.xml"), []byte(tools), 0o600))
		get := exec.CommandContext(s.ctx, "mvn", "-B", "-q", "-C", "-f", filepath.Join(s.jars, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+s.jars) //nolint:gosec // a constant goal
		out, err := get.CombinedOutput()
		require.NoError(s.t, err, "%s", out)
	}
	all := append([]string{"-XX:TieredStopAtLevel=1", "-cp", filepath.Join(s.jars, "*"), "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", strings.Join(s.Seeds(), ",")}, args...)
	out, err := exec.CommandContext(s.ctx, bin.Java, all...).CombinedOutput() //nolint:gosec // Java, as the broker's
	require.NoError(s.t, err, "%s", out)
	require.NotContains(s.t, string(out), "Error", "%s", out)
	require.Contains(s.t, string(out), "NEW-OFFSET", "%s", out)
}
