package accounts

import (
	"strings"
	"testing"
	"time"
)

func TestDefaults(t *testing.T) {
	c := Config{}.withDefaults()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.TokenLifetime != 30*time.Minute || c.MinVersion != 3 || c.Hashes < 1 || c.HashesWaiting != 128 ||
		c.Argon2 != (Argon2{Time: 2, MemoryKiB: 19456, Threads: 1}) || c.Now == nil || c.Logger == nil || c.Ended != nil {
		t.Errorf("%+v", c)
	}
	given := Config{
		TokenLifetime: time.Hour, MinVersion: 1, Hashes: 7, HashesWaiting: 9, Argon2: Argon2{Time: 1, MemoryKiB: 8, Threads: 2},
	}
	if c := given.withDefaults(); c.TokenLifetime != time.Hour || c.MinVersion != 1 || c.Hashes != 7 || c.HashesWaiting != 9 || c.Argon2 != given.Argon2 {
		t.Errorf("%+v", c)
	}
}

func TestValidate(t *testing.T) {
	for want, c := range map[string]Config{
		"token lifetime must not be":   {TokenLifetime: -1},
		"token lifetime must be at":    {TokenLifetime: time.Microsecond},
		"number of hashes":             {Hashes: -1},
		"number of waiting hashes":     {HashesWaiting: -1},
		"argon2 memory of 4294967295 ": {Argon2: Argon2{MemoryKiB: 1<<32 - 1}},
		"argon2 time of 4294967295 ":   {Argon2: Argon2{Time: 1<<32 - 1}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if err := c.withDefaults().Validate(); err != nil {
			t.Errorf("New would run with %v", err)
		}
	}
	all := Config{TokenLifetime: -1, Hashes: -1}.Validate()
	if all == nil || !strings.Contains(all.Error(), "lifetime") || !strings.Contains(all.Error(), "hashes") {
		t.Errorf("not all errors at once: %v", all)
	}
}
