package room

import (
	"fmt"
	"testing"
)

// crowd is a room with n members beside its admin.
func crowd(tb testing.TB, n int) State {
	tb.Helper()
	s := State{}
	apply := func(c Command) { s = folded(s, decided(tb, s, c)) }
	apply(Create{Name: "n", Password: "p", Creator: benchAccount(0), CreatorName: "ada", CapUUID: benchUUID(1), JoinUUID: benchUUID(2)})
	for i := 1; i <= n; i++ {
		apply(Join{UUID: benchUUID(i + 2), Account: benchAccount(i), Name: "n", Password: "p"})
	}
	return s
}

const benchRoom = "aaaaaaaa"

func benchAccount(i int) string { return fmt.Sprintf("%024x", i+1) }
func benchUUID(i int) string    { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", i) }

var crowds = []int{10, 1000, 100_000}

// BenchmarkDecide shows what the rules cost the committer, of which there is only one: a message, and a join, by how many
// members there are. It is not to grow with them but by the depth of the state's tree.
func BenchmarkDecide(b *testing.B) {
	for _, n := range crowds {
		s := crowd(b, n)
		for _, c := range []struct {
			name    string
			command Command
		}{
			{"post", Post{UUID: benchUUID(0), Sender: benchAccount(n / 2), Kind: KindText, Body: []byte("hello")}},
			{"join", Join{UUID: benchUUID(0), Account: benchAccount(n + 1), Name: "n", Password: "p"}},
		} {
			b.Run(fmt.Sprintf("members=%d/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if drafts, err := Decide(s, c.command); err != nil || len(drafts) == 0 {
						b.Fatal(len(drafts), err)
					}
				}
			})
		}
	}
}

// BenchmarkFold shows what an event costs whoever holds the room's state, which shares what has not changed with the state
// before: a message nothing but its number, a join and a leave a path of the tree.
func BenchmarkFold(b *testing.B) {
	for _, n := range crowds {
		s := crowd(b, n)
		newcomer := benchAccount(n + 1)
		join := decided(b, s, Join{UUID: benchUUID(0), Account: newcomer, Name: "n", Password: "p"})
		there := folded(s, join)
		leave := decided(b, there, Leave{UUID: benchUUID(0), Account: newcomer})
		if !there.Present(newcomer) || folded(there, leave).Present(newcomer) {
			b.Fatal("the newcomer does not come and go")
		}
		for _, c := range []struct {
			name   string
			drafts []Draft
		}{
			{"message", decided(b, s, Post{UUID: benchUUID(0), Sender: benchAccount(1), Kind: KindText, Body: []byte("hello")})},
			{"join-and-leave", append(join, leave...)},
		} {
			b.Run(fmt.Sprintf("members=%d/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				after := s
				for b.Loop() {
					after = folded(after, c.drafts)
				}
				if got, want := after.Seq-s.Seq, uint64(b.N*len(c.drafts)); got != want || after.Present(newcomer) {
					b.Errorf("%d events were folded, want %d", got, want)
				}
			})
		}
	}
}

func decided(tb testing.TB, s State, c Command) []Draft {
	tb.Helper()
	drafts, err := Decide(s, c)
	if err != nil {
		tb.Fatal(err)
	}
	return drafts
}

func folded(s State, drafts []Draft) State {
	for _, d := range drafts {
		s = Fold(s, Event{Draft: d, Room: benchRoom, Seq: s.Seq + 1, Time: s.Time + 1})
	}
	return s
}
