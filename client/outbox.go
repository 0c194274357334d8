package client

// maxUncertain bounds the sends of which it is not known whether they were
// stored.
const maxUncertain = 1024

// outbox remembers what the account is sending, until the stream says that it is
// stored: the stream does not repeat the text.
type outbox struct {
	sendings  map[string]*sending
	uncertain []string
}

// sending is a text on its way, or the removal of an account.
type sending struct {
	text    string
	removed string
	how     Departure
}

func newOutbox() *outbox { return &outbox{sendings: make(map[string]*sending)} }

func (o *outbox) put(uuid string, s *sending) { o.sendings[uuid] = s }

func (o *outbox) has(uuid string) bool { return o.sendings[uuid] != nil }

func (o *outbox) hasText(uuid string) bool {
	s := o.sendings[uuid]
	return s != nil && s.removed == ""
}

// take returns what was sent with the uuid, nil if nothing, and forgets it.
func (o *outbox) take(uuid string) *sending {
	s := o.sendings[uuid]
	delete(o.sendings, uuid)
	return s
}

// doubt notes that nobody waits for the answer any more. It may still come.
func (o *outbox) doubt(uuid string) {
	o.uncertain = append(o.uncertain, uuid)
	if len(o.uncertain) > maxUncertain {
		delete(o.sendings, o.uncertain[0])
		o.uncertain = o.uncertain[1:]
	}
}
