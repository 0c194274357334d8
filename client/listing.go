package client

import (
	"strconv"
	"strings"
)

// Keys of the metadata, both ways.
const (
	keyAccount      = "current_account_id"
	keyToken        = "logged_in_token"
	keyVersion      = "lets_go_version"
	keyInstallation = "installation_id"
	keyRooms        = "chat_room_values"
	keyPositions    = "chat_room_positions"
	keyFeatures     = "chat_stream_features"

	keyReason   = "stream_down_reason"
	keyStatus   = "return_status"
	keyReplacer = "optional_info_cancel"
)

const (
	// maxMetadata is how much metadata a client may send, in the measure of
	// HTTP/2: every key and value and 32 bytes more. Servers accept 1 MiB; the
	// rest is for what gRPC adds. Beyond that gRPC refuses the stream without a
	// reason.
	maxMetadata   = 1<<20 - 1024
	fieldOverhead = 32

	delimiter = "::"
	// maxCount is room for the number of uuids.
	maxCount = 10
)

// listing is what the metadata says about one room.
type listing struct {
	room            string
	updated, viewed int64
	// seq is the place in the room's log, 0 if it is not known; recent are
	// needed only then.
	seq    uint64
	recent []Stamp
}

// loginFields are the metadata that every stream needs.
func loginFields(c Credentials) []string {
	return []string{
		keyAccount, c.AccountID,
		keyToken, c.Token,
		keyVersion, strconv.Itoa(version),
		keyInstallation, c.InstallationID,
		keyFeatures, features,
	}
}

// features are what we understand beyond the inherited protocol.
const features = "bookmark" + delimiter + "go-away"

// roomsBudget is how long the values of keyRooms and keyPositions may be
// together, beside fields.
func roomsBudget(fields []string) int {
	budget := maxMetadata - len(keyRooms) - len(keyPositions) - 2*fieldOverhead
	for i := 0; i+1 < len(fields); i += 2 {
		budget -= len(fields[i]) + len(fields[i+1]) + fieldOverhead
	}
	return budget
}

// roomValues are the values of keyRooms and of keyPositions, of at most budget bytes. What does not
// fit is left out, which costs duplicates and nothing else: first the uuids,
// where every room keeps about equally many and the newest, then whole rooms,
// which the server then describes as if the client had never heard of them.
func roomValues(rooms []listing, budget int) (values, positions string) {
	heads := make([]string, 0, len(rooms))
	var places strings.Builder
	for _, l := range rooms {
		head := l.room + delimiter +
			strconv.FormatInt(max(l.updated, -1), 10) + delimiter +
			strconv.FormatInt(max(l.viewed, -1), 10) + delimiter
		place := ""
		if l.seq > 0 {
			place = l.room + delimiter + strconv.FormatUint(l.seq, 10) + delimiter
		}
		if cost := len(head) + maxCount + len(delimiter) + len(place); cost <= budget {
			budget -= cost
			heads = append(heads, head)
			places.WriteString(place)
			continue
		}
		break
	}
	rooms = rooms[:len(heads)]

	counts := make([]int, len(rooms))
	for again := true; again; {
		again = false
		for i, l := range rooms {
			if counts[i] == len(l.recent) {
				continue
			}
			newest := l.recent[len(l.recent)-1-counts[i]].UUID
			if cost := len(newest) + len(delimiter); cost <= budget {
				budget -= cost
				counts[i]++
				again = true
			}
		}
	}

	var b strings.Builder
	for i, l := range rooms {
		b.WriteString(heads[i])
		b.WriteString(strconv.Itoa(counts[i]))
		b.WriteString(delimiter)
		for _, s := range l.recent[len(l.recent)-counts[i]:] {
			b.WriteString(s.UUID)
			b.WriteString(delimiter)
		}
	}
	return b.String(), places.String()
}
