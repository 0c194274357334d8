// Package contention compares the lock-free parts of this project with what one would have taken instead: locks with locks,
// queues with channels and with those of xsync, the count of references with a mutex and a number, the map of the registry
// with other maps. There is nothing in it but benchmarks:
//
//	go test -bench . ./bench/contention
//
// Each says what it shows, and checks what it has counted at its end: a lock that does not exclude would be the fastest.
// What is compared within one benchmark is worth more than what is compared between two, see package measure. Where a part
// of ours is not the fastest, its own comment says why it is there all the same.
package contention
