package ring

import (
	"strconv"
	"strings"

	"github.com/chatstream/chatstream/store"
)

// place is a position taken apart.
type place struct {
	epoch  string
	number uint64
}

func (p place) position() store.Position {
	return store.Position(p.epoch + ":" + strconv.FormatUint(p.number, 36))
}

func placeOf(pos store.Position) (place, bool) {
	epoch, text, ok := strings.Cut(string(pos), ":")
	if !ok {
		return place{}, false
	}
	n, err := strconv.ParseUint(text, 36, 64)
	return place{epoch, n}, err == nil
}
