package goals

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// settings of grpc-go, each with the flags that make it. What each does, and why
// one might want it, is said in bench/report/settings.go, which makes a table of
// the results.
var settings = []struct {
	name  string
	flags []string
}{
	{"none", nil}, // the same program twice: what a difference is that is none
	{"write-buffer-4KiB", []string{"--write-buffer=4096"}},
	{"write-buffer-128KiB", []string{"--write-buffer=131072"}},
	{"write-buffer-off", []string{"--write-buffer=0"}},
	{"shared-write-buffer-off", []string{"--shared-write-buffer=false"}},
	{"read-buffer-4KiB", []string{"--read-buffer=4096"}},
	{"read-buffer-off", []string{"--read-buffer=0"}},
	{"stream-workers", []string{fmt.Sprint("--stream-workers=", runtime.NumCPU())}},
	{"static-window-64KiB", []string{"--static-window=65536"}},
}

// What one setting of grpc-go changes: the bare program with it, and the bare
// program with the settings that the server has ((*Server).options), in turns.
// In the order of the measures: what a delivery costs with a backlog and one at a
// time, how long it takes, and what an idle stream weighs on a connection of its
// own, with 99 others on one, and on one of its own with TLS, as in production.
func BenchmarkTransport(b *testing.B) {
	for _, s := range settings {
		changed := func(b *testing.B, flags ...string) server {
			return bare(b, append(flags, s.flags...)...).called("changed")
		}
		both := func(b *testing.B) (side, side) { return pair(b, streams, 0, changed(b), bare(b)) }
		weigh := func(b *testing.B, conns int) {
			compareWeight(b, conns, func(string) server { return changed(b) }, func(string) server { return bare(b) })
		}
		b.Run("setting="+s.name, func(b *testing.B) {
			b.Run("measure=backlog", func(b *testing.B) {
				first, other := both(b)
				compareCost(b, first, other, window)
			})
			b.Run("measure=one-at-a-time", func(b *testing.B) {
				first, other := both(b)
				compareCost(b, first, other, 1)
			})
			b.Run("measure=latency", func(b *testing.B) {
				first, other := both(b)
				compareLatency(b, first, other, saturation(b, first, other)/2)
			})
			b.Run("measure=idle-each", func(b *testing.B) { weigh(b, idle) })
			b.Run("measure=idle-shared", func(b *testing.B) { weigh(b, idle/100) })
			b.Run("measure=idle-tls", func(b *testing.B) {
				flags, trusted := certificate(b)
				secured := func(s server) server {
					s.TLS = trusted
					return s
				}
				compareWeight(b, idle, func(string) server { return secured(changed(b, flags...)) },
					func(string) server { return secured(bare(b, flags...)) })
			})
		})
	}
}

// certificate makes one for 127.0.0.1, and returns the flags of a server that has
// it and what its clients trust.
func certificate(b *testing.B) (flags []string, trusted *tls.Config) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "chatstream benchmark"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	dir := b.TempDir()
	cert, private := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, content := range map[string][]byte{cert: public, private: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(public) {
		b.Fatal("the certificate cannot be trusted")
	}
	return []string{"--tls-cert=" + cert, "--tls-key=" + private}, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}
