// Package stepped stands in for sync/atomic, and for the map of xsync, in a build of
// the engine whose every atomic operation waits to be let through: a scheduler lets
// one goroutine at a time take one step. So windows of a nanosecond between two
// atomic operations are as wide as the scheduler likes, in the real code, and not only
// in a model of it.
//
// Overlay says which files of the module are to be replaced for that (go build
// -overlay). The tests that use it have the build tag stepping; `go run ./bench/step`
// runs them. Everything happens within a bubble of testing/synctest, which knows when
// nobody moves any more.
package stepped
