package settings

import (
	"fmt"
	"runtime"
)

// AsksVersion tells whether a program that takes no other arguments was asked which one it is.
func AsksVersion(args []string) bool { return len(args) == 1 && args[0] == "--version" }

// VersionLine is what --version prints of the program.
func VersionLine(program string) string {
	release, commit := Version()
	return fmt.Sprintf("%s %s, commit %s, %s\n", program, release, commit, runtime.Version())
}
