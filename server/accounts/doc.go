// Package accounts makes accounts, logs them in and out, and checks logins.
//
// An account has a name, a password and at most one session: it is logged in
// with one installation at a time. A login gives a token, which every command
// and every stream's opening carries and [Service.Check] judges, with one read
// of the store and no write.
//
// # What is kept, and what a thief of the database gets
//
// Of a password, a salted argon2id verifier is kept, together with the cost it
// was made with, so that the cost can be raised and old accounts stay valid.
// Of a token, its SHA-256 is kept. Yet a login from the same installation
// before the expiry answers with the same token as before, so the token must
// be found again without being stored: it is derived (token.go) from the
// password and a nonce of the session, and only who has just shown the right
// password has the key. A copy of the database therefore holds nothing that
// opens a stream; what it allows is guessing passwords at the full price of
// argon2id each.
//
// # Names
//
// A name is shown as it was typed and found as people read it: "Ann", "ann"
// and "Ａｎｎ" are one name (name.go). The store keeps names apart byte by byte,
// so what it knows as an account's name is the folded form, and the typed one is
// for display. Look-alikes of different scripts (a Cyrillic "а") are different
// names.
//
// # Guessing and load
//
// Hashing a password costs about 20 ms of a processor and 19 MiB on purpose, so
// it is bounded: so many at once, so many waiting, the rest is refused
// (hashing.go). Wrong guesses are bounded per name and per address before
// anything is hashed (guesses.go); right passwords cost nothing. The price of
// the bound per name is that somebody can keep a stranger from logging in by
// guessing all the time; open streams and tokens already given are not
// touched by that.
package accounts
