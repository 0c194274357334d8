package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
)

// cache keeps in a file which mutants were caught, so that after a change of some
// files only theirs are tried again. That a test has been changed it does not see: the
// table is to be made anew from time to time without it.
type cache struct {
	file string // "": nothing is kept

	mu    sync.Mutex
	known map[string]caught
}

type caught struct{ By, How string }

func openCache(file string) (*cache, error) {
	c := &cache{file: file, known: map[string]caught{}}
	if file == "" {
		return c, nil
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	return c, json.Unmarshal(raw, &c.known)
}

func keyOf(m mutant, source []byte) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s", m.file, m.from, m.to, source)))
}

func (c *cache) get(m mutant, source []byte) (caught, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	by, ok := c.known[keyOf(m, source)]
	return by, ok
}

// results are what is known of the mutants.
func (c *cache) results(of []mutant) []result {
	var all []result
	for _, m := range of {
		r := result{mutant: m, caughtBy: "not tried yet"}
		if source, err := os.ReadFile(m.file); err == nil {
			if by, ok := c.get(m, source); ok {
				r.caughtBy, r.how = by.By, by.How
			}
		}
		all = append(all, r)
	}
	return all
}

func (c *cache) put(m mutant, source []byte, by caught) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[keyOf(m, source)] = by
}

func (c *cache) save() error {
	if c.file == "" {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	raw, err := json.MarshalIndent(c.known, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file+".new", raw, 0o644); err != nil {
		return err
	}
	return os.Rename(c.file+".new", c.file)
}
