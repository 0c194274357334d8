package main

import "io"

// stdio is what a command reads and writes.
type stdio struct {
	In       io.Reader
	Out, Err io.Writer
	// Terminal: a person sits at In.
	Terminal bool
}
