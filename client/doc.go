// Package client stores the logs, metrics and events of AI agents.
package client
