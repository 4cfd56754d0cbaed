package planlog

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plants are single deviations: a rule of the planner that is switched off, a
// promise of the workers that is not kept, or a fault that the design excludes.
// Each must be caught, which is what makes TestModel worth trusting. Some need
// more than chance finds in a minute: those have their history written down.
//
// Two rules are not here, because no history needs them: dropping the state
// when a number is lost with positions to be planned again (they are planned
// again twice, which is harmless), and the age of the state while the lease
// holds (without the lease it is needed).
var plants = []struct {
	name    string
	opt     opts
	history func(lab)
}{
	{"adopt the own proposal, not what exists", opts{off: rules{noAdopt: true}}, nil},
	{"n+1 after an unknown answer", opts{off: rules{noSameNumber: true}}, nil},
	{"walked entries count as completed", opts{off: rules{noWalked: true}}, nil},
	{"terminated counts as completed", opts{off: rules{noFailed: true}}, nil},
	{"an entry that temporal lost counts as completed", opts{off: rules{noVanished: true}}, nil},
	{"no look at the numbers between the bookmark and the end", opts{off: rules{noGap: true}}, nil},
	{"the newest entry need not exist", opts{off: rules{noAnchor: true, noChain: true}}, nil},
	{"without a bookmark from the lowest that is listed", opts{off: rules{noZero: true}}, nil},
	{"entries may overlap open ones", opts{off: rules{noOverlap: true}}, nil},
	{"no quiet time after something vanished", opts{off: rules{noQuiet: true}}, nil},
	{"bookmark while positions are to be planned again", opts{off: rules{noHold: true}}, nil},
	{"no visibility", opts{off: rules{noVisibility: true}}, nil},
	{"no low watermark in the bookmark", opts{off: rules{noLow: true}, keepMetadata: true}, nil},
	{"an operator's offset is ignored", opts{off: rules{noMoved: true}}, nil},
	{"no topic ID", opts{off: rules{noTopicID: true}}, nil},
	{"no lease", opts{noLease: true}, nil},
	{"no takeover of a topic that is back", opts{silentRegain: true}, nil},
	{"commits stamped late", opts{lateStamp: true}, nil},
	{"a partition that a broker does not list is not taken back", opts{off: rules{noUnlisted: true}}, nil},
	{"a topic that is created again may begin above 0 at once", opts{off: rules{noSecondLook: true}}, nil},
	{"a leader that does not answer need not be asked again", opts{off: rules{noAsk: true}, leaveOut: true}, nil},
	{"a truncation above what is taken back does not matter", opts{off: rules{noReached: true}}, nil},
	{"a batch reads what took its offsets", opts{noEpoch: true}, nil},
	{"way is made while open batches may store there", opts{off: rules{noClear: true}}, openMeanwhile},
	{"others are planned while an entry makes way", opts{off: rules{noStand: true}}, nil},
	{"what is newer is moved aside too", opts{noCut: true}, nil},
	{"nobody remembers that way was made", opts{noMark: true}, nil},
	{"a bookmark passes over an entry that makes way", opts{off: rules{noKeep: true}}, nil},
	{"what vanished had made way", opts{off: rules{noGone: true}}, vanishedWay},
	{"taken back to the bookmark, not below", opts{off: rules{noLowest: true}}, nil},
	{"a position without an epoch learns none", opts{off: rules{noLearn: true}}, unknownEpoch},
	{"a batch that was reset owns what was truncated", opts{off: rules{noAside: true}}, nil},
	{"a closed batch is started again at once", opts{off: rules{noWait: true}}, restartedEarly},
	{"lost offsets are not recorded", opts{off: rules{noLost: true}}, nil},
	{"replays above the low watermark", opts{off: rules{noBelow: true}}, nil},
	{"workers: no look", opts{noLook: true}, nil},
	{"workers: rows without topic ID", opts{noTopicInRows: true}, nil},
	{"workers: no token", opts{noToken: true}, nil},
	{"workers: token without the offsets", opts{noOffsetsInToken: true}, nil},
	{"workers: a look is valid for ever", opts{noLookExpiry: true}, nil},
	{"workers: no quiet time between turns", opts{noQuietTurns: true}, nil},
	{"visibility may list nothing", opts{visEmpty: true}, nil},
	{"temporal loses what no bookmark knows", opts{unmarkedLoss: true}, nil},
	{"whose number it is does not matter", opts{off: rules{noNonce: true}, noLease: true}, whoseNumber},
	{"no checksum in the bookmark", opts{off: rules{noChecksum: true}, noLease: true}, otherChecksum},
	{"no continuity", opts{off: rules{noContinuity: true}, noLease: true}, discontinuous},
	{"no chain", opts{off: rules{noChain: true}, noLease: true}, discontinuous},
	{"state of any age, no lease", opts{off: rules{noAge: true}, noLease: true}, oldState},
	{"workers: no nonce", opts{noNonce: true}, numberAgain},
}

func TestPlants(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			var msg string
			tried := 1
			if p.history == nil {
				msg, tried = hunt(p.opt, seed(t), max(60000, histories(t, 0)), nil)
			} else {
				msg = history(t, p.opt, p.history)
			}
			first, _, _ := strings.Cut(msg, "\n")
			t.Logf("%d histories: %.150s", tried, first)
			if os.Getenv("PLANLOG_SHOW") != "" {
				t.Log(msg)
			}
			require.NotEmpty(t, msg, "not caught: the rule is dead weight, or the test is")
		})
	}
}
