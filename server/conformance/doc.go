// Package conformance checks that a server keeps the protocol: one test for each
// rule of the observable behaviour, over real gRPC connections to a server in
// this process, with the generated stubs and nothing else of ours.
//
// It is organised like the specification of the inherited protocol: files for
// each chapter, in each a list of the chapter's rules and, in that order, a
// function for each, whose comment is the rule. A rule is named by its section
// and what it says,
//
//	go test ./server/conformance -run 'EmbeddedStore/4.1/position_is_exact'
//
// A comment that begins with "Replaced," names what the original does instead
// and then says what stands here; "Not copied," does the same for a defect of
// the original, "Beyond the original" for what is new. Each store that a server
// can run on runs the whole tree: see [Run].
//
// Some rules hold everywhere, and every test checks them of every response that
// it gets (see stream.check): no response and no list is empty, every message
// names its room, current_timestamp, primer and return_status are left out where
// they have no place; and when a server has been shut down, every stream that
// began has ended.
//
// The rules of a section share a server, with accounts of their own, and run at
// once; one that needs a configuration, a failing store or a number of streams
// has its own server. What is waited for is waited for; only streams that time
// out take a second. A store is tapped (store.go): a test can hold up a call, or
// let it fail, and a stream is opened only when its server has been shown what
// was acknowledged before, so that this is in the initialization and not live
// behind it, where it may be otherwise.
//
// # Rules that have no test here
//
// Of chapters 2 to 9, 11, 13 and 14. Not served, and said to be (13/
// what_is_not_served_says_so, 13.7/kinds_that_are_not_served_say_so), or nowhere
// to be seen:
//
//   - pictures, locations, mime types, invites, edits, deletes, activities and
//     replies: their validation (13.7), their forms (8), who receives them (9.4),
//     which of them a history has (4.1), their entries among full messages (7)
//   - promoting, name, password and pinned place of a room (13.5, 13.6), matches,
//     blocks and reports (13.8), UpdateChatRoom and its sibling (13.9)
//   - events, QR codes and match rooms: their pseudo member, their fields, the
//     download of a room that nobody joined (4.1, 9.1, 13.2, 13.3, 13.4)
//   - pictures and thumbnails of accounts, ages (USER_TOO_YOUNG), accounts that
//     lack information (21) or a subscription (28), administrators' logins: there
//     are none; admin_info_used is INVALID_PARAMETER_PASSED (3)
//   - RequestServerShutdown (14): a shutdown is a signal to the process, see
//     cmd/chatstream
//   - GetSingleMessage (wire contract, 5)
//   - client certificates (2)
//   - INTERMEDIATE_MESSAGE_LIST (7): ten texts fit one part, so it waits for
//     pictures
//
// Replaced by something that has no test here:
//
//   - one stream of an account on each server (6.4): in one process the newest
//     wins; over several servers it will, and does not yet
//   - the largest request is 4 MiB, not 13 MB (2): there are no pictures; see
//     cmd/chatstream, TestInvalidBytes
//   - a room that has lost its header, an account that cannot be read, a member in
//     the account and not in the room (4.1, 13.3): a membership is one record
//   - out-of-order repair (9.6), the change stream and its restarts (9.1): order
//     is by number, not by clock; see engine, TestEventThatIsNotShownIsReadFromTheStore
//     and its siblings
//   - the load answers after a pause as long as a ping of the database (14): it
//     answers at once
//
// Inside a server, and tested where it is: acceptors (2), the order of steps that
// take a stream apart and who may enter it meanwhile (6.2, 6.3), fairness between
// streams (5.2), registries and their locks (10), storage (12). See packages
// engine and store. When an open stream's time begins (4, step 11) cannot be
// told from outside: the primer says the full time, and comes first.
package conformance
