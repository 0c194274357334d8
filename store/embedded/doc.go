// Package embedded keeps a store on this machine's disk, with nothing to
// install: one directory, one process, one pebble database.
//
// # One committer, one syncer
//
// Every change goes through one goroutine, the committer. It takes the requests
// as they come, up to Config.MaxBatch, and lets each decide against the state of
// its room after every earlier request; it gives the drafts their sequence
// numbers and times, and puts them into the batch of the group that is open.
// When the syncer, the other goroutine, has nothing to do, it gets the group:
// it writes it as ONE batch with ONE fsync, and only then publishes it,
// acknowledges it, and answers those whom it refused: a refusal says something
// about the log too. While it syncs, the committer decides the next group, so
// the group grows with the load and the fsyncs do not. The syncer has one group
// at a time: pebble is given no batch before that of the group before is durable
// and published.
//
// So the committer decides against more than any view shows. What groups have
// written that no view shows yet, and somewhat more, it finds in memory (see
// recent.go), everything else in a view. What needs no state is done before, by
// the callers, of whom there are many: they check the body, make the
// fingerprint, and look the uuid up in the view of that moment. What such a
// lookup has found, or not found, holds unless a group after that view wrote the
// uuid, and that the committer has in memory; if a caller came so late that it
// has forgotten, it looks again. A uuid so leads to one event in every order of
// things (S8).
//
// # Nothing is shown before its fsync
//
// Pebble shows a batch to its readers as soon as it is in memory, before the
// fsync, and a power cut would take back what they saw. So no read looks at the
// database as it is. The syncer takes a snapshot of it after each sync,
// while nothing is being written, and all reads of events, uuids, memberships,
// seen times and accounts look at the last such view. A view is exactly what is
// durable: all of it, and no more. Publishing a group is
//
//	1  the view           Events, Event, SeqAt, RoomsOf, Seen, Account, Now
//	2  the room states    State
//	3  the ring           Watch (package ring)
//	4  the answers        Append and the others
//
// in this order, so what Watch or an answer shows is in every later read (S10),
// and Now, which is part of the view, is never ahead of what Events shows (S7).
//
// # Projections
//
// The room's header, its members and the index from accounts to rooms are
// written in the batch of the events they follow from: they cannot lag. They
// are derived from room.Fold, so they equal the fold of the log. States of rooms
// in use are kept in memory; the others are restored from the projection.
//
// # Failure
//
// When the disk refuses to write or to sync, nobody knows what is on it. The
// store then fails as a whole: the group at hand is not acknowledged, the one
// that was decided meanwhile is not written, all later calls get
// store.ErrUnavailable, Failed is closed. The process should end; a
// restart recovers what was synced. Pebble's Fatalf must not end the process
// here (that is cmd's to do) and must not be ignored either, since Commit
// returns nil after it: the syncer looks at the failure after each commit,
// before it publishes. What pebble cannot handle at all, errors of its
// write-ahead log, it does not get to see (guard).
//
// # Goroutines
//
// Two: the committer, which Close waits for, and the syncer, which the committer
// waits for. Watchers run in their caller. Open
// and Close wait for a goroutine each, which they leave behind only where pebble
// hangs on a disk that has failed.
//
// # On disk
//
// Numbers in keys are big-endian. L is one byte, the length of the text that
// follows it, so that no key of one room or account can lie within the range of
// another. Records are in protobuf's wire format (see record.go), to which
// fields can be added.
//
//	v                         format version
//	e L room seq              event
//	u L room uuid             seq, and what the command is recognised by
//	r L room                  header: name, password, last seq and time, admin
//	m L room account          member: name, standing, position
//	s L room account          when the account was last active, what it has viewed
//	i L account room          the account is in the room
//	a id                      account with its session
//	n name                    the account's id
package embedded
