package server

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/chatpb"
)

func TestParseRooms(t *testing.T) {
	known := func(id string, updated, viewed int64, uuids ...string) engine.KnownRoom {
		return engine.KnownRoom{Room: id, Updated: updated, Viewed: viewed, Exclude: uuids}
	}
	longUUID := strings.Repeat("x", 36)
	for _, c := range []struct {
		value string
		want  []engine.KnownRoom
	}{
		{"", nil},
		{"a::1::2::0", []engine.KnownRoom{known("a", 1, 2)}},
		{"a::1::2::0::", []engine.KnownRoom{known("a", 1, 2)}},
		{"a::-1::-1::0::", []engine.KnownRoom{known("a", -1, -1)}},
		{"a::1::2::2::x::y", []engine.KnownRoom{known("a", 1, 2, "x", "y")}},
		{"a::1::2::1::::", []engine.KnownRoom{known("a", 1, 2, "")}},
		{"a::1::2::1::" + longUUID, []engine.KnownRoom{known("a", 1, 2, longUUID)}},
		{"a::99999999999999::0::0::b::0::0::1::x::", []engine.KnownRoom{known("a", 99999999999999, 0), known("b", 0, 0, "x")}},
		{"not a room id::1::2::0", []engine.KnownRoom{known("not a room id", 1, 2)}},
		{"::1::2::0", []engine.KnownRoom{known("", 1, 2)}},
		{"a::1::2::0000000001::x", []engine.KnownRoom{known("a", 1, 2, "x")}},
	} {
		got, err := parseRooms(c.value)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %v, %v; want %v", c.value, got, err, c.want)
		}
	}
	for _, value := range []string{
		"::", "a", "a::", "a::1", "a::1::2", "a::1::2::", "a::1::2::0::::", "a::1::2::1", "a::1::2::1::",
		"a::-2::2::0", "a::+1::2::0", "a:: 1::2::0", "a::::2::0", "a::1::::0", "a::1::2::x", "a::1::2::-1",
		"a::123456789012345::2::0", "a::1::2::12345678901", "a::1::2::9999999999::x", "a::1::2::4294967296",
		"a::1::2::1::" + longUUID + "x", "a::1::2::0::b", "a::1::2::0::b::1::2", "a:1:2:0", "a::1::2::0:",
		"a::١::2::0",
	} {
		if got, err := parseRooms(value); !errors.Is(err, errMetadata) {
			t.Errorf("%q: %v, %v; want errMetadata", value, got, err)
		}
	}
}

// FuzzParseRooms holds the parser against the grammar the other way round: what
// it accepts is what writing the result down again gives, but for a delimiter
// at the end and leading zeros.
func FuzzParseRooms(f *testing.F) {
	for _, seed := range []string{"", "a::1::2::0::", "a::-1::-1::2::x::y::b::0::0::0", "::::::", "a::1::2::9999999999::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		rooms, err := parseRooms(value)
		if err != nil {
			if !errors.Is(err, errMetadata) {
				t.Fatalf("%q: %v", value, err)
			}
			return
		}
		if strings.Contains(strings.ReplaceAll(value, delimiter, ""), ":") {
			return // single colons in ids and uuids are cut from the left, and written otherwise
		}
		again, err := parseRooms(writeRooms(rooms))
		if err != nil || !reflect.DeepEqual(rooms, again) {
			t.Fatalf("%q became %v, then %v, %v", value, rooms, again, err)
		}
		if n := strings.Count(value, delimiter); len(rooms) > n {
			t.Fatalf("%q: %d rooms of %d delimiters", value, len(rooms), n)
		}
	})
}

func TestParsePositions(t *testing.T) {
	listed := []engine.KnownRoom{{Room: "a", Updated: 5, Viewed: 6}, {Room: "b", Updated: 7, Viewed: 8}, {Room: "a", Updated: 9}}
	for _, c := range []struct {
		value string
		want  []engine.KnownRoom // beside or in place of those listed
	}{
		{"", listed},
		{"a::3", []engine.KnownRoom{{Room: "a", Updated: 5, Viewed: 6, Exact: true, Seq: 3}, listed[1], listed[2]}},
		{"b::3::", []engine.KnownRoom{listed[0], {Room: "b", Updated: 7, Viewed: 8, Exact: true, Seq: 3}, listed[2]}},
		{"a::3::a::4", []engine.KnownRoom{{Room: "a", Updated: 5, Viewed: 6, Exact: true, Seq: 3}, listed[1], listed[2]}},
		{"c::0", append(slices.Clone(listed), engine.KnownRoom{Room: "c", Updated: -1, Viewed: -1, Exact: true})},
		{"c::18446744073709551615", append(slices.Clone(listed), engine.KnownRoom{Room: "c", Updated: -1, Viewed: -1, Exact: true, Seq: 1<<64 - 1})},
		{"c::00000000000000000007", append(slices.Clone(listed), engine.KnownRoom{Room: "c", Updated: -1, Viewed: -1, Exact: true, Seq: 7})},
	} {
		got, err := parsePositions(c.value, slices.Clone(listed))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %v, %v; want %v", c.value, got, err, c.want)
		}
	}
	for _, value := range []string{
		"::", "a", "a::", "a::x", "a::-1", "a::+1", "a::1_0", "a::1::b", "a::1::::", "a:::1", "a::1 ",
		"a::18446744073709551616", "a::000000000000000000001",
	} {
		if got, err := parsePositions(value, nil); !errors.Is(err, errMetadata) {
			t.Errorf("%q: %v, %v; want errMetadata", value, got, err)
		}
	}
}

func TestParseFeatures(t *testing.T) {
	for value, want := range map[string]engine.Features{
		"":                             {},
		"bookmark":                     {Bookmark: true},
		"go-away":                      {GoAway: true},
		"bookmark::go-away":            {Bookmark: true, GoAway: true},
		"go-away::telepathy::bookmark": {Bookmark: true, GoAway: true},
		"bookmarks,go-away":            {},
	} {
		if got := parseFeatures(value); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
}

func writeRooms(rooms []engine.KnownRoom) string {
	var b strings.Builder
	for _, r := range rooms {
		fmt.Fprintf(&b, "%s::%d::%d::%d::", r.Room, r.Updated, r.Viewed, len(r.Exclude))
		for _, uuid := range r.Exclude {
			b.WriteString(uuid + delimiter)
		}
	}
	return b.String()
}

func TestParseOpening(t *testing.T) {
	good := func() metadata.MD {
		return metadata.Pairs(keyAccount, "a", keyToken, "t", keyVersion, "3", keyInstallation, "i", "unknown", "x")
	}
	o, err := parseOpening(good().Get)
	if err != nil || o.login.GetCurrentAccountId() != "a" || o.login.GetLoggedInToken() != "t" ||
		o.login.GetLetsGoVersion() != 3 || o.login.GetInstallationId() != "i" || o.login.GetAdminInfoUsed() {
		t.Errorf("%v, %v", o, err)
	}
	for _, key := range []string{keyAccount, keyToken, keyVersion, keyInstallation} {
		md := good()
		md.Delete(key)
		if _, err := parseOpening(md.Get); !errors.Is(err, errMetadata) {
			t.Errorf("without %s: %v", key, err)
		}
		md = good()
		md.Append(key, "second")
		if o, err := parseOpening(md.Get); err != nil || o.login.GetCurrentAccountId() != "a" {
			t.Errorf("%s twice: %v, %v", key, o, err)
		}
	}
	for version, want := range map[string]uint32{"": 0, "3": 3, "0003": 3, "4294967295": 4294967295, "4294967299": 3} {
		md := good()
		md.Set(keyVersion, version)
		if o, err := parseOpening(md.Get); err != nil || o.login.GetLetsGoVersion() != want {
			t.Errorf("version %q: %v, %v", version, o, err)
		}
	}
	for _, version := range []string{"-1", "3.0", " 3", "x"} {
		md := good()
		md.Set(keyVersion, version)
		if _, err := parseOpening(md.Get); !errors.Is(err, errMetadata) {
			t.Errorf("version %q: %v", version, err)
		}
	}
	md := good()
	md.Set(keyRooms, "a::1::2")
	if _, err := parseOpening(md.Get); !errors.Is(err, errMetadata) {
		t.Errorf("bad rooms: %v", err)
	}
	md = good()
	md.Set(keyPositions, "a::x")
	if _, err := parseOpening(md.Get); !errors.Is(err, errMetadata) {
		t.Errorf("bad positions: %v", err)
	}
	md = good()
	md.Set(keyRooms, "a::1::2::0")
	md.Set(keyPositions, "a::3")
	md.Set(keyFeatures, "go-away")
	if o, err := parseOpening(md.Get); err != nil || len(o.rooms) != 1 || o.rooms[0].Seq != 3 || !o.features.GoAway {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestTrailer(t *testing.T) {
	for _, c := range []struct {
		ending engine.Ending
		want   metadata.MD
	}{
		{engine.Ending{}, metadata.Pairs(keyReason, "0")},
		{withStatus(chatpb.ReturnStatus_INVALID_PARAMETER_PASSED), metadata.Pairs(keyReason, "1", keyStatus, "44")},
		{engine.Ending{Reason: 3, Info: "device"}, metadata.Pairs(keyReason, "3", keyInfo, "device")},
		{engine.Ending{Reason: reasonShutdown}, metadata.Pairs(keyReason, "4")},
	} {
		if got := trailer(c.ending); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.ending, got, c.want)
		}
	}
}
