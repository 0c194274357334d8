package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/store"
)

// Config is what a Service is made with. Zero values mean the defaults.
type Config struct {
	// TokenLifetime is how long after a login its token is good: 30 minutes.
	TokenLifetime time.Duration
	// MinVersion is the oldest version of a client that may log in: 3.
	MinVersion uint32
	// Hashes is how many passwords are hashed at once: half of GOMAXPROCS, at
	// least 1, so that logins leave processors to the streams. Each takes
	// Argon2.MemoryKiB for that time.
	Hashes int
	// HashesWaiting is how many more may wait for that: 128. Beyond, requests
	// are refused.
	HashesWaiting int
	// Argon2 is the cost of hashing the passwords of new accounts. It is kept
	// with each account, so a change leaves the older ones as they are.
	Argon2 Argon2
	// Recent, if not nil, finds an account by id without asking the database each
	// time, without its credential, and may not know yet what was changed by way of
	// another server. It is enough to let a login pass, never to refuse one.
	Recent func(ctx context.Context, id string) (store.Account, error)
	// Now is the clock that tokens expire by: time.Now.
	Now func() time.Time
	// Logger is where the service logs, never names, passwords or tokens:
	// slog.Default().
	Logger *slog.Logger
	// Ended, if not nil, is told that an account's session has ended while a
	// stream of it may be open: LOGIN_TOKEN_DID_NOT_MATCH after a logout,
	// LOGGED_IN_ELSEWHERE after a login from another installation, which is
	// then the third argument. It is called when the change is durable, and when
	// the store failed without saying whether it is. It may be called more than
	// once and from many goroutines, and must not block.
	Ended func(account string, status chatpb.ReturnStatus, installation string)
}

// Argon2 is the cost of one password hash. Zero values mean what OWASP
// recommends for argon2id: 2 passes over 19 MiB by 1 thread.
type Argon2 struct {
	Time      uint32
	MemoryKiB uint32
	Threads   uint8
}

// The most that a hash may cost. Stored costs are held against it too: a
// damaged credential must not make the server allocate whatever it says.
const (
	maxTime      = 1 << 10
	maxMemoryKiB = 4 << 20 // 4 GiB
)

func (a Argon2) validate() error {
	var errs []error
	if a.Time > maxTime {
		errs = append(errs, fmt.Errorf("argon2 time of %d is above %d", a.Time, maxTime))
	}
	if a.MemoryKiB > maxMemoryKiB {
		errs = append(errs, fmt.Errorf("argon2 memory of %d KiB is above %d KiB", a.MemoryKiB, maxMemoryKiB))
	}
	return errors.Join(errs...)
}

// Validate reports every value that makes no sense.
func (c Config) Validate() error {
	var errs []error
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"token lifetime", int64(c.TokenLifetime)},
		{"number of hashes", int64(c.Hashes)},
		{"number of waiting hashes", int64(c.HashesWaiting)},
	} {
		if v.value < 0 {
			errs = append(errs, fmt.Errorf("accounts: %s must not be negative, is %d", v.name, v.value))
		}
	}
	if c.TokenLifetime > 0 && c.TokenLifetime < time.Millisecond {
		errs = append(errs, fmt.Errorf("accounts: token lifetime must be at least 1ms, is %s", c.TokenLifetime))
	}
	if err := c.Argon2.validate(); err != nil {
		errs = append(errs, fmt.Errorf("accounts: %w", err))
	}
	return errors.Join(errs...)
}

// withDefaults also replaces what Validate refuses by a default: New has no
// error to return it in.
func (c Config) withDefaults() Config {
	if c.TokenLifetime < time.Millisecond {
		c.TokenLifetime = 30 * time.Minute
	}
	if c.MinVersion == 0 {
		c.MinVersion = 3
	}
	if c.Hashes <= 0 {
		c.Hashes = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if c.HashesWaiting <= 0 {
		c.HashesWaiting = 128
	}
	if c.Argon2.validate() != nil {
		c.Argon2 = Argon2{}
	}
	if c.Argon2.Time == 0 {
		c.Argon2.Time = 2
	}
	if c.Argon2.MemoryKiB == 0 {
		c.Argon2.MemoryKiB = 19 << 10
	}
	if c.Argon2.Threads == 0 {
		c.Argon2.Threads = 1
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
