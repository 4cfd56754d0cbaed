package planlog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/batch"
)

// truncate plans ten records, of which an election takes the last four, and writes
// eight others. The planner stands still.
func (l lab) truncate() *proc {
	p := l.procs[0]
	l.rounds(p, 1)
	l.logs[0] = Log{End: 10, Epoch: 3}
	l.rounds(p, 5)
	l.finish()
	l.rounds(p, 2)
	l.elect(0, 6)
	l.produce(0, 8)
	l.rounds(p, 10)
	require.ErrorIs(l.t, p.err, ErrTruncated)
	return p
}

func TestAResumedTopicGoesOnWhereTheLossBegan(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.truncate()
		require.True(t, l.askResume())
		l.produce(1, 5)
		l.rounds(p, 20)
		require.NoError(t, p.err)
		way := l.entry(2)
		require.Equal(t, []batch.Truncation{{Partition: 0, End: 6, Planned: 10, Epoch: 3, Leader: 4}}, way.Truncated)
		require.Empty(t, way.Ranges)
		require.Equal(t, batch.Position{Offset: 6, Epoch: 4, Aside: 2, End: 6}, way.Next[0])
		require.Equal(t, 3, l.entries(), "nothing else is started while it is open")
		require.EqualValues(t, 10, l.commits[0].Offset, "nor a bookmark written")
		l.finish()
		require.Len(t, l.kept, 4)
		l.rounds(p, 5)
		require.Equal(t, batch.Ranges{rng(0, 6, 13), rng(1, 0, 4)}, append(l.entry(3).Ranges, l.rest3()...).Sort())
		l.finish()
		l.rounds(p, 3)
		require.EqualValues(t, 14, l.commits[0].Offset)
	})
}

// rest3 is what entry 4 has, if a batch was full.
func (l lab) rest3() batch.Ranges {
	if r := l.runs[l.id(4)]; r != nil {
		return r.e.Ranges
	}
	return nil
}

func TestARequestForAnotherLossIsNotAnswered(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.truncate()
		l.resumes = append(l.resumes, &resumption{Resume: Resume{"old", []batch.Truncation{{Partition: 0, End: 7, Planned: 10, Epoch: 3}}}, topic: l.topic})
		l.rounds(p, 20)
		require.ErrorIs(t, p.err, ErrTruncated)
		require.Equal(t, 2, l.entries())
		l.resumes = nil
	})
}

func TestATopicIsResumedOnceNoOpenBatchCanStoreWhereTheLossWas(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.rounds(p, 1)
		l.logs[0] = Log{End: 10, Epoch: 3}
		l.rounds(p, 5)
		l.finish(0)
		l.logs[0] = Log{End: 20, Epoch: 3}
		l.rounds(p, 5)
		l.terminate(l.id(2)) // 10 to 19
		l.elect(0, 15)
		require.True(t, l.askResume())
		l.rounds(p, quietTime)
		require.ErrorContains(t, p.err, "to be resumed once batch g/t/010000000000/2 is done")
		l.rounds(p, quietTime) // and it is started again meanwhile
		require.Equal(t, Running, l.runs[l.id(2)].status)
		l.finish(1, 2)
		l.rounds(p, 10)
		require.NotEmpty(t, l.entry(3).Truncated)
	})
}

// vanishedWay has somebody delete the entry that makes way.
func vanishedWay(l lab) {
	p := l.truncate()
	l.askResume()
	l.rounds(p, 10)
	l.remove(l.id(2), "deleted")
	l.unmade()
	l.rounds(p, quietTime+10)
}

func TestAnEntryThatVanishesWhileItMakesWayIsAskedForAgain(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		vanishedWay(l)
		require.NotEmpty(t, l.entry(2).Truncated, "the request is still open")
		require.Equal(t, 3, l.entries())
	})
}

// openMeanwhile has an insert of lost records on its way while the topic is resumed.
func openMeanwhile(l lab) {
	p := l.procs[0]
	l.rounds(p, 1)
	l.logs[0] = Log{End: 10, Epoch: 3}
	l.rounds(p, 5)
	r := l.runs[l.id(1)]
	l.finish(0)
	l.work(r, answered) // it looks
	l.work(r, answered) // 0 to 3
	l.work(r, delayed)  // 4 to 7
	l.rounds(p, 2)
	l.elect(0, 5)
	l.produce(0, 10)
	l.askResume()
	l.rounds(p, 10)
	l.finish(2) // makes way, if nobody waited
	for _, f := range l.flights {
		l.store(f.a, f.block)
	}
	l.flights = nil
	l.finish(1)
	l.rounds(p, 10)
}

func TestAnInsertOfLostRecordsThatWasOnItsWayIsMovedToo(t *testing.T) {
	scenario(t, opts{}, openMeanwhile)
}

// unknownEpoch has a replay of a partition of which nothing was planned yet.
func unknownEpoch(l lab) {
	l.rounds(l.procs[0], 1)
	l.logs[1] = Log{End: 4}
	l.assign(-1, false)
	l.moveOffset(1, 4)
	p := l.takeover()
	l.rounds(p, 3)
	l.finish()
	l.request(1, 1, 3, 0)
	l.rounds(p, 8)
	l.produce(1, 5)
	l.rounds(p, 5)
	replay := l.entries() - 2
	for n := range l.entries() {
		if n != replay {
			l.finish(int64(n))
		}
	}
	l.rounds(p, 3)
	l.elect(1, 0)
	l.produce(1, 9)
	l.finish()
	l.askResume()
	l.rounds(p, 20)
	l.finish()
	l.rounds(p, 20)
}

func TestABatchKnowsItsRecordsThoughNothingElseWasPlannedOfThePartition(t *testing.T) {
	scenario(t, opts{}, unknownEpoch)
}

// A group that begins at the end has planned nothing of the partition: its entry got
// no epoch with a range, and only a look tells which one is below its position.
func TestATopicWhosePositionsEpochWasLearnedIsResumed(t *testing.T) {
	scenario(t, opts{latest: true}, func(l lab) {
		p := l.procs[0]
		l.logs[0] = Log{End: 10, Epoch: 3}
		l.rounds(p, 5)
		l.finish()
		l.rounds(p, 5)
		require.EqualValues(t, 10, l.commits[0].Offset)
		l.logs[0], l.epochEnd[0] = Log{End: 14, Epoch: 4}, map[int32]int64{3: 6}
		l.rounds(p, 10)
		require.ErrorIs(t, p.err, ErrTruncated)
		require.Equal(t, batch.Position{Offset: 10, Epoch: 3}, l.entry(int64(l.entries()) - 1).Next[0], "who asks to resume knows only that")
		require.True(t, l.askResume())
		l.rounds(p, 20)
		require.NoError(t, p.err)
		l.finish()
		l.rounds(p, 5)
		require.Equal(t, batch.Ranges{rng(0, 6, 13)}, l.entry(int64(l.entries())-1).Ranges)
	})
}

// A leader that was cut off when others were elected without it still answers, with records that no other has. What is planned on its
// word is read from the one that leads, whose records there are good: they must not count as replaced.
func TestAnEntryNeverGoesBackToTheEpochOfALeaderThatWasReplaced(t *testing.T) {
	scenario(t, opts{}, func(l lab) {
		p := l.procs[0]
		l.rounds(p, 1)
		l.logs[0] = Log{End: 10, Epoch: 3}
		l.rounds(p, 5)
		l.finish()
		l.logs[0], l.epochEnd[0] = Log{End: 14, Epoch: 4}, map[int32]int64{3: 12} // 10 and 11 are of both
		l.rounds(p, 5)
		require.Equal(t, batch.Position{Offset: 14, Epoch: 4}, l.entry(2).Next[0])
		l.finish()
		l.logs[0] = Log{End: 20, Epoch: 3} // of the other one, from 12 on
		l.rounds(p, 5)
		require.Equal(t, batch.Ranges{rng(0, 14, 19)}, l.entry(3).Ranges)
		require.EqualValues(t, 4, l.entry(3).Next[0].Epoch)
		l.logs[0] = Log{End: 20, Epoch: 4}
		l.finish()
		l.rounds(p, 5)
		require.NoError(t, p.err)
		require.Empty(t, l.lost)
	})
}
