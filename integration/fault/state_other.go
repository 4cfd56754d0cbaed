//go:build !linux

package fault

import (
	"os/exec"
	"strconv"
	"strings"
)

// state is the letter that ps gives to what a process does, or 0 if there is none.
func state(pid int) byte {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec,noctx // a number; it answers at once
	if s := strings.TrimSpace(string(out)); err == nil && s != "" {
		return s[0]
	}
	return 0
}
