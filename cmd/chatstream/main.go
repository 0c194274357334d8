// Command chatstream is a chat server for gRPC clients, and a client for it.
//
//	chatstream serve   serves the chat
//	chatstream chat    chats, in a terminal or from a script
//	chatstream bench   measures, and reports and compares what was measured
//
// Every flag can also be given as an environment variable: --stream-lifetime is
// CHATSTREAM_STREAM_LIFETIME.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

type cli struct {
	Serve serveCmd `cmd:"" help:"Serve the chat."`
	Chat  chatCmd  `cmd:"" help:"Chat, in a terminal or from a script."`
	Bench benchCmd `cmd:"" help:"Measure, and report and compare what was measured."`
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], stdio{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Terminal: term.IsTerminal(int(os.Stdin.Fd())),
	}))
}

// Exit codes.
const (
	exitFailed = 1 // it started, and went wrong
	exitUsage  = 2 // it cannot start with these flags, on this machine
)

// run is main without the process.
func run(ctx context.Context, args []string, std stdio) (code int) {
	exit := &exitError{code: -1}
	parser, err := kong.New(&cli{},
		kong.Name("chatstream"),
		kong.Description("A chat server for gRPC clients, and a client for it."),
		kong.DefaultEnvars("CHATSTREAM"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(std.Out, std.Err),
		kong.Exit(func(code int) { exit.code = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		return exitCode(std.Err, &exitError{code: exitUsage, err: err})
	}
	parsed, err := parser.Parse(args)
	if exit.code >= 0 { // --help
		return exit.code
	}
	if err != nil {
		return exitCode(std.Err, &exitError{code: exitUsage, err: err})
	}
	return exitCode(std.Err, parsed.Run())
}

// exitCode says what went wrong, in one line, and returns the exit code.
func exitCode(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
		err = exit.err
	}
	if err != nil {
		fmt.Fprintln(w, "chatstream:", err)
	}
	return code
}
