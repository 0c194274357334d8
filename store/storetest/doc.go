// Package storetest is the conformance suite of the store contract: what
// package store promises, as tests over any store.
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) storetest.Harness { ... })
//	}
//
// The suite knows a store only through the contract and a Harness, which opens
// it again and again on the same data and may be able to cut its power. It
// compares with Model, which is nothing but the logs and their folds, and
// records what concurrent clients saw to check it afterwards: against the logs,
// and by looking for an order of their calls that explains what each returned.
//
// The helpers that the suite is made of (Room, Model, Load) are exported, for
// tests that only one store can have.
package storetest
