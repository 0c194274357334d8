// Baseline is the reference that the server's cost is measured against: the
// least that a program on grpc-go can do to bring one message to many streams.
// It encodes a message once, and two workers hand the shared bytes to SendMsg,
// up to 32 messages in one response.
//
// It speaks just enough of the protocol for `chatstream bench` to load it, and
// keeps none of its promises: nothing is stored, nothing is checked, a client that
// does not read stops everybody.
//
//	baseline --listen 127.0.0.1:0
//	baseline --replay DIR     answers streams from a store's directory instead
//	baseline --write-buffer 65536 ...    has other settings of grpc-go: see --help
//
// It prints `ready grpc=HOST:PORT store=none`, with diagnostics=HOST:PORT if they
// are asked for.
package main

import (
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/chatstream/chatstream/proto/chatstreampb"
	"github.com/chatstream/chatstream/proto/commandspb"
	"github.com/chatstream/chatstream/proto/streampb"
	"github.com/chatstream/chatstream/server/diagnostics"
	"github.com/chatstream/chatstream/store/embedded"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	workers := flag.Int("workers", 2, "goroutines that send")
	inside := flag.String("diagnostics", "", "address to serve profiles on")
	replayed := flag.String("replay", "", "directory of a store: a stream gets what it misses from there, and nothing else")
	cert := flag.String("tls-cert", "", "certificate, PEM: connections are secured")
	key := flag.String("tls-key", "", "its key, PEM")
	var changed settings
	changed.define(flag.CommandLine)
	flag.Parse()
	secure := insecure.NewCredentials()
	if *cert != "" {
		var err error
		if secure, err = credentials.NewServerTLSFromFile(*cert, *key); err != nil {
			log.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	h := newHub(*workers)
	// The same settings as the server's, as far as they cost something.
	s := grpc.NewServer(append([]grpc.ServerOption{
		grpc.Creds(secure),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 15 * time.Minute, Time: 30 * time.Second, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.MaxConcurrentStreams(1000),
	}, changed.options...)...)
	chatstreampb.RegisterAccountServiceServer(s, accounts{})
	commandspb.RegisterChatRoomMessagesServiceServer(s, commands{hub: h})
	if *replayed == "" {
		streampb.RegisterStreamChatServiceServer(s, chat{hub: h})
	} else {
		st, err := embedded.Open(embedded.Config{Dir: *replayed})
		if err != nil {
			log.Fatal(err)
		}
		defer st.Close()
		streampb.RegisterStreamChatServiceServer(s, replay{store: st})
	}
	ready := fmt.Sprintf("ready grpc=%s store=none", l.Addr())
	if *inside != "" {
		l, err := net.Listen("tcp", *inside)
		if err != nil {
			log.Fatal(err)
		}
		defer diagnostics.Start(l, func() any { return nil }, slog.Default()).Close()
		ready += fmt.Sprintf(" diagnostics=%s", l.Addr())
	}
	fmt.Println(ready)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stop
		s.Stop()
	}()
	if err := s.Serve(l); err != nil {
		log.Fatal(err)
	}
	h.close()
}
