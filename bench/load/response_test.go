package load

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/streampb"
)

func TestFieldNumbers(t *testing.T) {
	for _, f := range []struct {
		message protoreflect.ProtoMessage
		name    protoreflect.Name
		want    protowire.Number
	}{
		{&streampb.ChatToClientResponse{}, "initial_connection_messages_response", fieldInitialMessages},
		{&streampb.ChatToClientResponse{}, "initial_connection_messages_complete_response", fieldInitialComplete},
		{&streampb.ChatToClientResponse{}, "return_new_chat_message", fieldNewMessages},
		{&streampb.ReturnNewChatMessage{}, "messages_list", fieldMessagesList},
		{&streampb.InitialConnectionMessagesResponse{}, "messages_list", fieldMessagesList},
		{&chatpb.ChatMessageToClient{}, "message", fieldMessage},
		{&chatpb.ChatMessageToClient{}, "seq", fieldSeq},
		{&chatpb.ChatMessageToClient{}, "previous_seq", fieldPreviousSeq},
		{&chatpb.TypeOfChatMessage{}, "standard_message_info", fieldStandardInfo},
		{&chatpb.StandardChatMessageInfo{}, "chat_room_id_message_sent_from", fieldRoom},
	} {
		d := f.message.ProtoReflect().Descriptor().Fields().ByName(f.name)
		if d == nil || d.Number() != f.want {
			t.Errorf("%s of %T: %v, want number %d", f.name, f.message, d, f.want)
		}
	}
}

// message is a text as a server shows it.
func message(room, text string, seq, previous uint64) *chatpb.ChatMessageToClient {
	return &chatpb.ChatMessageToClient{
		MessageUuid: "u", Seq: seq, PreviousSeq: previous, TimestampStored: 5,
		Message: &chatpb.TypeOfChatMessage{
			MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
				TextMessage: &chatpb.TextChatMessage{MessageText: text},
			}},
			StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: room},
		},
	}
}

func response(t testing.TB, messages ...*chatpb.ChatMessageToClient) []byte {
	t.Helper()
	raw, err := proto.Marshal(&streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_ReturnNewChatMessage{
		ReturnNewChatMessage: &streampb.ReturnNewChatMessage{MessagesList: messages},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestReadsWhatAServerWrites(t *testing.T) {
	raw := response(t, message("r", text(77, 200), 4, 3), message("s", "hello", 9, 7))
	var got []delivery
	complete, err := readResponse(raw, func(d delivery) { got = append(got, d) })
	if err != nil || complete || len(got) != 2 {
		t.Fatalf("%v, %t, %v", got, complete, err)
	}
	for i, want := range []delivery{{[]byte("r"), 4, 3, 77}, {[]byte("s"), 9, 7, 0}} {
		if string(got[i].room) != string(want.room) || got[i].seq != want.seq || got[i].previous != want.previous || got[i].due != want.due {
			t.Errorf("message %d: %+v, want %+v", i, got[i], want)
		}
	}
	raw, err = proto.Marshal(&streampb.ChatToClientResponse{ServerResponse: &streampb.ChatToClientResponse_InitialConnectionMessagesCompleteResponse{
		InitialConnectionMessagesCompleteResponse: &streampb.InitialConnectionMessagesCompleteResponse{},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if complete, err := readResponse(raw, func(delivery) { t.Error("a delivery") }); !complete || err != nil {
		t.Errorf("the end of an initialization: %t, %v", complete, err)
	}
}

func TestTextCarriesWhenItWasDue(t *testing.T) {
	for _, due := range []int64{1, 255, 1 << 40, 1<<63 - 1} {
		for _, size := range []int{0, minText, 200, 1000} {
			s := text(due, size)
			if len(s) != max(size, minText) || dueOf([]byte("x"+s+"y")) != due {
				t.Errorf("due %d in %d bytes: %q, of which %d is read", due, size, s, dueOf([]byte(s)))
			}
		}
	}
	for _, s := range []string{"", "hello", dueMark, dueMark + "12", dueMark + strings.Repeat("x", dueDigits)} {
		if due := dueOf([]byte(s)); due != 0 {
			t.Errorf("%q was due at %d", s, due)
		}
	}
}

// A response is read like grpc-go's codec would, or refused; nothing panics.
func FuzzReadResponse(f *testing.F) {
	f.Add(response(f, message("r", text(77, 60), 4, 3)))
	f.Add([]byte{0x32, 0x05})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var read []delivery
		_, err := readResponse(raw, func(d delivery) { read = append(read, d) })
		want := &streampb.ChatToClientResponse{}
		if proto.Unmarshal(raw, want) != nil || err != nil {
			return // either may be stricter: text that is not UTF-8, say
		}
		// A field that comes twice is merged by proto, and counted twice here.
		if again, err := proto.Marshal(want); err != nil || len(again) != len(raw) {
			return
		}
		list := want.GetReturnNewChatMessage().GetMessagesList()
		if list == nil {
			list = want.GetInitialConnectionMessagesResponse().GetMessagesList()
		}
		if len(list) != len(read) {
			t.Fatalf("%d messages, want %d", len(read), len(list))
		}
		for i, m := range list {
			if read[i].seq != m.GetSeq() || read[i].previous != m.GetPreviousSeq() ||
				string(read[i].room) != m.GetMessage().GetStandardMessageInfo().GetChatRoomIdMessageSentFrom() {
				t.Errorf("message %d: %+v, want %v", i, read[i], m)
			}
		}
	})
}
