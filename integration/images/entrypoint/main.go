// Command entrypoint is the first process of the images that are built here. It takes the environment and arguments of the official
// image that it stands for, and becomes the server. Its first argument, from the image, says which.
package main

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "entrypoint:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("want clickhouse, kafka or temporal")
	}
	switch server, args := args[0], args[1:]; server {
	case "clickhouse":
		return clickHouse()
	case "kafka":
		return kafka(args)
	case "temporal":
		return temporal(args)
	default:
		return fmt.Errorf("there is no server %q", server)
	}
}

// become is the program from here on: same process, so that signals reach it.
func become(program string, args ...string) error {
	if err := syscall.Exec(program, append([]string{program}, args...), os.Environ()); err != nil { //nolint:gosec // a program of the image
		return fmt.Errorf("become %s: %w", program, err)
	}
	return nil
}

// holdStdin gives this process, and what it becomes, a standard input that never ends: devstack's servers take its end for that of
// their parent.
func holdStdin() error {
	var ends [2]int
	if err := unix.Pipe(ends[:]); err != nil {
		return fmt.Errorf("hold standard input: %w", err)
	}
	if err := unix.Dup2(ends[0], 0); err != nil {
		return fmt.Errorf("hold standard input: %w", err)
	}
	return nil // the other end stays open, also over an exec
}
