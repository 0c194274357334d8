// Package chatstreampb holds what is our own on the wire: the account service,
// which makes accounts, logs them in and logs them out; what chat streams say
// beyond the inherited protocol; and the service that tells how far messages
// have reached.
//
// The code is generated from proto/chatstream/v1.
package chatstreampb
