package main

// The rules that a position in a room's log is decided by.
var ofRules = []mutant{
	{what: "an event is folded out of its order", file: "engine/room/fold.go",
		from: "if e.Seq != s.Seq+1 {", to: "if false {"},
	{what: "who is banned may join", file: "engine/room/decide.go",
		from: "case known && m.Standing == Banned:", to: "case known && false:"},
	{what: "who is in the room joins again", file: "engine/room/decide.go",
		from: "case m.Present():\n\t\treturn nil, ErrAlreadyIn", to: "case false:\n\t\treturn nil, ErrAlreadyIn"},
	{what: "anybody may remove a member", file: "engine/room/decide.go",
		from: "if caller.Standing != Admin {", to: "if caller.Standing != Admin && false {"},
	{what: "who is not in the room may write", file: "engine/room/decide.go",
		from: "if !s.Present(c.Sender) {", to: "if false {"},
	{what: "a room is created twice", file: "engine/room/decide.go",
		from: "if s.Exists() {", to: "if false {"},
	{what: "the room is left without an admin", file: "engine/room/decide.go",
		from: "heir = other.Account\n", to: ""},
	{what: "a kick bans", file: "engine/room/fold.go",
		from: "case KindKicked:\n\t\ts = s.removed(e, NotIn)", to: "case KindKicked:\n\t\ts = s.removed(e, Banned)"},
	{what: "who was removed stays admin", file: "engine/room/fold.go",
		from: "if s.Admin == m.Account {", to: "if false {"},
}
