package settings

import (
	"cmp"
	"runtime/debug"
)

// version, and commit where there is no repository to tell it, are set when a release is built:
// -ldflags "-X github.com/ai-backlog/ingest/settings.version=v1.2.3 -X github.com/ai-backlog/ingest/settings.commit=0123456789ab".
var version, commit string

// Version is the release and the commit that the program was built from, as its linker and the Go tool noted them: "devel" and
// "unknown" where they did not. A commit whose tree had changes ends in "-dirty".
func Version() (release, revision string) {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "devel"), cmp.Or(commit, "unknown")
	}
	release, recorded := versionOf(version, b)
	return release, cmp.Or(commit, recorded)
}

func versionOf(linked string, b *debug.BuildInfo) (release, commit string) {
	dirty := ""
	for _, s := range b.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		dirty = ""
	}
	module := b.Main.Version
	if module == "(devel)" {
		module = ""
	}
	return cmp.Or(linked, module, "devel"), cmp.Or(commit, "unknown") + dirty
}
