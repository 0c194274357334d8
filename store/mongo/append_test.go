package mongo

import (
	"github.com/chatstream/chatstream/engine/room"
	"github.com/chatstream/chatstream/store/storetest"
)

// postOf is a message of the room's creator.
func postOf(r *storetest.Room) room.Post {
	uuid := r.UUID()
	return room.Post{UUID: uuid, Sender: storetest.Account(0), Kind: room.KindText, Body: storetest.Text(uuid)}
}
