package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/chatstream/chatstream/client"
)

// chatLine is one line of input: a command with its arguments, or a text.
type chatLine struct {
	verb string // empty for a text
	args []string
	text string
}

// verbs are the commands, with the number of arguments each takes.
var verbs = map[string]struct{ least, most int }{
	"create":  {0, -1}, // the rest of the line is the name
	"join":    {1, 2},
	"room":    {1, 1},
	"leave":   {0, 1},
	"rooms":   {0, 0},
	"members": {0, 1},
	"reached": {0, 1},
	"kick":    {1, 1},
	"ban":     {1, 1},
	"help":    {0, 0},
	"quit":    {0, 0},
}

const chatHelp = `/create NAME           make a room and select it
/join ROOM PASSWORD    join a room and select it
/room ROOM             select a room: its last messages are shown, and text goes there
/leave [ROOM]          leave a room, or the selected one
/rooms                 list the rooms you are in
/members [ROOM]        list who is in a room
/reached [ROOM]        list how far messages have reached the members
/kick NAME, /ban NAME  remove a member (the room's admin may)
/help                  this
/quit                  leave the program
//TEXT                 send a text that begins with a slash
anything else          is sent to the selected room`

// scriptHelp says what a script reads.
const scriptHelp = `What is printed, one line each:
connected ACCOUNT, disconnected, reconnected
created ROOM PASSWORD, joined ROOM, left ROOM
room ROOM NAME, member ROOM NAME, reached ROOM NAME MESSAGES of ALL [offline]
ROOM NAME> TEXT        a message, once; line breaks in it are written \n`

// reached are how far a room's messages have reached its members: as many as
// have arrived of those there are, each with the word offline if nobody
// is there to read them.
func reached(d client.Delivery, members []client.Member) []string {
	var lines []string
	for _, m := range members {
		line := oneLine(m.Name) + " "
		i := slices.IndexFunc(d.Devices, func(d client.DeviceDelivery) bool { return d.Account == m.Account })
		if i < 0 {
			lines = append(lines, line+fmt.Sprintf("0 of %d offline", d.Last))
			continue
		}
		line += fmt.Sprintf("%d of %d", d.Devices[i].Reached, d.Last)
		if !d.Devices[i].Online {
			line += " offline"
		}
		lines = append(lines, line)
	}
	return lines
}

// parseLine tells commands from texts.
func parseLine(line string) (chatLine, error) {
	line = strings.TrimRight(line, "\r\n")
	if strings.HasPrefix(line, "//") {
		return chatLine{text: line[1:]}, nil
	}
	if !strings.HasPrefix(line, "/") {
		return chatLine{text: line}, nil
	}
	fields := strings.Fields(line[1:])
	if len(fields) == 0 {
		return chatLine{}, fmt.Errorf("a command is missing after the slash: see /help")
	}
	verb, args := fields[0], fields[1:]
	takes, known := verbs[verb]
	if !known {
		return chatLine{}, fmt.Errorf("there is no command /%s: see /help", verb)
	}
	if len(args) < takes.least || takes.most >= 0 && len(args) > takes.most {
		return chatLine{}, fmt.Errorf("/%s does not take %d arguments: see /help", verb, len(args))
	}
	if takes.most < 0 {
		rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line[1:]), verb))
		args = []string{rest}
	}
	return chatLine{verb: verb, args: args}, nil
}
