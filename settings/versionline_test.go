package settings

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLinkersWordOnTheVersionCounts(t *testing.T) {
	v, _ := Version()
	require.NotEmpty(t, v)
	defer func() { version, commit = "", "" }()
	version, commit = "1.2.3", "0123abc"
	require.Equal(t, "worker 1.2.3, commit 0123abc, "+runtime.Version()+"\n", VersionLine("worker"))
}

func TestOnlyTheOneArgumentAsksForTheVersion(t *testing.T) {
	require.True(t, AsksVersion([]string{"--version"}))
	for _, args := range [][]string{nil, {"-version"}, {"version"}, {"--version", "x"}} {
		require.False(t, AsksVersion(args), args)
	}
}
