// Package store is the contract between the engine and whatever keeps its data.
//
// A store keeps one log of events per room, and beside it what is derived from
// the logs (room states, memberships, the times members were seen) and what is
// not (accounts and their sessions). Two stores implement the contract:
// store/embedded, on this machine's disk, and store/mongo; both keep what Watch
// shows in a store/ring. Package store/storetest holds the conformance suite that
// every store must pass.
//
// # What every store promises
//
//	S1  The sequence numbers of a room are contiguous from 1.
//	S2  Time strictly increases with the sequence number.
//	S3  What Watch, a read or an acknowledgement shows is durable and is never
//	    taken back.
//	S4  Watch gives each room in sequence order, without a gap from its start.
//	    Across rooms it promises only "acknowledged before sent".
//	S5  Watch gives every event at least once across restarts, and exactly once
//	    per (room, seq) within one Watch.
//	S6  An acknowledged append is seen by every Watch opened before it.
//	S7  pos := Now(); Events(room, after); Watch(pos) covers everything.
//	S8  The same uuid again answers with the first event: same seq, same time.
//	S9  ErrHistoryLost never means that events are lost, only that the reader
//	    must go on by Events.
//	S10 RoomsOf, State, Events and Event include every event that an
//	    acknowledgement or a Watch of this process showed before the call.
package store
