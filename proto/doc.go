// Package proto holds the wire contract: the .proto files, and beside them the
// Go code generated from them. It is the only home of wire names; no other
// package writes a service, message or field name of its own.
//
//	chat/                  chatpb        shared types, in no proto package
//	grpc_stream_chat/      streampb      the chat stream
//	grpc_chat_commands/    commandspb    the chat room commands
//	retrieve_server_load/  loadpb        the load of a server
//	chatstream/v1/         chatstreampb  our own: accounts, progress, delivery
//
// All but the last are inherited. Clients exist that were generated from the
// same names and numbers, so nothing in them may be renamed, renumbered or
// retyped; wire_test.go holds the contract as a table and fails when they drift.
//
// Additions go to the package chatstream.v1. Where an inherited message has to
// carry something new, its field number is 1000 or above (in MessageSpecifics
// above 1001), and a client that does not know the field must be able to ignore
// it. Inherited enums get no new values.
//
// All times are int64 milliseconds since the Unix epoch.
//
// Running "go generate ./proto" lints the files and generates the code again. It
// needs no network once the modules are downloaded. To compare with a released
// version, run in this folder:
//
//	go tool -modfile=../tools/buf/go.mod buf breaking --against '../.git#ref=v1.0.0,subdir=proto'
package proto

//go:generate go tool -modfile=../tools/buf/go.mod buf lint
//go:generate go tool -modfile=../tools/buf/go.mod buf generate
