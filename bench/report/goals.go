package report

import "math"

// Goal is one of the goals that the delivery path was built for, and where its
// measure is found.
type Goal struct {
	ID        string // names it in remarks.md
	What      string
	Reference string // what it is measured against, in the same run
	Unit      string // of the limit and the measure: "x" for a ratio, "%"
	Compare   string // "<=", "<", or ">="
	Limit     float64
	Benchmark string // without the number of processors at its end
	Metric    string
	// Sizes, if not empty, is how the names of the benchmarks begin that measure the
	// same of other sizes, each beside the same reference: the measure is by that of
	// the cheapest size, which may be the reference itself.
	Sizes string
}

const (
	bareProgram = "bare grpc-go program: two workers, SendMsg of shared encoded bytes, up to 32 joined"
	exchange    = "a loop over the same members, one atomic exchange on each one's own cache line"
	bareMongoDB = "one program that inserts with the same write concern, and another connection's change stream"
	centrifugo  = "Centrifugo v6, memory engine, history and recovery on, WebSocket protobuf"
)

// Goals are all goals, in the order of the report.
var Goals = []Goal{
	{ID: "backlog", What: "server CPU per delivery, 1 000 streams on 1 000 connections, 200-byte texts, saturated with backlog",
		Reference: bareProgram, Unit: "x", Compare: "<=", Limit: 1.15, Benchmark: "BenchmarkBacklog", Metric: "ratio"},
	{ID: "one-at-a-time", What: "the same, one message at a time (no backlog)",
		Reference: bareProgram, Unit: "x", Compare: "<=", Limit: 1.10, Benchmark: "BenchmarkOneAtATime", Metric: "ratio"},
	{ID: "latency", What: "latency, due to received, p99 at half of saturation; ours stores each message durably in that time",
		Reference: "the bare program's p99", Unit: "x", Compare: "<=", Limit: 1.25, Benchmark: "BenchmarkLatency", Metric: "p99-ratio"},
	{ID: "stalled", What: "p99 of 50 healthy streams beside 400 that never read",
		Reference: "the same without the 400", Unit: "x", Compare: "<=", Limit: 1.20, Benchmark: "BenchmarkStalled", Metric: "p99-ratio"},
	{ID: "idle-each", What: "memory per idle stream, 10 000 streams, one connection each",
		Reference: "bare grpc-go stream with a read goroutine beside its handler", Unit: "x", Compare: "<=", Limit: 1.10, Benchmark: "BenchmarkIdle/connections=each", Metric: "ratio"},
	{ID: "idle-shared", What: "memory per idle stream, 10 000 streams, 100 per connection",
		Reference: "bare grpc-go stream with a read goroutine beside its handler", Unit: "x", Compare: "<=", Limit: 1.10, Benchmark: "BenchmarkIdle/connections=shared", Metric: "ratio"},
	{ID: "route-10", What: "engine alone: one event to 10 subscriptions whose streams have something to do already",
		Reference: exchange, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkRouteToThoseWhoKnow/members=10", Metric: "ratio"},
	{ID: "route-1000", What: "engine alone: one event to 1 000 subscriptions whose streams have something to do already",
		Reference: exchange, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkRouteToThoseWhoKnow/members=1000", Metric: "ratio"},
	{ID: "route-100000", What: "engine alone: one event to 100 000 subscriptions whose streams have something to do already",
		Reference: exchange, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkRouteToThoseWhoKnow/members=100000", Metric: "ratio"},
	{ID: "route-idle-10", What: "engine alone: one event to 10 subscriptions whose streams are idle, which puts each on the run queue",
		Reference: exchange, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkRouteToIdle/members=10", Metric: "ratio"},
	{ID: "route-idle-1000", What: "engine alone: one event to 1 000 subscriptions whose streams are idle, which puts each on the run queue",
		Reference: exchange, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkRouteToIdle/members=1000", Metric: "ratio"},
	{ID: "route-idle-100000", What: "engine alone: one event to 100 000 subscriptions whose streams are idle, which puts each on the run queue",
		Reference: exchange, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkRouteToIdle/members=100000", Metric: "ratio"},
	{ID: "route-joins", What: "broadcast rate to a room of 100 000 members at 100 joins and leaves a second",
		Reference: "the same room without joins", Unit: "x", Compare: ">=", Limit: 0.90, Benchmark: "BenchmarkJoinsDuringBroadcast", Metric: "rate-ratio"},
	{ID: "durable", What: "rate of durable sends (acknowledged after fsync), 64 senders in 64 rooms, 300 bytes",
		Reference: "raw pebble batches of the same keys in the same group loop", Unit: "x", Compare: ">=", Limit: 0.80, Benchmark: "BenchmarkAppendAgainstPebble/rooms=64", Metric: "rate-ratio"},
	{ID: "behind", What: "rate of a stream that is 10 000 messages behind",
		Reference: "the same messages read from the store and written to one bare stream", Unit: "x", Compare: ">=", Limit: 0.70, Benchmark: "BenchmarkBehind", Metric: "rate-ratio"},
	{ID: "members-1000", What: "engine alone: cost per delivery in a room of 1 000 members",
		Reference: "the cheapest of all sizes, each measured beside a room of 10", Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkDeliveryByMembers/members=1000", Metric: "ratio", Sizes: "BenchmarkDeliveryByMembers/members="},
	{ID: "members-10000", What: "engine alone: cost per delivery in a room of 10 000 members",
		Reference: "the cheapest of all sizes, each measured beside a room of 10", Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkDeliveryByMembers/members=10000", Metric: "ratio", Sizes: "BenchmarkDeliveryByMembers/members="},
	{ID: "members-100000", What: "engine alone: cost per delivery in a room of 100 000 members",
		Reference: "the cheapest of all sizes, each measured beside a room of 10", Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkDeliveryByMembers/members=100000", Metric: "ratio", Sizes: "BenchmarkDeliveryByMembers/members="},
	{ID: "rooms-1000", What: "engine alone: cost of an event by its deliveries, encoding included, with 1 000 rooms",
		Reference: "the cheapest of all numbers, each measured beside one room", Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkDeliveryByRooms/rooms=1000", Metric: "ratio", Sizes: "BenchmarkDeliveryByRooms/rooms="},
	{ID: "rooms-100000", What: "engine alone: cost of an event by its deliveries, encoding included, with 100 000 rooms",
		Reference: "the cheapest of all numbers, each measured beside one room", Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkDeliveryByRooms/rooms=100000", Metric: "ratio", Sizes: "BenchmarkDeliveryByRooms/rooms="},
	{ID: "rooms-1000000", What: "engine alone: cost of an event by its deliveries, encoding included, with 1 000 000 rooms",
		Reference: "the cheapest of all numbers, each measured beside one room", Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkDeliveryByRooms/rooms=1000000", Metric: "ratio", Sizes: "BenchmarkDeliveryByRooms/rooms="},
	{ID: "peer-backlog", What: "server CPU per delivery, saturated with backlog",
		Reference: centrifugo, Unit: "x", Compare: "<=", Limit: 0.25, Benchmark: "BenchmarkPeerBacklog/peer=centrifugo", Metric: "ratio"},
	{ID: "peer-one-at-a-time", What: "server CPU per delivery, one message at a time",
		Reference: centrifugo, Unit: "x", Compare: "<=", Limit: 0.90, Benchmark: "BenchmarkPeerOneAtATime/peer=centrifugo", Metric: "ratio"},
	{ID: "peer-idle", What: "memory per idle stream",
		Reference: centrifugo, Unit: "x", Compare: "<=", Limit: 1.2, Benchmark: "BenchmarkPeerIdle/peer=centrifugo", Metric: "ratio"},
	{ID: "peer-hub", What: "engine alone: one event to 1 000 subscriptions",
		Reference: "broadcast of centrifuge's in-memory hub", Unit: "x", Compare: "<=", Limit: 0.34, Benchmark: "BenchmarkPeerHub", Metric: "ratio"},
	{ID: "mongodb-10-p50", What: "MongoDB, three members, 10 messages a second: p50 from due to received on another server's stream",
		Reference: bareMongoDB, Unit: "x", Compare: "<=", Limit: 1.15, Benchmark: "BenchmarkMongoDB/members=3/rate=10", Metric: "p50-ratio"},
	{ID: "mongodb-10-p99", What: "MongoDB, three members, 10 messages a second: p99 from due to received on another server's stream",
		Reference: bareMongoDB, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkMongoDB/members=3/rate=10", Metric: "p99-ratio"},
	{ID: "mongodb-100-p50", What: "MongoDB, three members, 100 messages a second: p50 from due to received on another server's stream",
		Reference: bareMongoDB, Unit: "x", Compare: "<=", Limit: 1.15, Benchmark: "BenchmarkMongoDB/members=3/rate=100", Metric: "p50-ratio"},
	{ID: "mongodb-100-p99", What: "MongoDB, three members, 100 messages a second: p99 from due to received on another server's stream",
		Reference: bareMongoDB, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkMongoDB/members=3/rate=100", Metric: "p99-ratio"},
	{ID: "mongodb-1000-p50", What: "MongoDB, three members, 1 000 messages a second: p50 from due to received on another server's stream",
		Reference: bareMongoDB, Unit: "x", Compare: "<=", Limit: 1.15, Benchmark: "BenchmarkMongoDB/members=3/rate=1000", Metric: "p50-ratio"},
	{ID: "mongodb-1000-p99", What: "MongoDB, three members, 1 000 messages a second: p99 from due to received on another server's stream",
		Reference: bareMongoDB, Unit: "x", Compare: "<=", Limit: 1.5, Benchmark: "BenchmarkMongoDB/members=3/rate=1000", Metric: "p99-ratio"},
	{ID: "mongodb-append", What: "MongoDB, three members: rate of acknowledged messages, 64 senders in 64 rooms, 300 bytes",
		Reference: "64 goroutines that insert the same documents with the same write concern", Unit: "x", Compare: ">=", Limit: 1.7, Benchmark: "BenchmarkAppendAgainstInserts/members=3", Metric: "rate-ratio"},
}

// Met says whether a measure reaches the goal.
func (g Goal) Met(measured float64) bool {
	switch g.Compare {
	case "<=":
		return measured <= g.Limit
	case "<":
		return measured < g.Limit
	case ">=":
		return measured >= g.Limit
	}
	panic("report: goal " + g.ID + " compares by " + g.Compare)
}

// share is how much of the limit a measure uses up: 1 is just at the goal, less
// is better than it, whichever way the goal looks. It is between a thousandth and a
// thousand.
func (g Goal) share(measured float64) float64 {
	share := measured / g.Limit
	if g.Compare == ">=" {
		share = math.Inf(1)
		if measured > 0 {
			share = g.Limit / measured
		}
	}
	return min(max(share, 1e-3), 1e3)
}
