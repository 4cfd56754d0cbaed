//go:build unix

// Package stack runs the real parts of the ingest as child processes: a ClickHouse, a Temporal, and a stand-in for Kafka, or Apache
// Kafka, of one broker or several.
//
// What it promises:
//   - A Server that was started answers its own protocol before Start returns; nothing is guessed by waiting.
//   - A child never outlives its parent, even one that was killed by SIGKILL: its standard input is a pipe from the parent,
//     and on Linux the kernel kills it as well (which also gets a frozen child).
//   - A Server keeps its ports and its data over Kill, Stop and Start, so that a test may pull any part from under the rest.
//   - Ports are chosen below 32768, where no outgoing connection takes them in between, and are held against other
//     processes that use this package until this process ends.
//
// It imports neither Temporal's server nor kfake: Prepare builds those programs out of this module's sources, once, into
// the user's cache. Apache Kafka is fetched by mvn, and runs on the machine's Java. A Prometheus is there for who asks for one: it
// is no part of a Stack.
package stack
