// Package ring keeps the last of what became visible in a store, for its Watch.
//
// What becomes visible together is a group, a store.Batch. One adds them; any
// number of watchers read, each at its own pace, and none can hold up who adds: a
// watcher that falls behind finds its place gone, gets store.ErrHistoryLost, and
// must read the logs again (S9).
//
// # Positions
//
// Groups are numbered from 1. A position is the number of the last group seen and
// the epoch, which is drawn at random. Nothing of it is stored anywhere, so a
// position of another process is not held, and says so. A store that cannot say
// what it may have left out begins another epoch, and then no position of before
// is held.
//
// A store whose reads show a group before its watchers are told of it asks for the
// group's number (Expect), publishes that with what it lets be read, and then adds
// the group. Who has read in between watches from behind a group that is yet to
// come.
//
// # The end
//
// A ring that is finished still gives each watcher what is in it, and then the
// reason.
package ring
