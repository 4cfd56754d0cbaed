package workflows

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ai-backlog/ingest/activities"
)

func TestAnActivityThatIsHeldUpSaysSoBeforeItsWorkflowGivesItUp(t *testing.T) {
	require.Less(t, activities.PlanAsideTimeout, lookTimeout-time.Second)
}
