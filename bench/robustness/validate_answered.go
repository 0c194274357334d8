package robustness

import (
	"slices"

	"github.com/chatstream/chatstream/proto/chatpb"
)

// answered: replies come in the order of the requests, each request has one, and
// a lookup's names every uuid once, in the order asked. When a stream ends, the
// last requests may have none.
func answered(h *History, found *report) {
	known := whenKnown(h)
	for _, s := range h.Streams {
		var waiting []*Record
		var entries []Entry
		var parts []*Record
		for _, r := range s.Records {
			if r.Kind == KindRequest {
				waiting = append(waiting, r)
			}
			if r.Kind != KindReply {
				continue
			}
			if len(waiting) == 0 {
				found.add(seen(s.Open, r), "a reply to nothing")
				continue
			}
			asked := waiting[0]
			if asked.Op != r.Op || asked.Room != r.Room {
				found.add(seen(asked, r), "a reply to another request, or out of order")
				break
			}
			entries, parts = append(entries, r.Entries...), append(parts, r)
			if !r.Last {
				continue
			}
			if r.Op == OpLookup {
				checkLookup(h, asked, r, entries, parts, known, found)
			}
			waiting, entries, parts = waiting[1:], nil, nil
		}
	}
}

func checkLookup(h *History, asked, last *Record, entries []Entry, parts []*Record, known map[string]int64, found *report) {
	involved := append(seen(asked), parts...)
	if last.Status != "FINAL_MESSAGE_LIST" {
		if len(entries) > 0 || !slices.Equal(asked.UUIDs, last.UUIDs) {
			found.add(involved, "a refusal does not name what was asked for")
		}
		return
	}
	got := make([]string, len(entries))
	for i, e := range entries {
		got[i] = e.UUID
	}
	if !slices.Equal(asked.UUIDs, got) {
		found.add(involved, "asked for %d messages, the answer names %d, or in another order", len(asked.UUIDs), len(got))
		return
	}
	for _, e := range entries {
		l := h.Logs[asked.Room]
		stored := l.At(l.Seq(e.UUID))
		switch {
		case e.Status == chatpb.ReturnStatus_SUCCESS.String():
			if e.Text != textOf(e.UUID) {
				found.add(involved, "message %s says %q, said was %q", e.UUID, e.Text, textOf(e.UUID))
			}
		case stored == nil || stored.Body != bodyText:
		case e.Status == chatpb.ReturnStatus_VALUE_NOT_SET.String() && known[e.UUID] != 0 && known[e.UUID] < asked.N:
			found.add(involved, "message %s was there, and is not found", e.UUID)
		case e.Status == chatpb.ReturnStatus_UNKNOWN.String() && !slices.ContainsFunc(entries, func(other Entry) bool {
			return other.UUID == e.UUID && other.Status != e.Status
		}):
			found.add(involved, "message %s is not answered anywhere", e.UUID)
		}
	}
}

// whenKnown is when somebody first knew that a message is stored, by uuid.
func whenKnown(h *History) map[string]int64 {
	first := make(map[string]int64)
	for i := range h.Records {
		r := &h.Records[i]
		uuid := ""
		switch {
		case r.Kind == KindMessage:
			uuid = r.Message.UUID
		case r.Kind == KindAnswer && r.Outcome == Done:
			uuid = r.UUID
		}
		if _, known := first[uuid]; !known && uuid != "" {
			first[uuid] = r.N
		}
	}
	return first
}
