package conformance

import (
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/embedded"
)

// IgnoreCurrent is for the goroutines of ants' default pool, which exist from its
// import on.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

func TestEmbeddedStore(t *testing.T) {
	Run(t, func(t *testing.T) store.Store {
		st, err := embedded.Open(embedded.Config{
			Dir: "data", FS: vfs.NewMem(), CacheBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		return st
	})
}
