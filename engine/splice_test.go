package engine

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

// A response that is put together from encoded elements has the very bytes that
// marshalling it would give.

func TestSpliceFieldNumbers(t *testing.T) {
	response := (&streampb.ChatToClientResponse{}).ProtoReflect().Descriptor().Fields()
	for _, tc := range []struct {
		name string
		want protowire.Number
	}{{"initial_connection_messages_response", fieldInitialMessages}, {"return_new_chat_message", fieldNewMessages}} {
		field := response.ByName(protoreflect.Name(tc.name))
		if field == nil || field.Number() != tc.want {
			t.Errorf("%s is not number %d", tc.name, tc.want)
			continue
		}
		list := field.Message().Fields()
		if list.Len() != 1 || list.Get(0).Number() != fieldMessagesList || !list.Get(0).IsList() {
			t.Errorf("%s is more than a list number %d", tc.name, fieldMessagesList)
		}
	}
}

func FuzzSpliceIsMarshal(f *testing.F) {
	f.Add(uint64(1), uint8(3), false)
	f.Add(uint64(2), uint8(59), true)
	f.Add(uint64(3), uint8(1), true)
	f.Fuzz(func(t *testing.T, seed uint64, n uint8, initial bool) {
		rng := rand.New(rand.NewPCG(seed, 1))
		messages := make([]*chatpb.ChatMessageToClient, 1+int(n)%maxElements)
		for i := range messages {
			messages[i] = randomMessage(rng)
		}
		spliceIsMarshal(t, messages, initial)
	})
}

func spliceIsMarshal(t *testing.T, messages []*chatpb.ChatMessageToClient, initial bool) {
	field, want := fieldNewMessages, &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_ReturnNewChatMessage{
		ReturnNewChatMessage: &streampb.ReturnNewChatMessage{MessagesList: messages},
	}}
	if initial {
		field, want = fieldInitialMessages, &streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_InitialConnectionMessagesResponse{
			InitialConnectionMessagesResponse: &streampb.InitialConnectionMessagesResponse{MessagesList: messages},
		}}
	}
	var b builder
	for _, m := range messages {
		boxed := 0
		e, err := element(m, func(raw []byte) any { boxed++; return len(raw) })
		if err != nil {
			t.Fatal(err)
		}
		if boxed != 1 || e.Boxed != len(e.Bytes) {
			t.Errorf("boxed %d times, as %v", boxed, e.Boxed)
		}
		b.add(field, e)
	}
	r := b.response()
	got := bytes.Clone(r.Head)
	for _, e := range r.Elements {
		got = append(got, e.Bytes...)
	}
	if r.Size != len(got) {
		t.Errorf("size is %d, said %d", len(got), r.Size)
	}
	wanted, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, wanted) {
		t.Errorf("spliced and marshalled differ:\n%x\n%x", got, wanted)
	}
	b.reset()
	if !b.empty() || b.bytes != 0 || b.after != nil {
		t.Error("reset leaves something")
	}
}

// randomMessage is one of those that are sent, with random content.
func randomMessage(rng *rand.Rand) *chatpb.ChatMessageToClient {
	text := func() string { return strings.Repeat([]string{"a", "ä", "€", "😀"}[rng.IntN(4)], rng.IntN(300)) }
	body := &chatpb.MessageSpecifics{}
	switch rng.IntN(8) {
	case 0: // none
	case 1:
		body.MessageBody = &chatpb.MessageSpecifics_TextMessage{TextMessage: &chatpb.TextChatMessage{MessageText: text()}}
	case 2:
		body.MessageBody = &chatpb.MessageSpecifics_TextMessage{TextMessage: &chatpb.TextChatMessage{
			ActiveMessageInfo: &chatpb.ActiveMessageInfo{IsReply: rng.IntN(2) == 0}, MessageText: text(), IsEdited: true, EditedTime: rng.Int64(),
		}}
	case 3:
		body.MessageBody = &chatpb.MessageSpecifics_UserKickedMessage{UserKickedMessage: &chatpb.UserKickedChatMessage{KickedAccountOid: text()}}
	case 4:
		body.MessageBody = &chatpb.MessageSpecifics_DifferentUserJoinedMessage{DifferentUserJoinedMessage: &chatpb.DifferentUserJoinedChatRoomChatMessage{
			MemberInfo: &chatpb.ChatRoomMemberInfoMessage{UserInfo: &chatpb.MemberSharedInfoMessage{AccountName: text()}},
		}}
	case 5:
		body.MessageBody = &chatpb.MessageSpecifics_ChatRoomCapMessage{ChatRoomCapMessage: &chatpb.ChatRoomCapMessage{}}
	case 6:
		return generated(text(), text(), body, rng.IntN(2) == 0)
	case 7:
		return &chatpb.ChatMessageToClient{}
	}
	return &chatpb.ChatMessageToClient{
		MessageUuid: text(), SentByAccountId: text(), TimestampStored: rng.Int64() - rng.Int64(), OnlyStoreMessage: rng.IntN(2) == 0,
		ReturnStatus: chatpb.ReturnStatus(rng.IntN(3)),
		Message: &chatpb.TypeOfChatMessage{MessageSpecifics: body, StandardMessageInfo: &chatpb.StandardChatMessageInfo{
			ChatRoomIdMessageSentFrom: text(), AmountOfMessage: chatpb.AmountOfMessage(rng.IntN(30)),
		}},
	}
}

func TestResponseTakesAsMuchAsFits(t *testing.T) {
	sized := func(n int) *Element { return &Element{Bytes: make([]byte, n)} }
	for _, tc := range []struct {
		name        string
		each, takes int
	}{
		{"many small ones", 1, maxElements},
		{"just as many bytes", maxResponseBytes / 4, 4},
		{"one byte too many", maxResponseBytes/4 + 1, 3},
		{"as large as a response", maxResponseBytes, 1},
		{"larger than a response", maxResponseBytes + 1, 1},
	} {
		var b builder
		n := 0
		for b.takes(fieldNewMessages, tc.each) && n < 1000 {
			b.add(fieldNewMessages, sized(tc.each))
			n++
		}
		if n != tc.takes {
			t.Errorf("%s: %d, want %d", tc.name, n, tc.takes)
		}
	}
	var b builder
	b.add(fieldInitialMessages, sized(1))
	if b.takes(fieldNewMessages, 1) {
		t.Error("two lists in one response")
	}
	b.reset()
	b.set([]byte{1}, nil)
	if b.takes(fieldNewMessages, 1) || b.empty() {
		t.Error("a list beside a response of its own")
	}
}

func TestMessageThatCannotBeEncodedIsAnError(t *testing.T) {
	if _, err := element(&chatpb.ChatMessageToClient{MessageUuid: "\xff"}, nil); err == nil {
		t.Error("encoded invalid UTF-8")
	}
}
