package robustness

import "github.com/chatstream/chatstream/proto/chatpb"

// healthy: nothing is recorded that must not happen to a server, or to somebody
// who waits for it.
func healthy(h *History, found *report) {
	for i := range h.Records {
		r := &h.Records[i]
		switch {
		case r.Kind == KindServer && r.Error != "":
			found.add(nil, "%s", r.Error)
		case r.Kind == KindStuck:
			found.add(seen(r), "%s", r.Note)
		case r.Kind == KindAnswer && r.Status == chatpb.ReturnStatus_LG_ERROR.String():
			found.add(seen(r), "the server says that it has a defect")
		}
	}
}
