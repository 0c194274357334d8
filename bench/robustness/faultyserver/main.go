// Command faultyserver is the server with a disk and a clock that can be told to
// fail. It is made of the same parts as `chatstream serve` and takes the same
// flags for them, and is for tests only. On MongoDB its clock is not corrected by
// the database's, as a server's is, and what is said of the disk does nothing;
// --via has it reach the members of the replica set by other ways than the set
// says, which can be cut.
//
// It reads commands from its standard input, a line each, and answers each with
// one line on its standard output:
//
//	fsync DURATION   every sync takes that much longer
//	full BYTES       after that many more bytes the disk is full; -1: never
//	clock DURATION   the clock is off by that much
//	power            the power fails: what was not synced is gone, and so is
//	                 the process
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chatstream/chatstream/server"
	"github.com/chatstream/chatstream/server/accounts"
	"github.com/chatstream/chatstream/store"
	"github.com/chatstream/chatstream/store/embedded"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "faultyserver:", err)
		os.Exit(1)
	}
}

// clock is the system's, off by some time.
type clock struct{ off atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve gRPC on")
	data := flag.String("data", "", "data directory")
	uri := flag.String("mongodb", "", "keep everything in this MongoDB instead")
	database := flag.String("database", "chatstream", "database of -mongodb")
	via := flag.String("via", "", "MEMBER=ADDRESS,...: members of the replica set, and where to connect to instead")
	advertise := flag.String("advertise", "", "address that other servers on -mongodb name to clients")
	drain := flag.Duration("drain-timeout", 10*time.Second, "how long a shutdown waits for clients")
	off := flag.Duration("clock", 0, "how much the clock is off from the start")
	fsync := flag.Duration("fsync", 0, "how much longer a sync takes from the start")
	var level slog.Level
	flag.TextVar(&level, "log-level", slog.LevelInfo, "debug, info, warn or error")
	var cfg server.Config
	e := &cfg.Engine
	flag.DurationVar(&e.StreamLifetime, "stream-lifetime", 0, "how long a chat stream lives")
	flag.DurationVar(&e.TailAge, "tail-age", 0, "how long events are kept in memory")
	flag.Int64Var(&e.TailBytes, "tail-bytes", 0, "how many bytes of them")
	flag.DurationVar(&e.StallPatience, "stall-timeout", 0, "how long a client may leave a stream unread")
	flag.DurationVar(&e.GapPatience, "gap-patience", 0, "how long a room waits for a late event")
	flag.DurationVar(&e.BookmarkEvery, "bookmark-every", 0, "how often an idle stream says so")
	flag.IntVar(&e.Replies, "replies", 0, "answers of one stream that may wait")
	flag.IntVar(&cfg.Pool.Runners, "runners", 0, "goroutines that give turns")
	flag.IntVar(&cfg.Pool.Workers, "workers", 0, "store reads at once")
	maxStreams := flag.Uint("max-streams", 0, "RPCs at once on one connection")
	cache := flag.Int64("cache-bytes", 0, "bytes of the store's block cache")
	flag.Parse()
	cfg.MaxStreams = uint32(*maxStreams)

	cl, d := &clock{}, newDisk()
	cl.off.Store(int64(*off))
	d.slow.Store(int64(*fsync))
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	cfg.Logger = log
	cfg.Accounts = accounts.Config{Now: cl.now}

	var st store.Store
	var err error
	where := "embedded:" + *data
	if *uri == "" {
		st, err = embedded.Open(embedded.Config{Dir: *data, Logger: log, Now: cl.now, FS: d, CacheBytes: *cache})
	} else {
		st, where, err = openMongoDB(*uri, *database, *via, cl, log)
	}
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	s, err := server.New(context.Background(), st, cfg)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	if shared, ok := st.(store.Shared); ok && *advertise != "" {
		if err := shared.Announce(context.Background(), *advertise); err != nil {
			return err
		}
	}
	fmt.Printf("ready grpc=%s store=%s\n", listener.Addr(), where)
	go command(cl, d)

	select {
	case <-signals:
	case <-st.Failed():
		return fmt.Errorf("the store failed, nothing is acknowledged any more: %w", st.Err())
	case err := <-served:
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), *drain)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Warn("the shutdown was not complete", "error", err)
	}
	if err := st.Close(); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	return <-served
}

// command carries out what standard input says, until it ends.
func command(c *clock, d *disk) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if err := obey(c, d, name, value); err != nil {
			fmt.Printf("error %v\n", err)
			continue
		}
		fmt.Println("ok")
	}
}

func obey(c *clock, d *disk, name, value string) error {
	switch name {
	case "fsync", "clock":
		v, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		if name == "clock" {
			c.off.Store(int64(v))
		} else {
			d.slow.Store(int64(v))
		}
	case "full":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return err
		}
		d.fill(n)
	case "power":
		return d.powerFails()
	default:
		return fmt.Errorf("unknown command %q", name)
	}
	return nil
}
