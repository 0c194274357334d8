// Package accountpb holds the account service, which is our own: it makes
// accounts, logs them in and logs them out.
//
// The code is generated from proto/chatstream/v1.
package accountpb
