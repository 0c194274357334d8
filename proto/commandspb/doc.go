// Package commandspb holds the chat room commands: the service with the calls
// that change or refresh a room, and their requests and responses.
//
// The code is generated from proto/grpc_chat_commands.
package commandspb
