package engine

import (
	"context"
	"errors"

	"github.com/chatstream/chatstream/atomics"
	"github.com/chatstream/chatstream/engine/room"
)

// Reach is how far a room's messages have reached its members' devices.
type Reach struct {
	// Last is the number of the room's last event.
	Last    uint64
	Devices []Device
}

// Device is how far one installation of one member has been reached: see
// watermark.
type Device struct {
	Account, Installation string
	Online                bool
	Reached, Confirmed    uint64
}

// MaxDevices is how many devices Reach answers for at once: that is work of the
// room's turn.
const MaxDevices = 1000

// Errors of Reach.
var (
	ErrNotMember      = errors.New("engine: the account is not in the room")
	ErrTooManyDevices = errors.New("engine: too many devices: ask for some of the members")
)

// Reach tells how far the room's messages have reached the devices of its
// members, or of those among them that are named by of, as account, a member,
// may know. Only devices that have had a stream on this engine since it last
// hosted the room are known. The errors are ErrNotMember, ErrTooManyDevices and
// those of the store. Safe for concurrent use.
func (e *Engine) Reach(ctx context.Context, id, account string, of []string) (Reach, error) {
	answer := make(chan reachAnswer, 1)
	n := &reachNote{account: account, of: of, answer: answer}
	n.Init(n)
	e.rooms.open(id, &n.Link)
	select {
	case a := <-answer:
		return a.reach, a.err
	case <-ctx.Done():
		return Reach{}, ctx.Err()
	}
}

// reachNote asks a room how far its members have been reached.
type reachNote struct {
	atomics.Link[note]
	account  string
	of       []string
	answer   chan<- reachAnswer // has room for the answer
	answered bool
}

type reachAnswer struct {
	reach Reach
	err   error
}

func (n *reachNote) apply(h *hostedRoom) {
	if !h.ready {
		h.waiting = append(h.waiting, n)
		return
	}
	n.answered = true
	switch {
	case !h.state.Present(n.account):
		n.answer <- reachAnswer{err: ErrNotMember}
	case len(n.of) > MaxDevices || len(n.of) == 0 && len(h.byAccount)+len(h.gone) > MaxDevices:
		n.answer <- reachAnswer{err: ErrTooManyDevices}
	default:
		n.answer <- reachAnswer{reach: Reach{Last: h.state.Seq, Devices: h.devices(n.of)}}
	}
}

func (n *reachNote) failed(err error) {
	if !n.answered {
		n.answer <- reachAnswer{err: errors.Join(errStore, err)}
	}
}

// devices are those of the members in of, or of all.
func (h *hostedRoom) devices(of []string) []Device {
	var all []Device
	add := func(account string) {
		d, known := h.gone[account]
		if sub := h.byAccount[account]; sub != nil {
			d, known = sub.device().since(d), true
			d.Online = true
		}
		if known && h.state.Present(account) {
			all = append(all, d)
		}
	}
	if len(of) > 0 {
		for _, account := range of {
			add(account)
		}
		return all
	}
	for account := range h.byAccount {
		add(account)
	}
	for account := range h.gone {
		if h.byAccount[account] == nil {
			add(account)
		}
	}
	return all
}

// device is how far sub's client has been reached.
func (sub *subscription) device() Device {
	d := Device{Account: sub.stream.account, Installation: sub.stream.installation}
	d.Reached, d.Confirmed = sub.read(sub.stream.conn.Passed())
	return d
}

// since is d, of which an earlier stream has told old.
func (d Device) since(old Device) Device {
	if old.Account == d.Account && old.Installation == d.Installation {
		d.Reached, d.Confirmed = max(d.Reached, old.Reached), max(d.Confirmed, old.Confirmed)
	}
	return d
}

// remember keeps how far sub's client has been reached, now that it leaves.
func (h *hostedRoom) remember(sub *subscription) {
	account := sub.stream.account
	set(&h.gone, account, sub.device().since(h.gone[account]))
}

// forget drops what is known of devices whose account is no longer a member.
func (h *hostedRoom) forget(e room.Event) {
	if e.Action == room.Remove {
		delete(h.gone, e.Target)
	}
}
