package robustness

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatstream/chatstream/proto/chatpb"
	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
)

// callTimeout is how long a device waits for an answer before it gives up.
const callTimeout = 4 * time.Second

// call records r, has do send it, and records what came of it.
func (d *device) call(ctx context.Context, r Record, do func(context.Context, *api, *Record) error) Record {
	var to *api
	r.Server, to = d.api()
	r.Kind, r.Device, r.Call = KindCall, d.id, d.w.rec.Number()
	d.w.rec.Add(r)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r.Kind, r.Outcome = KindAnswer, Unknown
	if err := do(ctx, to, &r); err != nil {
		r.Error = err.Error()
		switch status.Code(err) {
		case codes.Unimplemented, codes.InvalidArgument, codes.Unauthenticated, codes.AlreadyExists:
			r.Outcome = Refused
		}
	}
	d.w.rec.Add(r)
	if r.Outcome == Unknown {
		d.leaves(r.Server)
	}
	return r
}

// judge sets r's outcome by what a command was answered.
func (d *device) judge(s *session, r *Record, code chatpb.ReturnStatus, refused bool, at int64) {
	r.Status = code.String()
	switch {
	case code == chatpb.ReturnStatus_SUCCESS && refused:
		r.Outcome = Refused
	case code == chatpb.ReturnStatus_SUCCESS:
		r.Outcome, r.Time = Done, at
	case code == chatpb.ReturnStatus_DATABASE_DOWN, code == chatpb.ReturnStatus_LG_ERROR, code == chatpb.ReturnStatus_UNKNOWN:
		r.Outcome = Unknown
	default:
		r.Outcome = Refused
		d.lost(s)
	}
}

// createAccount makes a, and logs nobody in.
func (d *device) createAccount(ctx context.Context, a *account) Record {
	return d.call(ctx, Record{Op: OpCreateAccount, Text: a.name}, func(ctx context.Context, to *api, r *Record) error {
		answer, err := to.accounts.CreateAccount(ctx, &chatstreampb.CreateAccountRequest{Name: a.name, Password: a.password})
		if err != nil {
			return err
		}
		a.id = answer.GetAccountId()
		r.Account, r.Outcome = a.id, Done
		return nil
	})
}

// logIn logs d in to a, whoever was logged in before.
func (d *device) logIn(ctx context.Context, a *account) Record {
	d.mu.Lock()
	d.session = nil
	d.mu.Unlock()
	return d.call(ctx, Record{Op: OpLogin, Account: a.id}, func(ctx context.Context, to *api, r *Record) error {
		answer, err := to.accounts.Login(ctx, &chatstreampb.LoginRequest{Name: a.name, Password: a.password, InstallationId: d.id})
		if err != nil {
			return err
		}
		r.Outcome, r.Text = Done, answer.GetLoggedInToken()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.books[a] == nil {
			d.books[a] = newBook()
		}
		d.session = &session{account: a, token: answer.GetLoggedInToken(), book: d.books[a]}
		return nil
	})
}

func (d *device) logOut(ctx context.Context, s *session) Record {
	d.lost(s)
	return d.call(ctx, Record{Op: OpLogout, Account: s.account.id, Text: s.token}, func(ctx context.Context, to *api, r *Record) error {
		_, err := to.accounts.Logout(ctx, &chatstreampb.LogoutRequest{LoginInfo: d.login(s)})
		if err == nil {
			r.Outcome = Done
		}
		return err
	})
}

func (d *device) create(ctx context.Context, s *session, name string) Record {
	return d.call(ctx, Record{Op: OpCreate, Account: s.account.id}, func(ctx context.Context, to *api, r *Record) error {
		answer, err := to.commands.CreateChatRoomRPC(ctx, &commandspb.CreateChatRoomRequest{LoginInfo: d.login(s), ChatRoomName: name})
		if err != nil {
			return err
		}
		d.judge(s, r, answer.GetReturnStatus(), false, answer.GetCurrentUserJoinedChatMessage().GetTimestampStored())
		if r.Outcome == Done {
			r.Room, r.Text = answer.GetChatRoomId(), answer.GetChatRoomPassword()
			d.w.learn(r.Room, r.Text)
			d.made = append(d.made, r.Room)
		}
		return nil
	})
}

// send says what belongs to uuid.
func (d *device) send(ctx context.Context, s *session, room, uuid string) Record {
	d.w.name(uuid)
	r := Record{Op: OpSend, Account: s.account.id, Room: room, UUID: uuid, Text: textOf(uuid)}
	return d.call(ctx, r, func(ctx context.Context, to *api, r *Record) error {
		answer, err := to.commands.ClientMessageToServerRPC(ctx, &commandspb.ClientMessageToServerRequest{
			LoginInfo: d.login(s), MessageUuid: uuid,
			Message: &chatpb.TypeOfChatMessage{
				MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_TextMessage{
					TextMessage: &chatpb.TextChatMessage{MessageText: r.Text},
				}},
				StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: room},
			},
		})
		if err != nil {
			return err
		}
		d.judge(s, r, answer.GetReturnStatus(), answer.GetUserNotInChatRoom(), answer.GetTimestampStored())
		return nil
	})
}

// observe says that the user has looked at a room.
func (d *device) observe(ctx context.Context, s *session, room string) Record {
	return d.call(ctx, Record{Op: OpObserve, Account: s.account.id, Room: room}, func(ctx context.Context, to *api, r *Record) error {
		answer, err := to.commands.ClientMessageToServerRPC(ctx, &commandspb.ClientMessageToServerRequest{
			LoginInfo: d.login(s), TimestampObserved: time.Now().UnixMilli(),
			Message: &chatpb.TypeOfChatMessage{
				MessageSpecifics: &chatpb.MessageSpecifics{MessageBody: &chatpb.MessageSpecifics_UpdateObservedTimeMessage{
					UpdateObservedTimeMessage: &chatpb.UpdateObservedTimeChatMessage{},
				}},
				StandardMessageInfo: &chatpb.StandardChatMessageInfo{ChatRoomIdMessageSentFrom: room},
			},
		})
		if err != nil {
			return err
		}
		d.judge(s, r, answer.GetReturnStatus(), answer.GetUserNotInChatRoom(), answer.GetTimestampStored())
		return nil
	})
}

func (d *device) leave(ctx context.Context, s *session, room string) Record {
	s.book.forget(room)
	r := d.call(ctx, Record{Op: OpLeave, Account: s.account.id, Room: room}, func(ctx context.Context, to *api, r *Record) error {
		answer, err := to.commands.LeaveChatRoomRPC(ctx, &commandspb.LeaveChatRoomRequest{LoginInfo: d.login(s), ChatRoomId: room})
		if err != nil {
			return err
		}
		d.judge(s, r, answer.GetReturnStatus(), false, answer.GetTimestampStored())
		return nil
	})
	s.book.forget(room)
	return r
}

// remove kicks or bans target.
func (d *device) remove(ctx context.Context, s *session, op, room, target, uuid string) Record {
	d.w.name(uuid)
	r := Record{Op: op, Account: s.account.id, Room: room, UUID: uuid, Target: target}
	return d.call(ctx, r, func(ctx context.Context, to *api, r *Record) error {
		how := commandspb.RemoveFromChatRoomRequest_KICK
		if op == OpBan {
			how = commandspb.RemoveFromChatRoomRequest_BAN
		}
		answer, err := to.commands.RemoveFromChatRoomRPC(ctx, &commandspb.RemoveFromChatRoomRequest{
			LoginInfo: d.login(s), MessageUuid: uuid, KickOrBan: how, ChatRoomId: room, AccountIdToRemove: target,
		})
		if err != nil {
			return err
		}
		d.judge(s, r, answer.GetReturnStatus(), answer.GetOperationFailed(), answer.GetTimestampStored())
		return nil
	})
}

// join joins a room and takes in what it is shown of it. The answer's Time is
// that of the join, 0 if it was not shown.
func (d *device) join(ctx context.Context, s *session, room, password string) Record {
	s.book.forget(room)
	got := &download{turn: s.book.turn(room)}
	finished := false
	r := d.call(ctx, Record{Op: OpJoin, Account: s.account.id, Room: room}, func(ctx context.Context, to *api, r *Record) error {
		rpc, err := to.commands.JoinChatRoomRPC(ctx, &commandspb.JoinChatRoomRequest{
			LoginInfo: d.login(s), ChatRoomId: room, ChatRoomPassword: password,
		})
		if err != nil {
			return err
		}
		for {
			part, err := rpc.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			for _, shown := range part.GetMessagesList() {
				if shown.GetPrimer() {
					refused := part.GetChatRoomStatus() != commandspb.ChatRoomStatus_SUCCESSFULLY_JOINED
					d.judge(s, r, shown.GetReturnStatus(), refused, 0)
					if refused {
						r.Status = part.GetChatRoomStatus().String()
					}
					continue
				}
				m := read(shown)
				d.w.rec.Add(Record{Kind: KindMessage, Device: d.id, Account: s.account.id, Call: r.Call, Message: m})
				switch {
				case m.Stored():
					got.add(m)
				case m.Body == bodyFinished:
					finished = true
					r.Time = got.time
				}
			}
		}
	})
	if finished && d.loggedIn() == s {
		s.book.downloaded(room, got)
	}
	return r
}
