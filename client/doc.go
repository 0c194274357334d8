// Package client is the Go client of a chat server, for programs of others: log
// in, keep one chat stream alive, receive as an iterator, send, resume.
//
//	c, err := client.Dial("127.0.0.1:50051")
//	...
//	login := func(ctx context.Context) (client.Credentials, error) {
//		return c.Login(ctx, "ada", password, installationID)
//	}
//	creds, err := login(ctx)
//	s, err := c.Open(creds, client.Relogin(login), client.FullText())
//	defer s.Close()
//	for event, err := range s.Events(ctx) {
//		if err != nil {
//			return err // the session is over, and this is why
//		}
//		if m, ok := event.(client.Message); ok {
//			fmt.Println(m.Room, m.SenderName, m.Text)
//		}
//	}
//
// # What a program can rely on
//
// Every message of every room the account is in is handed out, per room in the
// order of the room's log and once. Between rooms there is no order. When the
// connection breaks, the session connects again by itself and continues where
// the program is, not where the network was: whatever had been received but not
// handed out is forgotten, and the next stream brings it again. That is the one
// rule everything here follows, and what makes it hold is that a room's position
// moves when an event is handed to the program, and at no other time. It never
// moves because of an answer to a call: somebody else's message may have been
// stored just before one's own and still be on its way.
//
// A message of one's own is handed out like all others, when the stream says
// that it is stored. Send may return before or after that.
//
// A program that stops taking events is not read for: the server feels it, and
// after a while it ends the stream.
//
// # How it is put together
//
// One goroutine owns the connection (run.go): it opens a stream, reads it into
// the inbox and judges why it ended. A second one per stream writes to it:
// refreshes and requests for full messages (keeper.go). The goroutine of the
// program takes from the inbox, and in its own time folds what it takes into the
// book (book.go), which holds the rooms and makes the events. Calls such as Send
// and JoinRoom run in the goroutine of their caller.
//
// The lock order is Session.mu, then the inbox's and the lookups' own; none is
// held while anything waits.
package client
