package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chatstream/chatstream/engine"
)

// FuzzParsePositions: positions change nothing else of the rooms they are of, each
// room gets the first that it is named with, and a room that was not there comes
// once.
func FuzzParsePositions(f *testing.F) {
	for _, seed := range []string{
		"", "a::1", "a::1::b::2::", "a::1::a::2", "c::0::c::7::d::18446744073709551615", "a", "a::-1", "::::", "a::1::::3", "a::99999999999999999999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		known := []engine.KnownRoom{{Room: "a", Updated: 5, Viewed: 6, Exclude: []string{"u"}}, {Room: "b", Updated: -1, Viewed: -1}}
		rooms, err := parsePositions(value, append([]engine.KnownRoom{}, known...))
		if err != nil {
			if !errors.Is(err, errMetadata) {
				t.Fatalf("%q: %v", value, err)
			}
			return
		}
		first := make(map[string]string)
		parts := strings.Split(strings.TrimSuffix(value, delimiter), delimiter)
		for i := 0; value != "" && i+1 < len(parts); i += 2 {
			if _, twice := first[parts[i]]; !twice {
				first[parts[i]] = parts[i+1]
			}
		}
		met := make(map[string]bool)
		for i, r := range rooms {
			seq, named := first[r.Room]
			if met[r.Room] || r.Exact != named {
				t.Fatalf("%q: %+v", value, rooms)
			}
			met[r.Room] = true
			if digits := strings.TrimLeft(seq, "0"); named && r.Seq != 0 && digits != fmt.Sprint(r.Seq) || named && r.Seq == 0 && digits != "" {
				t.Fatalf("%q: room %q is at %d", value, r.Room, r.Seq)
			}
			want := engine.KnownRoom{Room: r.Room, Updated: -1, Viewed: -1}
			if i < len(known) {
				want = known[i]
			}
			if r.Room != want.Room || r.Updated != want.Updated || r.Viewed != want.Viewed || len(r.Exclude) != len(want.Exclude) {
				t.Fatalf("%q made %+v of %+v", value, r, want)
			}
		}
		if len(met) != len(known)+countNew(first, known) {
			t.Fatalf("%q: %+v", value, rooms)
		}
	})
}

func countNew(named map[string]string, known []engine.KnownRoom) int {
	n := len(named)
	for _, r := range known {
		if _, ok := named[r.Room]; ok {
			n--
		}
	}
	return n
}
