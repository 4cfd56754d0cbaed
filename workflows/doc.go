// Package workflows decides what should happen to a batch. It does no I/O: it
// says in which order activities run and what their answers mean.
package workflows
