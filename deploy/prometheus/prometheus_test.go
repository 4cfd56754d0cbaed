package prometheus_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// promtool is the path of Prometheus's own tool, which devstack builds once.
var promtool = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "run", ".", "prepare", "-only", "prometheus")
	cmd.Dir, cmd.Stderr = "../../devstack", os.Stderr
	out, err := cmd.Output()
	return string(regexp.MustCompile(`(?m)^promtool +(.*)$`).ReplaceAll(regexp.MustCompile(`(?m)^promtool.*$`).Find(out), []byte("$1"))), err
})

func passes(t *testing.T, args ...string) {
	t.Helper()
	program, err := promtool()
	require.NoError(t, err)
	require.NotEmpty(t, program)
	out, err := exec.Command(program, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestPrometheusTakesTheConfiguration(t *testing.T) {
	passes(t, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
}

func TestEveryAlertFiresWhenItShouldAndOnlyThen(t *testing.T) {
	passes(t, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yml")
	passes(t, "test", "rules", "alerts_test.yml")
}

type rule struct {
	Alert               string
	Expr                string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	var file struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal(text, &file))
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

func TestEveryAlertFiresInATestOfItsOwnName(t *testing.T) {
	text, err := os.ReadFile("alerts_test.yml")
	require.NoError(t, err)
	for _, r := range rules(t) {
		require.Regexp(t, `(labels|expr): .*alertname="`+r.Alert+`"`, string(text))
	}
}

func TestEveryAlertSaysHowBadItIsWhatToRunAndWhereToRead(t *testing.T) {
	const page = "https://github.com/ai-backlog/ingest/blob/main/docs/operations.md#"
	anchors := anchors(t, "../../docs/operations.md")
	command := regexp.MustCompile(`: (starter|curl|SELECT) |log say`)
	for _, r := range rules(t) {
		require.Contains(t, []string{"critical", "warning"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.Regexp(t, command, r.Annotations["description"], r.Alert)
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], page)
		require.True(t, ok, r.Alert)
		require.Contains(t, anchors, anchor, r.Alert)
	}
}

func TestTheSectionOfEveryAlertBeginsWithItsNameAndIsInTheTableOfSymptoms(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	symptoms, _, _ := strings.Cut(string(text), "\n## ")
	for _, r := range rules(t) {
		_, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		require.Contains(t, symptoms, "(#"+anchor+")", r.Alert)
		begins := regexp.MustCompile(`(?im)^## ` + strings.ReplaceAll(anchor, "-", " ") + `\n\n\*\*See\.\*\* The alert .` + r.Alert + `\b`)
		require.True(t, begins.Match(text), "the section %s does not begin with the alert %s", anchor, r.Alert)
	}
}

// anchors are those that GitHub gives to the headings of a page.
func anchors(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}
