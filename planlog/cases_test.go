package planlog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

func TestAPartitionThatIsAddedStartsAtZero(t *testing.T) {
	for _, latest := range []bool{false, true} {
		scenario(t, opts{latest: latest}, func(l lab) {
			p := l.procs[0]
			l.rounds(p, 1)
			l.produce(0, 5)
			l.rounds(p, 5)
			l.logs[2] = Log{End: 3}
			l.rounds(p, 5)
			require.Equal(t, batch.Ranges{rng(2, 0, 2)}, l.entry(2).Ranges)
		})
	}
}

func TestATopicThatIsCreatedAgainHasItsOwnLog(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 5)
		l.rounds(p, 5)
		l.finish()
		l.rounds(p, 2)
		old := l.topic
		l.topic, l.topics = topicID(1), 2
		l.logs[0] = Log{End: 3} // the bookmark of the old topic comes back by a late commit, and is ignored
		l.rounds(p, 1)
		require.ErrorIs(t, p.err, errRecreated)
		l.rounds(p, 4)
		l.finish()
		require.Equal(t, batch.Ranges{rng(0, 0, 2)}, l.entry(0).Ranges)
		for off := range int64(3) {
			require.Equal(t, 1, l.stored[key{old, 0, off}])
			require.Equal(t, 1, l.stored[key{l.topic, 0, off}])
		}
	})
}

// The first answers come from a leader that still has the old log of that name.
func TestATopicThatIsCreatedAgainBeginsWhereItDoesAfterASecondLook(t *testing.T) {
	for _, bookmark := range []bool{true, false} { // the broker drops it with the topic
		again := func(l lab) *proc {
			p := l.procs[0]
			l.logs[0] = Log{First: 40, End: 40}
			l.rounds(p, 3)
			l.finish()
			l.rounds(p, 2)
			l.topic, l.topics, l.excused = topicID(1), 2, map[key]bool{}
			if !bookmark {
				clear(l.commits)
			}
			l.rounds(p, 3)
			require.ErrorContains(l.t, p.err, "created again and begins above 0")
			return p
		}
		t.Run(fmt.Sprintf("which is lower, bookmark %v", bookmark), func(t *testing.T) {
			scenario(t, opts{}, func(l lab) {
				p := again(l)
				l.logs[0] = Log{End: 60} // after a second of traffic
				l.rounds(p, 10)
				require.EqualValues(t, 0, l.entry(0).Ranges[0].First)
			})
		})
		t.Run(fmt.Sprintf("which agrees, bookmark %v", bookmark), func(t *testing.T) {
			scenario(t, opts{}, func(l lab) {
				p := again(l)
				l.logs[0] = Log{First: 45, End: 60} // its retention is short
				l.rounds(p, quietTime)
				require.Error(t, p.err)
				require.Equal(t, 0, l.entries())
				l.rounds(p, 10)
				require.Equal(t, batch.Ranges{rng(0, 0, 44)}, l.entry(0).Opened)
			})
		})
	}
}

func TestRetentionPassesAnUnreadOffset(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.rounds(p, 1)
		l.logs[0] = Log{First: 4, End: 9}
		l.rounds(p, 3)
		require.Equal(t, batch.Ranges{rng(0, 0, 3)}, l.entry(1).Lost)
		require.Equal(t, batch.Ranges{rng(0, 4, 8)}, l.entry(1).Ranges)
		l.logs[0] = Log{First: 12, End: 12} // all that was there: an entry without ranges says so
		l.rounds(p, 3)
		require.Equal(t, batch.Ranges{rng(0, 9, 11)}, l.entry(2).Lost)
		require.Empty(t, l.entry(2).Ranges)
		l.finish()
		l.rounds(p, 2)
		require.EqualValues(t, 12, l.commits[0].Offset)
		require.Len(t, l.lost, 12, "4 to 8 were planned, and gone when their batch was read")
	})
}

func TestTruncationStopsTheTopic(t *testing.T) {
	plan := func(l lab, epoch int32) *proc {
		p := l.procs[0]
		l.rounds(p, 1)
		l.logs[0] = Log{End: 10, Epoch: epoch}
		l.rounds(p, 5)
		l.finish()
		l.rounds(p, 2)
		require.EqualValues(l.t, 10, l.commits[0].Offset)
		return p
	}
	stops := func(l lab, p *proc) {
		entries, commits := l.entries(), fmt.Sprint(l.commits)
		l.rounds(p, 20)
		require.ErrorIs(t, p.err, ErrTruncated)
		require.ErrorContains(t, p.err, "docs/operations.md")
		l.produce(0, 25) // past the position: a stop does not end by itself
		l.produce(1, 5)
		l.rounds(p, 20)
		require.ErrorIs(t, p.err, ErrTruncated)
		require.Equal(t, entries, l.entries(), "planned")
		require.Equal(t, commits, fmt.Sprint(l.commits), "committed")
		l.moveOffset(0, l.logs[0].End) // what resume does
		l.rounds(p, 10)
		require.NoError(t, p.err)
	}
	t.Run("a new leader ends below", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0], l.epochEnd[0] = Log{End: 6, Epoch: 4}, map[int32]int64{3: 6}
			stops(l, p)
		})
	})
	t.Run("new records have taken the offsets", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0], l.epochEnd[0] = Log{End: 30, Epoch: 4}, map[int32]int64{3: 6}
			stops(l, p)
		})
	})
	t.Run("the new leader answers late", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0] = Log{End: 30, Epoch: 4} // 6 to 9 are other records
			l.rounds(p, quietTime-2)
			require.Error(t, p.err)
			require.NotErrorIs(t, p.err, ErrTruncated)
			l.epochEnd[0] = map[int32]int64{3: 6}
			stops(l, p)
		})
	})
	t.Run("a new leader that never knows: believed when that lasts", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0] = Log{End: 6, Epoch: 4} // stale
			l.rounds(p, quietTime-2)
			l.logs[0] = Log{End: 12, Epoch: 4}
			l.rounds(p, quietTime-2)
			require.Error(t, p.err)
			require.NotErrorIs(t, p.err, ErrTruncated)
			require.Equal(t, 2, l.entries())
			l.rounds(p, 5)
			require.NoError(t, p.err)
			require.EqualValues(t, 4, p.pl.st.next[0].Epoch)
		})
	})
	t.Run("while positions wait to be planned again", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0] = Log{End: 14, Epoch: 3}
			l.rounds(p, 5)
			l.logs[0] = Log{End: 20, Epoch: 3}
			l.rounds(p, 5)
			require.Equal(t, batch.Ranges{rng(0, 14, 19)}, l.entry(3).Ranges)
			l.finish(3)
			l.rounds(p, 2)
			l.remove(l.id(2), "deleted")
			l.rounds(p, 2) // 10 to 13 again, after the quiet time
			l.logs[0], l.epochEnd[0] = Log{End: 30, Epoch: 4}, map[int32]int64{3: 16}
			stops(l, p)
		})
	})
	t.Run("of two partitions, one decision does not lift the other's stop", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			l.logs[1] = Log{End: 5, Epoch: -1}
			p := plan(l, -1)
			l.logs[0], l.logs[1] = Log{End: 6, Epoch: -1}, Log{End: 2, Epoch: -1}
			l.rounds(p, quietTime+10)
			require.ErrorContains(t, p.err, "partition 0")
			l.produce(1, 10)
			l.moveOffset(0, 6)
			l.rounds(p, 10)
			require.ErrorIs(t, p.err, ErrTruncated)
			require.ErrorContains(t, p.err, "partition 1")
			l.moveOffset(1, 12)
			l.rounds(p, 10)
			require.NoError(t, p.err)
		})
	})
	t.Run("a topic that is created again begins anew", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, -1)
			l.logs[0] = Log{End: 6, Epoch: -1}
			l.rounds(p, quietTime+10)
			require.ErrorIs(t, p.err, ErrTruncated)
			l.topic, l.topics = topicID(1), 2
			l.rounds(p, 10)
			require.NoError(t, p.err)
			require.Equal(t, batch.Ranges{rng(0, 0, 5)}, l.entry(0).Ranges)
		})
	})
	t.Run("a decision holds though an open batch ends above the log", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0] = Log{End: 14, Epoch: 3}
			l.rounds(p, 5)
			require.Equal(t, batch.Ranges{rng(0, 10, 13)}, l.entry(2).Ranges)
			l.logs[0], l.epochEnd[0] = Log{End: 12, Epoch: 4}, map[int32]int64{3: 12}
			l.rounds(p, 10)
			require.ErrorIs(t, p.err, ErrTruncated)
			l.moveOffset(0, 12)
			for range 2 * quietTime {
				l.produce(1, 1)
				l.rounds(p, 1)
			}
			require.NoError(t, p.err)
		})
	})
	t.Run("an operator decides to go back", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0], l.epochEnd[0] = Log{End: 6, Epoch: 4}, map[int32]int64{3: 6}
			l.rounds(p, 10)
			require.ErrorIs(t, p.err, ErrTruncated)
			l.moveOffset(0, 2)
			l.rounds(p, 10)
			require.NoError(t, p.err)
			require.Equal(t, batch.Ranges{rng(0, 2, 5)}, l.entry(2).Ranges)
		})
	})
	t.Run("a new leader that has it all", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0], l.epochEnd[0] = Log{End: 12, Epoch: 4}, map[int32]int64{3: 10}
			l.rounds(p, 5)
			require.NoError(t, p.err)
			require.EqualValues(t, 4, p.pl.st.next[0].Epoch)
		})
	})
	t.Run("of what an entry planned whose start was not answered", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0] = Log{End: 20, Epoch: 3}
			l.until(p, "start")
			p.step(unanswered)                 // 10 to 19
			l.logs[0] = Log{End: 30, Epoch: 4} // above what this planner knows, others are from 15 on
			l.epochEnd[0] = map[int32]int64{3: 15}
			l.rounds(p, 3)
			require.Equal(t, 3, l.entries())
			stops(l, p)
		})
	})
	t.Run("a stale answer of an old leader", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, 3)
			l.logs[0] = Log{End: 6, Epoch: 2}
			l.rounds(p, 2*quietTime)
			require.NoError(t, p.err)
			l.logs[0] = Log{End: 10, Epoch: 3}
		})
	})
	t.Run("epochs are unknown: an end below is believed when it lasts", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p := plan(l, -1)
			l.logs[0] = Log{End: 6, Epoch: -1}
			l.rounds(p, quietTime-2)
			require.NotErrorIs(t, p.err, ErrTruncated)
			l.logs[0] = Log{End: 10, Epoch: -1}
			l.rounds(p, 1)
			require.NoError(t, p.err)
			l.logs[0] = Log{End: 6, Epoch: -1}
			l.rounds(p, quietTime-2)
			require.NotErrorIs(t, p.err, ErrTruncated)
			l.rounds(p, 2)
			stops(l, p)
		})
	})
}

func TestGapsAreOffsetsLikeAllOthers(t *testing.T) {
	scenario(t, opts{}, func(l lab) { // the reader's position passes them; the planner plans offsets
		p := l.procs[0]
		l.rounds(p, 1)
		l.produce(0, 10)
		l.rounds(p, 3)
		r := l.runs[l.id(1)]
		l.finish()
		r.outcome = batch.Outcome{Offsets: 10, Stored: 2, Holes: 8, Bytes: 2 << 20}
		l.rounds(p, 2)
		require.EqualValues(t, 10, l.commits[0].Offset)
		require.EqualValues(t, 1, p.pl.limit(firstBatches), "a record of these is 1 MiB")
	})
}

// Two batches, one of them lost answers, a takeover; with a crash, or a
// revocation, after each call of the first planner in turn.
func TestACrashBetweenAnyTwoSteps(t *testing.T) {
	for how := answered; how <= delayed; how++ {
		for i := range 60 {
			scenario(t, opts{}, func(l lab) {
				p := l.procs[0]
				for j := range i {
					if p.pending.name == "sleep" {
						l.now++
						l.produce(int32(j%2), 3)
					}
					p.step(answered)
					if j%7 == 0 {
						l.finish()
					}
				}
				if how == answered { // a rebalance
					p.gen, p.stop = -1, true
					l.rounds(l.takeover(), 3)
					return
				}
				l.crash(p, how)
				q := l.takeover()
				l.rounds(q, 2)
				for _, f := range l.late {
					f()
				}
				l.late = nil
				l.rounds(q, 2)
			})
		}
	}
}

func TestTwoPlannersAtOnceExtendOneLog(t *testing.T) {
	for turn := 1; turn < 9; turn++ {
		scenario(t, opts{noLease: true}, func(l lab) {
			p, q := l.procs[0], l.zombie()
			for i := range 400 {
				if i%5 == 0 {
					l.now++
				}
				if i%20 == 0 {
					l.produce(int32(i/20%2), 4)
				}
				if i%turn < (turn+1)/2 {
					p.step(answered)
				} else {
					q.step(answered)
				}
				if i%50 == 0 {
					l.finish()
				}
			}
			require.Greater(t, l.entries(), 5)
			owners := map[key]int64{} // every offset has exactly one owner
			for _, r := range l.runs {
				for _, rs := range r.e.Ranges {
					for off := rs.First; off <= rs.Last; off++ {
						k := key{l.topic, rs.Partition, off}
						n, ok := owners[k]
						require.False(t, ok, "%v is in %d and %d", k, n, r.e.Number)
						owners[k] = r.e.Number
					}
				}
			}
		})
	}
}

func TestLostAnswers(t *testing.T) {
	for _, how := range []int{unanswered, dropped, delayed} {
		t.Run(fmt.Sprintf("to start %d", how), func(t *testing.T) {
			scenario(t, opts{}, func(l lab) {
				p := l.procs[0]
				l.rounds(p, 1)
				l.produce(0, 5)
				l.until(p, "start")
				p.step(how)
				l.produce(0, 3) // proposed again, it is another entry
				l.rounds(p, 1)
				for _, f := range l.late {
					f()
				}
				l.late = nil
				l.rounds(p, 4)
				require.Equal(t, rng(0, 0, 0).First, l.entry(1).Ranges[0].First)
				var n int64
				for i := range l.entries() {
					n += l.entry(int64(i)).Ranges.Len()
				}
				require.EqualValues(t, 8, n, "every offset has one owner")
			})
		})
		t.Run(fmt.Sprintf("to commit %d", how), func(t *testing.T) {
			scenario(t, opts{}, func(l lab) {
				p := l.procs[0]
				l.produce(0, 5)
				l.rounds(p, 3)
				l.finish()
				l.until(p, "commit")
				p.step(how)
				l.rounds(p, 2)
				require.EqualValues(t, 5, l.commits[0].Offset)
			})
		})
	}
}

func TestAStaleBookmarkIsOnlyAHint(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 5)
		l.until(p, "commit")
		p.step(delayed)
		for range 4 {
			l.produce(0, 5)
			l.rounds(p, 3)
			l.finish()
		}
		l.rounds(p, 2)
		require.EqualValues(t, 25, l.commits[0].Offset)
		l.late[0]()
		require.EqualValues(t, 0, l.commits[0].Offset)
		l.crash(p, dropped)
		entries := l.entries()
		l.rounds(l.takeover(), 3)
		require.EqualValues(t, 25, l.commits[0].Offset)
		require.Equal(t, entries, l.entries(), "nothing is planned again")
	})
}

func TestABatchThatIsEndedFromOutside(t *testing.T) {
	batchOf := func(l lab) (*proc, batch.Batch) {
		p := l.procs[0]
		l.rounds(p, 1)
		l.produce(0, 5)
		l.rounds(p, 3)
		b := l.entry(1)
		l.work(l.runs[b.ID()], answered) // the look, so that its activity may outlive it
		return p, b
	}
	t.Run("terminated or cancelled: again after the quiet time", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p, b := batchOf(l)
			l.terminate(b.ID())
			l.rounds(p, quietTime)
			require.Equal(t, Failed, l.runs[b.ID()].status, "within the quiet time")
			l.rounds(p, 2)
			require.Equal(t, Running, l.runs[b.ID()].status)
			again := l.entry(1)
			require.True(t, again.Again, "what the run before has sent may be on its way")
			require.Equal(t, b.Checksum(), again.Checksum())
			again.Again = false
			require.Equal(t, b, again, "but for that the same input")
		})
	})
	t.Run("terminated while its activity goes on", func(t *testing.T) { scenario(t, opts{}, restartedEarly) })
	t.Run("reset: the new run is followed", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p, b := batchOf(l)
			l.reset(b.ID())
			l.rounds(p, quietTime+2)
			require.EqualValues(t, 0, l.commits[0].Offset)
			l.finish()
			l.rounds(p, 2)
			require.EqualValues(t, 5, l.commits[0].Offset)
			require.Equal(t, 2, l.entries())
		})
	})
	t.Run("deleted: planned again after the quiet time", func(t *testing.T) {
		scenario(t, opts{}, func(l lab) {
			p, b := batchOf(l)
			l.remove(b.ID(), "deleted")
			l.rounds(p, quietTime)
			require.Equal(t, 1, l.entries(), "within the quiet time")
			l.rounds(p, 2)
			require.Equal(t, b.Ranges, l.entry(2).Ranges)
		})
	})
}

// An activity in its second turn goes on after its workflow was terminated.
func restartedEarly(l lab) {
	p := l.procs[0]
	l.rounds(p, 1)
	l.finish()
	l.produce(0, 4)
	l.rounds(p, 3)
	r := l.runs[l.id(1)]
	l.work(r, answered)
	l.work(r, dropped)
	l.now += lookFor + 1
	l.work(r, answered) // the look has expired: the next turn
	l.now += quietTime
	l.work(r, answered)
	require.Equal(l.t, 1, r.att.turn)
	l.terminate(l.id(1))
	l.rounds(p, 2)
	l.work(l.runs[l.id(1)], answered) // looks, if it runs again
	for range heartbeat {
		l.expire()
		for _, a := range l.orphans {
			l.insert(a, answered)
		}
		l.now++
	}
	l.finish()
}

// At a takeover a broker that is behind does not list the newest partition, of
// which an entry has vanished.
func unlisted(l lab) {
	p := l.procs[0]
	l.logs[2] = Log{}
	l.rounds(p, 2)
	l.finish()
	l.logs[2] = Log{End: 5}
	l.rounds(p, 4)
	require.Equal(l.t, batch.Ranges{rng(2, 0, 4)}, l.entry(1).Ranges)
	l.produce(0, 5)
	l.rounds(p, 4)
	require.Equal(l.t, batch.Ranges{rng(0, 0, 4)}, l.entry(2).Ranges)
	l.crash(p, dropped)
	l.remove(l.id(1), "lost")
	log := l.logs[2]
	delete(l.logs, 2)
	q := l.takeover()
	l.rounds(q, quietTime+2)
	l.logs[2] = log
	l.finish()
	l.rounds(q, 5)
}

func TestAVanishedEntryOfAPartitionThatABrokerDoesNotList(t *testing.T) {
	scenario(t, opts{}, unlisted)
}

func TestTemporalsDatabaseIsLost(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		for range 3 {
			l.produce(0, 5)
			l.rounds(p, 3)
			l.finish()
		}
		l.produce(0, 5)
		l.rounds(p, 4) // open, and in the bookmark
		l.work(l.runs[l.id(3)], answered)
		l.wipe()
		l.crash(p, dropped)
		q := l.takeover()
		l.rounds(q, quietTime)
		require.Zero(t, l.entries(), "within the quiet time")
		l.rounds(q, 3)
		require.Equal(t, rng(0, 15, 19), l.entry(4).Ranges[0], "numbers go on behind the bookmark")
	})
}

func TestTemporalIsAwayForAnHour(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 5)
		l.rounds(p, 3)
		l.away = true
		for range 60 {
			l.produce(0, 2)
			l.rounds(p, 1)
			require.ErrorIs(t, p.err, errNet)
			l.now += 60
		}
		require.Equal(t, 1, l.entries())
		l.away = false
		l.rounds(p, 8)
		require.NoError(t, p.err)
		require.Len(t, p.pl.st.open, window, "the window bounds what is caught up at once")
	})
}

func TestOffsetsAreReset(t *testing.T) {
	for _, running := range []bool{false, true} {
		begin := func(l lab) {
			p := l.procs[0]
			for range 2 {
				l.produce(0, 5)
				l.produce(1, 5)
				l.rounds(p, 3)
			}
			if !running {
				l.finish()
				l.rounds(p, 2)
			}
			l.assign(-1, false)
			l.now += quietTime + 1
		}
		t.Run(fmt.Sprintf("forwards, batches running %v", running), func(t *testing.T) {
			scenario(t, opts{}, func(l lab) {
				begin(l)
				l.produce(0, 10)
				l.moveOffset(0, 15)
				l.moveOffset(1, 10)
				l.rounds(l.takeover(), 2)
				require.Equal(t, batch.Ranges{rng(0, 15, 19)}, l.entry(2).Ranges)
			})
		})
		t.Run(fmt.Sprintf("backwards, batches running %v", running), func(t *testing.T) {
			scenario(t, opts{}, func(l lab) {
				begin(l)
				if !running {
					l.eraseRows(0, 3, 9)
				}
				l.moveOffset(0, 3)
				l.moveOffset(1, 2)
				l.rounds(l.takeover(), 2)
				if running { // what is open has an owner
					require.Empty(t, l.entry(2).Ranges)
					require.EqualValues(t, 10, l.entry(2).Next[0].Offset)
				} else {
					require.Equal(t, batch.Ranges{rng(0, 3, 7), rng(1, 2, 6)}, l.entry(2).Ranges)
				}
			})
		})
		t.Run(fmt.Sprintf("of one partition, batches running %v", running), func(t *testing.T) {
			scenario(t, opts{}, func(l lab) {
				begin(l)
				l.moveOffset(1, 0)
				l.rounds(l.takeover(), 2)
				require.EqualValues(t, 10, l.entry(2).Next[0].Offset, "the other one stays")
			})
		})
	}
}

// A round hangs, while an operator resets the empty group, and goes on to its
// commit.
func resetMeanwhile(l lab) {
	p := l.procs[0]
	l.produce(0, 10)
	l.rounds(p, 4)
	l.finish()
	l.until(p, "poll")
	l.assign(-1, false)
	l.now += quietTime + 1
	l.eraseRows(0, 3, 9)
	l.moveOffset(0, 3)
	l.assign(p.id, false)
	l.rounds(p, 4)
}

func TestAResetOutlivesARoundThatHung(t *testing.T) { scenario(t, opts{}, resetMeanwhile) }

func TestOpening(t *testing.T) {
	first := func(opt opts, commits map[int32]Commit) (b batch.Batch) {
		scenario(t, opt, func(l lab) {
			l.logs[0], l.logs[1] = Log{First: 4, End: 6}, Log{End: 3}
			for part, c := range commits {
				l.moveOffset(part, c.Offset)
			}
			if opt.latest {
				l.excused = map[key]bool{}
			}
			l.rounds(l.procs[0], 2)
			b = l.entry(0)
		})
		return b
	}
	t.Run("at the log start: nothing before was ever ours", func(t *testing.T) {
		b := first(opts{}, nil)
		require.Equal(t, batch.Ranges{rng(0, 0, 3)}, b.Opened)
		require.Equal(t, batch.Ranges{rng(0, 4, 5), rng(1, 0, 2)}, b.Ranges)
		require.Empty(t, b.Lost)
	})
	t.Run("at the end, by the reset policy", func(t *testing.T) {
		b := first(opts{latest: true}, nil)
		require.Equal(t, batch.Ranges{rng(0, 0, 5), rng(1, 0, 2)}, b.Opened)
		require.Empty(t, b.Ranges)
	})
	t.Run("where another consumer of the group has been", func(t *testing.T) {
		b := first(opts{}, map[int32]Commit{0: {Offset: 5}, 1: {Offset: 1}})
		require.Equal(t, batch.Ranges{rng(0, 0, 4), rng(1, 0, 0)}, b.Opened)
		require.Equal(t, batch.Ranges{rng(0, 5, 5), rng(1, 1, 2)}, b.Ranges)
	})
}

func TestReplaysAreAppendedBelowTheLowWatermark(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 8)
		l.rounds(p, 3)
		l.finish()
		l.rounds(p, 2)
		l.produce(0, 4)
		l.rounds(p, 3) // 8 to 11 are open
		l.erase(0, 2, 9)
		l.rounds(p, quietTime-1)
		require.Equal(t, 2, l.entries(), "not before the quiet time")
		l.rounds(p, 7)
		b := l.entry(2)
		require.True(t, b.Replay)
		require.Equal(t, batch.Ranges{rng(0, 2, 7)}, b.Ranges, "below the low watermark")
		require.Equal(t, l.entry(1).Next, b.Next)
		require.EqualValues(t, 8, p.pl.State().Low[0], "replays do not count in it")
		l.rounds(p, 20)
		require.Equal(t, 3, l.entries(), "asked once, appended once")
		l.finish()
		l.rounds(p, 7)
		require.Equal(t, batch.Ranges{rng(0, 8, 9)}, l.entry(3).Ranges, "the rest when it is below")
		l.finish()
		require.Empty(t, l.rest(l.requests[0]))
	})
}

// The planner has forgotten the entry, and its request had not looked yet: nobody else remembers that the ranges are to be planned again.
func TestAReplayThatVanishedAfterItCompletedIsPlannedAgain(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 8)
		l.rounds(p, 3)
		l.finish()
		l.rounds(p, 2)
		l.request(0, 2, 5, 0)
		for l.entries() < 2 {
			l.rounds(p, 1)
		}
		l.finish()
		l.rounds(p, 2)
		require.Equal(t, 0, p.pl.State().Open)
		l.remove(l.id(1), "deleted")
		l.rounds(p, 7)
		require.Equal(t, batch.Ranges{rng(0, 2, 5)}, l.entry(2).Ranges)
		l.finish()
		require.Empty(t, l.rest(l.requests[0]))
	})
}

func TestARequestIsToldByTheNextPlannerWhenTheOneThatAppendedDied(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 8)
		l.rounds(p, 3)
		l.finish()
		l.rounds(p, 2)
		l.request(0, 2, 5, 0)
		l.until(p, "start")
		p.step(answered)
		l.crash(p, dropped)
		require.Equal(t, batch.Ranges{rng(0, 2, 5)}, l.entry(1).Ranges)
		require.Len(t, l.rest(l.requests[0]), 1, "it was not told")
		l.rounds(l.takeover(), 2)
		require.Empty(t, l.rest(l.requests[0]))
		require.Equal(t, 2, l.entries())
	})
}

// A takeover reads no entry that had completed before the bookmark, but the newest.
func TestABookmarkPassesOverNoEntryThatItsRequestWasNotToldOf(t *testing.T) {
	for name, tries := range map[string]int{"the planner dies before it tells": 0, "it tries in vain before": 3} {
		t.Run(name, func(t *testing.T) {
			scenario(t, opts{wide: true}, func(l lab) {
				p := l.procs[0]
				l.produce(0, 30)
				l.rounds(p, 3)
				l.finish()
				l.rounds(p, 2)
				before := l.entries()
				l.request(0, 0, 29, 0)
				for range 2 {
					l.until(p, "start")
					p.step(answered)
				}
				l.finish() // before the request hears of them
				for range tries {
					l.until(p, "answer")
					p.step(dropped)
				}
				l.until(p, "answer")
				l.crash(p, dropped)
				require.Equal(t, l.requests[0].Ranges, l.rest(l.requests[0]), "it was not told")
				l.rounds(l.takeover(), 8)
				l.finish()
				require.Empty(t, l.rest(l.requests[0]))
				require.Equal(t, before+3, l.entries(), "nobody planned it again")
			})
		})
	}
}

// A number that was deleted is won again, by a start that was on its way: the
// entry under it is another one.
func reused(l lab) (p, q *proc) {
	p, q = l.procs[0], l.zombie()
	l.rounds(p, 1)
	l.rounds(q, 1)
	l.produce(0, 5)
	l.until(q, "start") // of 1, with [0,4]
	l.produce(0, 5)
	l.rounds(p, 3) // 1 has [0,9]
	l.produce(0, 5)
	return p, q
}

func whoseNumber(l lab) {
	p, q := reused(l)
	l.rounds(p, 3)
	l.remove(l.id(1), "deleted")
	q.step(answered)
	l.crash(q, dropped)
	require.Equal(l.t, rng(0, 0, 4), l.entry(1).Ranges[0])
	l.finish()
	l.rounds(p, 3)
}

func otherChecksum(l lab) {
	p, q := reused(l)
	l.rounds(p, 4)
	l.produce(0, 5)
	l.rounds(p, 4)
	l.finish(0, 2, 3)
	l.rounds(p, 2) // the bookmark lists 1, and that 4 is next
	l.crash(p, dropped)
	l.remove(l.id(1), "deleted")
	q.step(answered)
	l.crash(q, dropped)
	l.finish()
	l.rounds(l.takeover(), 3)
}

// One planner extends what another one does not know.
func discontinuous(l lab) {
	p, q := reused(l)
	l.until(p, "start") // of 2, behind 1 with [0,9]
	l.remove(l.id(1), "deleted")
	q.step(answered)
	p.step(answered)
	l.crash(p, dropped)
	l.finish()
	l.rounds(q, 4)
	l.finish()
	l.rounds(q, 4)
}

// Temporal's database and the group's offsets are lost, and rows were erased: the
// same number has the same offsets again, which are not there any more.
func numberAgain(l lab) {
	p := l.procs[0]
	l.memory = true
	l.produce(0, 5)
	l.rounds(p, 3)
	l.finish()
	l.rounds(p, 3)
	l.assign(-1, true)
	l.wipe()
	l.eraseRows(0, 0, 4)
	l.now += quietTime
	l.moveOffset(0, 0)
	l.moveOffset(1, 0)
	l.rounds(l.takeover(), 3)
	l.finish()
}

// A planner wakes up after the workflows that it knew were forgotten.
func oldState(l lab) {
	p, q := l.procs[0], l.zombie()
	l.rounds(p, 1)
	l.finish()
	l.rounds(p, 1)
	l.rounds(q, 1)
	for range 3 {
		l.produce(0, 6)
		l.rounds(p, 3)
		l.finish()
	}
	l.rounds(p, 2)
	l.produce(0, 6)
	l.rounds(p, 3) // 18 to 23 are open
	l.now += retention + 1
	for _, id := range l.ids(func(r *run) bool { return r.status != Running }) {
		l.remove(id, "purged")
	}
	l.rounds(q, 3)
	for range 100 { // all workflows at the same pace
		for _, id := range l.ids(running) {
			l.work(l.runs[id], answered)
		}
	}
	l.rounds(q, 3)
	for range 100 {
		for _, id := range l.ids(running) {
			l.work(l.runs[id], answered)
		}
	}
}

func TestNumbersThatAreUsedAgain(t *testing.T) {
	t.Run("under an open batch", func(t *testing.T) { scenario(t, opts{noLease: true}, whoseNumber) })
	t.Run("known from the bookmark", func(t *testing.T) { scenario(t, opts{noLease: true}, otherChecksum) })
	t.Run("before an entry of another planner", func(t *testing.T) { scenario(t, opts{noLease: true}, discontinuous) })
	t.Run("after everything was lost", func(t *testing.T) { scenario(t, opts{}, numberAgain) })
	t.Run("after temporal's retention", func(t *testing.T) { scenario(t, opts{noLease: true}, oldState) })
}

// A process loses the topic without hearing of it, another one plans, and the
// first gets it back.
func regained(l lab) {
	p := l.procs[0]
	l.rounds(p, 1)
	l.finish()
	l.rounds(p, 1)
	q := l.takeover()
	for range 3 {
		l.produce(0, 4)
		l.rounds(q, 4)
	}
	require.Equal(l.t, batch.Ranges{rng(0, 8, 11)}, l.entry(3).Ranges)
	l.finish(1)
	l.crash(q, dropped)
	l.remove(l.id(2), "deleted") // what p knows does not tell that 3 overlaps
	l.assign(p.id, false)
	l.rounds(p, 3)
	for range 100 { // all workflows at the same pace
		for _, id := range l.ids(running) {
			l.work(l.runs[id], answered)
		}
	}
}

func TestATopicThatIsBackIsTakenOver(t *testing.T) { scenario(t, opts{}, regained) }

func TestNothingIsStartedWithoutTheLease(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.produce(0, 5)
		l.rounds(p, 3)
		l.finish()
		l.rounds(p, 2)
		l.produce(0, 5)
		l.rounds(p, 4)
		l.terminate(l.id(1))
		l.request(0, 0, 3, 0)
		l.produce(0, 30)
		l.owner = -1 // its heartbeats are not heard any more
		l.now += session
		l.rounds(p, 2*quietTime)
		require.NoError(t, p.err)
		require.Equal(t, 2, l.entries())
		require.Equal(t, Failed, l.runs[l.id(1)].status)
		l.owner = p.id
	})
}

func TestTheObserverHearsOfEachEventOnce(t *testing.T) {
	heard := map[string]int{}
	count := func(what string) func(batch.Batch) { return func(batch.Batch) { heard[what]++ } }
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.rounds(p, 1)
		p.pl.obs = Observer{
			Planned: count("planned"), Lost: count("lost"), Restarted: count("restarted"), Vanished: count("vanished"),
			Completed: func(_ batch.Batch, o batch.Outcome) { heard["stored"] += int(o.Stored) },
		}
		l.logs[0] = Log{First: 2, End: 6}
		l.until(p, "start")
		p.step(unanswered) // found to be its own
		l.rounds(p, 2)
		require.Equal(t, map[string]int{"planned": 1, "lost": 1}, heard)
		l.terminate(l.id(1))
		l.rounds(p, quietTime+2)
		l.finish()
		l.produce(1, 5)
		l.rounds(p, 4)
		l.remove(l.id(2), "deleted")
		l.rounds(p, 2)
		s := p.pl.State()
		require.True(t, s.Ready)
		require.True(t, s.Quiet)
		require.Equal(t, map[int32]int64{0: 0, 1: 5}, s.Unplanned)
		require.Equal(t, map[int32]int64{0: 6, 1: 0}, s.Low)
		require.Equal(t, map[int32]int64{0: 6, 1: 5}, s.End)
		l.rounds(p, quietTime+2)
	})
	require.Equal(t, map[string]int{"planned": 3, "lost": 1, "stored": 9, "restarted": 1, "vanished": 1}, heard)
}
