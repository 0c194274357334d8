package robustness

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Validator judges a history by one guarantee.
type Validator struct {
	// Name names the guarantee; Promise is it.
	Name, Promise string
	check         func(*History, *report)
}

// Validators are all of them.
var Validators = []Validator{
	{"ordered", "per stream and room, messages come in the order of the room's log", ordered},
	{"complete", "between two places of a device in a room it has been told everything, and who is in a room gets all there is", complete},
	{"unique", "one message at a place, one place for a message, and everybody is told the same", unique},
	{"member-only", "nobody is told what happens in a room outside his stays in it", memberOnly},
	{"resumable", "what a returning device is told begins right behind what it says that it has", resumable},
	{"exact", "a device that resumes exactly is never told the same twice", exact},
	{"answered", "every request on a stream is answered once, in the order asked, for every uuid in the order asked", answered},
	{"sender", "the sender of a message gets its time on its stream, and never the message itself", sender},
	{"newest-wins", "an older stream ends, and is told by which it was replaced", newestWins},
	{"durable", "what was acknowledged or seen is in the log, and nothing else is", durable},
	{"final", "what is shown of a room is what its log says", final},
	{"healthy", "the server ends when told to and only then, races with nobody, and what has to come comes", healthy},
}

// Violation is one breach of a guarantee.
type Violation struct {
	Validator string
	What      string
	// Records are the few that it is seen from.
	Records []*Record
}

func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Validator, v.What)
	for _, r := range v.Records {
		if r == nil {
			continue
		}
		line, err := json.Marshal(r)
		if err != nil {
			line = []byte(err.Error())
		}
		if len(line) > 1500 {
			line = append(line[:1500], "..."...)
		}
		fmt.Fprintf(&b, "\n    %s", line)
	}
	return b.String()
}

// report gathers what one validator finds.
type report struct {
	name string
	list []Violation
}

func (r *report) add(records []*Record, format string, args ...any) {
	r.list = append(r.list, Violation{Validator: r.name, What: fmt.Sprintf(format, args...), Records: records})
}

// seen is shorthand for the records of a violation.
func seen(records ...*Record) []*Record { return records }

// Check judges h.
func (v Validator) Check(h *History) []Violation {
	r := &report{name: v.Name}
	v.check(h, r)
	return r.list
}

// Validate has all validators judge h.
func Validate(h *History) []Violation {
	var all []Violation
	for _, v := range Validators {
		all = append(all, v.Check(h)...)
	}
	return all
}
