package embedded

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store"
)

// FuzzEvent: what is written is read again, and what is not a record does not
// pass for one silently changed.
func FuzzEvent(f *testing.F) {
	f.Add(int64(1), "uuid", int32(21), "sender", "", byte(0), []byte("body"))
	f.Add(int64(-1), "", int32(-1), "", "target", byte(255), []byte(nil))
	f.Add(int64(1)<<62, "u", int32(1)<<30, string([]byte{0xff, 0}), "t", byte(2), make([]byte, 300))
	f.Fuzz(func(t *testing.T, time int64, uuid string, kind int32, sender, target string, action byte, body []byte) {
		want := room.Event{Room: "abcdefg", Seq: 7, Time: time, Draft: room.Draft{
			UUID: uuid, Kind: room.Kind(kind), Sender: sender, Target: target, Action: room.Action(action), Body: clone(body),
		}}
		b := encodeEvent(&want)
		got, err := decodeEvent("abcdefg", 7, b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		if at, err := eventTime(b); err != nil || at != time {
			t.Fatalf("time is %d, %v; want %d", at, err, time)
		}
		// It is kept when b is not.
		clear(b)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("the event shares memory with its record: %+v", got)
		}
	})
}

func FuzzOtherRecords(f *testing.F) {
	f.Add("name", "text", []byte("bytes"), int64(5), uint64(6), int32(20))
	f.Add("", "", []byte(nil), int64(-5), uint64(1)<<63, int32(-1))
	f.Fuzz(func(t *testing.T, a, b string, raw []byte, i int64, u uint64, n int32) {
		header := room.Header{ID: "abcdefg", Name: a, Password: b, Created: i, Seq: u, Time: -i, Admin: a}
		same(t, header)(decodeHeader("abcdefg", encodeHeader(&header)))
		member := room.Member{Account: b, Name: a, Standing: room.Standing(n), Position: u, Changed: ^u, Since: i}
		same(t, member)(decodeMember(b, encodeMember(&member)))
		seen := store.Seen{Activity: i, Viewed: int64(u)}
		same(t, seen)(decodeSeen(encodeSeen(seen)))
		uuid := uuidRecord{u, fingerprint(raw)}
		same(t, uuid)(decodeUUID(encodeUUID(uuid)))
		account := store.Account{
			ID: a, Name: b, Credential: clone(raw), Created: i, Standing: store.AccountStanding(n),
			Session: store.Session{Installation: b, Nonce: clone(raw), Expires: -i},
		}
		copy(account.Session.TokenHash[:], raw)
		same(t, account)(decodeAccount(a, encodeAccount(&account)))
	})
}

func same[T any](t *testing.T, want T) func(T, error) {
	return func(got T, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	}
}

// FuzzDecode: whatever is on the disk, decoding ends, and says what is wrong.
func FuzzDecode(f *testing.F) {
	event := room.Event{Time: 5, Draft: room.Draft{UUID: "uuid", Kind: 1, Sender: "sender", Body: []byte("body")}}
	account := store.Account{Name: "name", Session: store.Session{Expires: 1, TokenHash: [32]byte{1}}}
	f.Add([]byte(nil))
	f.Add([]byte{0xff, 0xff})
	f.Add(encodeEvent(&event))
	f.Add(encodeAccount(&account))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEvent("abcdefg", 1, b)
		errs := []error{err}
		if err == nil {
			// What was understood survives being written again.
			again, err := decodeEvent("abcdefg", 1, encodeEvent(&e))
			if err != nil || !reflect.DeepEqual(again, e) {
				t.Fatalf("got %+v, %v; was %+v", again, err, e)
			}
			if at, err := eventTime(encodeEvent(&e)); err != nil || at != e.Time {
				t.Fatalf("time is %d, %v; was %d", at, err, e.Time)
			}
		}
		_, err = eventTime(b)
		errs = append(errs, err)
		_, err = decodeHeader("abcdefg", b)
		errs = append(errs, err)
		_, err = decodeMember("a", b)
		errs = append(errs, err)
		_, err = decodeSeen(b)
		errs = append(errs, err)
		_, err = decodeUUID(b)
		errs = append(errs, err)
		_, err = decodeAccount("a", b)
		errs = append(errs, err)
		for _, err := range errs {
			if err != nil && (!errors.Is(err, errCorrupt) || !errors.Is(err, store.ErrUnavailable)) {
				t.Fatalf("got %v, want %v", err, errCorrupt)
			}
		}
	})
}

// Fields that a later version adds are skipped, whatever their type.
func TestUnknownFields(t *testing.T) {
	seen := store.Seen{Activity: 5, Viewed: 6}
	b := protowire.AppendTag(nil, 100, protowire.BytesType)
	b = protowire.AppendString(b, "new")
	b = protowire.AppendTag(b, 101, protowire.Fixed32Type)
	b = protowire.AppendFixed32(b, 1)
	b = protowire.AppendTag(b, 102, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, 1)
	b = append(b, encodeSeen(seen)...)
	b = protowire.AppendTag(b, 103, protowire.VarintType)
	b = protowire.AppendVarint(b, 1)
	same(t, seen)(decodeSeen(b))
}

// What is on disk stays readable: these bytes were written by format 1.
func TestRecordsOfFormat1(t *testing.T) {
	event := room.Event{Room: "abcdefg", Seq: 3, Time: 1_700_000_000_000, Draft: room.Draft{
		UUID: "u", Kind: room.KindJoined, Sender: "s", Target: "t", Action: room.Add, Body: []byte{1, 2},
	}}
	header := room.Header{ID: "abcdefg", Name: "n", Password: "p", Created: 1, Seq: 2, Time: 3, Admin: "a"}
	member := room.Member{Account: "m", Name: "n", Standing: room.In, Position: 1, Changed: 2, Since: 3}
	account := store.Account{
		ID: "i", Name: "n", Credential: []byte{9}, Created: 1, Standing: store.AccountBanned,
		Session: store.Session{Installation: "x", TokenHash: [32]byte{1}, Nonce: []byte{2}, Expires: 3},
	}
	op := store.Op{Sender: "s", Kind: room.KindText, Body: []byte("b")}
	for name, tt := range map[string]struct {
		got  []byte
		want string
	}{
		"event":       {encodeEvent(&event), "0880d095ffbc3112017518" + "0a2201732a017430013a020102"},
		"uuid":        {encodeUUID(uuidRecord{5, "abc"}), "08051203616263"},
		"header":      {encodeHeader(&header), "0a016e12017018012002280332" + "0161"},
		"member":      {encodeMember(&member), "0a016e1014180120022803"},
		"seen":        {encodeSeen(store.Seen{Activity: 1, Viewed: 2}), "08011002"},
		"account":     {encodeAccount(&account), "0a016e120109180120022a2a0a017812200100000000000000000000000000000000000000000000000000000000000000" + "1a01022003"},
		"fingerprint": {op.Fingerprint(), "de38b5d628a0050395240e41f7c422c2"},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s is written as %s, was %s", name, got, tt.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	ops := []store.Op{
		{}, {Sender: "a"}, {Sender: "ab"}, {Sender: "a", Body: []byte("b")}, {Sender: "a", Kind: 'b'}, {Kind: 1},
		{Kind: 1, Body: []byte{0}}, {Body: []byte{0}}, {Sender: "a", Kind: 1, Body: []byte("b")}, {Kind: 128}, {Kind: -1},
	}
	marks := make(map[fingerprint]int)
	for i := range ops {
		mark := fingerprint(ops[i].Fingerprint())
		if len(mark) != store.FingerprintBytes {
			t.Errorf("%d bytes, want %d", len(mark), store.FingerprintBytes)
		}
		if j, ok := marks[mark]; ok {
			t.Errorf("%+v and %+v have the same fingerprint", ops[i], ops[j])
		}
		marks[mark] = i
	}
}

// No key of one owner lies in the range of another, whatever their names.
func FuzzKeys(f *testing.F) {
	f.Add("abcdefg", "h", "abcdefgh", "")
	f.Add("a", "\xff\xff", "a\xff", "\xff")
	f.Fuzz(func(t *testing.T, owner, part, other, otherPart string) {
		if len(owner) > maxPart || len(other) > maxPart {
			t.Skip()
		}
		prefix := scope(keyMember, owner)
		key := memberKey(owner, part)
		inside := func(k []byte) bool {
			return bytes.Compare(k, prefix) >= 0 && bytes.Compare(k, after(prefix)) < 0
		}
		if !inside(key) {
			t.Fatalf("%q is outside of its own range", key)
		}
		foreign := memberKey(other, otherPart)
		if inside(foreign) != (owner == other) {
			t.Fatalf("%q is inside of the range of %q: %v", foreign, prefix, inside(foreign))
		}
		if owner == other && bytes.Equal(key, foreign) != (part == otherPart) {
			t.Fatalf("%q and %q", key, foreign)
		}
	})
}

func TestEventKeysAreInOrder(t *testing.T) {
	var keys [][]byte
	for _, seq := range []uint64{0, 1, 2, 255, 256, 1 << 40, 1<<64 - 1} {
		key := eventKey("abcdefg", seq)
		if seqOf(key) != seq {
			t.Errorf("seq of %q is %d, want %d", key, seqOf(key), seq)
		}
		keys = append(keys, key)
	}
	if !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Errorf("not in order: %q", keys)
	}
}
