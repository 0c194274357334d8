package mongotest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Options say what to start. The zero value is a replica set of one member.
type Options struct {
	// Members is how many there are: 1.
	Members int
	// Standalone: one server that is no replica set.
	Standalone bool
	// User and Password, if set, are those of an administrator; nobody else may
	// do anything then.
	User, Password string
	// Args are further arguments of each server; the last of a name counts.
	Args []string
}

// Set is a number of servers that run.
type Set struct {
	options Options
	dir     string
	members []*member
}

// member is one server, through all its lives.
type member struct {
	address string
	// program and args are what it is started with, log is where it writes to.
	program, log string
	args         []string
	command      *exec.Cmd
	exited       chan struct{}
}

// patience is how long a set may take to start.
const patience = 60 * time.Second

// Start starts a set with the server at path, and returns when it has a primary
// and all members are ready. The caller stops it.
func Start(path string, o Options) (_ *Set, err error) {
	if o.Members == 0 {
		o.Members = 1
	}
	s := &Set{options: o}
	if s.dir, err = os.MkdirTemp("", "mongotest"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("mongotest: start %s: %w", path, err)
			s.Stop()
		}
	}()
	if o.User != "" {
		if err := os.WriteFile(s.keyFile(), []byte("bm90IGEgc2VjcmV0"), 0o600); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range o.Members {
		m, err := s.start(ctx, path, i)
		if err != nil {
			return nil, err
		}
		s.members = append(s.members, m)
	}
	if !o.Standalone {
		if err := s.initiate(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Set) keyFile() string { return filepath.Join(s.dir, "key") }

// start makes a member and starts it.
func (s *Set) start(ctx context.Context, path string, n int) (*member, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(s.dir, strconv.Itoa(n))
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	log := filepath.Join(data, "log")
	args := []string{
		"--dbpath", data, "--port", strconv.Itoa(port), "--bind_ip", "127.0.0.1", "--nounixsocket", "--logpath", log,
		"--wiredTigerCacheSizeGB", "0.25",
		// Three files of 100 MB otherwise.
		"--wiredTigerEngineConfigString", "log=(file_max=4MB,prealloc=false)",
		"--setParameter", "enableTestCommands=1", "--setParameter", "diagnosticDataCollectionEnabled=false",
		// The transaction of a store that has died holds up its room for as long: a minute by default.
		"--setParameter", "transactionLifetimeLimitSeconds=3",
	}
	if !s.options.Standalone {
		args = append(args, "--replSet", "rs0")
		if !strings.Contains(strings.Join(s.options.Args, " "), "--oplogSize") {
			args = append(args, "--oplogSize", "16")
		}
	}
	if s.options.User != "" {
		args = append(args, "--auth")
		if !s.options.Standalone {
			args = append(args, "--keyFile", s.keyFile())
		}
	}
	m := &member{
		address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		program: path, log: log, args: append(args, s.options.Args...),
	}
	return m, m.start(ctx)
}

// start starts the server and waits until it listens.
func (m *member) start(ctx context.Context) error {
	m.command, m.exited = exec.Command(m.program, m.args...), make(chan struct{})
	dieWithUs(m.command)
	if err := m.command.Start(); err != nil {
		return err
	}
	command, exited := m.command, m.exited
	go func() {
		_ = command.Wait()
		close(exited)
	}()
	var dialer net.Dialer
	for {
		c, err := dialer.DialContext(ctx, "tcp", m.address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-m.exited:
			text, _ := os.ReadFile(m.log)
			return fmt.Errorf("it has ended: %s", tail(string(text), 2000))
		case <-ctx.Done():
			m.kill()
			return fmt.Errorf("it does not listen: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

// freePort is free now. It is not one that the system gives to outgoing
// connections, so that a member can come back to it.
func freePort() (int, error) {
	for range 1000 {
		port := 10_000 + rand.IntN(10_000)
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port")
}

// initiate makes the servers a replica set whose primary is the first.
func (s *Set) initiate(ctx context.Context) error {
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + s.members[0].address + "/?directConnection=true"))
	if err != nil {
		return err
	}
	defer client.Disconnect(ctx)
	var members bson.A
	for i, m := range s.members {
		members = append(members, bson.D{{Key: "_id", Value: i}, {Key: "host", Value: m.address}})
	}
	admin := client.Database("admin")
	// Elections as quick as on a busy machine they can be without false ones.
	err = admin.RunCommand(ctx, bson.D{{Key: "replSetInitiate", Value: bson.D{
		{Key: "_id", Value: "rs0"}, {Key: "members", Value: members},
		{Key: "settings", Value: bson.D{{Key: "electionTimeoutMillis", Value: 1000}, {Key: "heartbeatIntervalMillis", Value: 200}}},
	}}}).Err()
	if err != nil {
		return fmt.Errorf("initiate: %w", err)
	}
	ready := func() error {
		var hello struct {
			Primary bool `bson:"isWritablePrimary"`
		}
		if err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
			return err
		}
		if !hello.Primary {
			if len(s.members) > 1 {
				_ = admin.RunCommand(ctx, bson.D{{Key: "replSetStepUp", Value: 1}}).Err()
			}
			return errors.New("no primary")
		}
		if len(s.members) == 1 {
			return nil
		}
		var status struct {
			Members []struct {
				State string `bson:"stateStr"`
			} `bson:"members"`
		}
		if err := admin.RunCommand(ctx, bson.D{{Key: "replSetGetStatus", Value: 1}}).Decode(&status); err != nil {
			return err
		}
		for _, m := range status.Members {
			if m.State != "PRIMARY" && m.State != "SECONDARY" {
				return fmt.Errorf("a member is in state %s", m.State)
			}
		}
		return nil
	}
	if err := until(ctx, ready); err != nil {
		return err
	}
	if s.options.User == "" {
		return nil
	}
	// Who comes from the same machine may make the first user.
	return admin.RunCommand(ctx, bson.D{
		{Key: "createUser", Value: s.options.User}, {Key: "pwd", Value: s.options.Password}, {Key: "roles", Value: bson.A{"root"}},
	}).Err()
}

// until calls what until it succeeds.
func until(ctx context.Context, what func() error) error {
	for {
		err := what()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URI is the connection string of the set, with the administrator's password if
// there is one.
func (s *Set) URI() string {
	if s.options.Standalone {
		return s.Direct(0)
	}
	var hosts []string
	for _, m := range s.members {
		hosts = append(hosts, m.address)
	}
	return "mongodb://" + s.login() + strings.Join(hosts, ",") + "/?replicaSet=rs0"
}

// Direct is the connection string of one member.
func (s *Set) Direct(n int) string {
	return "mongodb://" + s.login() + s.members[n].address + "/?directConnection=true"
}

func (s *Set) login() string {
	if s.options.User == "" {
		return ""
	}
	return s.options.User + ":" + s.options.Password + "@"
}

// Primary returns the member that is the primary.
func (s *Set) Primary(ctx context.Context) (primary int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = until(ctx, func() error {
		for n := range s.members {
			var hello struct {
				Primary bool `bson:"isWritablePrimary"`
			}
			if err := s.command(ctx, n, bson.D{{Key: "hello", Value: 1}}, &hello); err == nil && hello.Primary {
				primary = n
				return nil
			}
		}
		return errors.New("mongotest: no primary")
	})
	return primary, err
}

// StepDown has the primary resign, and returns when there is another.
func (s *Set) StepDown(ctx context.Context) error {
	old, err := s.Primary(ctx)
	if err != nil {
		return err
	}
	if err := s.command(ctx, old, bson.D{{Key: "replSetStepDown", Value: 5}, {Key: "secondaryCatchUpPeriodSecs", Value: 3}}, nil); err != nil {
		return err
	}
	_, err = s.Primary(ctx)
	return err
}

// Freeze stops a member's process without ending it, Thaw lets it go on. When
// Freeze returns the member answers nobody any more.
func (s *Set) Freeze(n int) error {
	p := s.members[n].command.Process
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return until(ctx, func() error { return stopped(p.Pid) })
}

// Thaw is described at Freeze.
func (s *Set) Thaw(n int) error { return s.members[n].command.Process.Signal(syscall.SIGCONT) }

// Kill ends a member's process.
func (s *Set) Kill(n int) { s.members[n].kill() }

// Terminate ends a member in order, as an operator does.
func (s *Set) Terminate(ctx context.Context, n int) error {
	m := s.members[n]
	if err := m.command.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("mongotest: terminate a member: %w", err)
	}
	select {
	case <-m.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("mongotest: a member does not end: %w", ctx.Err())
	}
}

// Restart starts a member that has ended, with its data, and returns when it is
// one of the set again.
func (s *Set) Restart(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.members[n].start(ctx); err != nil {
		return fmt.Errorf("mongotest: restart a member: %w", err)
	}
	return until(ctx, func() error {
		var hello struct {
			Primary   bool `bson:"isWritablePrimary"`
			Secondary bool `bson:"secondary"`
		}
		if err := s.command(ctx, n, bson.D{{Key: "hello", Value: 1}}, &hello); err != nil {
			return fmt.Errorf("mongotest: restart a member: %w", err)
		}
		if !s.options.Standalone && !hello.Primary && !hello.Secondary {
			return errors.New("mongotest: a member that was restarted does not come back")
		}
		return nil
	})
}

// Running reports whether a member's process is there.
func (s *Set) Running(n int) bool {
	select {
	case <-s.members[n].exited:
		return false
	default:
		return true
	}
}

// Members is how many there are.
func (s *Set) Members() int { return len(s.members) }

// Address is where a member is, HOST:PORT.
func (s *Set) Address(n int) string { return s.members[n].address }

func (s *Set) command(ctx context.Context, n int, command bson.D, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(s.Direct(n)))
	if err != nil {
		return err
	}
	defer client.Disconnect(ctx)
	result := client.Database("admin").RunCommand(ctx, command)
	if reply == nil {
		return result.Err()
	}
	return result.Decode(reply)
}

func (m *member) kill() {
	_ = m.command.Process.Kill()
	<-m.exited
}

// Stop ends all servers and removes their files.
func (s *Set) Stop() {
	for _, m := range s.members {
		m.kill()
	}
	_ = os.RemoveAll(s.dir)
}
