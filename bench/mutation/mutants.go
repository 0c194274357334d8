package main

import "slices"

// mutants is the whole list.
func mutants() []mutant {
	return slices.Concat(ofTransport, ofRooms, ofStreams, ofStore, ofMongo, ofRules, ofPool, ofAtomics)
}

// equivalent is a change that makes no difference, so that no test can notice it.
type equivalent struct{ what, why string }
