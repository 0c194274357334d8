package atomics

import (
	"testing"

	"pgregory.net/rapid"
)

// Every sequence of calls does what the same calls do to a slice.
func TestListIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			list List[int]
			want []int
			made int
		)
		link := func() *Link[int] {
			made++
			l := new(Link[int])
			l.Init(made)
			return l
		}
		pop := func(t *rapid.T) {
			l := list.PopFront()
			if len(want) == 0 {
				if l != nil {
					t.Fatal("popped from an empty list")
				}
				return
			}
			if l == nil || l.Owner() != want[0] {
				t.Fatalf("popped %v, want %d", l, want[0])
			}
			want = want[1:]
		}
		t.Repeat(map[string]func(*rapid.T){
			"PushBack": func(t *rapid.T) {
				list.PushBack(link())
				want = append(want, made)
			},
			"PushFront": func(t *rapid.T) {
				list.PushFront(link())
				want = append([]int{made}, want...)
			},
			"Append": func(t *rapid.T) {
				var inbox Inbox[int]
				for range rapid.IntRange(0, 4).Draw(t, "n") {
					inbox.Push(link())
					want = append(want, made)
				}
				list.Append(inbox.Take())
			},
			"PopFront": pop,
			"": func(t *rapid.T) {
				if list.Len() != len(want) || list.Empty() != (len(want) == 0) {
					t.Fatalf("Len %d, Empty %v, want length %d", list.Len(), list.Empty(), len(want))
				}
			},
		})
		for len(want) > 0 {
			pop(t)
		}
		pop(t)
	})
}

// A List has one owner at a time: here whoever holds the lock, as in the engine whoever has the turn. Links go from it
// into an inbox and back; each carries a plain counter, which goes with it.
func TestListHandsPlainDataFromOwnerToOwner(t *testing.T) {
	atProcs(t, func(t *testing.T) {
		const letters, owners, rounds = 12, 6, 4_000
		var (
			lock  SpinLock
			list  List[*letter]
			inbox Inbox[*letter]
			moved [owners]int
		)
		for range letters {
			list.PushBack(&newLetter().link)
		}
		together(owners, func(i int) {
			for n := range rounds {
				lock.Lock()
				l := list.PopFront()
				if l == nil {
					list.Append(inbox.Take())
				}
				lock.Unlock()
				if l == nil {
					continue
				}
				l.Owner().number++
				moved[i]++
				if n%3 > 0 {
					inbox.Push(l)
					continue
				}
				lock.Lock()
				if n%2 == 0 {
					list.PushFront(l)
				} else {
					list.PushBack(l)
				}
				lock.Unlock()
			}
		})
		list.Append(inbox.Take())
		if list.Len() != letters {
			t.Fatalf("%d links, want %d", list.Len(), letters)
		}
		left := 0
		for _, n := range moved {
			left += n
		}
		for l := list.PopFront(); l != nil; l = list.PopFront() {
			left -= l.Owner().number
		}
		if left != 0 || !list.Empty() {
			t.Errorf("%d moves were lost", left)
		}
	})
}
