// Package clienttest is a chat server for tests of clients: small, in memory, and
// as honest as the wire contract asks, with handles to break it. It shares no
// code with the real one: what a client's test proves against it, it proves
// against the contract.
//
// It is for the tests of this module; it may change at any time.
package clienttest
