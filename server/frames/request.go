//go:build frames

package frames

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/metadata"
)

// request is what a HEADERS frame asked for.
type request struct {
	method, path, authority, contentType, encoding string
	timeout                                        time.Duration // below zero if there is none
	fields                                         metadata.MD   // keys in lower case
}

func newRequest(f *http2.MetaHeadersFrame) (*request, error) {
	r := &request{
		method: f.PseudoValue("method"), path: f.PseudoValue("path"), authority: f.PseudoValue("authority"),
		timeout: -1, fields: make(metadata.MD),
	}
	if r.method == "" || r.path == "" {
		return nil, fmt.Errorf("a request without :method or :path")
	}
	for _, field := range f.RegularFields() {
		switch field.Name {
		case "content-type":
			r.contentType = field.Value
		case "grpc-encoding":
			r.encoding = field.Value
		case "grpc-timeout":
			var err error
			if r.timeout, err = parseTimeout(field.Value); err != nil {
				return nil, err
			}
		}
		r.fields.Append(field.Name, field.Value)
	}
	return r, nil
}

// isChat reports whether r opens a chat stream. Whatever is not quite that is
// left to grpc-go to refuse.
func (r *request) isChat(path string) bool {
	const grpc = "application/grpc"
	rest, ok := strings.CutPrefix(r.contentType, grpc)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';') && r.method == http.MethodPost && r.path == path
}

var units = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// parseTimeout reads up to eight digits and a unit.
func parseTimeout(s string) (time.Duration, error) {
	if len(s) < 2 || len(s) > 9 {
		return 0, fmt.Errorf("grpc-timeout %q is not one", s)
	}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !ok || err != nil {
		return 0, fmt.Errorf("grpc-timeout %q is not one", s)
	}
	const longest = 1<<63 - 1
	if time.Duration(n) > longest/unit {
		return longest, nil
	}
	return time.Duration(n) * unit, nil
}
