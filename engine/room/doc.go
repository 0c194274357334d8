// Package room holds the rules of a chat room as pure functions.
//
// A room is a log of events, numbered from 1 without a gap. Two functions give
// the log its meaning:
//
//	Decide(state, command) -> drafts   may this be done, and what happens then?
//	Fold(state, event)     -> state    what is the room like afterwards?
//
// There is no I/O, no clock, no randomness and no lock in here: a store calls
// Decide with exactly the events before the new one folded in, gives the drafts
// their sequence numbers and times, and writes them. So a rule that holds at
// sequence number n was decided against exactly the events before n: a message
// of a kicked user cannot be numbered after his kick.
//
// A State is immutable. It shares structure with the states before and after
// it, so keeping one per room, per subscription or per pending batch costs
// little, and any goroutine may read any State without synchronisation.
package room
