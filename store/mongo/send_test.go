package mongo

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// What the database says of a command, and what is made of it for each room.
func TestOutcome(t *testing.T) {
	refusal := func(index, code int) driver.BulkWriteError {
		return driver.BulkWriteError{WriteError: driver.WriteError{Index: index, Code: code}}
	}
	concern := &driver.WriteConcernError{Code: 64, Name: "WriteConcernFailed"}
	type result struct {
		stored                    int
		collided, broken, unknown bool
	}
	for name, tt := range map[string]struct {
		turns []int // how many each has staged
		err   error
		want  []result
	}{
		"stored":       {[]int{3}, nil, []result{{stored: 3}}},
		"many, stored": {[]int{1, 1}, nil, []result{{stored: 1}, {stored: 1}}},
		"one room stops at the first": {
			[]int{5}, driver.BulkWriteException{WriteErrors: []driver.BulkWriteError{refusal(2, codeDuplicateKey)}},
			[]result{{stored: 2, collided: true}},
		},
		"each room of many for itself": {
			[]int{1, 1, 1, 1},
			driver.BulkWriteException{WriteErrors: []driver.BulkWriteError{refusal(0, codeDuplicateKey), refusal(2, codeValidation)}},
			[]result{{collided: true}, {stored: 1}, {broken: true}, {stored: 1}},
		},
		"a refusal that says nothing for good": {
			[]int{2}, driver.BulkWriteException{WriteErrors: []driver.BulkWriteError{refusal(1, 11602)}},
			[]result{{stored: 1, unknown: true}},
		},
		"no majority": {
			[]int{1, 1}, driver.BulkWriteException{WriteConcernError: concern}, []result{{unknown: true}, {unknown: true}},
		},
		"a refusal, and no majority": {
			[]int{1, 1}, driver.BulkWriteException{WriteConcernError: concern, WriteErrors: []driver.BulkWriteError{refusal(0, codeDuplicateKey)}},
			[]result{{unknown: true}, {unknown: true}},
		},
		"no answer": {[]int{4}, errors.New("connection closed"), []result{{unknown: true}}},
	} {
		var turns []*turn
		for _, n := range tt.turns {
			turns = append(turns, &turn{staged: make([]*staged, n)})
		}
		offline().outcome(turns, tt.err)
		for i, g := range turns {
			got := result{g.stored, g.collided, g.broken != nil, g.unknown != nil}
			if got != tt.want[i] {
				t.Errorf("%s: room %d: got %+v, want %+v", name, i, got, tt.want[i])
			}
		}
	}
}

// The text of an error has no password, no command and no document in it.
func TestToldErrors(t *testing.T) {
	hidden := secretsOf("mongodb://user:p%40ss%2Fword@host/?authSource=admin")
	for _, err := range []error{
		errors.New("cannot parse mongodb://user:p%40ss%2Fword@host/"),
		fmt.Errorf("password p@ss/word is\nwrong"),
		driver.CommandError{Code: 13, Name: "Unauthorized", Message: `not authorized to execute { find: "accounts", filter: { n: "p@ss/word" } }`},
		driver.WriteException{WriteErrors: driver.WriteErrors{{Code: 11000, Message: `dup key: { n: "p@ss/word" }`}}},
		driver.BulkWriteException{WriteErrors: []driver.BulkWriteError{{WriteError: driver.WriteError{Code: 11000, Message: "filter p%40ss%2Fword"}}}},
	} {
		told := hidden.told(err)
		for _, secret := range []string{"p@ss", "p%40ss", "filter", "dup key", "\n"} {
			if strings.Contains(told.Error(), secret) {
				t.Errorf("%q is in %q", secret, told)
			}
		}
		if !errors.Is(told, err) && errors.Unwrap(told) == nil {
			t.Errorf("%v does not wrap what it tells of", told)
		}
	}
	for _, uri := range []string{"mongodb://host/", "mongodb://user@host/", "nonsense", ""} {
		if got := secretsOf(uri); len(got) != 0 {
			t.Errorf("%q has secrets %q", uri, got)
		}
	}
}
