// Package chatpb holds the types that the inherited services share: messages and
// their kinds, rooms, members, logins and return statuses. On the wire they
// belong to no proto package.
//
// The code is generated from proto/chat.
package chatpb
