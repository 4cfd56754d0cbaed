// Package schema is the tables as SQL files, how they are applied, and what an
// installation may have that breaks the promise.
package schema
