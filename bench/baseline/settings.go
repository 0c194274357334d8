package main

import (
	"flag"
	"fmt"
	"strconv"

	"google.golang.org/grpc"
)

// settings are those of grpc-go that flags change. What no flag names stays as
// the server has it, which is grpc-go's default.
type settings struct{ options []grpc.ServerOption }

// define adds the flags. What they are for is said in bench/report/settings.go.
func (s *settings) define(flags *flag.FlagSet) {
	number := func(name, usage string, bits int, option func(int) grpc.ServerOption) {
		flags.Func(name, usage, func(value string) error {
			n, err := strconv.ParseUint(value, 10, bits)
			if err != nil {
				return fmt.Errorf("a whole number, at least 0: %w", err)
			}
			s.options = append(s.options, option(int(n)))
			return nil
		})
	}
	number("write-buffer", "`bytes` that are gathered before they are written to a connection; 0 for each by itself", 31, grpc.WriteBufferSize)
	number("read-buffer", "`bytes` that are read from a connection at once; 0 for as many as are wanted", 31, grpc.ReadBufferSize)
	number("stream-workers", "`goroutines` that run handlers again and again; 0 for a new one each", 32, func(n int) grpc.ServerOption { return grpc.NumStreamWorkers(uint32(n)) })
	number("static-window", "`bytes` that may be on their way from a client, on all of its streams: instead of what is measured", 31, func(n int) grpc.ServerOption {
		return grpc.StaticConnWindowSize(int32(n)) // that of a stream is grpc-go's then, 64 KiB
	})
	flags.BoolFunc("shared-write-buffer", "whether idle connections have no buffer to write from", func(value string) error {
		shared, err := strconv.ParseBool(value)
		if err != nil {
			return err
		}
		//lint:ignore SA1019 Whether its default is right is what is measured.
		s.options = append(s.options, grpc.SharedWriteBuffer(shared))
		return nil
	})
}
