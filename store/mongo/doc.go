// Package mongo keeps a store in MongoDB: a replica set or a sharded cluster,
// which any number of servers share. No type of the driver leaves the package.
//
// # The log
//
// An event is one document of the collection events, and its place in its room
// is given by a unique index on room and sequence number. Whoever wants to append
// knows the room's state after its last event, decides on that, and inserts the
// next one with write concern majority. If another process was first the index
// refuses it; then what that one wrote is read, folded, and the decision made
// again. So each event is decided on exactly the events before it, whoever wrote
// them, and without a lock or a transaction.
//
// Nobody inserts event n+1 who does not know that a majority has event n, be it
// by an acknowledgement, by a read of what a majority has, or by the change stream.
// So in every oplog event n is before n+1, and the change stream shows each room's
// events in order and without a gap (S1, S4); and what a majority has is never
// rolled back (S3).
//
// # One committer
//
// As in store/embedded, all appends go through one goroutine, which sends one
// command for many rooms: one event of each, unordered, so that one that is
// refused stops no other. A room that is alone sends all that waits in it, in
// order, so that nothing is stored behind one that is refused. An op with several
// events, such as the one that opens a room, has a transaction: all or none. That,
// and looking for what became of a command, goes aside of the committer (aside):
// who is refused, or meets another server's events, holds up his own room only.
//
// What became of a command is not always known: a reply may be lost, or there may
// be no majority in time. Then the committer reads what is there (settle). The
// same event has the same _id in every attempt, another event at the same number
// meets the index, so trying again is safe even if the first attempt is carried
// out later. If the database cannot be read either, the caller gets
// store.ErrUnavailable, and may send the same uuid again.
//
// Processes that write to the same room at the same time would starve each other:
// the one that has just won knows the last event first. So it yields, for a time
// that grows with the number of the others.
//
// # What is shown
//
// One change stream per process brings the events of all rooms, who has claimed to
// have the newest stream of an account, and which accounts have changed (feed). An event of
// our own does not wait for it: it is shown when it is acknowledged, if that keeps
// the room's order (tracked), and is not shown again when the stream brings it,
// which may also be before the acknowledgement. Everything shown goes into a ring
// in memory, which is what Watch reads; a position is a number in it.
//
// A stream that ends is opened again behind the event shown last. When the database
// refuses that, a stream is begun at the present, and a new epoch of the ring: every
// watcher gets store.ErrHistoryLost and reads the rooms it wants (S9). Reads begin
// after the moment at which the new stream begins, so nothing is left out between.
// What no store has written is passed over. How many events come at a time is what the
// network carries before the stream counts as silent (portion).
//
// # What follows from the log is read from it
//
// Of the log's consequences none is written with the event. A room's state is kept
// in memory for the rooms in use; the others are read from a snapshot, which is
// renewed now and then in the background, and the events behind it. The rooms of an
// account are the targets' index of the log. When an account was seen is in the
// snapshot, and behind it again in the events, which also have what an op's sender
// has viewed. So there is nothing that could lag behind the log when a process
// dies, and a message costs one document. What somebody has viewed without saying
// anything is written to seen: one write at a time, for all who came meanwhile (raises).
//
// All reads are of what a majority has, in a session that begins after everything
// that this process was told or shown (S7, S10), whichever server is the primary.
//
// Accounts alone are remembered, by RecentAccount and without their credentials,
// until the change stream shows that they have changed, and while it is known not to
// lag (recent): otherwise each message would cost a read of its sender.
//
// # Collections
//
//	events    _id room/uuid; r room, s seq, t time, k kind, u sender, g target, a action, b body,
//	          v viewed, w author, m mark; unique (r, s); (r, t); (g, r, s, a) where there is a g
//	rooms     _id room; the header of the snapshot
//	members   _id room/account; a member, in the snapshot
//	seen      _id room/account; a activity, v viewed
//	accounts  _id; n name, unique; the session, and v the version of the document
//	streams   _id account; c the number of its newest stream's claim, and the installation
//	servers   _id process; a address, t when it was last alive; kept a minute
//	meta      _id schema; the version of all this
//
// Sharded, events goes by {r: "hashed"}: the log of a room is on one shard.
//
// # Goroutines
//
// The committer, one that writes what was viewed, the feed, one that writes
// snapshots, one that compares the clocks, one that renews this server's lease, and
// one for each room that is being read. Close waits for them.
package mongo
