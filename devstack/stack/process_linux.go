package stack

import "syscall"

// attributes puts the child in a group of its own, so that ctrl-C reaches the parent alone, which then stops its children in
// order; and has the kernel kill it when the thread that started it is gone, which gets even a frozen child.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
