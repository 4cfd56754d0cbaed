// Package planlog plans the batches of one topic. They form a log: batch n of a
// topic ID is the workflow <group>/<topic>/<topic ID>/<n>, and because Temporal
// lets an ID exist once, number n can be won once, by any number of planners.
// Each entry says where the next one starts, so the newest entry is the state.
//
// A [Planner] does one round per Tick: take over if it knows nothing, look
// after the open batches, write the bookmark, append entries. All that it knows
// can be dropped at any moment; a takeover builds it anew from the committed
// offsets and the log. The rules are numbered as in docs/design.md §3.
//
// The package imports only batch: Kafka and Temporal are small interfaces, so
// that the model test drives exactly the code that runs in production, through
// crashes, zombies, lost answers and lost databases. It rests on two things
// that the worker does: every batch looks before it inserts, and no insert
// outlives what Temporal knows of it by more than the quiet time.
//
// What the model shows to be beyond it: Temporal losing an entry that no
// bookmark knows yet, in the moment in which its planner dies (or a terminated
// one, which nobody starts again for all of Temporal's retention); visibility
// that lists nothing for long; an entry deleted by an operator while a start of
// its number, whose answer was lost, is still on its way; rows erased by hand
// while the batch that stored them is open; and a completed batch, whose rows
// were erased, reset by an operator instead of being replayed.
package planlog
