package settings

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// What the linker sets where the Go tool cannot know it, as in an image, which has no repository:
// -ldflags "-X github.com/ai-backlog/ingest/settings.version=1.2.3 -X github.com/ai-backlog/ingest/settings.commit=0123abc".
var version, commit string

// Version is the build's: what the linker was told, else what the Go tool recorded. The commit is empty where neither knows it.
func Version() (v, c string) {
	v, c = "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		v = cmp.Or(info.Main.Version, v)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				c = s.Value
			}
		}
	}
	return cmp.Or(version, v), cmp.Or(commit, c)
}

// AsksVersion tells whether a program that takes no arguments was asked which one it is.
func AsksVersion(args []string) bool { return len(args) == 1 && args[0] == "--version" }

// VersionLine is what --version prints of the program.
func VersionLine(program string) string {
	v, c := Version()
	line := program + " " + v
	if c != "" {
		line += ", commit " + c
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		line += ", " + info.GoVersion
	}
	return fmt.Sprintln(line)
}
