//go:build !linux

package rig

import "syscall"

// dieWithParent: other systems cannot; Close ends the children.
func dieWithParent() *syscall.SysProcAttr { return nil }
