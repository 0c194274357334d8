package server

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/chatstream/chatstream/engine"
)

// timedStream measures SendMsg.
type timedStream struct {
	grpc.ServerStream
	longest *atomic.Int64
}

func (s timedStream) SendMsg(m any) error {
	before := time.Now()
	err := s.ServerStream.SendMsg(m)
	took := int64(time.Since(before))
	for {
		longest := s.longest.Load()
		if took <= longest || s.longest.CompareAndSwap(longest, took) {
			return err
		}
	}
}

// TestStalledClientsHurtNobody has 400 clients that never read among 450. Every
// healthy one gets everything, no SendMsg waits for a stalled one, and what the
// stalled ones cost is bounded. How long a message takes is logged, with and
// without them, not judged: machines are noisy.
func TestStalledClientsHurtNobody(t *testing.T) {
	const healthy, messages = 50, 400 // 400 times 300 bytes use up the quota and the socket of who does not read
	for _, stalled := range []int{0, 400} {
		t.Run(fmt.Sprint(stalled, " stalled"), func(t *testing.T) {
			var longest atomic.Int64
			v := serve(t, Config{
				Engine: engine.Config{StallPatience: time.Hour},
				options: []grpc.ServerOption{grpc.ChainStreamInterceptor(
					func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
						return next(srv, timedStream{ss, &longest})
					})},
			})
			sender := v.user("sender")
			r := sender.create("room")
			users := make([]*user, healthy+stalled)
			for i := range users {
				users[i] = v.user(fmt.Sprint("user", i))
				users[i].join(r.GetChatRoomId(), r.GetChatRoomPassword())
			}
			var chats []*chat
			for i, u := range users {
				c := u.open(r.GetChatRoomId() + "::99999999999999::-1::0::") // has seen everything so far
				c.initialized()
				if i < healthy {
					chats = append(chats, c)
				} // the others never read again
			}
			before := heap()
			var mu sync.Mutex
			var took []time.Duration
			sent := make([]time.Time, messages)
			var reading sync.WaitGroup
			for _, c := range chats {
				reading.Go(func() {
					for i := range messages {
						m := c.next()
						for textOf(m) == "" { // a late join
							m = c.next()
						}
						if want := fmt.Sprintf("%04d", i); !strings.HasPrefix(textOf(m), want) {
							t.Errorf("got %.4q, want %s", textOf(m), want)
							return
						}
						mu.Lock()
						took = append(took, time.Since(sent[i]))
						mu.Unlock()
					}
				})
			}
			padding := strings.Repeat("x", 240)
			for i := range messages {
				mu.Lock()
				sent[i] = time.Now()
				mu.Unlock()
				sender.text(r.GetChatRoomId(), fmt.Sprintf("%04d%s", i, padding))
			}
			reading.Wait()
			slices.Sort(took)
			t.Logf("%d stalled: %d messages to %d healthy clients, p50 %v, p99 %v, max %v; longest SendMsg %v; heap %+d KiB",
				stalled, messages, healthy, took[len(took)/2], took[len(took)*99/100], took[len(took)-1],
				time.Duration(longest.Load()), (heap()-before)>>10)
			if longest := time.Duration(longest.Load()); longest > moment {
				t.Errorf("a SendMsg took %v", longest)
			}
			if grown := heap() - before; grown > 256<<20 {
				t.Errorf("the heap has grown by %d MiB", grown>>20)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
