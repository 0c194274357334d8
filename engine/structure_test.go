package engine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// Invariant 12 of the design is kept by what the code does not contain, so that is
// what is looked for: no lock in the engine but the buckets' of its two maps, and
// nothing under those but a few instructions. And nothing that waits in the files
// whose code runs within turns.

func parsed(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = f
		}
	}
	return files
}

func TestThereIsNoLockInTheEngine(t *testing.T) {
	for name, f := range parsed(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				switch sel.Sel.Name {
				case "Mutex", "RWMutex", "SpinLock", "Cond", "Once", "Lock", "RLock":
					t.Errorf("%s: %s", name, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// What is called while a bucket of the registry or of the rooms is locked. None of
// it waits, none of it takes another lock.
func TestUnderTheMapsLocksThereIsNextToNothing(t *testing.T) {
	allowed := []string{
		"next",          // Registry.replace: Generation.Next, one atomic
		"End",           // a CompareAndSwap and a close
		"Push", "Empty", // Inbox
		"newHostedRoom", // a few fixed allocations
	}
	found := map[string]bool{}
	for name, f := range parsed(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "Compute" {
				return true
			}
			ast.Inspect(call.Args[1], func(n ast.Node) bool {
				if inner, ok := n.(*ast.CallExpr); ok {
					called := ""
					switch fun := inner.Fun.(type) {
					case *ast.Ident:
						called = fun.Name
					case *ast.SelectorExpr:
						called = fun.Sel.Name
					}
					found[called] = true
					if !slices.Contains(allowed, called) {
						t.Errorf("%s: %s is called within Compute", name, called)
					}
				}
				return true
			})
			return true
		})
	}
	if len(found) < len(allowed) {
		t.Errorf("found only %v", slices.Sorted(maps.Keys(found)))
	}
}

// Turns wait for nothing: no receive, no select, no Wait, no Sleep, no call of the
// store, in the functions that run within them. The exceptions are receives from
// channels that are known to hold something.
func TestTurnsContainNothingThatWaits(t *testing.T) {
	// The files of turns, and in them the functions that run elsewhere.
	elsewhere := map[string][]string{
		"hosted.go":       {"load", "heal"}, // they hand jobs to workers
		"note.go":         {},
		"subscription.go": {},
		"stream_turn.go":  {"read"}, // on a worker
		"tail.go":         {},
		"form.go":         {},
		"splice.go":       {},
		"producer.go":     {},
		"registry.go":     {},
		"rooms.go":        {},
	}
	waits := []string{"Wait", "Sleep", "Do", "State", "Events", "Event", "SeqAt", "RoomsOf", "Seen", "SeenBy", "Append"}
	files := parsed(t)
	for name, other := range elsewhere {
		for _, d := range files[name].Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || slices.Contains(other, fn.Name.Name) {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectStmt, *ast.GoStmt:
					t.Errorf("%s: %s has a %T", name, fn.Name.Name, n)
				case *ast.UnaryExpr:
					if n.Op == token.ARROW {
						t.Errorf("%s: %s receives", name, fn.Name.Name)
					}
				case *ast.CallExpr:
					if sel, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains(waits, sel.Sel.Name) {
						t.Errorf("%s: %s calls %s", name, fn.Name.Name, sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
}
