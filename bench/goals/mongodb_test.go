package goals

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/chatstream/chatstream/bench/load"
	"github.com/chatstream/chatstream/store/mongo/mongotest"
)

// inARow is for how long messages are sent to each side in turn.
const inARow = 4 * time.Second

// How long after a message was due a stream has it, where two servers share a
// MongoDB replica set: one that was sent to the other server, and one that was
// sent to the stream's own. Reference: a program that inserts documents of that
// size, of the same indexes, with the same write concern, and reads them from one
// change stream. Ours also includes two calls over gRPC, to the server and on to
// the stream.
func BenchmarkMongoDB(b *testing.B) {
	for _, members := range []int{1, 3} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			set, err := mongotest.Start(mongotest.Mongod(b), mongotest.Options{Members: members})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(set.Stop)
			for _, rate := range []float64{10, 100, 1000} {
				b.Run(fmt.Sprint("rate=", rate), func(b *testing.B) { measureMongoDB(b, set.URI(), rate) })
			}
		})
	}
}

func measureMongoDB(b *testing.B, uri string, rate float64) {
	database := mongotest.Database()
	here, there := oursOn(b, uri, database), oursOn(b, uri, database)
	same, err := load.OpenFanout(b.Context(), here.Target, 1, 0, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(same.Close)
	other, err := load.OpenFanout(b.Context(), here.Target, 1, 0, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(other.Close)
	if err := other.SendBy(there.Target); err != nil {
		b.Fatal(err)
	}
	bare := newInserter(b, uri)

	names := []string{"other", "bare", "same"}
	var seen [3]*hdrhistogram.Histogram
	for i := range seen {
		seen[i] = load.NewHistogram()
	}
	send := func(i int, d time.Duration) *hdrhistogram.Histogram {
		if i == 1 {
			return bare.paced(b, rate, d)
		}
		f := map[int]*load.Fanout{0: other, 2: same}[i]
		sample, err := f.Paced(b.Context(), rate, textSize, d)
		if err != nil {
			b.Fatalf("%s: %v", names[i], err)
		}
		if err := sample.Check(); err != nil {
			b.Fatalf("%s: %v", names[i], err)
		}
		return sample.Latency
	}
	for i := range seen {
		send(i, warmUp)
	}
	for b.Loop() {
		for _, i := range []int{0, 1, 2, 2, 1, 0} {
			seen[i].Merge(send(i, inARow/2))
		}
	}
	b.ReportMetric(0, "ns/op")
	at := func(i int, q float64) float64 { return float64(seen[i].ValueAtQuantile(q)) / 1e6 }
	for i, name := range names {
		b.ReportMetric(at(i, 50), name+"-p50-ms")
		b.ReportMetric(at(i, 99), name+"-p99-ms")
	}
	b.ReportMetric(at(0, 50)/at(1, 50), "p50-ratio")
	b.ReportMetric(at(0, 99)/at(1, 99), "p99-ratio")
}

// inserter is the reference: one client that inserts, one that reads a change
// stream.
type inserter struct {
	collection *mongo.Collection
	seq        int64
	mu         sync.Mutex
	latency    *hdrhistogram.Histogram
	arrived    chan struct{}
}

type inserted struct {
	ID   string `bson:"_id"`
	Room string `bson:"r"`
	Seq  int64  `bson:"s"`
	Due  int64  `bson:"t"` // by load.Clock
	Body []byte `bson:"b"`
}

func newInserter(b *testing.B, uri string) *inserter {
	b.Helper()
	collection := func() *mongo.Collection {
		client, err := mongo.Connect(options.Client().ApplyURI(uri).SetWriteConcern(writeconcern.Majority()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = client.Disconnect(context.Background()) })
		return client.Database(mongotest.Database()).Collection("events")
	}
	writes := collection()
	reads := collection().Database().Client().Database(writes.Database().Name()).Collection("events")
	in := &inserter{collection: writes, latency: load.NewHistogram(), arrived: make(chan struct{}, 1<<16)}
	_, err := writes.Indexes().CreateMany(b.Context(), []mongo.IndexModel{
		{Keys: bson.D{{Key: "r", Value: 1}, {Key: "s", Value: 1}}, Options: options.Index().SetUnique(true)},
		{Keys: bson.D{{Key: "r", Value: 1}, {Key: "t", Value: 1}}},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := reads.Watch(ctx, mongo.Pipeline{{{Key: "$match", Value: bson.D{{Key: "operationType", Value: "insert"}}}}})
	if err != nil {
		cancel()
		b.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for stream.Next(ctx) {
			var e struct {
				Document inserted `bson:"fullDocument"`
			}
			if err := stream.Decode(&e); err != nil {
				b.Error(err)
				return
			}
			in.mu.Lock()
			_ = in.latency.RecordValue(load.Clock() - e.Document.Due)
			in.mu.Unlock()
			in.arrived <- struct{}{}
		}
		if err := stream.Err(); err != nil && !errors.Is(err, context.Canceled) {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		cancel()
		reading.Wait()
		_ = stream.Close(context.Background())
	})
	return in
}

// paced inserts rate documents a second for d, at fixed times, and waits until
// the stream has brought them.
func (in *inserter) paced(b *testing.B, rate float64, d time.Duration) *hdrhistogram.Histogram {
	b.Helper()
	in.mu.Lock()
	in.latency = load.NewHistogram()
	in.mu.Unlock()
	var inserting sync.WaitGroup
	n := 0
	err := load.Pace(b.Context(), rate, d, func(due int64, _ int) {
		n++
		in.seq++
		document := inserted{
			ID: fmt.Sprintf("aaaaaaaa/%036d", in.seq), Room: "aaaaaaaa", Seq: in.seq, Due: due, Body: make([]byte, textSize),
		}
		inserting.Go(func() {
			if _, err := in.collection.InsertOne(b.Context(), document); err != nil {
				b.Error(err)
			}
		})
	})
	if err != nil {
		b.Error(err)
	}
	inserting.Wait()
	for range n {
		select {
		case <-in.arrived:
		case <-time.After(30 * time.Second):
			b.Fatal("the change stream lacks documents")
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.latency
}
