package engine

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The models say in which order a few atomic steps must happen; the windows that
// the other order would open are some nanoseconds wide, and no run of the code
// falls into them within a test's time. So the code's order is compared with the
// models' by its text.
func TestStepsAreInTheOrderOfTheModels(t *testing.T) {
	for _, tc := range []struct {
		file, fn string
		steps    []string
	}{
		{"subscription.go", "fill", []string{"return s.fetch(sub)", "sub.dirty.Store(false)", "end := sub.end()", "sub.peek()", "sub.advance()", "sub.again(back)", "s.finishSubscription(sub)"}},
		{"subscription.go", "end", []string{"head.Load()", "until.Load()"}},
		{"subscription.go", "again", []string{"if sub.dirty.Swap(true) {", "return done", "return where"}},
		{"hosted.go", "tell", []string{"defer idle.Flush()", "if !sub.dirty.Load() && !sub.dirty.Swap(true) {", "sub.stream.pushIn(&idle"}},
		{"hosted.go", "pass", []string{"h.subscribe(", "h.tail.append(", "h.state = room.Fold", "h.end(sub, e.Seq)"}},
		{"hosted.go", "publish", []string{"h.head.Store(", "h.telling = 0"}},
		{"hosted.go", "applyNext", []string{"n.apply(h)"}},
		{"hosted.go", "Turn", []string{"h.tell()", "h.applyNext()", "h.publish()"}},
		{"hosted.go", "subscribe", []string{"s.acquire()", "defer s.release()", "\n\tsub.until.Store(until)", "sub.dirty.Store(true)", "s.push(&sub.Link)"}},
		{"stream.go", "push", []string{"if s.inbox.Push(l) {", "s.slot.Schedule()"}},
		{"stream.go", "pushIn", []string{"if s.inbox.Push(l) {", "b.Schedule(&s.slot)"}},
		{"stream_turn.go", "Turn", []string{"s.acquire()", "defer s.release()", "s.adopt()", "s.ending.Load() != nil", "s.conn.Credit()", "s.write()", "!s.inbox.Empty()", "s.slot.Schedule()"}},
		{"stream_end.go", "finish", []string{"s.refs.Close()", "<-s.drained", "s.timer.Stop()", "s.engine.registry.leave(s)", "s.leaveRooms()", "return"}},
		{"stream_end.go", "leaveRooms", []string{"s.adopt()", "s.engine.rooms.tell(", "left.Wait()"}},
	} {
		mustHaveSteps(t, tc.file, tc.fn, tc.steps)
	}
	if strings.Contains(bodyOf(t, "hosted.go", "pass"), "head.Store") {
		t.Error("hosted.go, pass: the head is published before all that passes with it has")
	}
}

// mustHaveSteps holds that the steps are in the function, in this order.
func mustHaveSteps(t *testing.T, file, fn string, steps []string) {
	t.Helper()
	body := bodyOf(t, file, fn)
	at := 0
	for _, step := range steps {
		i := strings.Index(body[at:], step)
		if i < 0 {
			t.Errorf("%s, %s: %q is missing, or not behind what must come before it", file, fn, step)
			return
		}
		at += i + len(step)
	}
}

// bodyOf is the source of a function, or of a method if name is "type.method", without
// its comments.
func bodyOf(t *testing.T, file, name string) string {
	t.Helper()
	source := sourceOf(t, file)
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parsed.Comments {
		for i := files.Position(c.Pos()).Offset; i < files.Position(c.End()).Offset; i++ {
			source[i] = ' '
		}
	}
	of, method, isMethod := strings.Cut(name, ".")
	if !isMethod {
		method = name
	}
	for _, d := range parsed.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == method && (!isMethod || receiverOf(fn) == of) {
			return string(source[files.Position(fn.Body.Pos()).Offset:files.Position(fn.Body.End()).Offset])
		}
	}
	t.Fatalf("%s has no function %s", file, name)
	return ""
}

// receiverOf is the name of the type that fn is a method of.
func receiverOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// sourceOf reads a file, or what the overlay says that is compiled in its place:
// bench/mutation names it.
func sourceOf(t *testing.T, file string) []byte {
	t.Helper()
	if list := os.Getenv("CHATSTREAM_OVERLAY"); list != "" {
		raw, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		var overlay struct{ Replace map[string]string }
		if err := json.Unmarshal(raw, &overlay); err != nil {
			t.Fatal(err)
		}
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		if replaced := overlay.Replace[path]; replaced != "" {
			file = replaced
		}
	}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return source
}
