// Package batch is the vocabulary of the pipeline: ranges of offsets, the batch
// that is cut from them, and the IDs that name it. Every other package imports
// it; it imports only the standard library.
package batch
