package peers

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of Centrifugo's client protocol that are used here.
const (
	fieldCommandID        = 1
	fieldCommandConnect   = 4
	fieldCommandSubscribe = 5
	fieldCommandPublish   = 7

	fieldChannel            = 1 // of a subscribe and of a publish request
	fieldPublishData        = 2
	fieldRequestRecoverable = 10

	fieldReplyID        = 1
	fieldReplyError     = 2
	fieldReplyPush      = 4
	fieldReplySubscribe = 6

	fieldErrorMessage      = 2
	fieldResultRecoverable = 3
	fieldPushPublication   = 4
	fieldPublicationData   = 4
	fieldPublicationOffset = 6
)

// centrifugoReply is what is read of a Reply.
type centrifugoReply struct {
	// id is the command's that it answers, 0 if it answers none.
	id uint64
	// err is why the command failed.
	err string
	// recoverable: it answers a subscription, to a channel with recovery.
	recoverable bool
	// push: it pushes something; publication: a publication, with these data and
	// this place in the channel's history.
	push, publication bool
	data              []byte
	offset            uint64
}

// eachReply calls f with each Reply of a message; several may be joined in one.
// An empty one, a ping, is nil.
func eachReply(message []byte, f func(reply []byte) error) error {
	for len(message) > 0 {
		reply, n := protowire.ConsumeBytes(message)
		if n < 0 {
			return fmt.Errorf("a cut reply: %w", protowire.ParseError(n))
		}
		if err := f(reply); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

// parseReply parses one Reply. The data are part of b.
func parseReply(b []byte) (r centrifugoReply, err error) {
	err = eachField(b, func(field protowire.Number, number uint64, body []byte) error {
		switch field {
		case fieldReplyID:
			r.id = number
		case fieldReplyError:
			r.err = "without a message"
			return eachField(body, func(field protowire.Number, _ uint64, body []byte) error {
				if field == fieldErrorMessage {
					r.err = string(body)
				}
				return nil
			})
		case fieldReplySubscribe:
			return eachField(body, func(field protowire.Number, number uint64, _ []byte) error {
				if field == fieldResultRecoverable {
					r.recoverable = number != 0
				}
				return nil
			})
		case fieldReplyPush:
			r.push = true
			return eachField(body, func(field protowire.Number, _ uint64, body []byte) error {
				if field != fieldPushPublication {
					return nil
				}
				r.publication = true
				return eachField(body, func(field protowire.Number, number uint64, body []byte) error {
					switch field {
					case fieldPublicationData:
						r.data = body
					case fieldPublicationOffset:
						r.offset = number
					}
					return nil
				})
			})
		}
		return nil
	})
	return r, err
}

// eachField calls f with each field of a protobuf message that is a number or
// has a length.
func eachField(b []byte, f func(field protowire.Number, number uint64, body []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var number uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind != protowire.VarintType && kind != protowire.BytesType {
			continue
		}
		if err := f(field, number, body); err != nil {
			return err
		}
	}
	return nil
}

// appendCommand appends a Command, with its length, to b.
func appendCommand(b []byte, id uint64, field protowire.Number, request []byte) []byte {
	size := protowire.SizeTag(fieldCommandID) + protowire.SizeVarint(id) +
		protowire.SizeTag(field) + protowire.SizeBytes(len(request))
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, fieldCommandID, protowire.VarintType)
	b = protowire.AppendVarint(b, id)
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, request)
}

func connectRequest() []byte { return nil }

func subscribeRequest(channel string) []byte {
	b := protowire.AppendTag(nil, fieldChannel, protowire.BytesType)
	b = protowire.AppendString(b, channel)
	b = protowire.AppendTag(b, fieldRequestRecoverable, protowire.VarintType)
	return protowire.AppendVarint(b, 1)
}

func publishRequest(channel string, data []byte) []byte {
	b := protowire.AppendTag(nil, fieldChannel, protowire.BytesType)
	b = protowire.AppendString(b, channel)
	b = protowire.AppendTag(b, fieldPublishData, protowire.BytesType)
	return protowire.AppendBytes(b, data)
}

// pong is the empty command that answers an empty reply.
var pong = []byte{0}

var errNotPublication = errors.New("the server pushed something other than a publication")
