// Package engine delivers what is stored in rooms to the streams of the rooms'
// members: in order, without a gap, at once.
//
// An event's way. The feed (feed.go) receives it from the store and puts it
// into the inbox of its room (rooms.go, note.go). The room's turn (hosted.go)
// lets it pass when it is the next one, encodes it once (form.go, splice.go),
// keeps it in the room's tail (tail.go), publishes the room's head, and tells
// the subscriptions: one Swap per member. A subscription (subscription.go) that
// has news waits in its stream's queue; the stream's turn (stream_turn.go)
// takes what lies between the subscription's cursor and the head from the tail,
// or from the store if it is no longer there, joins it into responses, and
// hands them to the transport (conn.go) while there is write credit. A stream
// that is up to date, one that is slow and one that has just come back are the
// same to all of this.
//
// A stream's way. Serve (engine.go) puts it into the registry (registry.go),
// which ends the stream it replaces; tells the client what it missed
// (stream_init.go); lets its reader read (stream_read.go, stream_lookup.go);
// waits for a reason to end; and takes it apart (stream_end.go).
//
// Turns run on a few runners of package pool and never wait for anything. What
// may wait, reads of the store, runs on workers (job.go), or in a stream's
// handler. From a room's sequencer to the transport no mutex is taken: rooms and
// streams are owned by their turns, and what others tell them goes through
// inboxes and atomic words.
//
// The engine knows no gRPC. It knows a Conn, a store.Log, and the messages.
package engine
