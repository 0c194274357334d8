package server

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/chatstream/chatstream/engine"
	"github.com/chatstream/chatstream/proto/chatpb"
)

// Keys of the chat stream's metadata.
const (
	keyAccount      = "current_account_id"
	keyToken        = "logged_in_token"
	keyVersion      = "lets_go_version"
	keyInstallation = "installation_id"
	keyRooms        = "chat_room_values"
	keyPositions    = "chat_room_positions"
	keyFeatures     = "chat_stream_features"

	keyReason = "stream_down_reason"
	keyStatus = "return_status"
	keyInfo   = "optional_info_cancel"
)

// errMetadata says what in a stream's initial metadata cannot be read. The
// client is told INVALID_PARAMETER_PASSED.
var errMetadata = errors.New("metadata")

// opening is what a client says when it opens a chat stream.
type opening struct {
	login    *chatpb.LoginToServerBasicInfo
	rooms    []engine.KnownRoom
	features engine.Features
}

// parseOpening reads the initial metadata, of which get returns the values of a
// key. Of a repeated key the first value counts; unknown keys are ignored.
func parseOpening(get func(key string) []string) (*opening, error) {
	values := make(map[string]string, 4)
	for _, key := range []string{keyAccount, keyToken, keyVersion, keyInstallation} {
		v := get(key)
		if len(v) == 0 {
			return nil, fmt.Errorf("%w: %s is missing", errMetadata, key)
		}
		values[key] = v[0]
	}
	version, err := parseVersion(values[keyVersion])
	if err != nil {
		return nil, err
	}
	o := &opening{login: &chatpb.LoginToServerBasicInfo{
		CurrentAccountId: values[keyAccount],
		LoggedInToken:    values[keyToken],
		LetsGoVersion:    version,
		InstallationId:   values[keyInstallation],
	}}
	if v := get(keyRooms); len(v) > 0 {
		if o.rooms, err = parseRooms(v[0]); err != nil {
			return nil, err
		}
	}
	if v := get(keyPositions); len(v) > 0 {
		if o.rooms, err = parsePositions(v[0], o.rooms); err != nil {
			return nil, err
		}
	}
	if v := get(keyFeatures); len(v) > 0 {
		o.features = parseFeatures(v[0])
	}
	return o, nil
}

// parseVersion reads zero or more decimal digits, modulo 2^32.
func parseVersion(s string) (uint32, error) {
	var version uint32
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%w: %s is not a number", errMetadata, keyVersion)
		}
		version = version*10 + uint32(s[i]-'0')
	}
	return version, nil
}

const (
	delimiter     = "::"
	maxTimeDigits = 14
	maxCountDigit = 10
	maxSeqDigits  = 20
	maxUUIDBytes  = 36
)

// parseRooms reads chat_room_values:
//
//	value = room { "::" room } [ "::" ]
//	room  = room_id "::" updated "::" viewed "::" count { "::" uuid }
//
// Room ids are not checked here: the engine drops what cannot be one.
func parseRooms(value string) ([]engine.KnownRoom, error) {
	t := tokens{key: keyRooms, rest: value, more: value != ""}
	var rooms []engine.KnownRoom
	for t.more {
		r := engine.KnownRoom{}
		var err error
		if r.Room, err = t.next("room id"); err != nil {
			return nil, err
		}
		if r.Updated, err = t.time("last time updated"); err != nil {
			return nil, err
		}
		if r.Viewed, err = t.time("last time viewed"); err != nil {
			return nil, err
		}
		count, err := t.count()
		if err != nil {
			return nil, err
		}
		for range count {
			uuid, err := t.next("message uuid")
			if err != nil {
				return nil, err
			}
			if len(uuid) > maxUUIDBytes {
				return nil, fmt.Errorf("%w: %s: a message uuid has more than %d bytes", errMetadata, t.key, maxUUIDBytes)
			}
			r.Exclude = append(r.Exclude, uuid)
		}
		rooms = append(rooms, r)
	}
	return rooms, nil
}

// parsePositions reads chat_room_positions into rooms:
//
//	value = room { "::" room } [ "::" ]
//	room  = room_id "::" seq
//
// Of a room that is named twice the first position counts. A room that stands
// here only has never been looked at, as far as its client knows.
func parsePositions(value string, rooms []engine.KnownRoom) ([]engine.KnownRoom, error) {
	index := make(map[string]int, len(rooms))
	for i := range slices.Backward(rooms) {
		index[rooms[i].Room] = i
	}
	for t := (tokens{key: keyPositions, rest: value, more: value != ""}); t.more; {
		id, err := t.next("room id")
		if err != nil {
			return nil, err
		}
		seq, err := t.seq()
		if err != nil {
			return nil, err
		}
		i, known := index[id]
		if !known {
			i, index[id] = len(rooms), len(rooms)
			rooms = append(rooms, engine.KnownRoom{Room: id, Updated: -1, Viewed: -1})
		}
		if r := &rooms[i]; !r.Exact {
			r.Exact, r.Seq = true, seq
		}
	}
	return rooms, nil
}

// parseFeatures reads chat_stream_features, names with "::" between them. A name
// that is not known is that of something this server cannot do.
func parseFeatures(value string) engine.Features {
	var f engine.Features
	for name := range strings.SplitSeq(value, delimiter) {
		switch name {
		case "bookmark":
			f.Bookmark = true
		case "go-away":
			f.GoAway = true
		}
	}
	return f
}

// tokens cuts a value at its delimiters. One delimiter at the end is allowed.
type tokens struct {
	key  string // whose value it is
	rest string
	more bool
}

func (t *tokens) next(what string) (string, error) {
	if !t.more {
		return "", fmt.Errorf("%w: %s: %s is missing", errMetadata, t.key, what)
	}
	token, rest, found := strings.Cut(t.rest, delimiter)
	t.rest, t.more = rest, found && rest != ""
	return token, nil
}

// time reads "-1" or 1 to 14 digits.
func (t *tokens) time(what string) (int64, error) {
	token, err := t.next(what)
	if err != nil {
		return 0, err
	}
	if token == "-1" {
		return -1, nil
	}
	n, ok := digits(token, maxTimeDigits)
	if !ok {
		return 0, fmt.Errorf("%w: %s: %s is not a time", errMetadata, t.key, what)
	}
	return n, nil
}

// count reads 1 to 10 digits. What does not fit the rest of the value is found
// out when the tokens run out, so the number itself costs nothing.
func (t *tokens) count() (int64, error) {
	token, err := t.next("number of message uuids")
	if err != nil {
		return 0, err
	}
	n, ok := digits(token, maxCountDigit)
	if !ok {
		return 0, fmt.Errorf("%w: %s: the number of message uuids is not a number", errMetadata, t.key)
	}
	return n, nil
}

// seq reads 1 to 20 digits.
func (t *tokens) seq() (uint64, error) {
	token, err := t.next("position")
	if err != nil {
		return 0, err
	}
	for i := range len(token) { // ParseUint takes a sign, and underscores
		if token[i] < '0' || token[i] > '9' {
			return 0, fmt.Errorf("%w: %s: a position is not a number", errMetadata, t.key)
		}
	}
	n, err := strconv.ParseUint(token, 10, 64)
	if err != nil || len(token) > maxSeqDigits {
		return 0, fmt.Errorf("%w: %s: a position is not a number", errMetadata, t.key)
	}
	return n, nil
}

func digits(s string, most int) (int64, bool) {
	if len(s) == 0 || len(s) > most {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// trailer is what the client is told of the stream's end.
func trailer(e engine.Ending) metadata.MD {
	md := metadata.Pairs(keyReason, strconv.Itoa(int(e.Reason)))
	if e.Reason == reasonStatus {
		md.Set(keyStatus, strconv.Itoa(int(e.Status)))
	}
	if e.Info != "" {
		md.Set(keyInfo, e.Info)
	}
	return md
}
