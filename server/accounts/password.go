package accounts

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// The lengths of passwords, in bytes.
const (
	MinPassword = 8
	MaxPassword = 1023
)

// checkPassword says what is wrong with a password, never what it is.
func checkPassword(password string) error {
	switch {
	case len(password) < MinPassword:
		return fmt.Errorf("password is too short: it must have at least %d bytes", MinPassword)
	case len(password) > MaxPassword:
		return fmt.Errorf("password is too long: it must have at most %d bytes", MaxPassword)
	case !utf8.ValidString(password):
		return errors.New("password is not valid UTF-8")
	}
	return nil
}
