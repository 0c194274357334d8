package main

const connTests = "^Test(SendNeverBlocks|NoCreditIsLost|SharedElements|BuffersAre|Credit|Compression|Steps)"

// Write credit: invariants 1 and 8, and that no runner waits for a client.
var ofTransport = []mutant{
	{what: "a stream sends without credit", file: "server/conn.go", tests: connTests,
		from: "if c.outstanding() < writeQuota {", to: "if true {"},
	{what: "Credit does not look again once it is parked", file: "server/conn.go", tests: connTests,
		from: "return c.outstanding() < writeQuota && c.parked.CompareAndSwap(true, false)", to: "return false"},
	{what: "Credit looks, then parks", file: "server/conn.go", tests: connTests,
		from: "c.parked.Store(true)\n\treturn c.outstanding() < writeQuota &&", to: "left := c.outstanding() < writeQuota\n\tc.parked.Store(true)\n\treturn left &&"},
	{what: "Credit does not say that it is parked", file: "server/conn.go", tests: connTests,
		from: "c.parked.Store(true)\n", to: ""},
	{what: "Credit stays parked when it finds credit after all", file: "server/conn.go", tests: connTests,
		from: "c.outstanding() < writeQuota && c.parked.CompareAndSwap(true, false)", to: "c.outstanding() < writeQuota"},
	{what: "a completion wakes nobody", file: "server/conn.go", tests: connTests,
		from: "if c.parked.CompareAndSwap(true, false) {\n\t\tc.wake()", to: "if c.parked.CompareAndSwap(true, false) {"},
	{what: "a completion wakes, then completes", file: "server/conn.go", tests: connTests,
		from: "for {\n\t\tcompleted := c.completed.Load()\n\t\tif completed >= m.upTo || c.completed.CompareAndSwap(completed, m.upTo) {\n\t\t\tbreak\n\t\t}\n\t}\n\tif c.parked.CompareAndSwap(true, false) {\n\t\tc.wake()\n\t}",
		to:   "if c.parked.CompareAndSwap(true, false) {\n\t\tc.wake()\n\t}\n\tfor {\n\t\tcompleted := c.completed.Load()\n\t\tif completed >= m.upTo || c.completed.CompareAndSwap(completed, m.upTo) {\n\t\t\tbreak\n\t\t}\n\t}"},
	{what: "a completion takes back a later one", file: "server/conn.go", tests: connTests,
		from: "if completed >= m.upTo || c.completed.CompareAndSwap(completed, m.upTo) {", to: "if c.completed.CompareAndSwap(completed, m.upTo) {"},
	{what: "what is sent is not counted", file: "server/conn.go", tests: connTests,
		from: "c.sent += int64(r.Size) + frameHead", to: "c.sent += frameHead"},
	{what: "nothing is marked", file: "server/conn.go", tests: connTests,
		from: "if c.sent-c.marked >= markEvery {", to: "if false {"},
	{what: "a mark covers more than was sent", file: "server/conn.go", tests: connTests,
		from: "upTo: c.sent})", to: "upTo: c.sent + writeQuota})"},
	{what: "a short buffer is marked as it is, and never given back", file: "server/conn.go", tests: connTests,
		from: "if cap(data) < poolable {", to: "if false {"},
	{what: "the quota is more than grpc-go's", file: "server/conn.go", tests: connTests,
		from: "writeQuota = 60 << 10", to: "writeQuota = 1 << 30"},
	{what: "who has read it all is cut off for what waited a moment ago", file: "server/connections.go", tests: "Stuck",
		from: "!closed(s.raw) && c.Stuck() && c", to: "!closed(s.raw) && c"},
}
