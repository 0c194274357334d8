package main

import "slices"

// mutants is the whole list.
func mutants() []mutant {
	return slices.Concat(ofAtomics, ofPool, ofStreams, ofRooms, ofRules, ofStore, ofTransport)
}

// equivalent is a change that makes no difference, so that no test can notice it.
type equivalent struct{ what, why string }
