package mongo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chatstream/chatstream/store"
)

// Codes of the server that mean something to us.
const (
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeNamespaceNotFound    = 26
	codeNamespaceExists      = 48
	codeIndexOptions         = 85
	codeIndexKeySpecs        = 86
	codeDuplicateKey         = 11000
)

// secrets are the texts that stand in no error and no line of the log.
type secrets []string

// secretsOf finds the password of a URI in each way it may be written. A URI that
// cannot be read is not shown at all, so nothing needs to be found in it.
func secretsOf(uri string) secrets {
	_, rest, _ := strings.Cut(uri, "://")
	authority, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return nil
	}
	_, password, _ := strings.Cut(authority[:at], ":")
	if password == "" {
		return nil
	}
	hidden := secrets{password}
	if plain, err := url.PathUnescape(password); err == nil && plain != password {
		hidden = append(hidden, plain)
	}
	return hidden
}

func (s secrets) hide(text string) string {
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// databaseError is an error of the driver with a text that we can vouch for: one
// line, without what is in a command or a document.
type databaseError struct {
	text string
	err  error
}

func (e *databaseError) Error() string { return e.text }
func (e *databaseError) Unwrap() error { return e.err }

// told is err as it may be told. What is not of the driver stays as it is.
func (s secrets) told(err error) error {
	text := err.Error()
	var command driver.CommandError
	var write driver.WriteException
	var bulk driver.BulkWriteException
	switch {
	// A command's message may repeat the command: who it is about, and what it says.
	case errors.As(err, &command) && command.Code != 0:
		text = fmt.Sprintf("the database answered %s (%d)", command.Name, command.Code)
	case errors.As(err, &write):
		text = writeText(write.WriteConcernError, len(write.WriteErrors) > 0, func() driver.WriteError { return write.WriteErrors[0] })
	case errors.As(err, &bulk):
		text = writeText(bulk.WriteConcernError, len(bulk.WriteErrors) > 0, func() driver.WriteError { return bulk.WriteErrors[0].WriteError })
	}
	return &databaseError{strings.Join(strings.Fields(s.hide(text)), " "), err}
}

func writeText(concern *driver.WriteConcernError, refused bool, first func() driver.WriteError) string {
	switch {
	case concern != nil:
		return fmt.Sprintf("the database answered %s (%d): no majority in time", concern.Name, concern.Code)
	case refused:
		return fmt.Sprintf("the database refused to write (%d)", first().Code)
	default:
		return "the database refused to write"
	}
}

// code is the server's code in err, 0 if there is none.
func code(err error) int {
	var command driver.CommandError
	var write driver.WriteException
	switch {
	case errors.As(err, &command):
		return int(command.Code)
	case errors.As(err, &write) && write.WriteConcernError == nil && len(write.WriteErrors) > 0:
		return write.WriteErrors[0].Code
	default:
		return 0
	}
}

// failure is what a caller gets for err: his own context's error if that is why,
// else store.ErrUnavailable. Errors of the contract stay as they are.
func (s *Store) failure(ctx context.Context, err error) error {
	for _, known := range []error{store.ErrUnavailable, store.ErrClosed, store.ErrNotFound, store.ErrNameTaken, store.ErrMalformed, errExists} {
		if errors.Is(err, known) {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if refusal := s.refusal(); refusal != nil {
		return refusal
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, s.secrets.told(err))
}
