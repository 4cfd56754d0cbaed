package settings

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheVersionIsTheLinkersElseTheModules(t *testing.T) {
	info := func(module string, kv ...string) *debug.BuildInfo {
		b := &debug.BuildInfo{Main: debug.Module{Version: module}}
		for i := 0; i < len(kv); i += 2 {
			b.Settings = append(b.Settings, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return b
	}
	for name, c := range map[string]struct {
		linked          string
		built           *debug.BuildInfo
		release, commit string
	}{
		"a release":               {"v1.2.3", info("(devel)", "vcs.revision", "0123456789abcdef", "vcs.modified", "false"), "v1.2.3", "0123456789ab"},
		"go install":              {"", info("v1.2.3"), "v1.2.3", "unknown"},
		"a checkout with changes": {"", info("(devel)", "vcs.modified", "true", "vcs.revision", "0123456789abcdef"), "devel", "0123456789ab-dirty"},
		"no repository":           {"", info(""), "devel", "unknown"},
	} {
		release, commit := versionOf(c.linked, c.built)
		require.Equal(t, [2]string{c.release, c.commit}, [2]string{release, commit}, name)
	}
}
