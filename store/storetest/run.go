package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chatstream/chatstream/store"
)

// Harness is one set of data, empty at first, and how to open a store on it.
type Harness struct {
	// Open opens the store; now is its clock, nil the real one. The suite
	// closes what it opens, and never has two open on the same data.
	Open func(t *testing.T, now func() time.Time) store.Store
	// Crash, if the harness can do that, cuts the power: of what the store has
	// written, only what it synced is there at the next Open. The store may be in
	// use at that moment; it is not used again, nor closed by the suite.
	Crash func(t *testing.T, s store.Store)
}

// Run runs the suite, but for the tests named by except. fresh is called once
// for each test.
func Run(t *testing.T, fresh func(t *testing.T) Harness, except ...string) {
	tests := []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"S1ContiguousFromOne", testContiguous},
		{"S2TimeIncreasesWhateverTheClock", testTime},
		{"S3SurvivesRestart", testRestart},
		{"S3SurvivesCrash", testCrash},
		{"S4S5WatchEachRoomOnceInOrder", testWatchOrder},
		{"S6WatchSeesWhatIsAcknowledged", testWatchSeesAcknowledged},
		{"S7NowThenEventsThenWatchCoversAll", testNowEventsWatch},
		{"S8RepeatAnswersWithTheFirst", testRepeat},
		{"S8RepeatConcurrently", testRepeatConcurrently},
		{"S8OtherCommandOfSameUUID", testUUIDTaken},
		{"S9HistoryLost", testHistoryLost},
		{"S10ReadsIncludeWhatWasShown", testReadsIncludeShown},
		{"AllDraftsOrNone", testAllOrNone},
		{"RefusalsAreReturnedAsTheyAre", testRefusals},
		{"PanicInDecideCostsOneOp", testDecidePanics},
		{"DecisionsAreSerial", testSerial},
		{"BadInput", testBadInput},
		{"Limits", testLimits},
		{"Pages", testPages},
		{"SeqAt", testSeqAt},
		{"Event", testEvent},
		{"RoomsOf", testRoomsOf},
		{"RoomsAreApart", testRoomsApart},
		{"UnknownRoom", testUnknownRoom},
		{"Seen", testSeen},
		{"SeenBy", testSeenBy},
		{"RaiseViewed", testRaiseViewed},
		{"WatchEnds", testWatchEnds},
		{"ContextEnds", testContextEnds},
		{"Closed", testClosed},
		{"Accounts", testAccounts},
		{"AccountNamesAreUnique", testAccountNames},
		{"Sessions", testSessions},
		{"SessionsConcurrently", testSessionsConcurrently},
		{"Load", testLoad},
		{"Linearizable", testLinearizable},
		{"LinearizableAcrossCrashes", testLinearizableAcrossCrashes},
		{"Properties", testProperties},
	}
	for _, tt := range tests {
		if slices.Contains(except, tt.name) {
			continue
		}
		t.Run(tt.name, func(t *testing.T) { tt.test(t, fresh(t)) })
	}
}

// patience is how long a test may take, waiting for something that must happen.
// Only a broken store makes it wait that long.
const patience = time.Minute

// bounded returns a context that ends with the test, or when a store blocks.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// opened opens the store with the real clock and closes it after the test.
func opened(t *testing.T, h Harness) store.Store {
	t.Helper()
	return openedAt(t, h, nil)
}

func openedAt(t *testing.T, h Harness, now func() time.Time) store.Store {
	t.Helper()
	s := h.Open(t, now)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
