package load

import (
	"bytes"
	"errors"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers that are read by hand. TestFieldNumbers holds them against the
// descriptors.
const (
	fieldInitialMessages protowire.Number = 2
	fieldInitialComplete protowire.Number = 3
	fieldNewMessages     protowire.Number = 6
	fieldMessagesList    protowire.Number = 1

	fieldMessage     protowire.Number = 6
	fieldSeq         protowire.Number = 1000
	fieldPreviousSeq protowire.Number = 1001

	fieldStandardInfo protowire.Number = 2
	fieldRoom         protowire.Number = 1
)

// errResponse is a response that is not one.
var errResponse = errors.New("load: a response cannot be read")

// delivery is one message of a response, as far as it is looked at.
type delivery struct {
	room          []byte // its id; refers to the response
	seq, previous uint64
	due           int64 // when it was due to be sent, 0 if it does not say
}

// readResponse calls each for every message of the response raw, and reports
// whether it ends the initialization.
func readResponse(raw []byte, each func(delivery)) (complete bool, err error) {
	err = fields(raw, func(n protowire.Number, v []byte, _ uint64) error {
		switch n {
		case fieldInitialComplete:
			complete = true
		case fieldNewMessages, fieldInitialMessages:
			return fields(v, func(n protowire.Number, v []byte, _ uint64) error {
				if n != fieldMessagesList {
					return nil
				}
				d, err := readMessage(v)
				if err == nil {
					each(d)
				}
				return err
			})
		}
		return nil
	})
	return complete, err
}

func readMessage(raw []byte) (delivery, error) {
	d := delivery{due: dueOf(raw)}
	err := fields(raw, func(n protowire.Number, v []byte, x uint64) error {
		switch n {
		case fieldSeq:
			d.seq = x
		case fieldPreviousSeq:
			d.previous = x
		case fieldMessage:
			return fields(v, func(n protowire.Number, v []byte, _ uint64) error {
				if n != fieldStandardInfo {
					return nil
				}
				return fields(v, func(n protowire.Number, v []byte, _ uint64) error {
					if n == fieldRoom {
						d.room = v
					}
					return nil
				})
			})
		}
		return nil
	})
	return d, err
}

// fields calls f for each field of raw: with its bytes or its number.
func fields(raw []byte, f func(n protowire.Number, v []byte, x uint64) error) error {
	for len(raw) > 0 {
		n, kind, size := protowire.ConsumeTag(raw)
		if size < 0 {
			return errResponse
		}
		raw = raw[size:]
		var v []byte
		var x uint64
		switch kind {
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(raw)
		case protowire.VarintType:
			x, size = protowire.ConsumeVarint(raw)
		default:
			size = protowire.ConsumeFieldValue(n, kind, raw)
		}
		if size < 0 {
			return errResponse
		}
		raw = raw[size:]
		if err := f(n, v, x); err != nil {
			return err
		}
	}
	return nil
}

// A text begins with the time at which it was due, in nanoseconds of the
// generator's clock, as hexadecimal digits behind dueMark.
const (
	dueMark   = "#due="
	dueDigits = 16
	// minText is the shortest text, in bytes.
	minText = len(dueMark) + dueDigits
)

// text is a text of size bytes, at least minText, that was due at that time.
func text(due int64, size int) string {
	b := make([]byte, 0, max(size, minText))
	b = append(b, dueMark...)
	digits := strconv.AppendInt(nil, due, 16)
	for range dueDigits - len(digits) {
		b = append(b, '0')
	}
	b = append(b, digits...)
	for i := 0; len(b) < size; i++ {
		b = append(b, "the quick brown fox jumps over the lazy dog "[i%44])
	}
	return string(b)
}

// dueOf finds what text has written.
func dueOf(message []byte) int64 {
	i := bytes.Index(message, []byte(dueMark))
	if i < 0 || len(message) < i+minText {
		return 0
	}
	var due int64
	for _, c := range message[i+len(dueMark) : i+minText] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0
		}
		due = due<<4 | int64(c)
	}
	return due
}
