// Package loadpb holds the service that tells how busy a server is.
//
// The code is generated from proto/retrieve_server_load.
package loadpb
