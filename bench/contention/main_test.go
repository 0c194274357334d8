package contention

import (
	"context"
	"log"
	"testing"

	"go.uber.org/goleak"

	"github.com/chatstream/chatstream/bench/result"
)

func TestMain(m *testing.M) {
	if err := result.BeginBenchmarks(context.Background()); err != nil {
		log.Fatal(err)
	}
	goleak.VerifyTestMain(m)
}
