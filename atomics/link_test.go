package atomics

import "testing"

func TestLinkPushedTwicePanics(t *testing.T) {
	for _, first := range []struct {
		name string
		push func(l *Link[int])
	}{
		{"alone in an inbox", func(l *Link[int]) { new(Inbox[int]).Push(l) }},
		{"below another in an inbox", func(l *Link[int]) {
			var q Inbox[int]
			q.Push(l)
			q.Push(new(Link[int]))
		}},
		{"in a chain", func(l *Link[int]) {
			var q Inbox[int]
			q.Push(new(Link[int]))
			q.Push(l)
			q.Take()
		}},
		{"alone in a queue", func(l *Link[int]) { new(Queue[int]).Push(l) }},
		{"at the front of a list", func(l *Link[int]) { new(List[int]).PushFront(l) }},
		{"at the back of a list", func(l *Link[int]) { new(List[int]).PushBack(l) }},
	} {
		t.Run(first.name, func(t *testing.T) {
			var l Link[int]
			l.Init(7)
			first.push(&l)
			for name, again := range map[string]func(){
				"Inbox.Push":     func() { new(Inbox[int]).Push(&l) },
				"Queue.Push":     func() { new(Queue[int]).Push(&l) },
				"List.PushFront": func() { new(List[int]).PushFront(&l) },
				"List.PushBack":  func() { new(List[int]).PushBack(&l) },
				"Init":           func() { l.Init(8) },
			} {
				if !panicked(again) {
					t.Errorf("%s of a link that is in a queue did not panic", name)
				}
			}
			if l.Owner() != 7 {
				t.Errorf("owner is %d", l.Owner())
			}
		})
	}
}

func TestLinkIsFreeOnceTaken(t *testing.T) {
	var (
		l     Link[int]
		inbox Inbox[int]
		queue Queue[int]
		list  List[int]
	)
	for range 3 {
		inbox.Push(&l)
		if rest := inbox.Take().TakeNext(); rest != nil {
			t.Fatal("there is a rest")
		}
		queue.Push(&l)
		queue.Pop()
		list.PushFront(&l)
		list.PopFront()
		list.PushBack(&l)
		list.PopFront()
		inbox.Push(&l)
		list.Append(inbox.Take())
		list.PopFront()
	}
}
