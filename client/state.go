package client

import (
	"fmt"
	"slices"
)

// State is where a session is: for a program that wants to continue after its
// own restart without seeing everything again. It can be marshalled as JSON.
type State struct {
	Account string      `json:"account"`
	Rooms   []RoomState `json:"rooms"`
}

// RoomState is where a session is in one room.
type RoomState struct {
	Room    Room     `json:"room"`
	Members []Member `json:"members"`
	// Position is the time of the last event that was handed out, Observed when
	// the user looked at the room last, both in Unix milliseconds.
	Position int64 `json:"position"`
	// Seq is the place of that event in the room's log, 0 if the server did not
	// say.
	Seq uint64 `json:"seq,omitempty"`
	// Floor is the time up to which everything was handed out, whatever is in
	// Recent.
	Floor    int64 `json:"floor"`
	Observed int64 `json:"observed"`
	// Recent are the newest messages that were handed out, up to 20 s before
	// the position.
	Recent []Stamp `json:"recent,omitempty"`
}

// State is where the session is now: it covers exactly the events that were
// handed out. A program that stores it after it has dealt with an event, and
// opens its next session with Resume, misses nothing. History is not part of it.
func (s *Session) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := State{Account: s.account}
	for _, l := range s.book.listings() {
		r := s.book.rooms[l.room]
		rs := RoomState{Room: r.info, Position: r.window.position, Seq: r.window.seq, Floor: r.window.floor, Observed: r.viewed, Recent: slices.Clone(r.window.recent)}
		for _, m := range r.members {
			rs.Members = append(rs.Members, *m)
		}
		out.Rooms = append(out.Rooms, rs)
	}
	return out
}

// restore puts the book where another one was.
func (b *book) restore(state State) error {
	if state.Account != b.self.Account {
		return fmt.Errorf("the state is one of account %q, not of %q: %w", state.Account, b.self.Account, ErrInvalid)
	}
	for _, rs := range state.Rooms {
		r := &room{info: rs.Room, viewed: rs.Observed, window: newWindow()}
		for _, m := range rs.Members {
			r.admit(m)
		}
		r.window.add(rs.Position, "", rs.Seq)
		r.window.floor = max(r.window.floor, rs.Floor)
		for _, s := range rs.Recent {
			if s.Time <= rs.Position {
				r.window.add(s.Time, s.UUID, rs.Seq)
			}
		}
		r.since = r.window.position
		b.rooms[rs.Room.ID] = r
	}
	return nil
}
