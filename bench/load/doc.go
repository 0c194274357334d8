// Package load puts load on a running server of this protocol and measures what
// comes back: what `chatstream bench` does, as a library.
//
// A Target is a server. SignUp makes accounts there, and an account's Open holds
// a stream, which counts what it is given without decoding more than it must:
// the generator shares its machine with the server, so each cycle it saves is
// one that the server gets. Every stream checks that the numbers of each room's
// messages follow one another; what is missing or comes twice is counted, and
// belongs into every report.
//
// A message carries the time at which it was due to be sent, and latency is
// measured from there (no coordinated omission: a sender that is late because
// the server is slow does not make the server look fast). All times are those of
// one process's monotonic clock.
package load
