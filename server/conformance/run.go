package conformance

import (
	"slices"
	"testing"

	"github.com/chatstream/chatstream/store"
)

// Run runs the tree over servers on the stores that open gives, which are
// empty, of the test's own, and closed by the tree. A store must allow two
// servers in one process to be on it at the same time, and one after the other.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, s := range contents() {
		t.Run(s.number, func(t *testing.T) {
			t.Parallel()
			h := &harness{open: open}
			h.shared = h.serve(t)
			for _, r := range s.rules {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					r.holds(t, h)
				})
			}
		})
	}
}

// section is a section of the behaviour that the tree checks.
type section struct {
	number, title string
	rules         []rule
}

// rule is one rule of it. The comment of holds says it in a sentence.
type rule struct {
	name  string
	holds func(*testing.T, *harness)
}

// contents is the tree.
func contents() []section {
	return slices.Concat(
		setup(), login(), initialization(), collection(), running(), ending(), fullMessages(), forms(), routing(), delivery(),
		commands(), sending(), loadAndShutdown(),
	)
}
