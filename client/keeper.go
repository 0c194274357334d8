package client

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// maxRefreshes is how often a stream is refreshed before a new one takes its
// place: streams that are opened anew now and then follow the servers there are.
const maxRefreshes = 3

// doubtDelay is the time in which a stream that lives brings what had happened.
const doubtDelay = 2 * time.Second

// confirmDelay is about how long after an event has been handed out the server
// is told that it was, with all that followed meanwhile.
const confirmDelay = 5 * time.Second

// keeper is the one that writes to a stream: it refreshes it in good time and
// asks for messages in full. It is a goroutine of its own from start to wait.
type keeper struct {
	session *Session
	stream  streampb.StreamChatService_StreamChatRPCClient
	cancel  context.CancelCauseFunc
	answers chan *streampb.RefreshChatStreamResponse
	done    chan struct{}
}

// start is called when the stream is open and expires after life.
func (k *keeper) start(ctx context.Context, life time.Duration) {
	if k.done != nil {
		return
	}
	k.done = make(chan struct{})
	go k.run(ctx, life)
}

// wait returns when the goroutine has ended. The stream's context must be over.
func (k *keeper) wait() {
	if k.done != nil {
		<-k.done
	}
}

// answered takes the answer to a refresh.
func (k *keeper) answered(r *streampb.RefreshChatStreamResponse) {
	select {
	case k.answers <- r:
	default: // not one that was asked for
	}
}

func (k *keeper) run(ctx context.Context, life time.Duration) {
	defer close(k.done)
	due := time.NewTimer(refreshAfter(life))
	defer due.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	var doubted, confirm <-chan time.Time
	refreshes, waiting := 0, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.C:
			if waiting || refreshes == maxRefreshes {
				// Often enough, or the answer stays away: a new stream.
				k.cancel(errReplace)
				return
			}
			refreshes, waiting = refreshes+1, true
			if k.send(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_RefreshChatStream{
				RefreshChatStream: &streampb.RefreshChatStreamRequest{},
			}}) != nil {
				return
			}
			due.Reset(life / 10)
		case r := <-k.answers:
			if !waiting {
				continue
			}
			if waiting = false; !r.GetSuccessfullyRefreshedTime() {
				k.cancel(errReplace)
				return
			}
			life = time.Duration(r.GetTimeUntilChatStreamExpiresInMillis()) * time.Millisecond
			due.Reset(refreshAfter(life))
		case <-k.session.doubts:
			doubted = time.After(doubtDelay)
		case <-doubted:
			doubted = nil
			k.session.mu.Lock()
			k.session.book.doubted()
			k.session.mu.Unlock()
		case <-k.session.moved:
			if confirm == nil {
				confirm = time.After(confirmDelay*3/4 + rand.N(confirmDelay/2))
			}
		case <-confirm:
			if confirm = nil; k.confirm() != nil {
				return
			}
		case <-k.session.lookups.wake:
			if !k.ask(retry) {
				return
			}
		case <-retry.C:
			if !k.ask(retry) {
				return
			}
		}
	}
}

// confirm tells the server where the rooms are.
func (k *keeper) confirm() error {
	k.session.mu.Lock()
	positions := k.session.book.confirmed()
	k.session.mu.Unlock()
	for chunk := range slices.Chunk(positions, maxConfirmed) {
		if err := k.send(&streampb.ChatToServerRequest{ClientRequest: &streampb.ChatToServerRequest_Confirmation{
			Confirmation: &chatstreampb.Confirmation{Positions: chunk},
		}}); err != nil {
			return err
		}
	}
	return nil
}

// maxConfirmed bounds the positions in one request, which servers take up to 64
// KiB of.
const maxConfirmed = 1000

// ask sends the request for full messages that is next.
func (k *keeper) ask(retry *time.Timer) bool {
	r, wait := k.session.lookups.next()
	if wait > 0 {
		retry.Reset(wait)
	}
	return r == nil || k.send(r) == nil
}

// send writes a request. When it fails the stream is over, and its reader is
// told why.
func (k *keeper) send(r *streampb.ChatToServerRequest) error { return k.stream.Send(r) }

// refreshAfter is when to refresh a stream that expires after life: well before
// the last 5 percent, in which servers refuse it, and not all clients at once.
func refreshAfter(life time.Duration) time.Duration {
	return life*7/10 + rand.N(life/10+1)
}
