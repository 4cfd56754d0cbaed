//go:build unix && !linux

package stack

import "syscall"

// attributes puts the child in a group of its own, so that ctrl-C reaches the parent alone, which then stops its children in
// order. A child that is frozen when its parent is killed stays until it is thawed: only Linux can kill it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
